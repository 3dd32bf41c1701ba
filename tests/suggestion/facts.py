"""Schemas as plain facts, made into catalogs without a server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.core.catalog import Catalog, Column, Index, Table, TableName

REAL = Path(__file__).parents[1] / "cases/real_schemas"
FAMILIES = (
    {"smallint", "integer", "bigint"},
    {"text", "character varying", "character", "citext"},
)
"""Types that the server compares with each other, as far as keys use them."""


def facts_of(folder: Path, name: str) -> dict[str, Any]:
    """What is recorded of a schema."""
    document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return document


def catalog_of(tables: Iterable[Mapping[str, Any]]) -> Catalog:
    """The catalog that these facts describe, every table a plain one; types are numbered as they come."""
    tables = list(tables)
    types = sorted({column["base_type"] for table in tables for column in table["columns"]})
    numbers = {name: number for number, name in enumerate(types, start=1)}
    comparable = {
        (numbers[one], numbers[other])
        for one in types
        for other in types
        if one == other or any({one, other} <= family for family in FAMILIES)
    }
    made = [_table(each, numbers) for each in tables]
    return Catalog(server_version=150000, tables={each.name: each for each in made}, comparable=frozenset(comparable))


def _table(facts: Mapping[str, Any], numbers: Mapping[str, int]) -> Table:
    types = {each["name"]: numbers[each["base_type"]] for each in facts["columns"]}
    keys = [(True, facts["primary_key"])] if facts["primary_key"] else []
    keys += [(False, columns) for columns in facts["uniques"]]
    indexes = [
        _index(facts, columns, types, number, unique=True, primary=primary)
        for number, (primary, columns) in enumerate(keys)
    ]
    indexes += [_index(facts, columns, types, number + 100) for number, columns in enumerate(facts["indexes"])]
    return Table(
        name=TableName(schema=facts["schema"], name=facts["table"]),
        columns=tuple(
            Column(
                name=each["name"],
                type_name=each["type"],
                base_type=numbers[each["base_type"]],
                not_null=each["not_null"],
            )
            for each in facts["columns"]
        ),
        indexes=tuple(indexes),
    )


def _index(
    facts: Mapping[str, Any],
    columns: list[str],
    types: Mapping[str, int],
    number: int,
    *,
    unique: bool = False,
    primary: bool = False,
) -> Index:
    return Index(
        name=f"{facts['table']}_{number}",
        columns=tuple(columns),
        operator_classes=tuple(types.get(each, 0) for each in columns),
        definition="",
        unique=unique,
        primary=primary,
    )
