"""What is done about rows that refer to nothing, batch by batch. Keys of rows never stand in an event."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.elsewhere import Elsewhere
from orchestrator.core.remediation import Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationPlanned:
    """What this run is going to do about `orphans` rows, by which statements in each batch, and what to know.

    `of` is the run whose rows are put back; `orphans` are then the rows that it keeps. `referenced` of the rows are
    left alone, because rows of the tables `referring` refer to them. `elsewhere` is what it would do to other
    relations.
    """

    remedy: Remedy
    orphans: int
    referenced: int = 0
    statements: tuple[str, ...] = ()
    of: str = ""
    referring: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTableMade:
    """The table that keeps what this run takes away is there; committed with it. Times are in ms."""

    table: str
    attempts: int
    duration_ms: float = 0.0
    blocked_ms: float = 0.0
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsRemediated:
    """One batch, committed with this event. Times are in ms, as those of a statement.

    Of `keys` rows that were looked up `locked` were free and still orphans, and `rows` were changed.
    """

    relation: str
    batch: int
    keys: int
    attempts: int
    locked: int = 0
    rows: int = 0
    duration_ms: float = 0.0
    blocked_ms: float = 0.0
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsPutBack:
    """One batch on the way back of run `of`, committed with this event. Times are in ms, as those of a statement.

    Of `keys` kept rows `rows` were put back; `lost` cannot be: they are gone, or were changed since.
    """

    relation: str
    of: str
    batch: int
    keys: int
    attempts: int
    locked: int = 0
    rows: int = 0
    lost: int = 0
    duration_ms: float = 0.0
    blocked_ms: float = 0.0
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRefused:
    """The server refused one row; it was left as it is, and the others were done without it."""

    relation: str
    sqlstate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTableDropped:
    """The table that kept rows was empty and is gone; committed with that. Times are in ms."""

    table: str
    attempts: int
    duration_ms: float = 0.0
    blocked_ms: float = 0.0
    waited_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationCounted:
    """At the end, exactly: orphans that are left, those that others refer to, and rows that are kept.

    `elsewhere` is what it did to other relations of the table, among those rows.
    """

    relation: str
    orphans: int
    referenced: int
    kept: int
    referring: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
