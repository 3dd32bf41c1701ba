"""Rows and a checksum per table, counted in one snapshot: what a copy is compared by."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import IsolationLevel, sql

from orchestrator.adapters.postgres import plainly, statement
from orchestrator.core.nouns import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.adapters.postgres import Connection

_NAMED_AT_MOST: Final = 3

# What the text of a value depends on besides the value: the same on both sides.
_TEXT_FORM: Final[Mapping[str, str]] = {
    "search_path": "",  # regclass and its kin leave out the schema of what the path shows
    "quote_all_identifiers": "off",
    "row_security": "off",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmlbinary": "base64",
}

# A sum does not depend on the order of rows and, unlike an exclusive or, counts equal rows twice. `(t.*)` is the row
# also where a column is called t. sha256 is there where FIPS forbids md5, and costs little more (docs/decisions/0006);
# the own encoding of the database means that nothing is converted.
_COUNT: Final = sql.SQL(
    "SELECT count(*) AS rows, coalesce(sum(('x' || encode(substr(sha256(convert_to("
    "(t.*)::text, getdatabaseencoding())), 1, 8), 'hex'))::bit(64)::bigint), 0)::text AS checksum "
    "FROM ONLY {} AS t"
)
_COUNT_LARGE_OBJECTS: Final = sql.SQL("SELECT count(*) AS objects FROM pg_catalog.pg_largeobject_metadata")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TableName:
    """A table; both parts as the catalog spells them."""

    schema: str
    table: str

    def __str__(self) -> str:
        """For messages."""
        return f'"{self.schema}"."{self.table}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A table's number of rows and the sum of the first 64 bits of its rows' sha256."""

    rows: int
    checksum: str

    def __str__(self) -> str:
        """For messages."""
        return f"{counted(self.rows, 'row')} (checksum {self.checksum})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a database holds: one digest per table, and the number of its large objects."""

    tables: Mapping[TableName, Digest]
    large_objects: int

    @property
    def rows(self) -> int:
        """The rows of all tables."""
        return sum(digest.rows for digest in self.tables.values())


@contextmanager
def snapshot(connection: Connection) -> Iterator[str]:
    """One read-only snapshot in which every value has one text; gives its exported name.

    The connection must be in autocommit mode and idle.
    """
    connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
    with connection.transaction():
        for name, value in _TEXT_FORM.items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        row = connection.execute("SELECT pg_export_snapshot() AS name").fetchone()
        yield str(row["name"]) if row else ""


def content(connection: Connection, *, after_each: Callable[[], None] = lambda: None) -> Content:
    """Count and digest every table in the transaction that is open; calls `after_each` after each table.

    Raises OrchestratorError with the table's name, also for rows that a policy hides, and psycopg.Error.
    """
    tables: dict[TableName, Digest] = {}
    for row in connection.execute(statement("backup_tables")).fetchall():
        name = TableName(schema=row["schema"], table=row["table"])
        tables[name] = _digest(connection, name)
        after_each()
    found = connection.execute(_COUNT_LARGE_OBJECTS).fetchone()
    return Content(tables=tables, large_objects=found["objects"] if found else 0)


def _digest(connection: Connection, name: TableName) -> Digest:
    with plainly(f"counting the rows of {name}"):
        row = connection.execute(_COUNT.format(sql.Identifier(name.schema, name.table))).fetchone()
    if row is None:  # an aggregate always answers
        return Digest(rows=0, checksum="0")
    return Digest(rows=row["rows"], checksum=row["checksum"])


def differences(*, expected: Content, found: Content) -> str:
    """Where a copy differs, as words that name table, expected and found; empty when it does not."""
    told = list(_differences(expected, found))
    more = f"; and {len(told) - _NAMED_AT_MOST} more" if len(told) > _NAMED_AT_MOST else ""
    return "; ".join(told[:_NAMED_AT_MOST]) + more


def _differences(expected: Content, found: Content) -> Iterator[str]:
    for name in sorted({*expected.tables, *found.tables}):
        there, here = expected.tables.get(name), found.tables.get(name)
        if there != here:
            yield f"table {name}: expected {there or 'no table'}, found {here or 'no table'}"
    if expected.large_objects != found.large_objects:
        yield f"large objects: expected {expected.large_objects}, found {found.large_objects}"
