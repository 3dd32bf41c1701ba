"""What to type next: how a run that waits goes on, what resolves what it was refused at, how it is walked back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from orchestrator.core.approval import open_hold
from orchestrator.core.audit import after_audit, remediate, where_of
from orchestrator.core.elsewhere import ACCEPT
from orchestrator.core.fates import RelationRow
from orchestrator.core.gates import OVERRIDE
from orchestrator.core.journal import RunStarted
from orchestrator.core.outcome import RunState
from orchestrator.core.remediated import after_remediation
from orchestrator.core.run import Run

MOST_OPENED: Final = 3
"""How many remedies of failed checks are told at the end; each stands beside its finding, too."""

REPEATED: Final = ("only", "until", "like", "evidence", "relation", "how", "to", "batch")


def next_steps(run: Run, relations: tuple[RelationRow, ...], state: RunState) -> Iterator[str]:
    """What to type after this run, most urgent first; while it is at work only what its audit found."""
    started = run.started
    if started is None:
        return
    where = where_of(run)
    if state != "running":
        yield from _when_over(run, started, relations, state, where)
    elif run.audit:
        # People are called as soon as an audit is on record, and have to know then what can be done.
        yield from after_audit(run.audit, where)


def _when_over(
    run: Run, started: RunStarted, relations: tuple[RelationRow, ...], state: RunState, where: str
) -> Iterator[str]:
    waits = state in {"held", "interrupted"}
    # A step that waited says what it waits for; once its run is over nobody hears that any more.
    yield from (each.remedy for each in run.steps.values() if each.remedy and (waits or each.state != "held"))
    if run.remediated and state in {"done", "failed"}:
        yield from after_remediation(run.remediated, run.id, where, again=_repeated(started), dry=started.dry_run)
    yield from after_audit(run.audit, where) if run.audit else _repairs(relations, where)
    if state == "failed" and started.task == "rehearse":
        # Its walks counted the orphans of the copy, which are those of its source; it has no count of its own.
        yield from dict.fromkeys(each.remedy for each in run.all_findings if each.caused_by_data and each.remedy)
    if state == "refused":
        yield from _opens(run)
    if state == "held" and run.in_ledger and open_hold(run) is not None:
        yield f'to accept the HOLD: invoke approve {where} --run {run.id} --note "why", then resume'
    if waits and run.in_ledger and started.task != "rehearse":
        yield from _goes_on(run, started, where)
    elif state == "refused" or waits or (state == "failed" and started.task == "rehearse"):
        yield f"invoke {started.task} {where}{_repeated(started)}"
    if state == "failed":
        yield from _after_failure(run, started, where)
    if state == "done" and started.task == "deploy" and run.changed:
        yield from _afterwards(run, where)
        yield f"to walk back: invoke rollback {where} --run {run.id}"


def _goes_on(run: Run, started: RunStarted, where: str) -> Iterator[str]:
    """The three ways out of a run that waits."""
    yield f"invoke resume {where}"
    if started.task == "deploy" and (run.standing or run.leftovers):
        yield f"to walk it back instead: invoke rollback {where} --run {run.id}"
    yield f'to give it up: invoke resume {where} --abandon "why"'


def _afterwards(run: Run, where: str) -> Iterator[str]:
    """What to look at once a deployment is done: the keys, or the audits in their place."""
    if any(each.kind == "install" for each in (run.plan.statements if run.plan else ())):
        yield f"invoke audit {where} --record"
        yield "let that be called every hour: the files for systemd and cron lie in the run's folder"
    else:
        yield f"invoke validate {where}"


def _repairs(relations: tuple[RelationRow, ...], where: str) -> Iterator[str]:
    """What can be done about orphans, beginning with the first relation that has some."""
    lost = next((row for row in relations if row.orphans), None)
    if lost:
        yield "repair the orphans (a query stands beside each relation), then deploy again: only what is left is done"
        yield f"what can be done: {remediate(where, lost.name)}"


def _after_failure(run: Run, started: RunStarted, where: str) -> Iterator[str]:
    """Of a deployment, or of a way back."""
    if started.task == "rollback":
        yield from _left_standing(run, where)
    elif started.task == "deploy" and run.rolled_back:
        yield f"repair what it failed at, then: invoke deploy {where}{_repeated(started)}"
    elif started.task == "deploy" and (run.standing or run.leftovers):
        if any(not each.because_of_orphans for each in run.failures.values()):
            yield f"repair what it failed at, then: invoke deploy {where}{_repeated(started)}"
        yield f"to walk back: invoke rollback {where} --run {run.id}"


def _left_standing(run: Run, where: str) -> Iterator[str]:
    """What a way back left, and why; without it nothing is left but to look at what others made."""
    left = [each for each in run.passed_over if each.stands and each.id not in run.undone]
    yield from (f"{each.id} stands: {each.reason}" for each in left)
    if left:
        yield f"repair that, then: invoke rollback {where} --run {left[0].of}"
    elif run.walked_back and run.walked_back.differences:
        yield "look at what differs: what this program added is gone, the rest is somebody else's"


def _opens(run: Run) -> Iterator[str]:
    """What resolves what a run was refused at, each once and three at most; not what passes a gate on purpose.

    What can be done about orphans is told elsewhere, with its command.
    """
    last = run.verdicts[-1] if run.verdicts else None
    found = run.findings.get(last.gate, ()) if last and last.word == "NO-GO" else ()
    closed = [each for each in found if each.counts_against and not each.caused_by_data]
    gates = [each for each in closed if each.id.startswith("gate.")]
    ways = (each.remedy.partition(OVERRIDE)[0] for each in gates or closed if each.severity == "critical")
    told = tuple(dict.fromkeys(way for way in ways if way))
    yield from told if gates else told[:MOST_OPENED]


def _repeated(started: RunStarted) -> str:
    """The options that make a command the same one again; who passed a gate on purpose has to say so again."""
    told = {name: started.options.get(name) for name in REPEATED}
    undo = " --undo" if started.task == "remediate" and started.rolls_back else ""
    undo += f" --{ACCEPT}" if started.options.get(ACCEPT) else ""
    return undo + "".join(
        f" --{name} {shlex.quote(value)}" for name, value in {**told, "run": started.rolls_back}.items() if value
    )
