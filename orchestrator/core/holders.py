"""Who holds locks that stand in our way: what is seen of them, what may be told of them, and whether to ask at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.catalog import TableName
from orchestrator.core.locks import Lock, Mode, conflict

QUERY_LENGTH = 200
"""How many characters of a blocker's query are told."""

AUTOVACUUM = "autovacuum worker"
TO_PREVENT_WRAPAROUND = "to prevent wraparound"
"""What such a vacuum has in its query: it never gives way to anybody."""

Obstacle = Literal["transaction", "vacuum", "wraparound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A session, or a prepared transaction without one (`pid` None), that holds a lock on a table.

    `age_ms` is how long its transaction has been open, None where our role may not see that; `transaction` its number.
    Source: pg_locks, pg_stat_activity, pg_prepared_xacts.
    """

    table: TableName
    mode: Mode
    pid: int | None
    role: str
    application: str
    state: str
    backend: str
    age_ms: float | None
    query: str
    transaction: str = ""

    @property
    def key(self) -> str:
        """Which transaction it is: the same session may begin another."""
        return f"{self.pid}/{self.transaction}"

    @property
    def vacuum(self) -> bool:
        """Whether an autovacuum works on the table; where its kind is hidden from our role, its lock tells."""
        return self.backend == AUTOVACUUM or (not self.backend and self.mode == "SHARE UPDATE EXCLUSIVE")

    @property
    def obstacle(self) -> Obstacle:
        """What kind of an obstacle it is."""
        if not self.vacuum:
            return "transaction"
        return "wraparound" if TO_PREVENT_WRAPAROUND in self.query else "vacuum"

    def told(self) -> str:
        """The holder in words; its query without literals."""
        who = f"pid {self.pid}" if self.pid is not None else f"prepared transaction {self.query or 'without a name'}"
        known = [self.role, self.application or ("autovacuum" if self.vacuum else ""), self.state]
        age = [f"{self.age_ms / 1000:.1f} s old"] if self.age_ms is not None else []
        words = f"{who} ({', '.join([*filter(None, known), *age])})"
        query = blanked(self.query)[:QUERY_LENGTH] if self.pid is not None else ""
        return f"{words}: {query}" if query else words


def in_the_way(locks: Iterable[Lock], holders: Iterable[Holder]) -> Iterator[Holder]:
    """Those who hold what one of these locks conflicts with, the oldest first."""
    wanted = tuple(locks)
    found = (
        each for each in holders if any(lock.table == each.table and conflict(lock.mode, each.mode) for lock in wanted)
    )
    return iter(sorted(found, key=lambda each: -(each.age_ms or 0)))


def lasting(
    locks: Iterable[Lock], holders: Iterable[Holder], *, budget_ms: float, known_ms: Mapping[str, float] | None = None
) -> Holder | None:
    """The one for whom it is no use to queue: older than the budget, prepared, or a vacuum that never gives way.

    Any other vacuum gives way to a patient request. `known_ms` has, by key, for how long we have seen a transaction
    ourselves: that counts where its age is hidden from our role.
    """
    for each in in_the_way(locks, holders):
        age = max(each.age_ms or 0.0, (known_ms or {}).get(each.key, 0.0))
        old = age > budget_ms
        if each.obstacle == "wraparound" or (each.obstacle == "transaction" and (each.pid is None or old)):
            return each
    return None


_TOKEN = re.compile(
    r"""
      "(?:[^"]|"")*(?:"|$)                                # a quoted name, kept
    | (?P<comment>/\*.*?(?:\*/|$)|--[^\n]*)
    | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$)               # a dollar-quoted string
    | (?:\b[eEbBxXnN]|\b[uU]&)?'(?:[^'\\]|''|\\(?!'))*(?:(?P<open>\\'.*|$)|')  # a string; \' may end it or not
    | (?<![\w$"])\d[\w.]*                                 # a number, but no parameter and no part of a name
    """,
    re.VERBOSE | re.DOTALL,
)


def blanked(query: str) -> str:
    """A query on one line without its literals, which may be somebody's data. In doubt too much is left out."""
    return " ".join(_TOKEN.sub(_blank, query).split())


def _blank(found: re.Match[str]) -> str:
    text = found.group()
    if text.startswith('"'):
        return text
    return "" if found.group("comment") else "?"
