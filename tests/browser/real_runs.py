"""Reports of real deployments, one of each end, from one server: done, failed, held, rolled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.adapters import points
from orchestrator.app import resuming
from orchestrator.app.answer import Answer
from tests import servers
from tests.acceptance.desk import ORPHANS, Desk, execute, insert_base_rows

REFERRING = ("punchlist_items", "workflow_stage_actions")
"""The tables whose relations ORPHANS breaks."""


def real_reports(fresh: Callable[[], str], folder: Path) -> Mapping[str, Path]:
    """The run folder of each end. `fresh` makes a database with the base migration; all of them are dropped again."""
    made: dict[str, Path] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "inventory").mkdir()
        desk = Desk(folder=folder, monkeypatch=patch)
        for name, ended in (("done", _done), ("failed", _failed), ("held", _held), ("rolled-back", _rolled_back)):
            url = fresh()
            try:
                insert_base_rows(url)
                desk.environment("staging", url, policy='orphans = "leave_not_valid"')
                answer = ended(desk, url)
            finally:
                servers.drop_database(url)
            made[name] = desk.runs / answer.document["run"]
    return made


def _done(desk: Desk, _: str) -> Answer:
    answer = desk.deploy()
    assert answer.document["state"] == "done"
    return answer


def _failed(desk: Desk, url: str) -> Answer:
    execute(url, *ORPHANS)
    answer = desk.deploy()
    assert (answer.document["state"], answer.document["rolled_back"]) == ("failed", False)
    return answer


def _held(desk: Desk, _: str) -> Answer:
    """Somebody asks for it after the first statement."""

    def hold(point: str) -> None:
        if point == "effect:committed":
            points.visit(lambda _: None)
            resuming.hold(desk.request(), run=None, reason="load: <b>high</b>")

    points.visit(hold)
    try:
        answer = desk.deploy(only=REFERRING)
    finally:
        points.visit(lambda _: None)
    assert answer.document["state"] == "held"
    return answer


def _rolled_back(desk: Desk, _: str) -> Answer:
    desk.deploy(only=REFERRING)
    answer = desk.rollback()
    assert answer.document["state"] == "done"
    return answer
