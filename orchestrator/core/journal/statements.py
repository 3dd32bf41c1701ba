"""What becomes of each statement, on the way there and on the way back."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.outcome import RunState


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
class StatementIntended:
    """A statement that cannot be one transaction with its record is about to begin; on its way back, of run `of`.

    Whoever reads this without the record of its effect has to look: an index may be there, half there or not.
    """

    id: str
    relation: str
    sql: str
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementDone:
    """A statement took effect; this event was committed with it. Times are in ms.

    `blocked_ms` runs from our first lock request of the last attempt to this record; a commit that waits for no standby
    follows. A writer cannot have waited for us longer than that. `waited_ms` is the longest that anybody did wait
    behind us, over all attempts, by the server's clock. `way`, `why` and `predicted_ms` tell how a validation was
    carried out, why so, and how long it was to take.
    """

    id: str
    relation: str
    sql: str
    attempts: int
    duration_ms: float
    blocked_ms: float
    waited_ms: float | None = None
    way: str = ""
    why: str = ""
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
    """The way back ended: whether the catalog is what it was before, and what differs if not.

    `elsewhere` is what differs in tables that the run had nothing to do with: others changed them meanwhile.
    """

    of: str
    before: str
    after: str
    differences: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
