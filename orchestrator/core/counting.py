"""How the orphans of a relation are counted: which exact method is expected to be the cheapest, and why.

Every method gives the exact count. Statistics only choose between them, so a wrong one costs time and nothing else.
Costs were measured on PostgreSQL 15, 16 and 18 with 2 million rows (docs/decisions/0014-orphan-audit.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.core.catalog import Catalog, Column, TableName
from orchestrator.core.contract import Relation

Method = Literal["loose index scan", "merge anti-join", "hash anti-join"]

# Microseconds each, on one machine: only their proportions decide.
JUMP = 5.0
"""To the next value of an index, its look into the parent included."""
IN_ORDER = 0.07
"""A row of either side, when both indexes are read in order and nothing but the indexes."""
HASHED = 0.2
"""A row of either side, through a hash table."""
PAGE = 1.0
"""A page of a table that is read from its beginning to its end."""
LOOKUP = 5.0
"""A row that is looked up by an index, or whose page must be looked at because it is not all-visible."""
NEAR_LOOKUP = 0.25
"""The same, when the table lies in the order of the index."""

MARGIN = 1.5
"""Of all that statistics tell, the number of distinct values is guessed worst: the jumps must pay well."""
LEAST_JUMPS = 1000
ALONE = 2.0
"""A relation that takes so many times as long as all the others would come last and alone."""

# Types with one equality: of the same operator family, and compared as they are (pg_amop of integer_ops, text_ops).
ALIKE = (frozenset({20, 21, 23}), frozenset({25, 1043}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """What pg_stats tells of a column.

    `distinct` values, negative when it is a share of the rows; `correlation` is how far the table lies in the column's
    order, from -1 to 1.
    """

    distinct: float
    correlation: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatistics:
    """What the server knows of a table: estimates, all of them.

    `pages`, `all_visible` and `counted_rows` are of the last VACUUM or ANALYZE, -1 rows when there was none.
    `live_rows`, `inserted` and `changed` come from the cumulative statistics, the last two since the last vacuum.
    `orders` has the column lists by which a btree index can be read in order.
    """

    counted_rows: float = -1
    live_rows: float = 0
    pages: int = 0
    all_visible: int = 0
    inserted: float = 0
    changed: float = 0
    columns: Mapping[str, ColumnStatistics] = field(default_factory=dict)
    orders: frozenset[tuple[str, ...]] = frozenset()

    @property
    def rows(self) -> float:
        """Rows; 0 when nothing is known."""
        return max(self.counted_rows, self.live_rows, 0)

    @property
    def visible(self) -> float:
        """The share of its rows on pages that are all-visible, from 0 to 1.

        Nothing corrects pg_class.relallvisible between two vacuums. New rows fill pages of their own; changed ones are
        taken to lie anywhere, so that each spoils a page.
        """
        if not self.pages or not self.rows:
            return 0
        kept = min(1, self.all_visible / self.pages)
        return kept * max(0, 1 - self.inserted / self.rows) * math.exp(-self.changed / self.pages)

    def ordered_by(self, columns: tuple[str, ...]) -> bool:
        """Whether an index gives the rows in the order of exactly these columns."""
        return any(order[: len(columns)] == columns for order in self.orders)

    def looks(self, column: str) -> float:
        """What it costs to look at the pages that are not all-visible, when an index on the column is read; in us."""
        known = self.columns.get(column)
        near = known.correlation**2 if known else 0
        return self.rows * (1 - self.visible) * (near * NEAR_LOOKUP + (1 - near) * LOOKUP)


UNKNOWN = TableStatistics()

Statistics = Mapping[TableName, TableStatistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How one relation is counted, and why. `expected` only orders the work.

    `jumps` is where a loose index scan gives up, because there are far more values than the statistics told. `parallel`
    lets the server use workers of its own.
    """

    method: Method
    reason: str
    expected: float = 0
    jumps: int = 0
    parallel: bool = False


def decide(relations: Iterable[Relation], catalog: Catalog, statistics: Statistics) -> tuple[Counting, ...]:
    """For each relation how it is counted.

    Several connections share the work, so that none needs the server's workers; but one that would still be at it when
    all others are long done may have them, and one of which nothing is known, as the server decides for itself.
    """
    found = tuple(choose(each, catalog, statistics) for each in relations)
    total = sum(each.expected for each in found)
    return tuple(
        replace(each, parallel=not each.expected or each.expected > ALONE * (total - each.expected)) for each in found
    )


def choose(relation: Relation, catalog: Catalog, statistics: Statistics) -> Counting:
    """The method that is expected to cost least."""
    child = statistics.get(relation.table, UNKNOWN)
    parent = statistics.get(relation.referenced, UNKNOWN)
    hashed = _hashed(child, parent)
    obstacle = _obstacle(relation, catalog, child, parent)
    if obstacle:
        return Counting(method="hash anti-join", reason=obstacle, expected=hashed)
    merged = _merged(relation, child, parent)
    other = min(hashed, merged)
    values = _values(relation, child)
    if values is not None and _loose(values, child) * MARGIN < other:
        return Counting(
            method="loose index scan",
            reason=f"about {values:.0f} values in {child.rows:.0f} rows",
            expected=_loose(values, child),
            jumps=max(LEAST_JUMPS, int(other / JUMP)),
        )
    visible = f"about {child.visible:.0%} of the rows are on all-visible pages"
    if merged < hashed:
        return Counting(method="merge anti-join", reason=f"two indexes in order, {visible}", expected=merged)
    few = f"{child.rows:.0f} rows against {parent.rows:.0f}"
    return Counting(method="hash anti-join", reason=f"{few}, {visible}", expected=hashed)


def _obstacle(relation: Relation, catalog: Catalog, child: TableStatistics, parent: TableStatistics) -> str:
    """Why neither index can be walked in the relation's order; empty when both can."""
    sides = catalog.tables[relation.table], catalog.tables[relation.referenced]
    if any(side.kind == "partitioned" for side in sides):
        return "a partitioned table has no index over all its rows"
    pairs = tuple(zip(relation.columns, relation.referenced_columns, strict=True))
    if not all(_alike(sides[0].column(mine), sides[1].column(theirs)) for mine, theirs in pairs):
        return "types or collations differ, so that no index has the order of the comparison"
    # Any order will do as long as both sides have it.
    translated = dict(pairs)
    orders = {order[: len(pairs)] for order in child.orders if set(order[: len(pairs)]) == set(translated)}
    if not orders:
        return "no usable index leads with the referencing columns"
    if not any(parent.ordered_by(tuple(translated[column] for column in order)) for order in orders):
        return "no index of the referenced table has the same order"
    return "" if child.rows else "nothing is known about the number of rows"


def _alike(child: Column | None, key: Column | None) -> bool:
    """Whether equal in the child's own order is equal under the key, and both are compared as they stand."""
    if child is None or key is None or child.collation != key.collation:
        return False
    return child.base_type == key.base_type or any({child.base_type, key.base_type} <= family for family in ALIKE)


def _values(relation: Relation, child: TableStatistics) -> float | None:
    """Distinct values of a single column; None where a loose index scan cannot go."""
    known = child.columns.get(relation.columns[0]) if len(relation.columns) == 1 else None
    if known is None or not known.distinct:
        return None
    return known.distinct if known.distinct > 0 else -known.distinct * child.rows


def _loose(values: float, child: TableStatistics) -> float:
    return values * (JUMP + LOOKUP * (1 - child.visible))


def _merged(relation: Relation, child: TableStatistics, parent: TableStatistics) -> float:
    looks = child.looks(relation.columns[0]) + parent.looks(relation.referenced_columns[0])
    return (child.rows + parent.rows) * IN_ORDER + looks


def _hashed(child: TableStatistics, parent: TableStatistics) -> float:
    """One pass over both tables, or, for a few rows against many, each looked up: the server decides which."""
    read = child.pages * PAGE + child.rows * HASHED
    return read + min(parent.pages * PAGE + parent.rows * HASHED, child.rows * LOOKUP)
