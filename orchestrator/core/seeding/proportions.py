"""In which order tables are filled, and with how many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.catalog import TableName
from orchestrator.core.outcome import Refused
from orchestrator.core.seeding.shape import Link, Shape

FEW = 5
LEAST_SHARE = 5000
"""No table gets less than one row in so many of the largest, so that a few tenants do not carry everything."""

DOUBLED = 3
"""So many levels below the roots that least number doubles, so that a parent has more than one child there too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportions:
    """How many times more rows stand one level further from the roots, and whether tables of a level are alike."""

    step: int = 4
    alike: bool = False


TREE = Proportions()
"""Most rows in the last tables: 1, 1/2, 1/3 … within a level."""

BROAD = Proportions(step=2, alike=True)
"""Many large tables, as after years of a history that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Tables with parents first, their levels, and the links that had to be cut because they close a circle."""

    tables: tuple[TableName, ...]
    levels: Mapping[TableName, int]
    cut: frozenset[Link]


def order_of(shape: Shape) -> Order:
    """Parents before children; a circle is cut where it costs least: at a key that may be NULL.

    Raises Refused when only keys that are enforced and NOT NULL are left to cut.
    """
    levels: dict[TableName, int] = {}
    cut: set[Link] = set()
    waiting = list(shape.tables)
    while waiting:
        ready = [name for name in waiting if all(_settled(each, levels, cut) for each in shape.of(name))]
        if not ready:
            cut.add(_weakest(shape, waiting, cut))
        for name in ready:
            levels[name] = _level(shape.of(name), levels, cut)
        waiting = [name for name in waiting if name not in levels]
    return Order(tables=tuple(sorted(levels, key=lambda name: levels[name])), levels=levels, cut=frozenset(cut))


def _settled(link: Link, levels: Mapping[TableName, int], cut: set[Link]) -> bool:
    return link.to_itself or link in cut or link.parent in levels


def _level(links: Sequence[Link], levels: Mapping[TableName, int], cut: set[Link]) -> int:
    above = [levels[link.parent] for link in links if not link.to_itself and link not in cut]
    return max(above, default=-1) + 1


def _weakest(shape: Shape, waiting: Sequence[TableName], cut: set[Link]) -> Link:
    """The link on a circle that is easiest to do without."""
    open_links = [x for x in shape.links if x.table in waiting and x.parent in waiting]
    open_links = [x for x in open_links if not x.to_itself and x not in cut]
    circle = [link for link in open_links if _leads_back(link, open_links)]
    weakest = min(circle, key=lambda link: (link.required, link.enforced))
    if weakest.required and weakest.enforced:
        message = f"{weakest.table} and {weakest.parent} need rows of one another first: they cannot be filled"
        raise Refused(message)
    return weakest


def _leads_back(link: Link, links: Sequence[Link]) -> bool:
    seen, waiting = set[TableName](), [link.parent]
    while waiting:
        name = waiting.pop()
        if name == link.table:
            return True
        if name not in seen:
            seen.add(name)
            waiting += [each.parent for each in links if each.table == name]
    return False


def refuse_too_few(rows: int) -> None:
    """Raises Refused when `rows` is less than 1."""
    if rows < 1:
        message = f"--rows {rows}: at least 1 row is needed"
        raise Refused(message)


def rows_of(order: Order, rows: int, proportions: Proportions = TREE) -> dict[TableName, int]:
    """Rows wanted per table: `rows` in the largest, and in the others what the proportions say."""
    deepest = max(order.levels.values(), default=0)
    least = max(FEW, rows // LEAST_SHARE)
    wanted: dict[TableName, int] = {}
    places: dict[int, int] = {}
    for name in order.tables:
        level = order.levels[name]
        places[level] = 1 if proportions.alike else places.get(level, 0) + 1
        share = rows // proportions.step ** (deepest - level) // places[level]
        wanted[name] = max(min(rows, least << min(level, DOUBLED)), share)
    return wanted
