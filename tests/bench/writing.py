"""What the writers write to: per table a column that no key or index holds, and ids of rows, sampled once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.core.catalog import Catalog, Table, TableName
from orchestrator.core.contract import Contract, touched

SAMPLE = 3000
"""Rows per table that are written to; more would only make the list longer."""
PREFERRED = ("updated_at", "created_at", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table that is written to, by its one-column key. `reserved` is a row that no writer touches.

    `copied` are the columns to copy for a new row; empty where a copy would break a unique index.
    """

    name: TableName
    key: str
    column: str
    ids: tuple[Any, ...]
    reserved: Any
    copied: tuple[str, ...]

    def update(self) -> sql.Composed:
        """An UPDATE of one row that changes no key: a new row version, as any other."""
        column = sql.Identifier(self.column)
        query = sql.SQL("UPDATE {} SET {} = {} WHERE {} = %s")
        return query.format(qualified(self.name), column, column, sql.Identifier(self.key))

    def insert(self) -> sql.Composed:
        """A new row that refers to the same parents as an existing one; its key comes from the default."""
        columns = sql.SQL(", ").join(map(sql.Identifier, self.copied))
        query = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} = %s")
        table = qualified(self.name)
        return query.format(table, columns, columns, table, sql.Identifier(self.key))


def targets(connection: psycopg.Connection, contract: Contract, catalog: Catalog) -> tuple[Target, ...]:
    """Every table that a promised relation touches, with its sample."""
    return tuple(_target(connection, contract, catalog.tables[name]) for name in touched(contract.promised))


def pairs(contract: Contract) -> Iterator[tuple[TableName, TableName]]:
    """Referencing and referenced table of every promised relation."""
    yield from ((each.table, each.referenced) for each in contract.promised)


def _target(connection: psycopg.Connection, contract: Contract, table: Table) -> Target:
    key = next(str(index.columns[0]) for index in table.indexes if index.primary)
    connection.execute("select setseed(0.25)")
    query = sql.SQL("select {key} from {table} order by random() limit {count}").format(
        key=sql.Identifier(key), table=qualified(table.name), count=sql.Literal(SAMPLE)
    )
    reserved, *ids = [row[0] for row in connection.execute(query).fetchall()]
    return Target(
        name=table.name,
        key=key,
        column=_plain_column(contract, table),
        ids=tuple(sorted(ids)),
        reserved=reserved,
        copied=_copied(table, key),
    )


def _plain_column(contract: Contract, table: Table) -> str:
    """A column that no index, key or relation knows; a time of change where there is one."""
    known = {column for index in table.indexes for column in index.columns}
    known |= {column for each in contract.relations if each.table == table.name for column in each.columns}
    free = [each.name for each in table.columns if each.name not in known and not each.generated]
    return next((name for name in PREFERRED if name in free), free[0])


def _copied(table: Table, key: str) -> tuple[str, ...]:
    """All columns but the key, if the key has a default and nothing else must be unique."""
    others = any(index.unique and not index.primary for index in table.indexes)
    column = table.column(key)
    if others or column is None or column.default is None:
        return ()
    return tuple(each.name for each in table.columns if each.name != key and not each.generated)
