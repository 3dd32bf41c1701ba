"""The last count of statements is told, however many there were."""

from __future__ import annotations

import io
from dataclasses import replace

from orchestrator.adapters.runbooks import load_contract
from orchestrator.adapters.terminal import Screen
from orchestrator.core.run import Run
from tests.acceptance.desk import MASTER
from tests.journals import BEGAN, the_plan, walked_back


def test_the_last_count_is_told_there_and_back() -> None:
    """17 of 18 statements before the failure, 17 on the way back; a round count is told once."""
    plan = the_plan(load_contract(MASTER / "foreign_keys.toml"))
    stream = io.StringIO()
    screen, run = Screen(stream=stream), Run("r1")
    for event in walked_back(replace(plan, statements=plan.statements[:18])):
        run.see(event, BEGAN)
        screen.listen(event, run)
    lines = [each.strip() for each in stream.getvalue().splitlines()]
    assert [each for each in lines if "of 18" in each] == ["10 of 18 statements", "17 of 18 statements"]
    assert [each for each in lines if each.endswith("walked back")] == ["10 walked back", "17 walked back"]
