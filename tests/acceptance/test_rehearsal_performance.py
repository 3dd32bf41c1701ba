"""What the keys cost per write, measured by a rehearsal: on record, judged, in evidence, checklist and report."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.app import writes_on_copy
from orchestrator.app.on_copy import OnCopy
from orchestrator.app.writes_on_copy import Load
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD
from orchestrator.core.performance import Costs, Timing
from tests.acceptance.desk import BASE_ROWS, MASTER, Desk, contents, execute, finding, fingerprint, rows
from tests.acceptance.test_rehearsal import FEW, SCRATCH
from tests.conftest import MATRIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.app.answer import Answer

SHORT = Load(clients=2, seconds=0.5)
KEY = "public.punchlists.fk_punchlists_workflow_instance_id"


@pytest.fixture
def runbook(desk: Desk) -> str:
    """A copy of the shipped runbook, decided for road A."""
    folder: Path = shutil.copytree(MASTER, desk.folder / "master")
    words = ("--option", "A", "--rationale", "keys are cheap", "--by", "Ayu")
    assert desk.typed("decide", "--runbook", str(folder), *words).returncode == 0
    return str(folder)


def box(desk: Desk, runbook: str) -> dict[str, Any]:
    """The item Performance of the checklist."""
    said = desk.typed("status", "--json", "--env", "staging", "--runbook", runbook)
    assert said.returncode == 0, said.stderr
    items = [each for phase in json.loads(said.stdout)["checklist"] for each in phase["items"]]
    (found,) = (each for each in items if each["item"] == "performance")
    return dict(found)


def step(answer: Answer) -> str:
    """How the step performance ended."""
    (found,) = (each["state"] for each in answer.document["steps"] if each["id"] == "performance")
    return str(found)


def about_writes(answer: Answer) -> list[dict[str, Any]]:
    """The findings about single tables."""
    return [each for each in answer.document["findings"] if each["id"].startswith("performance.")]


def test_a_rehearsal_measures_writes(desk: Desk, staging: str, runbook: str) -> None:
    """Event, one finding per table, the box and the report's part are there; nothing is left behind."""
    execute(staging, BASE_ROWS)
    before, held = fingerprint(staging), contents(staging)
    answer = desk.rehearse(runbook=runbook, load=SHORT)
    (event,) = desk.events(answer, "performance_measured")
    assert event["clients"] == SHORT.clients
    measured = [each for each in event["writes"] if each["before_ms"] is not None and each["after_ms"] is not None]
    assert KEY in {key for each in measured for key in each["new_keys"]}
    assert len(about_writes(answer)) == len(event["overheads"]) > 1
    begun = [each["step"] for each in desk.events(answer, "step_started")]
    assert begun == ["copy", "performance", "walks", "performance", "evidence"]
    assert all(each["proved"] for each in answer.document["evidence"]["ways_back"])
    assert "## Cost of the keys per write" in desk.file(answer, "report.md")
    assert '<section id="performance"' in desk.file(answer, "report.html")
    assert rows(staging, SCRATCH) == []
    assert (fingerprint(staging), contents(staging)) == (before, held)
    go = not any(each["status"] == "fail" for each in about_writes(answer))
    assert (box(desk, runbook)["run"] == answer.document["run"]) == go


@MATRIX
def test_left_out_is_told(desk: Desk, staging: str, runbook: str) -> None:
    """A finding that closes nothing, a reason in evidence and report; it ticks no box."""
    place = ("--env", "staging", "--runbook", runbook)
    said = desk.typed("rehearse", *place, "--only", ",".join(FEW), "--no-performance", "--json")
    assert said.returncode == EXIT_DONE, said.stderr
    document = json.loads(said.stdout)
    reason = "performance (optional): not measured: left out with --no-performance"
    assert document["evidence"]["reasons"] == [reason]
    assert document["evidence"]["verdict"] == "GO"
    (found,) = (each for each in document["findings"] if each["id"] == "performance")
    assert (found["status"], found["severity"]) == ("unknown", "optional")
    assert reason in (desk.runs / document["run"] / "report.md").read_text("utf-8").replace("\\", "")
    assert (box(desk, runbook)["state"], box(desk, runbook)["missing"]) == ("open", "rehearse on staging")
    assert rows(staging, SCRATCH) == []


@pytest.mark.parametrize(
    ("after_ms", "code", "word"),
    [
        pytest.param(2.0, EXIT_DONE, "GO", marks=MATRIX),
        pytest.param(12.0, EXIT_HELD, "HOLD", marks=MATRIX),
        (25.0, EXIT_FAILED, "NO-GO"),
    ],
)
def test_writes_are_judged_in_the_verdict(
    desk: Desk, staging: str, monkeypatch: pytest.MonkeyPatch, after_ms: float, code: int, word: str
) -> None:
    """By given numbers: 10 ms more are accepted, above 20 ms the keys are to go. The evidence has word and reason."""
    given = costs(1.0, after_ms)
    monkeypatch.setattr(writes_on_copy, "measure", lambda *_, **__: next(given))
    answer = desk.rehearse(only=FEW, load=SHORT)
    assert (answer.exit_code, answer.document["verdict"], answer.document["evidence"]["verdict"]) == (code, word, word)
    reasons = " ".join(answer.document["evidence"]["reasons"])
    assert ("performance.public.punchlists" in reasons) == (word != "GO")
    assert rows(staging, SCRATCH) == []


def costs(*each_ms: float) -> Iterator[Costs]:
    """One insert into one table at a time."""
    for ms in each_ms:
        yield Costs(timings=(Timing(table="public.punchlists", operation="insert", ms=ms, rows=1),))


@MATRIX
def test_nothing_is_compared_after_a_walk_that_is_not_proved(
    desk: Desk, staging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second measurement is skipped, and says why."""
    count, given = iter(range(1000)), costs(1.0)
    monkeypatch.setattr(OnCopy, "fingerprint", lambda _: f"{next(count):064}")
    monkeypatch.setattr(writes_on_copy, "measure", lambda *_, **__: next(given))
    answer = desk.rehearse(only=FEW, load=SHORT)
    assert (answer.exit_code, step(answer)) == (EXIT_FAILED, "skipped")
    assert "the walks did not go well" in finding(answer, "performance")["observed"]
    assert desk.events(answer, "performance_measured") == []
    assert rows(staging, SCRATCH) == []


def test_nothing_is_compared_when_every_key_stands(desk: Desk, staging: str) -> None:
    """A copy that lacks no key has no before."""
    desk.deploy(only=FEW)
    answer = desk.rehearse(only=FEW, load=SHORT)
    assert (answer.exit_code, step(answer)) == (EXIT_DONE, "skipped")
    assert "--like ENV" in finding(answer, "performance")["observed"]
    assert rows(staging, SCRATCH) == []
