"""The graph of tables and keys as a template draws it: lines as SVG paths, and names that fit their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.adapters.words import shortened
from orchestrator.core.fates import FATES, Fate, RelationRow
from orchestrator.core.key_graph import BETWEEN, KeyGraph, KeyLine, Point, TableBox, key_graph

MOST_LETTERS: Final = 25
"""Of a name in its box; the whole name is its title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The layout, what stands in it by fate, and how each thing is written."""

    graph: KeyGraph
    fates: tuple[Fate, ...]
    schema: str

    def name(self, box: TableBox) -> str:
        """The name of a table as its box has room for it, without the schema that all of them share."""
        name = box.table.removeprefix(f"{self.schema}.") if self.schema else box.table
        return shortened(name, MOST_LETTERS)

    def path(self, line: KeyLine) -> str:
        """The line of a key as the `d` of an SVG path."""
        return path(line.points)


def picture(relations: Sequence[RelationRow]) -> Picture:
    """What the template gets."""
    graph = key_graph(relations)
    found = {row.fate for row in relations}
    schemas = {row.schema for row in relations} | {row.referenced_table.split(".", 1)[0] for row in relations}
    return Picture(
        graph=graph,
        fates=tuple(each for each in FATES if each in found),
        schema=schemas.pop() if len(schemas) == 1 else "",
    )


def path(points: Sequence[Point]) -> str:
    """A curve that leaves and arrives upright; one between two points of the same height dips below them."""
    (left, top), *rest = points
    written = [f"M{left:g} {top:g}"]
    for x, y in rest:
        bend = (y - top) / 2
        one, other = (top + bend, y - bend) if bend else (top + BETWEEN / 2, y + BETWEEN / 2)
        written.append(f"C{left:g} {one:g} {x:g} {other:g} {x:g} {y:g}")
        left, top = x, y
    return " ".join(written)
