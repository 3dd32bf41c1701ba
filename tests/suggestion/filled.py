"""A schema of facts as a database with rows: filled along its true keys, with orphans planted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from orchestrator.adapters.inclusion import InclusionQueries
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.loading import fill
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.suggestion.candidate import Suggestions
from orchestrator.core.suggestion.inclusion import questions, with_data
from orchestrator.core.suggestion.search import suggest
from tests.conftest import server_of

ORPHANS = 0.02
"""Share of the rows with a value that come to refer to nothing."""

KNOWN = frozenset({
    "bigint", "boolean", "bytea", "character", "character varying", "date", "double precision", "integer", "json",
    "jsonb", "numeric", "smallint", "text", "time without time zone", "timestamp with time zone",
    "timestamp without time zone", "tsvector", "uuid", "xml",
})  # fmt: skip
"""Types that every server has; others stand as text."""

NOBODY: Mapping[str, LiteralString] = {
    "uuid": "gen_random_uuid()",
    "smallint": "-(1000 + row_number() OVER ())",
    "integer": "-(1000000 + row_number() OVER ())",
    "bigint": "-(1000000 + row_number() OVER ())",
}
"""Values that no other row has, by type; a text gets one with a sign in front that the generator does not write."""

PLANT = """
WITH lost AS (
    SELECT ctid AS place FROM {table} WHERE {column} IS NOT NULL ORDER BY md5(ctid::text)
    LIMIT (SELECT round(count({column}) * {share})::integer FROM {table})
), new AS (SELECT place, {value} AS value FROM lost)
UPDATE {table} SET {column} = new.value FROM new WHERE {table}.ctid = new.place
"""


def build(url: str, facts: Mapping[str, Any]) -> None:
    """The tables of the facts, empty and without foreign keys; partitions as plain tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in facts["catalog"]:
            for statement in _statements(table):
                connection.execute(statement)


def populate(url: str, facts: Mapping[str, Any], *, rows: int) -> int:
    """Rows along the true keys, `rows` in the largest table, and orphans; how many were planted."""
    fill(server_of(url), contract_of(facts), rows=rows)
    keys = facts["foreign_keys"]
    # Orphans in a column that others refer to would make orphans of those, too.
    meant = {(each["ref_schema"], each["ref_table"], column) for each in keys for column in each["ref_columns"]}
    with psycopg.connect(url, autocommit=True) as connection:
        return sum(
            connection.execute(_planting(facts, key)).rowcount
            for key in keys
            if (key["schema"], key["table"], key["columns"][0]) not in meant
        )


def suggested_with_data(url: str) -> Suggestions:
    """What the command suggests with `--with-data`."""
    server = server_of(url)
    catalog = DatabaseCatalog(server=server).catalog()
    found = suggest(catalog)
    queries = InclusionQueries(server=server, catalog=catalog)
    return with_data(found, {each.id: seen for each, seen in queries.measure(questions(found))})


def contract_of(facts: Mapping[str, Any]) -> Contract:
    """The true keys as a contract."""
    return Contract(relations=tuple(_relation(each, number) for number, each in enumerate(facts["foreign_keys"])))


def _relation(key: Mapping[str, Any], number: int) -> Relation:
    return Relation(
        table=TableName(schema=key["schema"], name=key["table"]),
        columns=tuple(key["columns"]),
        referenced=TableName(schema=key["ref_schema"], name=key["ref_table"]),
        referenced_columns=tuple(key["ref_columns"]),
        name=f"true_{number}",
    )


def _planting(facts: Mapping[str, Any], key: Mapping[str, Any]) -> sql.Composed:
    column = key["columns"][0]
    (kind,) = (
        each["base_type"]
        for table in facts["catalog"]
        if (table["schema"], table["table"]) == (key["schema"], key["table"])
        for each in table["columns"]
        if each["name"] == column
    )
    return sql.SQL(PLANT).format(
        table=sql.Identifier(key["schema"], key["table"]),
        column=sql.Identifier(column),
        share=sql.Literal(ORPHANS),
        value=sql.SQL(NOBODY.get(kind, "'#' || row_number() OVER ()")),
    )


def _statements(table: Mapping[str, Any]) -> Iterator[sql.Composed]:
    name = sql.Identifier(table["schema"], table["table"])
    parts = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(each["name"]), sql.SQL(_type(each)), sql.SQL(" NOT NULL" if each["not_null"] else "")
        )
        for each in table["columns"]
    ]
    if table["primary_key"]:
        parts.append(sql.SQL("PRIMARY KEY ({})").format(_columns(table["primary_key"])))
    parts += [sql.SQL("UNIQUE ({})").format(_columns(each)) for each in table["uniques"]]
    yield sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(table["schema"]))
    yield sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(parts))
    for columns in table["indexes"]:
        yield sql.SQL("CREATE INDEX ON {} ({})").format(name, _columns(columns))


def _type(column: Mapping[str, Any]) -> Any:
    """The type with its length where it is one that every server has."""
    base, array = column["base_type"].removesuffix("[]"), column["base_type"].endswith("[]")
    if base not in KNOWN:
        return "text[]" if array else "text"
    own = column["type"].split("(")[0] in {column["base_type"], column["base_type"].split(" ")[0]}
    return column["type"] if own else column["base_type"]


def _columns(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
