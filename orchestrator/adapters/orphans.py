"""Counts rows that refer to nothing: exactly, reading only, one snapshot per relation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.postgres import Connection, Server, plainly
from orchestrator.core.catalog import Catalog, Table
from orchestrator.core.contract import Relation
from orchestrator.core.ports import Orphans

SAMPLE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanQueries:
    """Counts with NOT EXISTS, measured the fastest exact way that no bad plan can flip."""

    server: Server
    step: str = "audit"

    def count(self, relations: Iterable[Relation], catalog: Catalog) -> Iterator[Orphans]:
        """One result per relation, in order. Raises OrchestratorError when a table cannot be read."""
        with self.server.session(self.step, read_only=True) as connection:
            for relation in relations:
                yield _count(connection, relation, catalog)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantQueries:
    """Counts rows whose tenant column differs from that of the row they refer to."""

    server: Server
    column: str
    step: str = "validate"

    def crossing(self, relation: Relation, catalog: Catalog) -> int:
        """Rows; those where either side is NULL are global and do not count. Raises OrchestratorError."""
        query = sql.SQL(
            "SELECT count(*) AS rows FROM {} AS child JOIN {} AS parent ON {} WHERE {} <> parent.{}"
        ).format(
            _source(relation.table, catalog),
            _source(relation.referenced, catalog),
            sql.SQL(" AND ").join(_equalities(relation, catalog)),
            _child(self.column),
            sql.Identifier(self.column),
        )
        with (
            self.server.session(self.step, read_only=True) as connection,
            plainly(f"comparing workspaces of {relation.id}", reading=True),
        ):
            row = connection.execute(query).fetchone()
        return int(row["rows"]) if row else 0


def _count(connection: Connection, relation: Relation, catalog: Catalog) -> Orphans:
    table = catalog.tables[relation.table]
    condition = orphan_condition(relation, catalog)
    keys = _shown_columns(relation, table)
    listing = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(_child(key) for key in keys), condition)
    started = time.perf_counter()
    with plainly(f"counting orphans of {relation.id}", reading=True), connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        row = connection.execute(sql.SQL("SELECT count(*) AS orphans FROM {}").format(condition)).fetchone()
        found = int(row["orphans"]) if row else 0
        sample = _sample(connection, keys, condition) if found else ()
    elapsed = (time.perf_counter() - started) * 1000
    return Orphans(
        relation=relation,
        count=found,
        query=listing.as_string(connection),
        sample=sample,
        duration_ms=round(elapsed, 3),
    )


def _sample(
    connection: Connection, keys: tuple[str, ...], condition: sql.Composable
) -> tuple[Mapping[str, str | None], ...]:
    columns = sql.SQL(", ").join(sql.SQL("{}::text AS {}").format(_child(key), sql.Identifier(key)) for key in keys)
    query = sql.SQL("SELECT {} FROM {} LIMIT {}").format(columns, condition, sql.Literal(SAMPLE))
    rows: list[dict[str, Any]] = connection.execute(query).fetchall()
    return tuple(rows)


def _shown_columns(relation: Relation, table: Table) -> tuple[str, ...]:
    """The primary key, by which a person finds the row, and the columns that refer to nothing."""
    primary = next((index for index in table.indexes if index.primary), None)
    keys = tuple(column for column in primary.columns if column) if primary else ()
    return (*keys, *(column for column in relation.columns if column not in keys))


def orphan_condition(relation: Relation, catalog: Catalog) -> sql.Composed:
    """FROM and WHERE that pick the orphans, as the key itself would judge them.

    MATCH SIMPLE lets a row pass when any column is NULL; MATCH FULL only when all are. A key does not see tables that
    inherit, so ONLY, but does see partitions.
    """
    present = [sql.SQL("{} IS NOT NULL").format(_child(column)) for column in relation.columns]
    lonely = sql.SQL("NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(
        _source(relation.referenced, catalog), sql.SQL(" AND ").join(_equalities(relation, catalog))
    )
    if relation.match == "full" and len(present) > 1:
        some = sql.SQL(" OR ").join(present)
        whole = sql.SQL(" AND ").join(present)
        where = sql.SQL("({}) AND (NOT ({}) OR {})").format(some, whole, lonely)
    else:
        where = sql.SQL(" AND ").join([*present, lonely])
    return sql.SQL("{} AS child WHERE {}").format(_source(relation.table, catalog), where)


def _equalities(relation: Relation, catalog: Catalog) -> Iterator[sql.Composable]:
    table, parent = catalog.tables[relation.table], catalog.tables[relation.referenced]
    for mine, theirs in zip(relation.columns, relation.referenced_columns, strict=True):
        child, key = table.column(mine), parent.column(theirs)
        # The key's own collation decides, as in the check that the server makes.
        collate: sql.Composable = sql.SQL("")
        if child and key and child.collation and key.collation and child.collation != key.collation:
            collate = sql.SQL(" COLLATE {}").format(sql.Identifier(*key.collation.split(".", 1)))
        yield sql.SQL("parent.{} = {}{}").format(sql.Identifier(theirs), _child(mine), collate)


def _source(name: Any, catalog: Catalog) -> sql.Composed:
    partitioned = catalog.tables[name].kind == "partitioned"
    return sql.SQL("{}" if partitioned else "ONLY {}").format(qualified(name))


def _child(column: str) -> sql.Composed:
    return sql.SQL("child.{}").format(sql.Identifier(column))
