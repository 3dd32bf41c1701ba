"""The graph of tables and keys, laid out in rows: what is referred to stands above what refers to it.

The same relations always give the same picture. Positions are in points; nothing here knows how a picture is drawn.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.core.fates import Fate, RelationRow

MOST_TABLES: Final = 60
"""A picture of more tables cannot be read: the table of relations has to do."""

MOST_IN_ROW: Final = 6
"""So that the picture fits a page."""

GRAVEST: Final[tuple[Fate, ...]] = ("failed", "missing", "added", "present", "deferred")

BOX_WIDTH, BOX_HEIGHT, LANE, GAP, MARGIN = 176, 30, 6, 12, 10
BETWEEN: Final = 62
"""From one row of tables to the next, for the keys."""
SWEEPS: Final = 8

Point = tuple[float, float]
_Node = tuple[str, int]
"""A table in its row, or the place where the keys to a table pass through a row on their way."""
_Placed = Mapping[_Node, tuple[float, float]]
"""Left side and width of each node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableBox:
    """A table: where its box stands, and the gravest fate of the keys that it has; None when it only is referred to."""

    table: str
    left: float
    top: float
    fate: Fate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """A key: the points that its line goes through, from the referencing table to the referenced one."""

    relation: RelationRow
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyGraph:
    """The picture. Without boxes when there is nothing to draw, or too much: `tables` counts them in any case."""

    boxes: tuple[TableBox, ...]
    lines: tuple[KeyLine, ...]
    width: float
    height: float
    tables: int


def key_graph(relations: Sequence[RelationRow]) -> KeyGraph:
    """The picture of these relations; the gravest fates come last, so that they lie on top of the others."""
    names = tuple(dict.fromkeys(name for row in relations for name in (row.table_name, row.referenced_table)))
    if not names or len(names) > MOST_TABLES:
        return KeyGraph(boxes=(), lines=(), width=0, height=0, tables=len(names))
    rows = _rows(names, relations)
    routes = [_route(row, rows) for row in relations]
    placed = _placed(names, rows, routes)
    lines = sorted(_lines(relations, routes, placed), key=lambda line: -GRAVEST.index(line.relation.fate))
    return KeyGraph(
        boxes=tuple(_box(name, rows[name], placed, relations) for name in names),
        lines=tuple(lines),
        width=max(left + width for left, width in placed.values()) + MARGIN,
        height=_top(max(rows.values())) + BOX_HEIGHT + BETWEEN / 2 + MARGIN,
        tables=len(names),
    )


def _rows(names: Sequence[str], relations: Sequence[RelationRow]) -> Mapping[str, int]:
    """The row of each table: below all that it refers to, where there is room. A key that closes a circle is left out.

    Without recursion: a chain of tables can be long.
    """
    parents: dict[str, list[str]] = {name: [] for name in names}
    for row in relations:
        parents[row.table_name].append(row.referenced_table)
    found: dict[str, int] = {}
    taken: Counter[int] = Counter()
    for name in names:
        path = [name] if name not in found else []
        while path:
            waiting = next((each for each in parents[path[-1]] if each not in found and each not in path), None)
            if waiting is not None:
                path.append(waiting)
                continue
            here = path.pop()
            row_number = max((found[each] + 1 for each in parents[here] if each in found), default=0)
            while taken[row_number] >= MOST_IN_ROW:
                row_number += 1
            found[here] = row_number
            taken[row_number] += 1
    return found


def _route(row: RelationRow, rows: Mapping[str, int]) -> tuple[_Node, ...]:
    """The nodes of a key from the referencing table on; keys to one table share the places between."""
    begin, end = rows[row.table_name], rows[row.referenced_table]
    passed = range(begin - 1, end, -1) if begin > end else range(begin + 1, end)
    between = tuple((f"\0{row.referenced_table}", number) for number in passed)
    return ((row.table_name, begin), *between, (row.referenced_table, end))


def _placed(names: Sequence[str], rows: Mapping[str, int], routes: Sequence[Sequence[_Node]]) -> _Placed:
    """In every row those stand beside each other whose neighbours do; the rows are centred."""
    nodes = dict.fromkeys((*((name, rows[name]) for name in names), *(node for route in routes for node in route)))
    neighbours: dict[_Node, list[_Node]] = {node: [] for node in nodes}
    for route in routes:
        for one, other in itertools.pairwise(route):
            neighbours[one].append(other)
            neighbours[other].append(one)
    order: list[list[_Node]] = [[node for node in nodes if node[1] == row] for row in range(max(rows.values()) + 1)]
    for sweep in range(SWEEPS):
        _sweep(order, neighbours, down=sweep % 2 == 0)
    widest = max(map(_wide, order))
    placed: dict[_Node, tuple[float, float]] = {}
    for row in order:
        left = MARGIN + (widest - _wide(row)) / 2
        for node in row:
            placed[node] = (left, _width(node))
            left += _width(node) + GAP
    return placed


def _width(node: _Node) -> int:
    return LANE if node[0].startswith("\0") else BOX_WIDTH


def _wide(row: Sequence[_Node]) -> float:
    return sum(_width(node) + GAP for node in row) - GAP


def _sweep(order: list[list[_Node]], neighbours: Mapping[_Node, Sequence[_Node]], *, down: bool) -> None:
    """Sort each row by where the neighbours in the row before stand on average, from 0 to 1."""
    turns = range(1, len(order)) if down else range(len(order) - 2, -1, -1)
    for turn in turns:
        before = _stands(order[turn - 1 if down else turn + 1])
        middle = _stands(order[turn])
        for node in order[turn]:
            near = [before[each] for each in neighbours[node] if each in before]
            middle[node] = sum(near) / len(near) if near else middle[node]
        order[turn].sort(key=middle.__getitem__)


def _stands(row: Sequence[_Node]) -> dict[_Node, float]:
    return {node: (place + 0.5) / len(row) for place, node in enumerate(row)}


def _box(name: str, row: int, placed: _Placed, relations: Sequence[RelationRow]) -> TableBox:
    fates = {each.fate for each in relations if each.table_name == name}
    fate = next((each for each in GRAVEST if each in fates), None)
    return TableBox(table=name, left=placed[name, row][0], top=_top(row), fate=fate)


def _top(row: int) -> float:
    return MARGIN + row * (BOX_HEIGHT + BETWEEN)


def _lines(relations: Sequence[RelationRow], routes: Sequence[Sequence[_Node]], placed: _Placed) -> Iterator[KeyLine]:
    """The lines, with the ends at each box in the order of what is at the other end: so they do not cross there."""
    ends: dict[tuple[_Node, float], list[tuple[float, int, bool]]] = defaultdict(list)
    sides = [_sides(route) for route in routes]
    for number, (route, (leaves, arrives)) in enumerate(zip(routes, sides, strict=True)):
        ends[route[0], leaves].append((placed[route[1]][0], number, True))
        ends[route[-1], arrives].append((placed[route[-2]][0], number, False))
    at: dict[tuple[int, bool], Point] = {}
    for (node, side), there in ends.items():
        left, width = placed[node]
        for place, (_, number, begins) in enumerate(sorted(there), start=1):
            at[number, begins] = (round(left + width * place / (len(there) + 1), 1), side)
    for number, (relation, route) in enumerate(zip(relations, routes, strict=True)):
        points = (at[number, True], *_passing(route, placed), at[number, False])
        yield KeyLine(relation=relation, points=points)


def _sides(route: Sequence[_Node]) -> tuple[float, float]:
    """Where a line leaves the one box and arrives at the other: on the sides that face each other, else below both."""
    begin, end = route[0][1], route[-1][1]
    leaves = _top(begin) if begin > end else _top(begin) + BOX_HEIGHT
    arrives = _top(end) if begin < end else _top(end) + BOX_HEIGHT
    return leaves, arrives


def _passing(route: Sequence[_Node], placed: _Placed) -> Iterator[Point]:
    """Straight through the rows between."""
    for node in route[1:-1]:
        middle = placed[node][0] + LANE / 2
        through = (_top(node[1]) + BOX_HEIGHT, _top(node[1]))
        for side in through if route[0][1] > route[-1][1] else reversed(through):
            yield round(middle, 1), side
