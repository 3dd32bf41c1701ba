"""New rows from rows that exist: which columns need a value of their own, and values that no row has yet.

A row that is copied refers to the same parents as the row it was copied from. Only unique indexes stand in its way:
one column of each gets a value that is derived from a text, the same in every process. Where an index holds nothing but
references, one of these is taken from another row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from orchestrator.core.catalog import Index, Table
from orchestrator.core.seeding.limits import mentioned

TEXT = re.compile(r"^(?:text|(?:\w+\.)?citext|character varying|bpchar|character)(?:\((\d+)\))?$")
SHORTEST = 6
"""Fewer letters may be taken by a row already."""

LATER = datetime(2200, 1, 1, tzinfo=UTC)
"""Days and instants are taken from here on, where no row of an application should be."""

WHOLE = {"smallint": (2**14, 2**13), "integer": (2**30, 2**29), "bigint": (2**61, 2**60)}
"""Lowest number and how many follow: the upper half, which those who count from one reach last."""


class NoFreshRow(ValueError):
    """No row can be copied; the text says which unique index is in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a copy needs to be a row of its own: columns with fresh values, and columns with the parents of another."""

    fresh: tuple[str, ...]
    exchanged: tuple[str, ...] = ()


def renewed(table: Table, links: Collection[tuple[str, ...]]) -> Renewal:
    """How a copied row is kept apart in every unique index; `links` are the referencing columns of each relation.

    A column that a check limits is renewed only where nothing else can be, because most new values would be refused.
    An index on part of the rows is left to the server, because the copy may lie outside. Raises NoFreshRow.
    """
    linked = {column for link in links for column in link}
    checked = {
        column for each in table.constraints if each.kind == "check" for column in _named(each.definition, table)
    }
    fresh: list[str] = []
    exchanged: list[str] = []
    for index in sorted(table.indexes, key=lambda each: (not each.primary, each.name)):
        columns = _columns(index, table)
        if not (index.unique or index.exclusion) or index.partial or {*fresh, *exchanged} & set(columns):
            continue
        able = [column for column in columns if column not in linked and _can_be_made(table, column)]
        free = [column for column in able if column not in checked]
        ours = [column for column in columns if column in linked]
        if free or (able and not ours):
            fresh.append((free or able)[0])
        elif ours and len(columns) > 1:
            exchanged += [column for link in links if ours[0] in link for column in link]
        else:
            message = f"no new value can be made for any column of unique index {index.name}"
            raise NoFreshRow(message)
    return Renewal(fresh=tuple(fresh), exchanged=tuple(dict.fromkeys(exchanged)))


def _columns(index: Index, table: Table) -> tuple[str, ...]:
    if None not in index.columns:
        return tuple(column for column in index.columns if column is not None)
    return tuple(_named(index.definition.partition(" USING ")[2].partition(" WHERE ")[0], table))


def _named(definition: str, table: Table) -> Iterator[str]:
    yield from mentioned(definition, (column.name for column in table.columns))


def _can_be_made(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is not None and not column.generated and fresh_value(column.type_name, "") is not None


def fresh_value(type_name: str, seed: str) -> str | None:
    """A value of that type (as the server prints it), another for another seed; None when the type is not known."""
    digits = sha256(seed.encode()).hexdigest()
    number = int(digits[:15], 16)
    if type_name == "uuid":
        return str(UUID(digits[:32]))
    if type_name in WHOLE:
        lowest, room = WHOLE[type_name]
        return str(lowest + number % room)
    if type_name == "date":
        return f"{LATER + timedelta(days=number % 100_000):%Y-%m-%d}"
    if type_name.startswith("timestamp"):
        return f"{LATER + timedelta(seconds=number % 10**9):%Y-%m-%d %H:%M:%S}+00"
    return _text(type_name, digits)


def _text(type_name: str, digits: str) -> str | None:
    found = TEXT.match(type_name)
    if found is None or type_name == "character":
        return None
    size = min(int(found[1] or 32), 32)
    return digits[:size] if size >= SHORTEST else None
