"""The SQL of single writes, with their values written out: pgbench and several connections run the same text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql
from psycopg.abc import AdaptContext

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.postgres import Connection
from orchestrator.core.catalog import Catalog, Table, TableName
from orchestrator.core.contract import Contract

Values = Mapping[str, str | None]
"""A row: the text of each column, as the server writes and reads it."""

SAMPLED_FROM: Final = 3000
"""About so many rows are read from a large table, in pages that are the same each time."""

LARGEST_ROW: Final = 65_536
"""Bytes on disk; a script with longer rows would measure the network."""

ROW_ADDRESS: Final[tuple[LiteralString, ...]] = ("ctid", "tableoid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Who refers to a table: the table, its columns, and the keys that they refer to."""

    table: TableName
    columns: tuple[str, ...]
    keys: tuple[str, ...]


class WrittenOut(sql.Composable):
    """A value as text of SQL, on one line and without a colon, which pgbench would read as the name of a variable."""

    def __init__(self, value: str | None) -> None:
        """A value of unknown type: the column decides how it is read."""
        super().__init__(value)

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:  # noqa: ARG002  the driver's signature
        """NULL, or a literal with escapes."""
        if self._obj is None:
            return b"NULL"
        text = self._obj.replace("\\", "\\\\").replace("'", "''").replace(":", r"\x3a")
        encoded: bytes = ("E'" + text.replace("\n", r"\n").replace("\r", r"\r") + "'").encode()
        return encoded


def insert(table: Table, row: Values) -> str:
    """INSERT of a whole row, also into columns that number themselves."""
    columns = [column.name for column in table.columns if not column.generated]
    return _text(
        sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            qualified(table.name),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(WrittenOut(row[name]) for name in columns),
        )
    )


def update(table: Table, row: Values, columns: Sequence[str], giver: Values) -> str:
    """UPDATE of one row that gives it another row's values in some columns."""
    changes = sql.SQL(", ").join(_equal(name, giver[name]) for name in columns)
    return _text(sql.SQL("UPDATE {} SET {} WHERE {}").format(qualified(table.name), changes, _this(table, row)))


def delete(table: Table, row: Values) -> str:
    """DELETE of one row."""
    return _text(sql.SQL("DELETE FROM {} WHERE {}").format(qualified(table.name), _this(table, row)))


def referring(row: Values, links: Iterable[Link]) -> str:
    """A query that says whether anything refers to a row; a row that refers to itself is referred to."""
    exists = sql.SQL("EXISTS (SELECT FROM {} WHERE {})")
    tests = [exists.format(qualified(link.table), _all(link.columns, row, link.keys)) for link in links]
    return _text(sql.SQL("SELECT {} AS found").format(sql.SQL(" OR ").join([sql.SQL("false"), *tests])))


def _text(query: sql.Composable) -> str:
    return query.as_string(None)


def _equal(name: str, value: str | None) -> sql.Composed:
    return sql.SQL("{} = {}").format(sql.Identifier(name), WrittenOut(value))


def _all(columns: Iterable[str], row: Values, keys: Iterable[str]) -> sql.Composed:
    pairs = zip(columns, keys, strict=True)
    return sql.SQL(" AND ").join(_equal(column, row[key]) for column, key in pairs)


def _this(table: Table, row: Values) -> sql.Composed:
    """A row by its key; by its place on disk where there is no key."""
    names = _key(table) or ROW_ADDRESS
    return _all(names, row, names)


def links_to(table: Table, contract: Contract, catalog: Catalog) -> tuple[Link, ...]:
    """Who refers to the table, by promise or by a key that stands."""
    promised = (
        Link(table=each.table, columns=each.columns, keys=each.referenced_columns)
        for each in contract.relations
        if each.referenced == table.name and _has(catalog, each.table, each.columns)
    )
    standing = (
        Link(table=name, columns=key.columns, keys=key.referenced_columns)
        for name, other in catalog.tables.items()
        for key in other.foreign_keys
        if key.referenced == table.name
    )
    return tuple(dict.fromkeys((*promised, *standing)))


def _has(catalog: Catalog, name: TableName, columns: Iterable[str]) -> bool:
    table = catalog.table(name)
    return table is not None and all(table.column(each) for each in columns)


def sampled(connection: Connection, table: Table, count: int) -> list[Values]:
    """Up to `count` rows, the same ones as long as nobody writes to the table. Raises psycopg.Error."""
    for part in _parts(table):
        rows = connection.execute(_sample(table, part, count)).fetchall()
        if rows:
            return [dict(row) for row in rows]
    return []


def _parts(table: Table) -> Iterator[sql.Composable]:
    """Some pages of a large table first; all of it when the statistics are wrong or those pages are empty."""
    if table.rows > SAMPLED_FROM:
        share = max(100 * SAMPLED_FROM / table.rows, 0.001)
        yield sql.SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE (1)").format(sql.Literal(round(share, 4)))
    yield sql.SQL("")


def _sample(table: Table, part: sql.Composable, count: int) -> sql.Composed:
    # Rows that lie together often have the same parent: those that are given out first lie apart.
    names = [sql.Identifier(each.name) for each in table.columns] + [sql.SQL(each) for each in ROW_ADDRESS]
    texts = sql.SQL(", ").join(sql.SQL("{}::text as {}").format(each, each) for each in names)
    query = sql.SQL(
        "select {texts} from (select *, ctid, tableoid, row_number() over () as orchestrator_row from {table}{part}"
        " where {size} < {largest} limit {most}) s order by orchestrator_row % 97, orchestrator_row limit {count}"
    )
    most, wanted = sql.Literal(SAMPLED_FROM), sql.Literal(count)
    # What a value takes on disk is known without reading it.
    sizes = [sql.SQL("coalesce(pg_column_size({}), 0)").format(sql.Identifier(each.name)) for each in table.columns]
    return query.format(
        texts=texts,
        table=qualified(table.name),
        part=part,
        size=sql.SQL(" + ").join([sql.SQL("0"), *sizes]),
        largest=sql.Literal(LARGEST_ROW),
        most=most,
        count=wanted,
    )


def _key(table: Table) -> tuple[str, ...]:
    """The columns of the primary key, or of another unique index that always tells a row."""
    for index in sorted(table.indexes, key=lambda each: (not each.primary, each.name)):
        columns = tuple(column for column in index.columns if column is not None)
        known = [table.column(column) for column in columns]
        if index.can_be_referenced(columns) and columns and all(each and each.not_null for each in known):
            return columns
    return ()
