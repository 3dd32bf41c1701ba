"""The examples of the page about checks and steps do what the page says."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.journal import FindingsRecorded, PlanRecorded
from orchestrator.core.preflight import server
from tests.acceptance.desk import MASTER, Desk, execute, finding
from tests.adapters.test_document_set import run_of
from tests.guide.test_guide import GUIDE, fences
from tests.journals import began, the_plan

EXAMPLES = [(each.info, each.content) for each in fences(GUIDE / "extending.md")]


def example(language: str, word: str) -> str:
    """The example in that language which has the word."""
    (found,) = [text for info, text in EXAMPLES if info == language and word in text]
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        yield Desk(folder=tmp_path, monkeypatch=patch)


def test_the_check_of_a_runbook(desk: Desk, database: str) -> None:
    """It passes, and fails as important once an order has no customer."""
    execute(database, *filter(None, map(str.strip, example("sql", "CREATE TABLE customers").split(";"))))
    desk.environment("staging", database)
    folder = Path(desk.runbook(example("toml", "orders"), "shop"))
    (folder / "checks").mkdir()
    (folder / "checks/orders.sql").write_text(example("sql", "shop.orders_have_a_customer"), encoding="utf-8")
    name = "shop.orders_have_a_customer"
    assert finding(desk.validate(runbook=str(folder)), name)["status"] == "pass"
    execute(database, "insert into orders values (1, null)")
    found = finding(desk.validate(runbook=str(folder)), name)
    assert (found["status"], found["severity"]) == ("fail", "important")
    assert found["observed"] == "1 orders without a customer"


def test_the_check_of_preflight(database: str) -> None:
    """Its probe is SQL that a server takes, and its judge reads what comes back, whatever the subject."""
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = tuple(connection.execute(example("sql", "max_connections").encode()).fetchall())
    room: dict[str, Any] = dict(vars(server))
    exec(example("python", "def judge_connections"), room)
    judged = room["judge_connections"](None, rows)
    assert judged.status == "pass"
    assert f"of {rows[0]['most']} connections" in judged.observed
    assert room["judge_connections"](None, ({"most": 10, "used": 9},)).status == "fail"
    (made,) = eval(example("python", "Check("), room)
    assert made.judge is room["judge_connections"]


def test_the_step(tmp_path: Path) -> None:
    """It is due while something is planned, records a finding, and shows the same in a dry run."""
    path = tmp_path / "review.py"
    path.write_text(example("python", "class Review"), encoding="utf-8")
    step = _loaded(path).Review()
    plan = the_plan(load_contract(MASTER / "foreign_keys.toml"))
    first, *rest = plan.statements
    hazard = "no index leads with the referencing columns"
    plan = replace(plan, statements=(replace(first, hazards=(hazard,)), *rest))
    run = run_of("r1", (began(), PlanRecorded(plan=plan)))
    recorder = _Recorder(run)
    assert step.due(run) is None
    assert step.due(run_of("r1", (began(),))) == "nothing is planned"
    assert step.act(recorder).note == "1 keys without a supporting index"
    assert list(step.preview(run)) == [hazard]
    (told,) = recorder.told
    assert isinstance(told, FindingsRecorded)
    assert told.findings[0].status == "fail"


class _Recorder:
    """What a step sees of the journal."""

    def __init__(self, run: Any) -> None:
        self.run, self.told = run, list[Any]()

    def record(self, event: Any) -> None:
        """Keep it."""
        self.told.append(event)


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tests.guide.example_review", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks up its annotations in its module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
