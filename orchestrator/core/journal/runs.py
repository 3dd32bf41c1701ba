"""What befalls a run as a whole: it begins, is taken up again, loses its target, ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.decision import Decision
from orchestrator.core.identity import Identity
from orchestrator.core.outcome import RunState

Task = Literal[
    "deploy", "rollback", "preflight", "audit", "backup", "validate", "rehearse", "docs", "monitor", "remediate"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run began. The lock budget is in ms; `risk` is in words, as the decision of that moment makes it.

    `person` is who the role of `target` proves; older journals, and roles that prove nobody, leave it empty.
    """

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
    person: str = ""
    decision: Decision | None = None
    risk: str = ""


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
