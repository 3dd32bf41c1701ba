"""What an orphan audit under option B found, and what the audits before it had found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Health = Literal["ok", "orphans", "investigate", "unknown", "alert"]
"""`alert`: a critical relation has orphans; `investigate`: more new ones an hour than the threshold.

`unknown`: a relation could not be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRelation:
    """A relation with orphans, or one that could not be counted. Rows; `fresh` came since the last audit; time in ms.

    Without `exact` there were too many to tell them apart by their keys: `fresh` is a difference of counts.
    """

    relation: str
    priority: str
    orphans: int
    fresh: int
    exact: bool
    health: Health
    duration_ms: float
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPoint:
    """One audit of the history; `at` is UTC, the time in ms."""

    audit: int
    at: str
    orphans: int
    fresh: int
    health: Health
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecorded:
    """An audit was recorded in the target's history, as number `audit`. `trend` ends with it, the oldest comes first.

    `alerts` has what nobody was told yet: critical relations with orphans that came since, and how many rows;
    `uncounted` those that cannot be counted since, and why.
    """

    audit: int
    at: str
    relations: int
    orphans: int
    fresh: int
    health: Health
    duration_ms: float
    found: tuple[AuditedRelation, ...] = ()
    alerts: tuple[tuple[str, int], ...] = ()
    trend: tuple[AuditPoint, ...] = ()
    uncounted: tuple[tuple[str, str], ...] = ()

    @property
    def calls(self) -> bool:
        """Whether somebody has to be called."""
        return bool(self.alerts or self.uncounted)
