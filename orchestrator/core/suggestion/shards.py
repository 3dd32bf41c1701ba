"""Tables of one shape whose names differ by a number: a large table kept in parts by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog, Table, TableName
from orchestrator.core.suggestion.words import nouns

FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """`heads` has the table that the parts are named after; `siblings` the other parts of each part."""

    heads: Mapping[TableName, tuple[TableName, ...]]
    siblings: Mapping[TableName, tuple[TableName, ...]]


def shards(catalog: Catalog) -> Shards:
    """Which tables are parts of one, by shape and name."""
    families: dict[object, list[Table]] = defaultdict(list)
    for table in catalog.tables.values():
        if table.kind == "table" and table.partition_of is None:
            shape = frozenset((each.name, each.base_type) for each in table.columns)
            families[table.name.schema, _plain(table.name.name), shape].append(table)
    heads: dict[TableName, tuple[TableName, ...]] = {}
    siblings: dict[TableName, tuple[TableName, ...]] = {}
    for family in families.values():
        parts = tuple(each.name for each in family if _numbered(each.name.name))
        if len(parts) >= FEWEST:
            heads.update({each.name: parts for each in family if each.name not in parts})
            siblings.update({each: tuple(other for other in parts if other != each) for each in parts})
    return Shards(heads=heads, siblings=siblings)


def _plain(name: str) -> tuple[str, ...]:
    """The words without numbers and single letters such as the p of a partition."""
    return tuple(word for word in nouns(name) if not word.isdigit() and len(word) > 1)


def _numbered(name: str) -> bool:
    return any(word.isdigit() for word in nouns(name))
