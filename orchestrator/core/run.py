"""A run: what its events add up to. An event that a newer version wrote is passed over, never an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.core.checks import Finding
from orchestrator.core.entry import GENESIS
from orchestrator.core.evidence import Evidence
from orchestrator.core.host_work import HostWork
from orchestrator.core.journal import (
    AnswerHeard,
    AuditRecorded,
    BackupProved,
    BlockerTerminated,
    CatalogRecorded,
    ConnectionRestored,
    DeliveryGivenUp,
    Event,
    EvidenceRecorded,
    FindingsRecorded,
    GatesOverridden,
    HoldAsked,
    KeyRestored,
    LedgerOpened,
    LedgerRewound,
    LockAttemptFailed,
    OrphansCounted,
    PerformanceMeasured,
    PlanRecorded,
    RemediationPlanned,
    RunFinished,
    RunResumed,
    RunStarted,
    SchemaDescribed,
    StatementDone,
    StatementFailed,
    StatementIntended,
    StatementPostponed,
    StatementUndone,
    StepFinished,
    StepStarted,
    TableVacuumed,
    TimesPredicted,
    UndoPassedOver,
    VerdictGiven,
    WalkBackBegan,
    WalkedBack,
    WorkersChanged,
)
from orchestrator.core.outcome import StepState
from orchestrator.core.plan import Plan
from orchestrator.core.remediated import Remediated, RemediationEvent
from orchestrator.core.watched import Watched


@dataclass(slots=True, kw_only=True)
class StepRecord:
    """A step of a run as far as it came. The duration is in ms."""

    state: StepState = "pending"
    note: str = ""
    remedy: str = ""
    started: datetime | None = None
    duration_ms: float | None = None


@dataclass(slots=True)
class Run:
    """What the events of one run add up to. `counting` holds the counts of a step that was begun and not done.

    `intended` has what was begun outside of a transaction, `dropping` the same on the way back.
    """

    id: str
    started: RunStarted | None = None
    started_at: datetime | None = None
    finished: RunFinished | None = None
    finished_at: datetime | None = None
    steps: dict[str, StepRecord] = field(default_factory=dict)
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    verdicts: list[VerdictGiven] = field(default_factory=list)
    plan: Plan | None = None
    catalogs: dict[str, CatalogRecorded] = field(default_factory=dict)
    orphans: dict[tuple[str, str], OrphansCounted] = field(default_factory=dict)
    counting: dict[tuple[str, str], OrphansCounted] = field(default_factory=dict)
    backup: BackupProved | None = None
    performance: PerformanceMeasured | None = None
    evidence: Evidence | None = None
    schema: SchemaDescribed | None = None
    audit: AuditRecorded | None = None
    lock_failures: list[LockAttemptFailed] = field(default_factory=list)
    postponed: list[StatementPostponed] = field(default_factory=list)
    terminated: list[BlockerTerminated] = field(default_factory=list)
    vacuumed: list[TableVacuumed] = field(default_factory=list)
    workers: list[WorkersChanged] = field(default_factory=list)
    intended: dict[str, StatementIntended] = field(default_factory=dict)
    dropping: dict[str, StatementIntended] = field(default_factory=dict)
    done: dict[str, StatementDone] = field(default_factory=dict)
    failures: dict[str, StatementFailed] = field(default_factory=dict)
    undone: dict[str, StatementUndone] = field(default_factory=dict)
    passed_over: list[UndoPassedOver] = field(default_factory=list)
    restored: Counter[str] = field(default_factory=Counter)
    walking: WalkBackBegan | None = None
    walked_back: WalkedBack | None = None
    resumed: list[RunResumed] = field(default_factory=list)
    holds: list[HoldAsked] = field(default_factory=list)
    reconnections: list[ConnectionRestored] = field(default_factory=list)
    rewinds: list[LedgerRewound] = field(default_factory=list)
    answers: list[AnswerHeard] = field(default_factory=list)
    predicted: TimesPredicted | None = None
    overridden: list[GatesOverridden] = field(default_factory=list)
    given_up: list[DeliveryGivenUp] = field(default_factory=list)
    remediated: Remediated | None = None
    watched: Watched = field(default_factory=Watched)
    hosts: HostWork = field(default_factory=HostWork)
    in_ledger: bool = False
    head: str = GENESIS
    count: int = 0

    @property
    def changed(self) -> bool:
        """Whether this run changed the target, or did anything on a host."""
        rows = self.remediated.rows + self.remediated.lost if self.remediated else 0
        return bool(self.done or self.undone or self.intended or rows) or self.hosts.touched

    @property
    def applying(self) -> bool:
        """Whether it has begun to apply, and that step has not ended yet."""
        step = self.steps.get("apply")
        return step is not None and step.started is not None and step.duration_ms is None

    @property
    def closed(self) -> bool:
        """Whether it has ended for good; a run that is held can go on."""
        return self.finished is not None and self.finished.state != "held"

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The findings of all steps, in the order of the steps."""
        return tuple(each for findings in self.findings.values() for each in findings)

    @property
    def standing(self) -> tuple[StatementDone, ...]:
        """The statements of this run that it has not walked back itself."""
        return tuple(each for each in self.done.values() if each.id not in self.undone)

    @property
    def leftovers(self) -> tuple[StatementIntended, ...]:
        """What was begun outside of a transaction and is not on record as done: it may be there, whole or in part."""
        gone = {each.id for each in self.passed_over if each.of == self.id and not each.stands}
        settled = self.done.keys() | self.undone.keys() | gone
        return tuple(each for each in self.intended.values() if each.id not in settled)

    @property
    def rolled_back(self) -> bool:
        """Whether this run walked its own changes back, all of them."""
        own = self.walked_back is not None and self.walked_back.of == self.id
        if self.walking is not None and self.hosts.touched and not (self.done or self.intended):
            # It only gave commands to hosts: no catalog is compared.
            own = self.walking.of == self.id
        hosts = any(self.hosts.to_take_back(self.hosts.taken_back(self.id)))
        return own and not hosts and not any(each.stands for each in self.passed_over)

    def see(self, event: Event, at: datetime) -> None:
        """Take one event in. Times come from the ledger, never from a clock."""
        match event:
            case RunStarted():
                self.started, self.started_at = event, at
                self.steps = {name: StepRecord() for name in event.steps}
            case StepStarted():
                self.steps[event.step] = StepRecord(started=at)
            case StepFinished():
                self._end_step(event)
            case FindingsRecorded():
                self.findings[event.step] = event.findings
            case VerdictGiven():
                self.verdicts.append(event)
            case PlanRecorded():
                self.plan = event.plan
            case CatalogRecorded():
                self.catalogs[event.moment] = event
            case RunFinished():
                self.finished, self.finished_at = event, at
            case RunResumed():
                self.resumed.append(event)
                self.finished, self.finished_at = None, None
            case _:
                self._see_intent(event)
                self._see_work(event)
                self._see_proof(event)
                self._see_trouble(event)
                self._see_gates(event)
                self._see_rows(event)
                self.watched.see(event)
                self.hosts.see(event)

    def _end_step(self, event: StepFinished) -> None:
        record = self.steps.setdefault(event.step, StepRecord())
        record.state, record.note, record.remedy = event.state, event.note, event.remedy
        record.duration_ms = event.duration_ms
        if event.state == "done":
            self.counting = {key: each for key, each in self.counting.items() if each.moment != event.step}

    def _see_intent(self, event: Event) -> None:
        if isinstance(event, StatementIntended):
            (self.dropping if event.of else self.intended)[event.id] = event

    def _see_work(self, event: Event) -> None:
        match event:
            case OrphansCounted():
                self.orphans[event.relation, event.moment] = event
                self.counting[event.relation, event.moment] = event
            case BackupProved():
                self.backup = event
            case StatementDone():
                self.done[event.id] = event
                self.failures.pop(event.id, None)
            case StatementFailed():
                self.failures[event.id] = event
            case StatementUndone():
                self.undone[event.id] = event
            case KeyRestored():
                self.restored[event.id] += 1
            case UndoPassedOver():
                self.passed_over.append(event)
            case WalkBackBegan():
                self.walking = event
            case WalkedBack():
                self.walked_back = event
            case _:
                return

    def _see_proof(self, event: Event) -> None:
        match event:
            case PerformanceMeasured():
                self.performance = event
            case SchemaDescribed():
                self.schema = event
            case AuditRecorded():
                self.audit = event
            case _:
                return

    def _see_trouble(self, event: Event) -> None:
        match event:
            case LockAttemptFailed():
                self.lock_failures.append(event)
            case StatementPostponed():
                self.postponed.append(event)
            case BlockerTerminated():
                self.terminated.append(event)
            case TableVacuumed():
                self.vacuumed.append(event)
            case WorkersChanged():
                self.workers.append(event)
            case LedgerOpened():
                self.in_ledger = True
            case HoldAsked():
                self.holds.append(event)
            case ConnectionRestored():
                self.reconnections.append(event)
            case LedgerRewound():
                self.rewinds.append(event)
            case _:
                return

    def _see_gates(self, event: Event) -> None:
        match event:
            case AnswerHeard():
                self.answers.append(event)
            case GatesOverridden():
                self.overridden.append(event)
            case DeliveryGivenUp():
                self.given_up.append(event)
            case TimesPredicted():
                self.predicted = event
            case EvidenceRecorded():
                self.evidence = event.evidence
            case _:
                return

    def _see_rows(self, event: Event) -> None:
        if isinstance(event, RemediationPlanned) and self.remediated is None:
            self.remediated = Remediated(planned=event)
        elif isinstance(event, RemediationEvent) and self.remediated is not None:
            self.remediated.see(event)


def fold(run: str, events: Iterable[tuple[Event, datetime]]) -> Run:
    """The run that these events add up to."""
    total = Run(run)
    for event, at in events:
        total.see(event, at)
    return total
