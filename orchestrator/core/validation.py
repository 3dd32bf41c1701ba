"""How to validate a key soonest: the planner's own way, steered along two indexes, or steered after a vacuum.

VALIDATE runs one anti-join of the two tables. Left alone, the planner mostly hashes the referenced table and reads the
whole referencing one. Steered (no hash join, no JIT), it merges the two indexes without looking at rows: about twice as
quick where the pages are all-visible, far slower where they are not, because then each row is looked up, in an order
that jumps about. The figures below were measured; docs/benchmarks/validation.md tells how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from statistics import median
from types import MappingProxyType
from typing import Literal

Way = Literal["default", "steered"]

MEMORY_KB = 65_536
"""maintenance_work_mem while validating: more makes the planner choose a hash where a merge is quicker."""

SETTINGS: Mapping[Way, Mapping[str, str]] = MappingProxyType(
    {
        "default": {"jit": "off", "maintenance_work_mem": f"{MEMORY_KB}kB", "row_security": "off"},
        "steered": {
            "enable_hashjoin": "off",
            "jit": "off",
            "maintenance_work_mem": f"{MEMORY_KB}kB",
            "row_security": "off",
        },
    }
)

# Microseconds, on the machine of the measurements; only their ratios matter for the choice.
DEFAULT_ROW_US = 0.45
DEFAULT_PARENT_ROW_US = 0.30
DEFAULT_PAGE_US = 2.0
STEERED_ROW_US = 0.22
STEERED_PARENT_ROW_US = 0.15
STEERED_LOOK_US = 1.3
VACUUM_PAGE_US = 9.0
VACUUM_INDEX_PAGE_US = 6.0

WORTH_IT = 0.9
"""Another way than the planner's is taken only when it promises to save a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A table as the server's statistics show it.

    `visible` is the share of pages that were all-visible after the last vacuum, `changed` the rows that were inserted,
    updated or deleted since; `exact` tells that `visible` was read from the visibility map itself and holds now.
    """

    rows: float
    pages: float
    index_pages: float
    visible: float
    changed: float
    exact: bool = False

    @property
    def visible_now(self) -> float:
        """The share of pages that are still all-visible: a change clears the page of the old row and of the new one.

        Changes are taken to be spread evenly, which is the worst case for the map.
        """
        if self.exact or not self.pages:
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
    """The planner's own way."""
    rows = child.rows * DEFAULT_ROW_US + parent.rows * DEFAULT_PARENT_ROW_US
    return (rows + (child.pages + parent.pages) * DEFAULT_PAGE_US) / 1000


def steered_ms(child: Condition, parent: Condition, *, vacuumed: bool = False) -> float:
    """Along the indexes; `vacuumed` as if the referencing table had just been vacuumed."""
    hidden = 0.0 if vacuumed else 1 - child.visible_now
    looks = child.rows * hidden + parent.rows * (1 - parent.visible_now)
    return (child.rows * STEERED_ROW_US + parent.rows * STEERED_PARENT_ROW_US + looks * STEERED_LOOK_US) / 1000


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
    steered = steered_ms(child, parent)
    if steered <= plain * WORTH_IT:
        return Choice(way="steered", vacuum=False, predicted_ms=steered, why="its pages are all-visible")
    vacuum = vacuum_ms(child)
    after = steered_ms(child, parent, vacuumed=True)
    if may_vacuum and vacuum + keys * after <= keys * plain * WORTH_IT:
        return Choice(way="steered", vacuum=True, predicted_ms=vacuum + after, why=f"a vacuum pays over {keys} keys")
    return Choice(way="default", vacuum=False, predicted_ms=plain, why="many pages are not all-visible")


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
