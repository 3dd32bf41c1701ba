"""The events of a run: the journal is the only truth, and whatever is shown anywhere was folded from these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.checks import Finding
from orchestrator.core.outcome import RunState, StepState
from orchestrator.core.plan import Plan
from orchestrator.core.verdict import Word

Task = Literal["deploy", "rollback", "preflight", "audit", "backup", "validate", "rehearse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What database this is, told apart by what it is and not by its name."""

    system_identifier: str
    database: str
    server_version: int
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run began. The lock budget is in ms."""

    task: Task
    runbook: str
    environment: str
    kind: str
    steps: tuple[str, ...]
    initiator: str
    os_user: str
    host: str
    version: str
    target: Identity
    dry_run: bool = False
    rolls_back: str | None = None
    lock_budget_ms: int = 100
    options: Mapping[str, str] = field(default_factory=dict)
    definition: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOpened:
    """From here on every event is in the target's ledger first; `token` is the lease that this process writes under."""

    version: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """A run that was held or interrupted goes on, perhaps on another machine, under a lease of its own."""

    initiator: str
    os_user: str
    host: str
    version: str
    target: Identity
    token: int
    after: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAsked:
    """Somebody asked the run to stop after the current statement."""

    by: str
    host: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRestored:
    """The target was lost and found again: the same database. The time is in ms."""

    reason: str
    after_ms: float
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRewound:
    """Events are gone from the ledger, as after a failover or a restore: those after event `after` of run `run`.

    `lost` holds their hashes, as far as this machine kept them.
    """

    after: int
    lost: tuple[str, ...]
    reason: str
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step began."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step ended. The duration is in ms."""

    step: str
    state: StepState
    note: str
    duration_ms: float
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsRecorded:
    """The results of the checks of one step."""

    step: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictGiven:
    """What the rules made of the findings at a gate."""

    gate: str
    word: Word
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecorded:
    """The plan that this run carries out."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRecorded:
    """The catalog's fingerprint at a moment; `tables` has one per table, `lines` those of the tables of the plan."""

    moment: Literal["before", "after", "after rollback"]
    fingerprint: str
    tables: Mapping[str, str]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphansCounted:
    """Rows of a relation that refer to nothing: an exact count in rows, the query that shows them, time in ms.

    `sample` holds up to 20 keys and stays empty where the policy keeps them out of the ledger. `method` is how they
    were counted; older journals do not tell.
    """

    relation: str
    orphans: int
    query: str
    duration_ms: float
    moment: Literal["audit", "validate"] = "audit"
    sample: tuple[Mapping[str, str | None], ...] = ()
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupProved:
    """A backup and its proof. Sizes are in bytes, times in ms; `tables` and `rows` were compared after a restore.

    `path` is None for an external backup, whose restore point stands in `restore`.
    """

    mode: Literal["dump", "external"]
    path: str | None
    restore: str
    bytes: int
    tables: int
    rows: int
    dump_ms: float
    restore_ms: float
    compare_ms: float
    tool: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAttemptFailed:
    """A lock was not granted within the budget; nothing was changed and another attempt follows.

    `waited_ms` is the longest that somebody was seen waiting behind this attempt.
    """

    statement: str
    attempt: int
    table: str
    sqlstate: str
    blocker: str
    waited_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPostponed:
    """Nobody was asked for a lock, because it would not have been granted: other work is done first.

    `obstacle` is `transaction`, `vacuum`, `wraparound` or `replica lag`; `times` counts how often it was looked at.
    """

    statement: str
    obstacle: str
    blocker: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerTerminated:
    """A session was ended because `policy.terminate_blockers` names its application."""

    statement: str
    application: str
    blocker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVacuumed:
    """A referencing table was vacuumed before its keys were validated, because that is shorter in all.

    The time is in ms; `visible_before` and `visible_after` are the shares (0 to 1) of pages that need no look at rows.
    """

    table: str
    duration_ms: float
    visible_before: float
    visible_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersChanged:
    """How many validations go on side by side from here on, and why."""

    workers: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementDone:
    """A statement took effect; this event was committed with it. Times are in ms.

    `blocked_ms` runs from our first lock request of the last attempt to this record; a commit that waits for no standby
    follows. A writer cannot have waited for us longer than that. `waited_ms` is the longest that anybody did wait
    behind us, over all attempts, by the server's clock. `way` and `predicted_ms` tell how a validation was carried out.
    """

    id: str
    relation: str
    sql: str
    attempts: int
    duration_ms: float
    blocked_ms: float
    waited_ms: float | None = None
    way: str = ""
    predicted_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFailed:
    """The server refused a statement for good."""

    id: str
    relation: str
    sqlstate: str
    message: str
    because_of_orphans: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementUndone:
    """A statement of run `of` was walked back; this event was committed with it. Times are in ms."""

    id: str
    relation: str
    of: str
    sql: tuple[str, ...]
    attempts: int
    duration_ms: float
    blocked_ms: float
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRestored:
    """A partition's own key, which the way back had to put there again, is valid as before. The duration is in ms."""

    id: str
    relation: str
    of: str
    sql: str
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPassedOver:
    """A statement was not walked back, and why: gone already, no longer what the run made, or it still `stands`."""

    id: str
    relation: str
    of: str
    reason: str
    stands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkBackBegan:
    """From here on the run goes backwards, whoever takes it up: what of run `of` stands is walked back.

    `state` and `reason` are how the run ends afterwards.
    """

    of: str
    state: RunState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkedBack:
    """The way back ended: whether the catalog is what it was before, and what differs if not."""

    of: str
    before: str
    after: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationQueued:
    """Something that people follow happened; `topic` tells which, the words are rendered later."""

    topic: Literal["started", "gate", "blocked", "orphans", "rollback", "finished"]
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run ended; held is the only end from which it can go on.

    `events` is the number of events before this one and `head` the hash of the last of them.
    """

    state: RunState
    reason: str = ""
    events: int = 0
    head: str = ""


Event = (
    RunStarted
    | LedgerOpened
    | RunResumed
    | HoldAsked
    | ConnectionRestored
    | LedgerRewound
    | StepStarted
    | StepFinished
    | FindingsRecorded
    | VerdictGiven
    | PlanRecorded
    | CatalogRecorded
    | OrphansCounted
    | BackupProved
    | LockAttemptFailed
    | StatementPostponed
    | BlockerTerminated
    | TableVacuumed
    | WorkersChanged
    | StatementDone
    | StatementFailed
    | StatementUndone
    | KeyRestored
    | UndoPassedOver
    | WalkBackBegan
    | WalkedBack
    | NotificationQueued
    | RunFinished
)


def kind_of(event: type[Event] | Event) -> str:
    """The event's name in the ledger: `StatementDone` is `statement_done`."""
    name = event.__name__ if isinstance(event, type) else type(event).__name__
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


EVENT_TYPES: Mapping[str, type[Event]] = {kind_of(each): each for each in Event.__args__}
