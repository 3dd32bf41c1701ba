"""Reads the catalog: a few queries over everything, in one snapshot; a large schema costs rows, not round trips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Literal, LiteralString, TypeVar

from psycopg import capabilities
from psycopg.rows import namedtuple_row

from orchestrator.adapters.postgres import Connection, Server, plainly, statement
from orchestrator.core.audit_objects import AuditObject
from orchestrator.core.catalog import (
    Action,
    Catalog,
    Column,
    Constraint,
    ConstraintKind,
    Deferrable,
    ForeignKey,
    Index,
    Match,
    Table,
    TableKind,
    TableName,
    Trigger,
    table_name,
)

Row = Any
"""A row of the query in question, its columns by name."""
Columns = dict[int, dict[int, Column]]
Part = TypeVar("Part", Index, ForeignKey, Constraint, Trigger)

SETTINGS: tuple[LiteralString, ...] = (
    "set transaction isolation level repeatable read, read only",
    # Definitions leave out what search_path already says: with an empty one every name is written in full.
    "set local search_path = ''",
    # Queries over everything look dear to the planner, and compiling them would take longer than they do.
    "set local jit = off",
)

CHUNK = 1000 if capabilities.has_stream_chunked() else 1
"""Rows that libpq hands over at a time; before its version 17 it knows one or all."""

KINDS: Mapping[str, TableKind] = {
    "r": "table",
    "p": "partitioned",
    "f": "foreign",
    "v": "view",
    "m": "materialized view",
}
ACTIONS: Mapping[str, Action] = {
    "a": "no action",
    "r": "restrict",
    "c": "cascade",
    "n": "set null",
    "d": "set default",
}
MATCHES: Mapping[str, Match] = {"s": "simple", "f": "full", "p": "partial"}
CONSTRAINTS: Mapping[str, ConstraintKind] = {
    "c": "check",
    "p": "primary key",
    "u": "unique",
    "x": "exclusion",
    "t": "trigger",
    "n": "not null",
}
PERSISTENCE: Mapping[str, Literal["permanent", "unlogged", "temporary"]] = {
    "p": "permanent",
    "u": "unlogged",
    "t": "temporary",
}
GENERATED: Mapping[str, Literal["", "stored", "virtual"]] = {"": "", "s": "stored", "v": "virtual"}
IDENTITY: Mapping[str, Literal["", "always", "by default"]] = {"": "", "a": "always", "d": "by default"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCatalog:
    """The catalog of one server, read on a connection of its own each time."""

    server: Server
    step: str = "catalog"

    def catalog(self) -> Catalog:
        """All tables as they are now. Raises CannotConnect, OrchestratorError."""
        with self.server.session(self.step, read_only=True) as connection:
            return read_catalog(connection)


def read_catalog(connection: Connection) -> Catalog:
    """The catalog as this connection sees it, in one snapshot. Raises OrchestratorError."""
    with plainly("reading the catalog", reading=True), connection.transaction():
        for setting in SETTINGS:
            connection.execute(setting)
        return _assemble(connection.info.server_version, partial(_rows, connection))


def _rows(connection: Connection, name: str, **values: object) -> Iterator[Row]:
    """The rows of a query as they come: none waits in memory, and the server goes on while the first are taken in."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        yield from cursor.stream(statement(name), values or None, binary=True, size=CHUNK)


def _assemble(version: int, rows: Callable[..., Iterable[Row]]) -> Catalog:
    found = list(rows("tables"))
    names = {row.oid: table_name(row.schema, row.name) for row in found}
    columns = _columns(rows("columns"))
    indexes = _by_table(rows("indexes"), lambda row: _index(row, columns[row.relation]))
    # Keys of temporary tables are among them, the tables are not.
    keys = (row for row in rows("foreign_keys") if row.relation in names)
    foreign_keys = _by_table(keys, lambda row: _foreign_key(row, names, columns))
    constraints = _by_table(rows("constraints"), _constraint)
    triggers = _by_table(rows("triggers"), _trigger)
    # Asked of the server alone, columns and indexes would be read a second time.
    types = {column.base_type for mine in columns.values() for column in mine.values()}
    classes = {each for mine in indexes.values() for index in mine if index.unique for each in index.operator_classes}
    comparable = list(rows("comparable", types=list(types), classes=list(classes)))
    audits = (AuditObject(**row._asdict()) for row in rows("audit_objects"))
    tables = (
        _table(
            row,
            names,
            columns=tuple(column for _, column in sorted(columns[row.oid].items())),
            indexes=tuple(indexes[row.oid]),
            foreign_keys=tuple(foreign_keys[row.oid]),
            constraints=tuple(constraints[row.oid]),
            triggers=tuple(triggers[row.oid]),
        )
        for row in found
    )
    return Catalog(
        server_version=version,
        tables={table.name: table for table in tables},
        comparable=frozenset((row.operator_class, row.type) for row in comparable),
        polymorphic={row.operator_class: row.sort for row in comparable if row.sort},
        audit_objects=tuple(audits),
    )


def _columns(rows: Iterable[Row]) -> Columns:
    """The columns of each table by their number. Those that are alike are one value: most tables have the same id."""
    alike: dict[tuple[Any, ...], Column] = {}
    found: Columns = defaultdict(dict)
    for row in rows:
        definition = row[2:]
        if definition not in alike:
            alike[definition] = _column(row)
        found[row.relation][row.number] = alike[definition]
    return found


def _by_table(rows: Iterable[Row], made_of: Callable[[Row], Part]) -> Mapping[int, list[Part]]:
    """What the rows stand for, by table and there by name; the server would have to sort before its first row."""
    found: dict[int, list[Part]] = defaultdict(list)
    for row in rows:
        found[row.relation].append(made_of(row))
    for parts in found.values():
        parts.sort(key=attrgetter("name"))
    return found


def _table(row: Row, names: Mapping[int, TableName], **parts: Any) -> Table:
    parents = tuple(names[oid] for oid in row.parents if oid in names)
    return Table(
        name=names[row.oid],
        kind=KINDS[row.kind],
        partition_of=parents[0] if row.is_partition and parents else None,
        inherits=() if row.is_partition else parents,
        persistence=PERSISTENCE[row.persistence],
        row_security=row.row_security,
        force_row_security=row.force_row_security,
        rows=row.rows,
        bytes=row.bytes,
        **parts,
    )


def _column(row: Row) -> Column:
    return Column(
        name=row.name,
        type_name=row.type_name,
        base_type=row.base_type,
        not_null=row.not_null,
        default=row.default,
        collation=row.collation,
        deterministic=row.deterministic,
        limited=row.limited,
        domain=row.domain,
        generated=GENERATED[row.generated],
        identity=IDENTITY[row.identity],
    )


def _index(row: Row, mine: Mapping[int, Column]) -> Index:
    # Column number 0 stands for an expression.
    columns = tuple(mine[number].name if number in mine else None for number in row.columns)
    return Index(
        name=row.name,
        columns=columns,
        operator_classes=tuple(row.operator_classes[: len(columns)]),
        definition=row.definition,
        unique=row.unique,
        primary=row.primary,
        partial=row.partial,
        valid=row.valid,
        immediate=row.immediate,
        exclusion=row.exclusion,
        method=row.method,
    )


def _foreign_key(row: Row, names: Mapping[int, TableName], columns: Columns) -> ForeignKey:
    mine, theirs = columns[row.relation], columns[row.referenced]
    deferrable: Deferrable = "not"
    if row.deferrable:
        deferrable = "initially deferred" if row.deferred else "initially immediate"
    return ForeignKey(
        name=row.name,
        columns=tuple(mine[number].name for number in row.columns),
        referenced=names[row.referenced],
        referenced_columns=tuple(theirs[number].name for number in row.referenced_columns),
        on_delete=ACTIONS[row.on_delete],
        on_update=ACTIONS[row.on_update],
        match=MATCHES[row.match],
        deferrable=deferrable,
        on_delete_columns=tuple(mine[number].name for number in row.on_delete_columns or ()),
        validated=row.validated,
        enforced=row.enforced,
        period=row.period,
        triggers_enabled=row.triggers_enabled,
        inherited=row.inherited,
        definition=row.definition,
    )


def _constraint(row: Row) -> Constraint:
    return Constraint(
        name=row.name,
        kind=CONSTRAINTS[row.kind],
        definition=row.definition,
        validated=row.validated,
    )


def _trigger(row: Row) -> Trigger:
    return Trigger(name=row.name, definition=row.definition, enabled=row.enabled)
