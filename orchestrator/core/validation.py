"""How to validate a key soonest: the planner's own way, along two indexes, whole tables at once, or after a vacuum.

VALIDATE runs one anti-join of the two tables. The planner mostly reads an index of the referencing table and trusts the
visibility map of the last vacuum for it. Merging the two indexes is quicker than its hash join, about twice where pages
are all-visible. Where they are not, each row is looked up, in the order of the index: where that jumps about in the
table, reading both tables from the first page to the last is quicker. docs/benchmarks/ has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import exp
from statistics import median
from types import MappingProxyType
from typing import Literal

from orchestrator.core.nouns import counted

Way = Literal["default", "steered", "whole"]

MEMORY_KB = 65_536
"""maintenance_work_mem while validating: more makes the planner choose a hash where a merge is quicker."""

ALWAYS = MappingProxyType({"jit": "off", "maintenance_work_mem": f"{MEMORY_KB}kB", "row_security": "off"})
SETTINGS: Mapping[Way, Mapping[str, str]] = MappingProxyType(
    {
        "default": ALWAYS,
        # Without a sort, too: where the index is wide the planner would rather sort the table for its merge, which
        # takes 1.4 times its hash join, than follow the index, which takes 0.7.
        "steered": {**ALWAYS, "enable_hashjoin": "off", "enable_sort": "off"},
        "whole": {
            **ALWAYS,
            **dict.fromkeys(("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"), "off"),
            **dict.fromkeys(("enable_mergejoin", "enable_nestloop"), "off"),
        },
    }
)

# Microseconds, on the machine of the measurements; only their ratios matter for the choice. A row that is looked up
# costs more when its neighbours in the index lie elsewhere in the table, and when the index still holds dead entries.
DEFAULT_ROW_US = 0.10
STEERED_ROW_US = 0.05
LOOK_US = 0.12
LOOK_ELSEWHERE_US = 0.70
LOOK_DEAD_US = 0.60
WHOLE_ROW_US = 0.14
WHOLE_PAGE_US = 2.5
VACUUM_PAGE_US = 40.0
VACUUM_INDEX_PAGE_US = 30.0

CLEARLY = 0.7
"""Whole tables are read only when that promises to save so much: a look can be cheaper than it seems."""

TRUSTED = 0.5
"""The share of all-visible pages, as of the last vacuum, from which on the planner prefers the index."""

WORTH_IT = 0.9
"""Another way than the planner's is taken only when it promises to save a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A table as the server's statistics show it.

    `visible` is the share of pages that were all-visible after the last vacuum, `changed` the rows that were inserted,
    updated or deleted since; `correlation` (-1 to 1) how the key's order and that of the rows on disk go together.
    """

    rows: float
    pages: float
    index_pages: float
    visible: float
    changed: float
    correlation: float = 0.0

    @property
    def looks_us(self) -> float:
        """What it costs to look up the rows that the map does not vouch for, all of them, in the index's order."""
        dead = min(1.0, self.changed / self.rows) if self.rows else 0.0
        each = LOOK_US + LOOK_ELSEWHERE_US * (1 - self.correlation**2) + LOOK_DEAD_US * dead
        return self.rows * (1 - self.visible_now) * each

    @property
    def visible_now(self) -> float:
        """The share of pages that are still all-visible: a change clears the page of the old row and of the new one.

        Changes are taken to be spread evenly, which is the worst case for the map.
        """
        if not self.pages:
            return self.visible
        return self.visible * exp(-2 * self.changed / self.pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A way, whether to vacuum first, why, and how long it should take, in ms."""

    way: Way
    vacuum: bool
    predicted_ms: float
    why: str


def default_ms(child: Condition, parent: Condition) -> float:
    """The planner's own way: it reads the index when the last vacuum left most pages all-visible, else the table."""
    if child.visible < TRUSTED:
        return whole_ms(child, parent)
    return ((child.rows + parent.rows) * DEFAULT_ROW_US + child.looks_us + parent.looks_us) / 1000


def steered_ms(child: Condition, parent: Condition, *, vacuumed: bool = False) -> float:
    """Along the indexes; `vacuumed` as if the referencing table had just been vacuumed."""
    looks_us = parent.looks_us + (0.0 if vacuumed else child.looks_us)
    return ((child.rows + parent.rows) * STEERED_ROW_US + looks_us) / 1000


def whole_ms(child: Condition, parent: Condition) -> float:
    """Both tables from the first page to the last."""
    rows, pages = child.rows + parent.rows, child.pages + parent.pages
    return (rows * WHOLE_ROW_US + pages * WHOLE_PAGE_US) / 1000


def vacuum_ms(child: Condition) -> float:
    """A vacuum of the referencing table: the pages that are not all-visible, and its indexes for dead rows."""
    pages = child.pages * (1 - child.visible_now)
    indexes = child.index_pages if child.changed else 0.0
    return (pages * VACUUM_PAGE_US + indexes * VACUUM_INDEX_PAGE_US) / 1000


def choose(child: Condition, parent: Condition, *, indexed: bool, keys: int, may_vacuum: bool) -> Choice:
    """The way for one key; `keys` of this table are still to be validated, and all would profit from a vacuum.

    `may_vacuum` is false when it was done already, or an old snapshot would keep it from doing any good.
    """
    plain = default_ms(child, parent)
    if not indexed:
        return Choice(way="default", vacuum=False, predicted_ms=plain, why="no index along the key")
    best = min(_ways(child, parent, plain), key=lambda each: each.predicted_ms)
    vacuum = vacuum_ms(child)
    after = steered_ms(child, parent, vacuumed=True)
    if may_vacuum and vacuum + keys * after <= keys * best.predicted_ms * WORTH_IT:
        return Choice(
            way="steered", vacuum=True, predicted_ms=vacuum + after, why=f"a vacuum pays over {counted(keys, 'key')}"
        )
    return best


def _ways(child: Condition, parent: Condition, plain: float) -> Iterator[Choice]:
    """The planner's own, and those that promise to be clearly better."""
    yield Choice(way="default", vacuum=False, predicted_ms=plain, why="nothing is clearly better")
    steered, whole = steered_ms(child, parent), whole_ms(child, parent)
    if steered <= plain * WORTH_IT:
        yield Choice(way="steered", vacuum=False, predicted_ms=steered, why="most pages are all-visible")
    if whole <= min(plain, steered) * CLEARLY:
        yield Choice(way="whole", vacuum=False, predicted_ms=whole, why="many pages changed since the last vacuum")


@dataclass(slots=True)
class Pace:
    """How this server compares with that of the measurements, learned from what was validated already."""

    _ratios: list[float] = field(default_factory=list)

    def learn(self, predicted_ms: float, actual_ms: float) -> None:
        """Take one validation into account; tiny ones say nothing."""
        if predicted_ms > 1:
            self._ratios.append(actual_ms / predicted_ms)

    @property
    def factor(self) -> float:
        """By how much a prediction is to be multiplied."""
        return median(self._ratios) if self._ratios else 1.0
