"""The checklist of a runbook: its boxes are ticked by what journals and decision say, never by hand.

Only an item that names no step can be confirmed by a person, and is shown as confirmed, not as done. What ticks the
others stands in `_verdict`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from orchestrator.core.decision import Decision
from orchestrator.core.run import Run
from orchestrator.core.timeline import Item, Option, PhaseName, Road, StepName
from orchestrator.core.verdict import judge
from orchestrator.core.watched import ENOUGH_S, ITEM

BoxState = Literal["done", "confirmed", "open"]

CLAIMS = frozenset({"audit", "validate", "performance"})
"""Steps that tell how things are: the latest answer counts. The others tell that something was done."""

UNDONE_BY_WALKING_BACK = frozenset({"apply", "hosts", "validate"})

OF_THE_CONTRACT = frozenset({"apply", "validate", "performance"})
"""Steps that say something about the relations as the contract had them then."""

TASKS: Mapping[StepName, str] = {"performance": "rehearse", "hosts": "deploy"}
"""The task that takes a step, where it is not deploy or the task of the step's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A person says that an item is done. `run` is where it was recorded, `proof` how the person is known."""

    item: str
    person: str
    at: datetime
    note: str = ""
    proof: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An item with what ticked it: a run, a decision or a person; `began` and `at` are when that began and ended."""

    item: Item
    state: BoxState = "open"
    run: str = ""
    environment: str = ""
    began: datetime | None = None
    at: datetime | None = None
    by: str = ""
    proof: str = ""
    note: str = ""
    missing: str = ""

    @property
    def ticked(self) -> bool:
        """Whether nothing is left to do."""
        return self.state != "open"

    @property
    def told(self) -> str:
        """What ticked it and when, or what will."""
        if self.at is None:
            return f"waits for {self.missing}"
        when = f"{self.at:%Y-%m-%d %H:%M} UTC"
        if self.run and self.state == "done":
            return f"run {self.run} on {self.environment}, {when}"
        word = "confirmed" if self.state == "confirmed" else "decided"
        who = f"{self.by} ({self.proof})" if self.proof else self.by
        return f"{word} by {who}, {when}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPhase:
    """A phase of the checklist with its boxes."""

    name: PhaseName
    boxes: tuple[Box, ...]


def item_key(title: str) -> str:
    """An item's title as it is typed: `Write the code, then test` is `write-the-code-then-test`."""
    return "-".join(re.findall(r"[^\W_]+", title.casefold()))


def manual_items(road: Road) -> Mapping[str, Item]:
    """The items that a person confirms, by what is typed for them: those without a step, after the decision."""
    return {
        item_key(item.title): item
        for phase in road.phases
        if phase.name != "decision"
        for item in phase.items
        if item.step is None
    }


def relation_lines(definition: Iterable[str]) -> frozenset[str]:
    """What a runbook's definition, as a run keeps it, says about relations."""
    return frozenset(line for line in definition if line.startswith("relation "))


def checklist(
    roads: Mapping[Option, Road],
    decision: Decision | None,
    runs: Iterable[Run],
    confirmations: Iterable[Confirmation] = (),
    *,
    contract: frozenset[str] = frozenset(),
) -> tuple[CheckedPhase, ...]:
    """The phases of the road that was decided for, each box with what ticked it; only the decision before there is one.

    `runs` are those of one chain of environments, of this runbook; `contract` is what `relation_lines` makes of the
    runbook as it is now: a run that carried out another contract ticks nothing that was applied or validated.
    """
    if not roads:
        return ()
    if decision is None:
        what = " or ".join(f"{label} ({road.title})" for label, road in roads.items())
        item = Item(title=f"Decide for {what}, and record why", days=(1, 1))
        return (CheckedPhase(name="decision", boxes=(Box(item=item, missing="invoke decide"),)),)
    known = sorted((run for run in runs if run.started and not run.started.dry_run), key=lambda run: run.id)
    said = {each.item: each for each in _watches(known)}
    said |= {item_key(each.item): each for each in sorted(confirmations, key=lambda each: each.at)}
    return tuple(
        CheckedPhase(
            name=phase.name,
            boxes=tuple(_box(phase.name, item, decision, known, said, contract) for item in phase.items),
        )
        for phase in roads[decision.option].phases
    )


def _watches(runs: Iterable[Run]) -> Iterator[Confirmation]:
    """A watch of production, long enough without a gap and with a go at its end, confirms its item as a person would.

    Only its end is looked at: the samples of three days are not read for a checklist.
    """
    for run in runs:
        ended, production = run.watched.ended, run.started is not None and run.started.kind == "production"
        if ended and production and ended.last == "go" and ended.watched_s >= ENOUGH_S and run.finished_at:
            hours = f"{ended.watched_s / 3600:.0f} h watched"
            yield Confirmation(item=ITEM, person="invoke monitor", at=run.finished_at, note=hours, run=run.id)


def _box(
    phase: PhaseName,
    item: Item,
    decision: Decision,
    runs: list[Run],
    said: Mapping[str, Confirmation],
    contract: frozenset[str],
) -> Box:
    if item.step is not None:
        return _ticked_by_run(phase, item, item.step, runs, contract)
    if phase == "decision":
        return Box(item=item, state="done", at=decision.at, by=decision.by, note=decision.rationale)
    key = item_key(item.title)
    found = said.get(key)
    if found is None:
        return Box(item=item, missing=f'invoke approve --item {key} --by NAME --note "…"')
    return Box(
        item=item,
        state="confirmed",
        run=found.run,
        at=found.at,
        by=found.person,
        proof=found.proof,
        note=found.note,
    )


def _ticked_by_run(phase: PhaseName, item: Item, step: StepName, runs: list[Run], contract: frozenset[str]) -> Box:
    """The box of a step: production's by runs on production, all others by runs on staging.

    Each environment stands for itself; the first of them that did it ticks the box. A box that was unticked since is
    ticked by what came after.
    """
    kind = "production" if phase == "production" else "staging"
    ticks: dict[str, Run | None] = {}
    for run in runs:
        if run.started is None or run.started.kind != kind:
            continue
        verdict = _verdict(run, step, contract)
        name = run.started.environment
        if verdict is False:
            ticks[name] = None
        elif verdict:
            ticks[name] = ticks.get(name) or run
    first = min((run for run in ticks.values() if run), key=lambda run: run.id, default=None)
    if first is None or first.started is None:
        return Box(item=item, missing=f"{TASKS.get(step, step)} on {kind}")
    began, at = _times(first, step)
    return Box(
        item=item,
        state="done",
        run=first.id,
        environment=first.started.environment,
        began=began,
        at=at,
        by=first.started.initiator,
    )


def _verdict(run: Run, step: StepName, contract: frozenset[str]) -> bool | None:
    """Whether a run ticks the box of a step (True), unticks it (False), or says nothing about it.

    - `apply`: a deployment that is done, not narrowed by `--only`, and whose apply had something to do: where every key
      stood already nothing was tried. A way back that took something away unticks it.
    - `validate`, `audit`: a step, or the task of that name, whose findings are GO, or whose HOLD was accepted, so that
      the run came to its end; with `--only` or with a check that was not asked it is only a part, and says nothing.
      Findings that are not GO untick it; for `validate` a way back does, too.
    - `preflight`: the same, but a later NO-GO does not untick it: the gates ask again by themselves. Of a deployment
      that was refused it says nothing: production was not prepared.
    - `performance`: a rehearsal that measured writes and whose findings about them are GO, not narrowed by `--only`;
      where nothing was measured it says nothing. Findings that are not GO untick it; a HOLD too, which nobody accepts.
    - Any other step: done in a deployment, or a task of that name that is done.

    A rehearsal happens on a copy and a dry run changes nothing: neither ticks any other box.
    """
    task = run.started.task if run.started else None
    if task == "rollback":
        taken_back = bool(run.hosts.undone if step == "hosts" else run.undone)
        return False if taken_back and step in UNDONE_BY_WALKING_BACK else None
    if task not in ({TASKS[step]} if step in TASKS else {"deploy", step}):
        return None
    if step in OF_THE_CONTRACT and _another_contract(run, contract):
        return None
    if step == "performance":
        return _measured(run)
    if step not in CLAIMS and run.finished is not None and run.finished.state == "refused":
        return None
    return _applied(run) if step == "apply" else _answered(run, step)


def _measured(run: Run) -> bool | None:
    """A table whose writes cannot be measured, as an empty one, does not keep the others from ticking."""
    findings = run.findings.get("performance", ())
    if not any(each.status != "unknown" for each in findings):
        return None
    if judge(findings).word != "GO":
        return False
    return None if _narrowed(run) else True


def _applied(run: Run) -> bool | None:
    return True if _ended_well(run) and _did(run, "apply") and not _narrowed(run) else None


def _answered(run: Run, step: StepName) -> bool | None:
    findings = run.findings.get(step)
    if findings is None:
        return True if _did(run, step) or (_ended_well(run) and run.started and run.started.task == step) else None
    word = judge(findings).word
    if word == "GO" or (word == "HOLD" and _did(run, step) and _ended_well(run)):
        part = step in CLAIMS and (_narrowed(run) or any(each.left_open for each in findings))
        return None if part else True
    return False if step in CLAIMS else None


def _ended_well(run: Run) -> bool:
    return run.finished is not None and run.finished.state == "done"


def _did(run: Run, step: StepName) -> bool:
    return step in run.steps and run.steps[step].state == "done"


def _narrowed(run: Run) -> bool:
    return bool(run.started and run.started.options.get("only"))


def _another_contract(run: Run, contract: frozenset[str]) -> bool:
    """Whether the run carried out other relations than those of now; an older journal does not tell."""
    then = relation_lines(run.started.definition) if run.started else frozenset()
    return bool(contract and then) and then != contract


def _times(run: Run, step: StepName) -> tuple[datetime | None, datetime | None]:
    """When a step began and ended; a task that takes one step alone only tells when it began."""
    record = run.steps.get(step)
    began = record.started if record and record.started else run.started_at
    if step == "apply" or not (record and record.started and record.duration_ms is not None):
        return began, run.finished_at or began
    return began, record.started + timedelta(milliseconds=record.duration_ms)


def boxes(phases: Iterable[CheckedPhase]) -> Iterator[tuple[PhaseName, Box]]:
    """Every box with its phase, in order."""
    yield from ((phase.name, box) for phase in phases for box in phase.boxes)


def checklist_document(phases: Iterable[CheckedPhase]) -> list[dict[str, object]]:
    """The key `checklist` of the JSON documents; times are UTC."""
    return [{"phase": phase.name, "items": [box_document(each) for each in phase.boxes]} for phase in phases]


def box_document(box: Box) -> dict[str, object]:
    """One box."""
    return {
        "item": item_key(box.item.title),
        "title": box.item.title,
        "days": list(box.item.days),
        "step": box.item.step,
        "state": box.state,
        "run": box.run,
        "environment": box.environment,
        "began": box.began.isoformat() if box.began else None,
        "at": box.at.isoformat() if box.at else None,
        "by": box.by,
        "proof": box.proof,
        "note": box.note,
        "missing": box.missing,
    }
