"""Reads the catalog: a few queries over everything, in one snapshot; a large schema costs rows, not round trips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.adapters.postgres import Connection, Server, plainly, statement
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
)

Rows = Sequence[Mapping[str, Any]]

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
        connection.execute("set transaction isolation level repeatable read, read only")
        # Definitions leave out what search_path already says: with an empty one every name is written in full.
        connection.execute("set local search_path = ''")
        parts = {
            name: connection.execute(statement(name)).fetchall()
            for name in ("tables", "columns", "indexes", "foreign_keys", "constraints", "triggers", "comparable")
        }
    return _assemble(connection.info.server_version, parts)


def _assemble(version: int, parts: Mapping[str, Rows]) -> Catalog:
    names = {row["oid"]: TableName(schema=row["schema"], name=row["name"]) for row in parts["tables"]}
    grouped = {part: _by_relation(rows) for part, rows in parts.items() if part not in {"tables", "comparable"}}
    numbers = {relation: {row["number"]: row["name"] for row in rows} for relation, rows in grouped["columns"].items()}
    tables = {}
    for row in parts["tables"]:
        mine = {part: rows.get(row["oid"], []) for part, rows in grouped.items()}
        tables[names[row["oid"]]] = _table(row, mine, names, numbers)
    return Catalog(
        server_version=version,
        tables=tables,
        comparable=frozenset((row["operator_class"], row["type"]) for row in parts["comparable"]),
        polymorphic={row["operator_class"]: row["sort"] for row in parts["comparable"] if row["sort"]},
    )


def _by_relation(rows: Rows) -> dict[int, list[Mapping[str, Any]]]:
    grouped: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["relation"]].append(row)
    return grouped


def _table(
    row: Mapping[str, Any],
    parts: Mapping[str, Rows],
    names: Mapping[int, TableName],
    numbers: Mapping[int, Mapping[int, str]],
) -> Table:
    parents = tuple(names[oid] for oid in row["parents"] if oid in names)
    return Table(
        name=names[row["oid"]],
        kind=KINDS[row["kind"]],
        columns=tuple(_column(each) for each in parts["columns"]),
        indexes=tuple(_index(each, numbers[row["oid"]]) for each in parts["indexes"]),
        foreign_keys=tuple(_foreign_key(each, names, numbers) for each in parts["foreign_keys"]),
        constraints=tuple(_constraint(each) for each in parts["constraints"]),
        triggers=tuple(
            Trigger(name=each["name"], definition=each["definition"], enabled=each["enabled"])
            for each in parts["triggers"]
        ),
        partition_of=parents[0] if row["is_partition"] and parents else None,
        inherits=() if row["is_partition"] else parents,
        persistence=PERSISTENCE[row["persistence"]],
        row_security=row["row_security"],
        force_row_security=row["force_row_security"],
        rows=row["rows"],
        bytes=row["bytes"],
    )


def _column(row: Mapping[str, Any]) -> Column:
    return Column(
        name=row["name"],
        type_name=row["type_name"],
        base_type=row["base_type"],
        not_null=row["not_null"],
        default=row["default"],
        collation=row["collation"],
        deterministic=row["deterministic"],
        limited=row["limited"],
        domain=row["domain"],
        generated=GENERATED[row["generated"]],
        identity=IDENTITY[row["identity"]],
    )


def _index(row: Mapping[str, Any], numbers: Mapping[int, str]) -> Index:
    # Column number 0 stands for an expression.
    columns = tuple(numbers.get(number) for number in row["columns"])
    return Index(
        name=row["name"],
        columns=columns,
        operator_classes=tuple(row["operator_classes"][: len(columns)]),
        definition=row["definition"],
        unique=row["unique"],
        primary=row["primary"],
        partial=row["partial"],
        valid=row["valid"],
        immediate=row["immediate"],
        exclusion=row["exclusion"],
        method=row["method"],
    )


def _foreign_key(
    row: Mapping[str, Any], names: Mapping[int, TableName], numbers: Mapping[int, Mapping[int, str]]
) -> ForeignKey:
    mine, theirs = numbers[row["relation"]], numbers[row["referenced"]]
    deferrable: Deferrable = "not"
    if row["deferrable"]:
        deferrable = "initially deferred" if row["deferred"] else "initially immediate"
    return ForeignKey(
        name=row["name"],
        columns=tuple(mine[number] for number in row["columns"]),
        referenced=names[row["referenced"]],
        referenced_columns=tuple(theirs[number] for number in row["referenced_columns"]),
        on_delete=ACTIONS[row["on_delete"]],
        on_update=ACTIONS[row["on_update"]],
        match=MATCHES[row["match"]],
        deferrable=deferrable,
        on_delete_columns=tuple(mine[number] for number in row["on_delete_columns"] or ()),
        validated=row["validated"],
        enforced=row["enforced"],
        period=row["period"],
        triggers_enabled=row["triggers_enabled"],
        inherited=row["inherited"],
        definition=row["definition"],
    )


def _constraint(row: Mapping[str, Any]) -> Constraint:
    return Constraint(
        name=row["name"],
        kind=CONSTRAINTS[row["kind"]],
        definition=row["definition"],
        validated=row["validated"],
    )
