"""The way back finds its run, takes away what that run added, and nothing that another one made."""

from __future__ import annotations

import pytest

from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused
from tests.acceptance.desk import Desk, counts, execute, fingerprint, keys

KEY = "fk_punchlists_workflow_instance_id"


def test_there_is_nothing_left_after_the_way_back(desk: Desk, staging: str) -> None:
    """A second rollback is refused, by default and by name, and changes nothing."""
    before = fingerprint(staging)
    deployed = desk.deploy().document["run"]
    assert desk.rollback().exit_code == EXIT_DONE
    with pytest.raises(Refused, match="left to walk back"):
        desk.rollback()
    with pytest.raises(Refused, match="nothing left"):
        desk.rollback(run=deployed)
    assert fingerprint(staging) == before


def test_a_run_that_was_walked_back_never_touches_a_later_one(desk: Desk, staging: str) -> None:
    """The same keys were added again: naming the first run is refused, the default finds the last."""
    first = desk.deploy().document["run"]
    desk.rollback()
    second = desk.deploy().document["run"]
    with pytest.raises(Refused, match="nothing left"):
        desk.rollback(run=first)
    assert len(keys(staging)) == 45
    back = desk.rollback()
    assert back.document["rolls_back"] == second


def test_a_key_that_a_later_run_added_again_stays(desk: Desk, staging: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody dropped a key and another run brought it back: it is that run's, and the first leaves it alone."""
    first = desk.deploy().document["run"]
    execute(staging, f"alter table public.punchlists drop constraint {KEY}")
    again = desk.deploy()
    assert counts(again)["added"] == 1
    back = desk.rollback(run=first)
    assert set(keys(staging)) == {KEY, "fk_config_versions_workspace_id"}
    passed_over = desk.events(back, "undo_passed_over")
    assert [each["reason"] for each in passed_over] == [f"done again by run {again.document['run']}"]
    assert back.document["differences"]
    assert back.exit_code == EXIT_FAILED
    assert capsys.readouterr().out.splitlines()[-1] == "  the catalog is not what it was before"
    assert desk.rollback().exit_code != EXIT_DONE or set(keys(staging)) == {"fk_config_versions_workspace_id"}


def test_another_environments_run_is_not_the_default(desk: Desk, staging: str) -> None:
    """A ledger that came along with a copy names another environment: its runs are only walked back by name."""
    desk.environment("elsewhere", staging)
    (desk.inventory / "staging.toml").unlink()
    deployed = desk.deploy("elsewhere").document["run"]
    desk.environment("staging", staging)
    (desk.inventory / "elsewhere.toml").unlink()
    with pytest.raises(Refused, match="no run of staging"):
        desk.rollback()
    assert desk.rollback(run=deployed).exit_code == EXIT_DONE
