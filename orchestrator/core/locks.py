"""PostgreSQL's table locks: which modes exist, which of them conflict, and in which order to ask.

Source: the lock table of PostgreSQL's manual (Explicit Locking); the modes that each statement takes were read from
pg_locks and are the same on 12 to 18.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.catalog import TableName

Mode = Literal[
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
]

CONFLICTS: Mapping[Mode, frozenset[Mode]] = {
    "ACCESS SHARE": frozenset({"ACCESS EXCLUSIVE"}),
    "ROW SHARE": frozenset({"EXCLUSIVE", "ACCESS EXCLUSIVE"}),
    "ROW EXCLUSIVE": frozenset({"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}),
    "SHARE UPDATE EXCLUSIVE": frozenset(
        {"SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}
    ),
    "SHARE": frozenset(
        {"ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}
    ),
    "SHARE ROW EXCLUSIVE": frozenset(
        {
            "ROW EXCLUSIVE",
            "SHARE UPDATE EXCLUSIVE",
            "SHARE",
            "SHARE ROW EXCLUSIVE",
            "EXCLUSIVE",
            "ACCESS EXCLUSIVE",
        }
    ),
    "EXCLUSIVE": frozenset(
        {
            "ROW SHARE",
            "ROW EXCLUSIVE",
            "SHARE UPDATE EXCLUSIVE",
            "SHARE",
            "SHARE ROW EXCLUSIVE",
            "EXCLUSIVE",
            "ACCESS EXCLUSIVE",
        }
    ),
    "ACCESS EXCLUSIVE": frozenset(
        {
            "ACCESS SHARE",
            "ROW SHARE",
            "ROW EXCLUSIVE",
            "SHARE UPDATE EXCLUSIVE",
            "SHARE",
            "SHARE ROW EXCLUSIVE",
            "EXCLUSIVE",
            "ACCESS EXCLUSIVE",
        }
    ),
}

WRITERS_BLOCKED_BY: frozenset[Mode] = CONFLICTS["ROW EXCLUSIVE"]
"""The modes behind which INSERT, UPDATE and DELETE queue."""

TWO = 2
SECOND_LOCK_MS = 30
"""How long the second of two locks is waited for: measured, it ends most lock-order conflicts before they are felt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock that a statement takes on a table."""

    table: TableName
    mode: Mode

    @property
    def blocks_writers(self) -> bool:
        """Whether writers queue behind it."""
        return self.mode in WRITERS_BLOCKED_BY


def conflict(left: Mode, right: Mode) -> bool:
    """Whether two modes on the same table exclude one another."""
    return right in CONFLICTS[left]


IN_PASSING: frozenset[Mode] = frozenset({"ACCESS EXCLUSIVE"})
"""A lock that only keeps this out (ACCESS SHARE) is what any reader holds."""


def unplanned(held: Iterable[Lock], planned: Iterable[Lock]) -> tuple[Lock, ...]:
    """The locks that block somebody whom the plan does not speak of.

    A weaker mode beside a planned one blocks nobody whom that does not block already.
    """
    known = tuple(planned)
    return tuple(lock for lock in held if CONFLICTS[lock.mode] - _blocked(lock.table, known) - IN_PASSING)


def _blocked(table: TableName, locks: Iterable[Lock]) -> frozenset[Mode]:
    """The modes that these locks keep out of a table."""
    return frozenset(mode for lock in locks if lock.table == table for mode in CONFLICTS[lock.mode])


@dataclass(slots=True)
class LockOrder:
    """The order in which to ask for two tables, learned: it flips when the second was not granted.

    The application's own order decides which works, and it is not known beforehand; a wrong first guess costs one
    attempt within the budget.
    """

    _first: dict[frozenset[TableName], TableName] = field(default_factory=dict)

    def arrange(self, locks: tuple[Lock, ...]) -> tuple[Lock, ...]:
        """The same locks, the remembered table first; unknown pairs keep the order they came in."""
        first = self._first.get(frozenset(lock.table for lock in locks))
        return tuple(sorted(locks, key=lambda lock: lock.table != first)) if first else locks

    def flip(self, locks: tuple[Lock, ...], refused: int | None = None) -> None:
        """Remember that the lock at this position, by default the last, should have been asked for first."""
        if len(locks) > 1:
            self._first[frozenset(lock.table for lock in locks)] = locks[-1 if refused is None else refused].table

    def seed(self, locks: tuple[Lock, ...], held: Iterable[frozenset[TableName]]) -> None:
        """A first guess for tables not met yet: `held` has, per transaction at work, the tables that it has locked.

        One that holds only one of ours has begun there, so this is where the application begins.
        """
        tables = frozenset(lock.table for lock in locks)
        if tables in self._first or len(tables) < TWO:
            return
        begun = Counter(next(iter(mine)) for each in held if len(mine := each & tables) == 1)
        first = max(begun, key=lambda table: begun[table], default=None)
        if first is not None:
            self._first[tables] = first
