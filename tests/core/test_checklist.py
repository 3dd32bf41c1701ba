"""Boxes are ticked by runs, by the decision and, where no step does the work, by people."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from orchestrator.adapters.runbooks import load_runbook
from orchestrator.core.business_days import timetable
from orchestrator.core.checklist import Box, Confirmation, boxes, checklist, checklist_document, item_key, manual_items
from orchestrator.core.decision import Decision
from orchestrator.core.journal import (
    FindingsRecorded,
    RunFinished,
    StatementUndone,
    StepFinished,
    StepStarted,
)
from orchestrator.core.journal.watch import SampleTaken, WatchBegan, WatchEnded, WatchJudged
from orchestrator.core.progress import compare
from orchestrator.core.run import Run, fold
from orchestrator.core.watch import Sample, Write
from tests.conftest import ROOT
from tests.journals import began, finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.core.checks import FindingStatus
    from orchestrator.core.journal import Event, Task
    from orchestrator.core.outcome import RunState, StepState
    from orchestrator.core.timeline import Option

ROADS = load_runbook("master_tables", root=ROOT / "runbooks", with_decision=False).runbook.roads
AT = datetime(2026, 12, 14, 9, 0, tzinfo=UTC)
DECIDED = Decision(option="A", rationale="because", by="Ayu", at=AT)
CONTRACT = frozenset({"relation a"})

WRITE = "Write the foreign-key migration and try it in staging"
VALIDATE = "Full validation, C3 to C6"
PREPARE = "Prepare production"
DEPLOY = "Deploy to production"


def run(
    name: str,
    *steps: tuple[str, StepState],
    task: Task = "deploy",
    state: RunState | None = "done",
    against: Mapping[str, int] | None = None,
    undone: int = 0,
    **rest: Any,
) -> Run:
    """A run of these steps, two minutes each; `against` has the number of critical findings of each step with any."""

    def happened() -> Iterator[Event]:
        yield replace(began(task), definition=("relation a",), **rest)
        for step, ended in steps:
            yield StepStarted(step=step)
            if step in (against or {}):
                found = tuple(finding(f"{step}-{number}", "fail") for number in range((against or {})[step]))
                yield FindingsRecorded(step=step, findings=found)
            yield StepFinished(step=step, state=ended, note="", duration_ms=60_000)
        for number in range(undone):
            yield StatementUndone(
                id=f"s{number}", relation="a", of="r0", sql=("x",), attempts=1, duration_ms=1, blocked_ms=1
            )
        if state:
            yield RunFinished(state=state)

    start = AT + timedelta(days=int(name[1:]))
    return fold(name, ((event, start + timedelta(minutes=number)) for number, event in enumerate(happened())))


def ticked(*runs: Run, option: Option = "A", confirmed: tuple[Confirmation, ...] = ()) -> dict[str, Box]:
    """The boxes by title."""
    decision = Decision(option=option, rationale="because", by="Ayu", at=AT)
    return {box.item.title: box for _, box in boxes(checklist(ROADS, decision, runs, confirmed, contract=CONTRACT))}


def whole(name: str, **rest: Any) -> Run:
    """A deployment that did everything."""
    steps = ("preflight", "plan", "audit", "backup", "apply", "validate")
    return run(name, *((step, "done") for step in steps), against={"preflight": 0, "audit": 0, "validate": 0}, **rest)


def states(found: dict[str, Box]) -> dict[str, str]:
    """Which run ticks which box."""
    return {title: box.run for title, box in found.items() if box.state == "done" and box.run}


def test_before_the_decision_only_the_decision_is_asked() -> None:
    """It names the roads; a runbook without roads has no checklist."""
    ((phase, box),) = boxes(checklist(ROADS, None, [whole("r1")]))
    assert (phase, box.state, box.missing) == ("decision", "open", "invoke decide")
    assert "A (Add the missing foreign keys) or B (Keep the single key" in box.item.title
    assert checklist({}, None, [whole("r1")]) == ()


def test_the_decision_ticks_its_own_box() -> None:
    """With who, when and why."""
    box = ticked()["Decide for a road and record why"]
    assert (box.state, box.told) == ("done", "decided by Ayu, 2026-12-14 09:00 UTC: because")


def test_a_deployment_to_staging_ticks_what_it_did() -> None:
    """Applied and validated, in staging; nothing of production."""
    found = ticked(whole("r1"))
    assert states(found) == {WRITE: "r1", VALIDATE: "r1"}
    assert found[WRITE].told == "run r1 on staging, 2026-12-15 09:16 UTC"
    assert found[PREPARE].missing == "preflight on production"


def test_a_deployment_to_production_ticks_production() -> None:
    """And nothing of staging."""
    assert states(ticked(whole("r2", kind="production", environment="prod"))) == {PREPARE: "r2", DEPLOY: "r2"}


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"state": "failed"}, {VALIDATE}),
        ({"state": "held"}, {VALIDATE}),
        ({"state": None}, {VALIDATE}),
        ({"dry_run": True}, set()),
        ({"options": {"only": "critical"}}, set()),
        ({"kind": "scratch"}, set()),
        ({"task": "rehearse"}, set()),
    ],
)
def test_what_does_not_tick_applied(changes: dict[str, Any], left: set[str]) -> None:
    """A run that is not done, a dry run, a part of the contract, a scratch database, a rehearsal on a copy."""
    assert set(states(ticked(whole("r1", **changes)))) == left


def test_a_step_that_had_nothing_to_do_ticks_nothing() -> None:
    """Production once had every key before it was deployed to, and the step told success."""
    assert states(ticked(run("r1", ("apply", "skipped"), ("validate", "done"), against={"validate": 0}))) == {
        VALIDATE: "r1"
    }


def test_another_contract_ticks_nothing() -> None:
    """A run of before the contract was edited proves nothing about it."""
    edited = checklist(ROADS, DECIDED, [whole("r1")], contract=frozenset({"relation b"}))
    assert not [box for _, box in boxes(edited) if box.run]


def test_a_way_back_unticks_and_the_next_run_ticks_again() -> None:
    """What was taken away is not there; one that took nothing away changes nothing."""
    back = run("r2", ("rollback", "done"), task="rollback", undone=1)
    assert states(ticked(whole("r1"), back)) == {}
    assert states(ticked(whole("r1"), back, whole("r3"))) == {WRITE: "r3", VALIDATE: "r3"}
    nothing = run("r2", ("rollback", "failed"), task="rollback", state="failed")
    assert states(ticked(whole("r1"), nothing)) == {WRITE: "r1", VALIDATE: "r1"}


def test_environments_stand_for_themselves() -> None:
    """A way back on production leaves staging as it is."""
    back = run("r3", task="rollback", undone=1, kind="production", environment="prod")
    found = ticked(whole("r1"), whole("r2", kind="production", environment="prod"), back)
    assert set(states(found)) == {WRITE, VALIDATE, PREPARE}


def test_the_first_run_ticks_and_the_latest_answer_counts() -> None:
    """Validated twice: the first time stays. Then it fails: the box is open, until it passes again."""
    passed = [run(f"r{number}", task="validate", state=None) for number in (1, 2, 4)]
    for each in passed:
        each.findings["validate"] = (finding("C3", "pass"),)
    failed = run("r3", task="validate", state=None)
    failed.findings["validate"] = (finding("C3", "fail"),)
    assert states(ticked(*passed[:2])) == {VALIDATE: "r1"}
    assert states(ticked(*passed[:2], failed)) == {}
    assert states(ticked(*passed, failed)) == {VALIDATE: "r4"}


def test_a_part_of_the_validation_ticks_nothing() -> None:
    """A check that was not asked (the environment does not allow what writes) is told as unknown."""
    part = run("r2", task="validate", state=None)
    left_out = replace(finding("C6", "pass"), status="unknown", severity="optional")
    part.findings["validate"] = (finding("C1", "pass"), left_out)
    assert states(ticked(part)) == {}
    assert states(ticked(whole("r1"), part))[VALIDATE] == "r1"


def test_a_preflight_that_fails_later_unticks_nothing() -> None:
    """Preparing was done; whether production is open is asked by the gates again."""
    good = run("r1", task="preflight", state=None, kind="production", environment="prod")
    good.findings["preflight"] = (finding("x", "pass"),)
    bad = run("r2", task="preflight", state=None, kind="production", environment="prod")
    bad.findings["preflight"] = (finding("x", "fail"),)
    assert states(ticked(good, bad)) == {PREPARE: "r1"}
    assert states(ticked(bad)) == {}


@pytest.mark.parametrize(("state", "ticks"), [("refused", {}), ("held", {PREPARE: "r1"}), ("done", {PREPARE: "r1"})])
def test_a_refused_deployment_prepared_nothing(state: RunState, ticks: dict[str, str]) -> None:
    """Its preflight was GO, and a gate that was closed kept it from production all the same."""
    gated = run("r1", ("preflight", "done"), state=state, kind="production", environment="prod")
    gated.findings["preflight"] = (finding("x", "pass"),)
    assert states(ticked(gated)) == ticks


def rehearsed(name: str, *statuses: FindingStatus, **rest: Any) -> Run:
    """A rehearsal with one finding about writes for each status; a failure is important."""
    found = run(name, ("walks", "done"), ("performance", "done"), task="rehearse", **rest)
    found.findings["performance"] = tuple(
        replace(finding(f"performance.{at}", "fail"), severity="important", status=each)
        for at, each in enumerate(statuses)
    )
    return found


@pytest.mark.parametrize("option", ["A", "B"])
def test_a_rehearsal_ticks_what_it_measured(option: Option) -> None:
    """Of either road, and nothing else; a table that could not be measured does not keep it from that."""
    found = ticked(rehearsed("r1", "pass", "unknown"), option=option)
    assert states(found) == {"Performance": "r1"}
    assert found["Performance"].told.startswith("run r1 on staging, ")
    assert ticked(option=option)["Performance"].missing == "rehearse on staging"


@pytest.mark.parametrize(
    "other",
    [
        rehearsed("r2"),
        rehearsed("r2", "unknown"),
        rehearsed("r2", "pass", options={"only": "critical"}),
        rehearsed("r2", "pass", kind="scratch"),
        whole("r2"),
        run("r2", ("rollback", "done"), task="rollback", undone=1),
    ],
    ids=["broken off", "left out", "narrowed", "elsewhere", "deployed", "walked back"],
)
def test_what_says_nothing_about_writes(other: Run) -> None:
    """It ticks no box, and unticks none."""
    assert "Performance" not in states(ticked(other))
    assert states(ticked(rehearsed("r1", "pass"), other))["Performance"] == "r1"


def test_slower_writes_untick() -> None:
    """A HOLD, too, although such a rehearsal is done: nobody has accepted it. One of another contract says nothing."""
    held, edited = rehearsed("r2", "pass", "fail"), frozenset({"relation b"})
    assert states(ticked(held)) == states(ticked(rehearsed("r1", "pass"), held)) == {}
    assert states(ticked(held, rehearsed("r3", "pass"))) == {"Performance": "r3"}
    assert not [
        box for _, box in boxes(checklist(ROADS, DECIDED, [rehearsed("r1", "pass")], contract=edited)) if box.run
    ]


def test_people_confirm_only_what_no_step_does() -> None:
    """By title or by what is typed for it; it is shown as confirmed. The last word of a person counts."""
    said = tuple(
        Confirmation(item=item, person=person, at=AT + timedelta(hours=hour), note="seen")
        for hour, (item, person) in enumerate((("monitor", "Ayu"), ("Monitor", "Budi"), (DEPLOY, "Ayu")))
    )
    found = ticked(confirmed=said)
    assert found["Monitor"].state == "confirmed"
    assert found["Monitor"].told == "confirmed by Budi, 2026-12-14 10:00 UTC: seen"
    proved = [replace(each, proof="role budi") for each in said]
    assert "confirmed by Budi (role budi), 2026" in ticked(confirmed=tuple(proved))["Monitor"].told
    assert found[DEPLOY].state == "open"
    assert ticked()["Monitor"].missing == 'invoke approve --item monitor --by NAME --note "…"'


def test_manual_items_are_known_by_what_is_typed() -> None:
    """Nothing of the decision, nothing with a step."""
    assert list(manual_items(ROADS["A"])) == ["monitor"]
    assert list(manual_items(ROADS["B"])) == ["validation-in-the-application", "tests-of-that-validation", "monitor"]
    assert item_key("Full validation, C3 to C6") == "full-validation-c3-to-c6"


def test_the_document_has_every_box() -> None:
    """Keys that scripts depend on."""
    document = checklist_document(checklist(ROADS, DECIDED, [whole("r1")], contract=CONTRACT))
    assert [each["phase"] for each in document] == ["decision", "implementation", "validation", "production"]
    box: Any = document[1]["items"]
    box = box[0]
    assert (box["state"], box["run"], box["days"], box["at"]) == ("done", "r1", [1, 2], "2026-12-15T09:16:00+00:00")


def test_planned_against_actual() -> None:
    """Late in business days; what is not done is late once its last day has passed."""

    def working(day: date) -> bool:
        return day.weekday() < 5

    table = timetable(ROADS["A"], start=date(2026, 12, 14), is_business_day=working)
    phases = checklist(ROADS, DECIDED, [whole("r7")], contract=CONTRACT)
    rows = {
        each.planned.item.title: each
        for each in compare(table, phases, today=date(2026, 12, 21), is_business_day=working)
    }
    assert (rows[WRITE].late, rows[WRITE].pace) == (4, "4 business days late")
    assert (rows["Performance"].late, rows["Performance"].pace) == (1, "1 business day late")
    assert (rows["Monitor"].late, rows["Monitor"].pace) == (None, "")
    assert rows["Decide for a road and record why"].pace == "on time"
    assert [each.box for each in compare(table, (), today=date(2026, 12, 21), is_business_day=working)] == [None] * 7


@pytest.mark.parametrize(("hours", "slow", "state"), [(72, 0.0, "confirmed"), (71, 0.0, "open"), (72, 25.0, "open")])
def test_a_watch_of_three_days_confirms_its_item(hours: int, slow: float, state: str) -> None:
    """Not a shorter one, not one that ended with another word than go, and only production's."""
    watch: list[Event] = [
        replace(began("monitor"), definition=("relation a",), kind="production"),
        WatchBegan(of="r0", for_s=hours * 3600.0),
    ]
    for hour in range(hours + 1):
        took = Write(table="public.orders", operation="insert", calls=3, ms=1.0 + (slow if hour > 30 else 0.0))
        at = AT + timedelta(hours=hour)
        watch.append(SampleTaken(sample=Sample(at=at, host="h", every_s=3600, method="probes", writes=(took,))))
        if hour == 33 and slow:
            watch.append(WatchJudged(word="roll back", was="go"))
    last: Literal["go", "roll back"] = "roll back" if slow else "go"
    ended = WatchEnded(word=last, watched_s=hours * 3600.0, samples=hours + 1, gaps=0, last=last)
    watch += [ended, RunFinished(state="done")]
    found = ticked(fold("r9", ((event, AT + timedelta(days=4)) for event in watch)))["Monitor"]
    assert (found.state, found.run) == (state, "r9" if state == "confirmed" else "")
    elsewhere = [replace(began("monitor"), definition=("relation a",)), *watch[1:]]
    assert ticked(fold("r9", ((event, AT) for event in elsewhere)))["Monitor"].state == "open"
