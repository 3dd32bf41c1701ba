"""What a step may see of the world: the Protocols that adapters keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from orchestrator.core.approval import Said
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.checks import Answer, Finding
from orchestrator.core.contract import Relation
from orchestrator.core.gate_facts import Facts
from orchestrator.core.holders import Holder
from orchestrator.core.host_commands import HostEnd, HostOrder
from orchestrator.core.hosts import HostFacts
from orchestrator.core.inventory import Host
from orchestrator.core.journal import AnswerHeard, BackupProved, Event, OrphansCounted
from orchestrator.core.outcome import OrchestratorError, Outcome, RunState, StatementRejected
from orchestrator.core.plan import Statement
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName
from orchestrator.core.transaction import Transaction
from orchestrator.core.watch import HostSeen
from orchestrator.core.watch_logs import HostLogRead


class Recorder(Protocol):
    """Appends events to the journal; `run` is what they add up to so far."""

    @property
    def run(self) -> Run:
        """The run so far."""

    def record(self, event: Event) -> None:
        """Append one event. Raises JournalLost when the run can go on no more."""

    def close(self, state: RunState, reason: str) -> None:
        """Append the last event, which seals the chain; raises like record."""

    def recover(self, reason: str) -> None:
        """After a lost connection: find the target again, and out how far the run came. Raises JournalLost."""

    def stopping(self) -> str | None:
        """Why the run should stop before anything new: interrupted, or asked to hold; None to go on."""


class CatalogReader(Protocol):
    """Reads what the database has."""

    def catalog(self) -> Catalog:
        """All tables, in one snapshot."""


class Prober(Protocol):
    """Puts the questions of the preflight list to the world."""

    def ask(self, probe: str) -> Answer:
        """The rows of a probe, or why it could not be answered; never raises for what the server refuses."""


class Step(Protocol):
    """One step of a runbook. `changes` is false when it only reads, so that a dry run may take it."""

    @property
    def name(self) -> StepName:
        """The step's stable name."""

    @property
    def changes(self) -> bool:
        """Whether anything outside `runs/` is written, even if it is rolled back."""

    def due(self, run: Run) -> str | None:
        """None when there is something to do, otherwise why not."""

    def act(self, recorder: Recorder) -> Outcome:
        """Do it. Raises OrchestratorError."""

    def preview(self, run: Run) -> Iterable[str]:
        """What it would do, line by line, for a dry run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Rows that refer to nothing: exact count, the query that shows them, up to 20 keys, time in ms.

    `method` and `reason` tell how they were counted and why so.
    """

    relation: Relation
    count: int
    query: str
    sample: tuple[Mapping[str, str | None], ...]
    duration_ms: float
    method: str = ""
    reason: str = ""

    def event(
        self, moment: Literal["audit", "validate"], sample: tuple[Mapping[str, str | None], ...]
    ) -> OrphansCounted:
        """What the journal keeps; `sample` is what the policy lets into it."""
        return OrphansCounted(
            relation=self.relation.id,
            orphans=self.count,
            query=self.query,
            duration_ms=self.duration_ms,
            moment=moment,
            sample=sample,
            method=self.method,
        )


class OrphanCounter(Protocol):
    """Counts orphans, reading only."""

    def count(self, relations: Iterable[Relation], catalog: Catalog) -> Iterable[Orphans]:
        """One result per relation, in order, as they are found."""


class TenantCounter(Protocol):
    """Counts rows that refer to another workspace's row, reading only."""

    def crossing(self, relations: Iterable[Relation], catalog: Catalog) -> Iterable[tuple[Relation, int]]:
        """Rows of each whose workspace differs from that of the row they refer to; NULL on either side is global."""


class SampleKeeper(Protocol):
    """Keeps sampled keys where the policy allows them."""

    def keep(self, found: Orphans) -> tuple[Mapping[str, str | None], ...]:
        """Keep a sample on this machine; what may enter the ledger comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A transaction that ended in a lane; without an error the journal tells whether it took effect."""

    work: Transaction
    error: OrchestratorError | None = None


class Executor(Protocol):
    """Carries out transactions, each with its record in it. Every method finds a lost connection again by itself."""

    def opened(self, step: str) -> AbstractContextManager[None]:
        """Hold what is needed while statements run. Raises HeldBack when another runner is at work."""

    @property
    def running(self) -> tuple[Transaction, ...]:
        """What is at work side by side."""

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a table that is being validated."""

    def may_go_on(self, work: Transaction) -> None:
        """Look before it. Raises HeldBack when somebody asked to stop, LeaseLost."""

    def holders(self, works: Collection[Transaction]) -> tuple[Holder, ...]:
        """Who holds locks on the tables of these, ourselves left out; asks for no lock."""

    def attempt(
        self, work: Transaction, *, attempts: int, waited_ms: float = 0.0, vacuumed: Collection[TableName] = ()
    ) -> None:
        """One attempt, with locks within the budget. Raises LockUnavailable, StatementRejected, HeldBack."""

    def begin(self, work: Transaction, *, attempts: int, keys: int, rows: float) -> None:
        """Start one that blocks no writer; `keys` of its table, which has about `rows`, are still to be validated.

        Raises LockUnavailable when there is no connection for it now.
        """

    def ended(self, within_s: float) -> Iterable[Ended]:
        """What has ended since, waited for so long."""

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the moment when somebody asks to stop."""

    def terminate(self, holder: Holder) -> str:
        """End somebody's session; why that was not possible, empty when it was told to end."""

    def lag_s(self) -> float:
        """How far the slowest replica is behind, in seconds."""

    def calibrate(self) -> None:
        """Measure the server before there is work, so that cores to spare are known as such."""

    def spare(self) -> bool:
        """Whether the server has a core to spare."""


class Dispatch(Protocol):
    """Carries out what can be done and waits for the rest; the record of each is in the journal."""

    def opened(self, step: str) -> AbstractContextManager[None]:
        """Hold what is needed while statements run. Raises HeldBack when another runner is at work."""

    def carry_out(
        self, statements: tuple[Statement, ...], *, expected: Mapping[str, float], hopeless: Callable[[Statement], bool]
    ) -> StatementRejected | None:
        """The way forward. Orphans settle a statement; any other refusal ends it. Raises HeldBack.

        `expected` has the rows that a statement reads; `hopeless` tells whether one is no use to begin.
        """

    def walk_back(self, statement: Statement, *, of: str) -> None:
        """The way back of one statement of run `of`. Raises StatementRejected, HeldBack."""


class FactGatherer(Protocol):
    """Gathers what the gates of production judge, reading only."""

    def gather(self, run: Run) -> Facts:
        """Everything, for a run that has a plan. Raises OrchestratorError when its own target cannot be read."""

    def again(self, facts: Facts, run: Run, *, step: str) -> Facts:
        """The same facts at this moment, before a later step: the hour, and what others did; raises like gather."""


class Gatekeeper(Protocol):
    """Stands before every step that comes after the gates."""

    def findings(self, step: str, run: Run) -> tuple[Finding, ...]:
        """What it finds before that step; nothing where there is no gate. Raises OrchestratorError."""


class BackupTool(Protocol):
    """Takes a backup and proves it."""

    def take(self) -> BackupProved:
        """A proved backup. Raises OrchestratorError when it could not be taken or proved."""

    def missing(self, proved: BackupProved) -> str | None:
        """Why a backup that was proved before cannot be relied upon from here; None when it is as it was."""


class SuiteRunner(Protocol):
    """Runs the checks of a runbook's folder in transactions that are rolled back."""

    def run(self, *, behavioural: bool, all_keys: bool) -> tuple[Finding, ...]:
        """One finding per check; those that write are left out where they are not allowed, and named."""


class AnswerReader(Protocol):
    """Reads what people said."""

    def said(self, run: Run) -> tuple[Said, ...]:
        """Answers to a run, and those before any run that no other run has used; oldest first."""

    def target(self) -> str:
        """What database answers belong to."""


class Hearing(Protocol):
    """What is heard between the steps."""

    def denied(self, run: Run) -> AnswerHeard | None:
        """The denial that ends the run."""

    def accepted(self, run: Run, gate: str, reasons: tuple[str, ...]) -> AnswerHeard | None:
        """Who accepted exactly this HOLD."""


class HostWatcher(Protocol):
    """Looks at the hosts of an environment, for a sample of the watch."""

    def look(self, past: Mapping[tuple[str, str], HostLogRead] = ...) -> tuple[HostSeen, ...]:
        """How each host answers, within seconds; one that does not is told as such, never an error.

        `past` is how far each log was read, by host and log.
        """


class HostLooker(Protocol):
    """Looks at hosts, reading only."""

    def look(self, hosts: Sequence[Host]) -> Mapping[str, HostFacts]:
        """One look at each by its name; never raises: what went wrong is in the facts."""


class HostCrew(HostLooker, Protocol):
    """Works on hosts."""

    def ready(self, orders: Iterable[HostOrder]) -> None:
        """Have what they need at hand. Raises Refused, before anything is done, when a secret is missing."""

    def carry_out(self, orders: Sequence[HostOrder]) -> Iterable[tuple[HostOrder, str | HostEnd]]:
        """All of them side by side: what each says, as it comes, and how it ended; never raises for what a host does.

        They are ended there when the run is interrupted.
        """

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the moment when somebody asks to stop."""
