"""What the walks of a rehearsal add up to: findings, verdict, evidence. Every number comes from the walks' journals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from orchestrator.core.catalog import Catalog, Table, digest
from orchestrator.core.checks import Finding
from orchestrator.core.evidence import Evidence, Measured, WayBack
from orchestrator.core.identity import Identity
from orchestrator.core.journal import StatementDone
from orchestrator.core.likeness import plan_differences
from orchestrator.core.locks import Lock, unplanned
from orchestrator.core.nouns import counted
from orchestrator.core.plan import OF_AUDITS, Plan, Statement
from orchestrator.core.run import Run
from orchestrator.core.verdict import Verdict, Word, judge

HALF = "apply, half of it"
"""The boundary within apply at which one walk turns back."""

CHANGING = "apply"
"""The only step that changes the catalog."""

NOT_MEASURED = "performance"

GRAVITY: Mapping[Word, int] = {"GO": 0, "HOLD": 1, "NO-GO": 2}
MOST_TOLD = 5

Held = Mapping[str, Sequence[tuple[Lock, ...]]]
"""The locks that each statement was seen holding, once for each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Once there, and back unless it was the last. `turned` is the boundary after which it turned back, or ended.

    `seen` has the copy's fingerprint at each boundary on the way there, `start` and `end` before and after the walk.
    """

    turned: str
    there: Run
    back: Run | None
    seen: Mapping[str, str]
    start: str
    end: str

    @property
    def arrived(self) -> bool:
        """Whether it came to where it should turn; the one that turns within apply is held there, or just done."""
        state = self.there.finished.state if self.there.finished else "running"
        return state == "done" or (self.turned == HALF and state == "held" and bool(self.there.done))

    @property
    def returned(self) -> bool:
        """Whether it is back, or was not to come back."""
        return self.back is None or bool(self.back.finished and self.back.finished.state == "done")


def ways_back(walks: Sequence[Walk]) -> Iterator[WayBack]:
    """From every boundary, the nearest first. Where nothing had changed the way back is empty."""
    told: set[str] = set()
    for walk in walks:
        for boundary, found in walk.seen.items():
            if boundary == CHANGING and walk.there.done:
                break
            if boundary in told:
                continue
            told.add(boundary)
            yield WayBack(boundary=boundary, before=walk.start, after=found, duration_ms=0.0)
    for walk in walks:
        if walk.back is not None and walk.there.done:
            yield WayBack(
                boundary=walk.turned,
                before=walk.start,
                after=walk.end,
                duration_ms=walk.back.steps["rollback"].duration_ms or 0.0,
                differences=walk.back.walked_back.differences if walk.back.walked_back else ("it came to no end",),
                statements=len(walk.there.done),
            )


def all_proved(walks: Sequence[Walk]) -> bool:
    """Whether every walk came there and back, and the copy was what it had been each time."""
    return all(each.arrived and each.returned for each in walks) and all(each.proved for each in ways_back(walks))


def measured(plan: Plan, walks: Iterable[Walk], held: Held) -> Iterator[Measured]:
    """Every statement that took effect at least once."""
    done: dict[str, list[StatementDone]] = defaultdict(list)
    for walk in walks:
        for each in walk.there.done.values():
            done[each.id].append(each)
    for statement in plan.statements:
        found = done[statement.id]
        if found:
            times = tuple(each.duration_ms for each in found)
            yield Measured(
                id=statement.id,
                relation=statement.relation,
                sql=statement.sql,
                locks=locks_of(held.get(statement.id, ())),
                duration_ms=round(median(times), 3),
                blocked_ms=max(each.blocked_ms for each in found),
                times_ms=times,
                table="" if statement.kind in {"add", "history", "script", *OF_AUDITS} else str(statement.proof.table),
            )


def locks_of(seen: Iterable[tuple[Lock, ...]]) -> tuple[Lock, ...]:
    """All that was held at any time, each once, sorted."""
    return tuple(sorted({lock for each in seen for lock in each}, key=lambda lock: (lock.table, lock.mode)))


def step_times(walks: Iterable[Walk]) -> dict[str, tuple[float, ...]]:
    """The times in ms of each step that was done, once for each walk that did it."""
    times: dict[str, list[float]] = {}
    for walk in walks:
        for name, record in walk.there.steps.items():
            if record.state == "done" and record.duration_ms is not None and not (walk.turned == HALF == name):
                times.setdefault(name, []).append(record.duration_ms)
    return {name: tuple(found) for name, found in times.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the walks begin from: the copy as it was made, beside its source.

    `catalog` is the copy's, `source` the target's, `plan` the one on the copy and `planned` the one that it is to be:
    the target's, or that of `like`. `backup_ms` is what dump, restore and comparison took, None where the target takes
    no dump.
    """

    run: str
    runbook: str
    environment: str
    like: str | None
    plan: Plan
    planned: Plan
    catalog: Catalog
    source: Catalog
    target: Identity
    backup_ms: float | None = None


def as_found(ground: Ground) -> Iterator[Table]:
    """The tables that the plan touches, as the target has them; made like another environment, with the copy's keys.

    Not as the copy has them: a restored CHECK says the same in other words (`ANY (ARRAY[...]::text[])`), because the
    server prints it from what it parsed.
    """
    for name in ground.plan.tables:
        table, copied = ground.source.table(name), ground.catalog.table(name)
        if table and copied:
            yield replace(table, foreign_keys=copied.foreign_keys) if ground.like else table


def findings(
    ground: Ground, walks: Sequence[Walk], held: Held, unwound: Held, boundaries: Iterable[str]
) -> tuple[Finding, ...]:
    """What the rehearsal itself says; what the runbook's own steps found stands in the walks."""
    lost = [f"to {walk.turned}: {_ending(walk.there)}" for walk in walks if not walk.arrived]
    ways = tuple(ways_back(walks))
    bad = [
        f"from {each.boundary}: {'; '.join(each.differences) or 'another fingerprint'}"
        for each in ways
        if not each.proved
    ]
    bad += [f"from {walk.turned}: {_ending(walk.back)}" for walk in walks if walk.back and not walk.returned]
    missed = [name for name in boundaries if name not in {each.boundary for each in ways}] if not lost else []
    bad += [f"from {name}: nobody looked" for name in missed]
    ends = {walk.seen[CHANGING] for walk in walks if walk.turned != HALF and CHANGING in walk.seen}
    return (
        _finding("walks", "Was the runbook carried out each time?", "critical", lost, counted(len(walks), "time")),
        _finding("ways-back", "Is the copy what it was after every way back?", "critical", bad, _proved(ways)),
        _finding(
            "same-end",
            "Did every walk come to the same end?",
            "important",
            [f"{len(ends)} different catalogs after apply"] if len(ends) > 1 else [],
            "one catalog after apply",
        ),
        _finding(
            "locks",
            "Were the locks held that the plan says?",
            "important",
            _locks(ground.plan, held, unwound),
            "none beyond the plan",
        ),
        _copy_finding(ground),
    )


def not_measured(reason: str) -> Finding:
    """The finding in place of those about writes: it closes nothing, and stands among the verdict's reasons."""
    return Finding(
        id=NOT_MEASURED,
        title="What do the new keys cost per write?",
        severity="optional",
        status="unknown",
        observed=f"not measured: {reason}",
        expected="measured on the copy, before the keys and after",
    )


def verdict_of(own: Sequence[Finding], last: Run | None) -> Verdict:
    """The gravest of what the rehearsal says and of what the gates of its last walk said.

    Writes that were not measured are a reason that is told with any word.
    """
    missing = tuple(f"{each.id} ({each.severity}): {each.observed}" for each in own if each.id == NOT_MEASURED)
    said = [judge(own), Verdict(word="GO", reasons=missing)]
    said += [Verdict(word=each.word, reasons=each.reasons) for each in (last.verdicts if last else ())]
    word = max((each.word for each in said), key=GRAVITY.__getitem__)
    return Verdict(word=word, reasons=tuple(dict.fromkeys(reason for each in said for reason in each.reasons)))


def evidence_of(ground: Ground, walks: Sequence[Walk], held: Held, verdict: Verdict, finished: datetime) -> Evidence:
    """What all of it proves."""
    tables = tuple(as_found(ground))
    lines = tuple(line for table in tables for line in table.lines())
    times = step_times(walks)
    times.pop("backup", None)
    times |= {"backup": (ground.backup_ms,)} if ground.backup_ms is not None else {}
    order = [name for name in (walks[-1].there.steps if walks else ()) if name in times]
    return Evidence(
        run=ground.run,
        runbook=ground.runbook,
        environment=ground.environment,
        like=ground.like,
        digest=ground.plan.digest,
        fingerprint=digest(lines),
        lines=lines,
        target=ground.target,
        scratch_version=ground.catalog.server_version,
        finished=finished,
        verdict=verdict.word,
        reasons=verdict.reasons,
        rows={
            str(name): ground.catalog.tables[name].rows for name in ground.plan.tables if name in ground.catalog.tables
        },
        statements=tuple(measured(ground.plan, walks, held)),
        steps={name: round(median(times[name]), 3) for name in order},
        step_times={name: times[name] for name in order},
        ways_back=tuple(ways_back(walks)),
        tables={str(table.name): table.fingerprint() for table in tables},
    )


def _locks(plan: Plan, held: Held, unwound: Held) -> list[str]:
    return [
        f"{each.id}{word}: {lock.table} {lock.mode}"
        for each in plan.statements
        for word, seen, planned in _ways(each, held, unwound)
        for lock in unplanned(locks_of(seen), planned)
    ]


def _ways(
    each: Statement, held: Held, unwound: Held
) -> Iterator[tuple[str, Sequence[tuple[Lock, ...]], tuple[Lock, ...]]]:
    yield "", held.get(each.id, ()), each.locks
    yield " on the way back", unwound.get(each.id, ()), each.undo_locks


def _copy_finding(ground: Ground) -> Finding:
    title = "Is the plan on the copy the one that is to be rehearsed?"
    differing = () if ground.plan.digest == ground.planned.digest else plan_differences(ground.plan, ground.planned)
    return _finding("copy", title, "critical", tuple(differing), "the same digest")


def _proved(ways: Sequence[WayBack]) -> str:
    walked = sum(each.statements > 0 for each in ways)
    return f"{counted(walked, 'way') if walked else 'nothing to walk'} back, all fingerprints equal"


def _ending(run: Run) -> str:
    return f"{run.finished.state}: {run.finished.reason}" if run.finished else "no end on record"


def _finding(name: str, title: str, severity: str, against: Sequence[str], well: str) -> Finding:
    more = f"; and {len(against) - MOST_TOLD} more" if len(against) > MOST_TOLD else ""
    return Finding(
        id=f"rehearsal.{name}",
        title=title,
        severity=severity,  # type: ignore[arg-type]
        status="fail" if against else "pass",
        observed="; ".join(against[:MOST_TOLD]) + more or well,
        expected=well,
        remedy="the journals of the walks lie in walks/ of the run's folder" if against else "",
    )
