"""One view of a run for every report, message and JSON document: each number is taken from the journal, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.core.approval import told
from orchestrator.core.checks import Finding
from orchestrator.core.decision import Decision
from orchestrator.core.evidence import Evidence
from orchestrator.core.fates import FATES, RelationRow, relation_rows
from orchestrator.core.host_rows import HostRow, host_rows
from orchestrator.core.journal import (
    AnswerHeard,
    AuditRecorded,
    BackupProved,
    PerformanceMeasured,
    StatementDone,
)
from orchestrator.core.next_steps import next_steps
from orchestrator.core.outcome import RunState, StepState
from orchestrator.core.prediction import Comparison, compare
from orchestrator.core.remediated import RemediationView, view_of
from orchestrator.core.run import Run
from orchestrator.core.verdict import Word
from orchestrator.core.watch_series import WatchView, watch_view

ENDED: Final = "ended by policy.terminate_blockers"
"""How a session is told that the policy ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step with its state; start and duration in ms since the run began."""

    id: str
    state: StepState
    note: str
    remedy: str
    start_ms: float | None
    duration_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything that is told about a run."""

    run: str
    task: str
    runbook: str
    environment: str
    kind: str
    state: RunState
    verdict: Word | None
    reasons: tuple[str, ...]
    reason: str
    initiator: str
    host: str
    database: str
    server_version: str
    dry_run: bool
    risk: str
    decided: str
    started: str
    finished: str | None
    duration_ms: float | None
    digest: str
    fingerprint_before: str
    fingerprint_after: str
    promised: int
    holding: int
    counts: Mapping[str, int]
    relations: tuple[RelationRow, ...]
    steps: tuple[StepRow, ...]
    findings: tuple[Finding, ...]
    statements: tuple[StatementDone, ...]
    backup: BackupProved | None
    performance: PerformanceMeasured | None
    longest_lock_wait_ms: float
    lock_budget_ms: int
    lock_failures: int
    blockers: tuple[str, ...]
    rolled_back: bool
    rolls_back: str | None
    undone: int
    leftovers: tuple[str, ...]
    differences: tuple[str, ...]
    taken_up: tuple[str, ...]
    answers: tuple[AnswerHeard, ...]
    reconnections: int
    lost_events: int
    overridden: tuple[str, ...]
    next_steps: tuple[str, ...]
    head: str
    evidence: Evidence | None = None
    comparison: tuple[Comparison, ...] = ()
    not_delivered: tuple[str, ...] = ()
    audit: AuditRecorded | None = None
    hosts: tuple[HostRow, ...] = ()
    watch: WatchView | None = None
    remediation: RemediationView | None = None
    elsewhere: tuple[str, ...] = ()

    @property
    def answers_told(self) -> tuple[str, ...]:
        """Who approved, denied or accepted, when and why, a line each."""
        return tuple(told(self.answers))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that are not a pass, gravest first."""
        rank = {"critical": 0, "important": 1, "optional": 2}
        return tuple(sorted((f for f in self.findings if f.status != "pass"), key=lambda f: rank[f.severity]))


def summarize(run: Run, *, alive: bool = True) -> Summary:
    """The view of a run. One that has no end is running, or interrupted when nothing of it is `alive` any more."""
    started = run.started
    if started is None:
        message = f"run {run.id} has no beginning: its journal is not whole"
        raise ValueError(message)
    relations = tuple(relation_rows(run))
    counts = Counter(row.fate for row in relations)
    verdict = run.verdicts[-1] if run.verdicts else None
    # Between two samples nothing of a watch is at work, and it goes on all the same.
    alive = alive or started.task == "monitor"
    state: RunState = run.finished.state if run.finished else "running" if alive else "interrupted"
    return Summary(
        run=run.id,
        task=started.task,
        runbook=started.runbook,
        environment=started.environment,
        kind=started.kind,
        state=state,
        verdict=verdict.word if verdict else None,
        reasons=verdict.reasons if verdict else (),
        reason=run.finished.reason if run.finished else "",
        initiator=started.initiator,
        host=started.host,
        database=started.target.database,
        server_version=version_text(started.target.server_version),
        dry_run=started.dry_run,
        risk=started.risk,
        decided=_decided(started.decision),
        started=f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        finished=f"{run.finished_at:%Y-%m-%d %H:%M:%S} UTC" if run.finished_at else None,
        duration_ms=_elapsed_ms(run),
        digest=run.plan.digest if run.plan else "",
        fingerprint_before=_fingerprint(run, "before"),
        fingerprint_after=_fingerprint(run, "after rollback") or _fingerprint(run, "after"),
        promised=sum(row.fate != "deferred" for row in relations),
        holding=sum(row.fate in {"added", "present"} for row in relations),
        counts={fate: counts[fate] for fate in FATES},
        relations=relations,
        steps=tuple(_step_rows(run)),
        findings=run.all_findings,
        statements=tuple(run.done.values()),
        backup=run.backup,
        performance=run.performance,
        longest_lock_wait_ms=round(max(_waits(run), default=0.0), 1),
        lock_budget_ms=started.lock_budget_ms,
        lock_failures=len(run.lock_failures),
        blockers=tuple(_blockers(run)),
        rolled_back=run.rolled_back,
        rolls_back=started.rolls_back,
        undone=len(run.undone),
        leftovers=tuple(each.id for each in run.leftovers),
        differences=run.walked_back.differences if run.walked_back else (),
        taken_up=tuple(f"after it was {each.after}, by {each.initiator} on {each.host}" for each in run.resumed),
        answers=tuple(run.answers),
        reconnections=len(run.reconnections),
        lost_events=sum(len(each.lost) for each in run.rewinds if not each.run),
        overridden=tuple(f"{', '.join(each.gates)} by {each.by}: {each.reason}" for each in run.overridden),
        next_steps=tuple(next_steps(run, relations, state)),
        head=run.head,
        evidence=run.evidence,
        comparison=_comparison(run),
        not_delivered=tuple(dict.fromkeys(each.reason for each in run.given_up)),
        audit=run.audit,
        hosts=tuple(host_rows(run)),
        watch=watch_view(run.watched),
        remediation=view_of(run.remediated) if run.remediated else None,
        elsewhere=run.walked_back.elsewhere if run.walked_back else (),
    )


def _waits(run: Run) -> Iterator[float]:
    """How long others waited behind us, in ms: as measured; an older journal only says how long they could have."""
    told = [(each.waited_ms, each.blocked_ms) for each in run.done.values()]
    told += [(each.waited_ms, each.blocked_ms) for each in run.undone.values()]
    yield from (bound if waited is None else waited for waited, bound in told)
    yield from (each.waited_ms for each in run.lock_failures)
    yield from (run.remediated.longest_ms,) if run.remediated else ()


def _blockers(run: Run) -> Iterator[str]:
    """Who was in the way, each as first seen, and whom the policy ended."""
    seen: dict[str, str] = {}
    for each in run.postponed:
        seen.setdefault(each.blocker.split(" (")[0], f"{each.statement}: {each.blocker}")
    yield from seen.values()
    yield from (f"{ENDED}: {each.blocker}" for each in run.terminated)


def version_text(version: int) -> str:
    """`160003` is `16.3`."""
    return f"{version // 10000}.{version % 10000}"


def _comparison(run: Run) -> tuple[Comparison, ...]:
    """Planned, rehearsed and actual, where a rehearsal let expect something."""
    if run.predicted is None:
        return ()
    actual = {name: step.duration_ms for name, step in run.steps.items()}
    return compare(run.predicted.planned, run.predicted.rehearsed, actual)


def _decided(decision: Decision | None) -> str:
    return f"{decision.option}, by {decision.by} on {decision.at:%Y-%m-%d}: {decision.rationale}" if decision else ""


def _fingerprint(run: Run, moment: str) -> str:
    recorded = run.catalogs.get(moment)
    return recorded.fingerprint if recorded else ""


def _elapsed_ms(run: Run) -> float | None:
    if not (run.started_at and run.finished_at):
        return None
    return (run.finished_at - run.started_at).total_seconds() * 1000


def _step_rows(run: Run) -> Iterator[StepRow]:
    for name, record in run.steps.items():
        begun = record.started and run.started_at
        yield StepRow(
            id=name,
            state=record.state,
            note=record.note,
            remedy=record.remedy,
            start_ms=(record.started - run.started_at).total_seconds() * 1000
            if begun and record.started and run.started_at
            else None,
            duration_ms=round(record.duration_ms, 1) if record.duration_ms is not None else None,
        )
