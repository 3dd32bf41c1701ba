"""A table's rows as blocks of text in COPY format."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from orchestrator.core.catalog import TableName
from orchestrator.core.seeding.columns import NULL, Field, Write
from orchestrator.core.seeding.following import Chosen
from orchestrator.core.seeding.keys import Carrier
from orchestrator.core.seeding.shape import Shape
from orchestrator.core.seeding.sketch import Sketch

BLOCK = 8192
"""Rows per block of text."""

POOL = 6151
"""So many different ready-made endings of rows are mixed; a prime, so that they do not fall in step with anything."""

NULL_SHARE = 0.12
GLOBAL_EVERY = 11

Part = Callable[[int, int], list[str]]
"""The texts of one column for the rows from the first number up to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A table's rows, ready to be written: `columns` in the order in which the blocks hold them."""

    name: TableName
    rows: int
    columns: tuple[str, ...]
    parts: tuple[Part, ...]
    endings: tuple[str, ...]

    def blocks(self, start: int, stop: int) -> Iterator[str]:
        """The rows from `start` up to `stop`, in blocks of up to 8192 lines."""
        for low in range(start, stop, BLOCK):
            high = min(stop, low + BLOCK)
            parts = [part(low, high) for part in self.parts]
            if self.endings:
                parts.append(self._endings(low, high))
            yield "\n".join(map("\t".join, zip(*parts, strict=True))) + "\n"

    def _endings(self, low: int, high: int) -> list[str]:
        at = low * 31 % POOL
        return [*self.endings[at:], *self.endings, *self.endings][: high - low]


def text_of(
    sketch: Sketch,
    chosen: Chosen,
    shape: Shape,
    fields: Mapping[TableName, Mapping[str, Field]],
    *,
    seed: int,
) -> Text:
    """How a table's rows are written. `fields` are those of all tables, for the keys that are referred to."""
    parts: dict[str, Part] = {}
    for column, attribute in sketch.own.items():
        table, key = shape.origin(sketch.name, column)
        holder = fields[table][key]
        parts[column] = _linked(chosen.bound[attribute], holder, sparse=column in sketch.sometimes_null)
    for column, carrier in sketch.carriers.items():
        parts[column] = _carried(chosen, column, carrier, sketch.fields[column].write)
    filling = {name: each for name, each in sketch.fields.items() if name not in parts}
    return Text(
        name=sketch.name,
        rows=chosen.rows,
        columns=(*parts, *filling),
        parts=tuple(parts.values()),
        endings=_pool(filling, Random(f"{seed}/{sketch.name}/columns")),  # noqa: S311  no secret
    )


def _pool(filling: Mapping[str, Field], rng: Random) -> tuple[str, ...]:
    if not filling:
        return ()
    columns = [_filled(each, rng) for each in filling.values()]
    return tuple(map("\t".join, zip(*columns, strict=True)))


def _filled(each: Field, rng: Random) -> list[str]:
    """Values with skew, and NULLs where they are allowed."""
    power = 2 if each.options else 1
    numbers = [int(each.span * rng.random() ** power) for _ in range(POOL)]
    texts = [each.write(number) for number in numbers]
    return [NULL if rng.random() < NULL_SHARE else text for text in texts] if each.nullable else texts


def _linked(numbers: array[int], holder: Field, *, sparse: bool) -> Part:
    """The keys of the parents; `sparse` leaves some rows without, as if they held for all."""

    def part(low: int, high: int) -> list[str]:
        chosen = numbers[low:high]
        # Children stand together, so a block has few parents: each key is written out once.
        known = {number: holder.write(number) for number in set(chosen) if number >= 0}
        known[-1] = NULL
        texts = [known[number] for number in chosen]
        if sparse:
            start = (GLOBAL_EVERY // 2 - low) % GLOBAL_EVERY
            texts[start::GLOBAL_EVERY] = [NULL] * len(texts[start::GLOBAL_EVERY])
        return texts

    return part


def _carried(chosen: Chosen, column: str, carrier: Carrier, write: Write) -> Part:
    """The values of a column that keeps a key unique."""
    divisor, capacity, drawn, ordinals = carrier.divisor, carrier.capacity, chosen.drawn, chosen.ordinals

    def part(low: int, high: int) -> list[str]:
        if carrier.by == "draw":
            return [write(number) for number in drawn[column][low:high]]
        if carrier.by == "ordinal" and ordinals is not None:
            return [write(number // divisor % capacity) for number in ordinals[low:high]]
        return [write(number // divisor % capacity) for number in range(low, high)]

    return part
