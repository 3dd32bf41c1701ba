"""The table in which Prisma, Alembic or Django keep what they have applied: read, and the SQL that writes our row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.adapters.postgres import Connection
from orchestrator.core.catalog import TableName
from orchestrator.core.history import Applied, History, Tool

READS: Mapping[Tool, str] = {
    "prisma": "select migration_name as name, checksum, finished_at is not null as finished,"
    " rolled_back_at is not null as rolled_back from {} order by started_at",
    "alembic": "select version_num as name from {} order by version_num",
    "django": "select app || '.' || name as name from {} order by id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """The rows of the tool's table, and what keeps us from writing there: no table, or a right that is lacking."""

    rows: tuple[Applied, ...] = ()
    problem: str = ""


def read_state(connection: Connection, history: History) -> TableState:
    """What the tool has applied. Raises psycopg.Error."""
    query = (
        "select c.oid, has_table_privilege(c.oid, 'SELECT') as readable,"
        " has_table_privilege(c.oid, 'INSERT') and has_table_privilege(c.oid, 'UPDATE')"
        " and has_table_privilege(c.oid, 'DELETE') as writable,"
        # Before Django 4.1 its numbers come from a sequence of their own, which asks for a right of its own.
        " exists (select from pg_depend d join pg_class s on s.oid = d.objid where d.refobjid = c.oid"
        # The server may ask in any order: CASE keeps it from asking a table for a sequence's rights.
        " and d.deptype = 'a' and case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'USAGE') end)"
        " as numberless"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p')"
    )
    found = connection.execute(query, (history.table.schema, history.table.name)).fetchone()
    if found is None:
        return TableState(
            problem=f"table {history.table} does not exist: {history.tool} has not migrated this database"
        )
    if not found["readable"]:
        return TableState(problem=f"this role may not read {history.table}")
    rows = connection.execute(sql.SQL(READS[history.tool]).format(_table(history.table)))
    problem = "" if found["writable"] else f"this role may not write {history.table} (INSERT, UPDATE and DELETE)"
    if found["writable"] and found["numberless"]:
        problem = f"this role may not use the sequence of {history.table} (USAGE)"
    return TableState(rows=tuple(Applied(**row) for row in rows), problem=problem)


def _table(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)


Values = Mapping[str, Any]

RECORDS: Mapping[Tool, str] = {
    "prisma": "INSERT INTO {table} (id, checksum, started_at, finished_at, migration_name, applied_steps_count)"
    " SELECT gen_random_uuid()::text, {checksum}, now(), clock_timestamp(), {name}, 1"
    " WHERE NOT EXISTS (SELECT FROM {table} WHERE migration_name = {name}"
    " AND finished_at IS NOT NULL AND rolled_back_at IS NULL)",
    "alembic": "DO $history$ BEGIN UPDATE {table} SET version_num = {name} WHERE version_num = {before};"
    " IF NOT FOUND AND NOT EXISTS (SELECT FROM {table} WHERE version_num = {name})"
    " THEN RAISE EXCEPTION '% is not at revision %', {told}, {before}; END IF; END $history$",
    "django": "INSERT INTO {table} (app, name, applied) SELECT {app}, {name}, clock_timestamp()"
    " WHERE NOT EXISTS (SELECT FROM {table} WHERE app = {app} AND name = {name})",
}
TAKES_BACK: Mapping[Tool, str] = {
    "prisma": "UPDATE {table} SET rolled_back_at = now() WHERE migration_name = {name} AND checksum = {checksum}"
    " AND finished_at IS NOT NULL AND rolled_back_at IS NULL",
    "alembic": "DO $history$ BEGIN UPDATE {table} SET version_num = {before} WHERE version_num = {name};"
    " IF NOT FOUND AND NOT EXISTS (SELECT FROM {table} WHERE version_num = {before})"
    " THEN RAISE EXCEPTION '% is at another revision than %, which stays recorded', {told}, {name};"
    " END IF; END $history$",
    "django": "DO $history$ BEGIN IF EXISTS (SELECT FROM {table} AS mine JOIN {table} AS later"
    " ON later.app = mine.app AND later.id > mine.id WHERE mine.app = {app} AND mine.name = {name})"
    " THEN RAISE EXCEPTION '%.% stays recorded: a later migration of the app was applied', {app}, {name}; END IF;"
    " DELETE FROM {table} WHERE app = {app} AND name = {name}; END $history$",
}
FIRST_RECORD = (
    "INSERT INTO {table} (version_num) SELECT {name} WHERE NOT EXISTS (SELECT FROM {table} WHERE version_num = {name})"
)
FIRST_TAKE_BACK = "DELETE FROM {table} WHERE version_num = {name}"
"""Alembic's first revision has no version before it."""


@dataclass(frozen=True, slots=True)
class QuotedHistory:
    """The writer that plans are made with. The same migration gives the same text everywhere, and so one digest."""

    def record(self, history: History) -> str:
        """The row is written, unless it is there; an error where the migration cannot be the next."""
        first = history.tool == "alembic" and not history.migration.follows
        return _filled(FIRST_RECORD if first else RECORDS[history.tool], history)

    def take_back(self, history: History) -> str:
        """The row tells that the migration is not applied any more; an error where others were built on it."""
        first = history.tool == "alembic" and not history.migration.follows
        return _filled(FIRST_TAKE_BACK if first else TAKES_BACK[history.tool], history)


def _filled(text: str, history: History) -> str:
    own = history.migration
    values = {
        "name": own.name.removeprefix(f"{history.app}.") if history.app else own.name,
        "app": history.app,
        "before": own.follows[0] if own.follows else "",
        "checksum": own.checksums[0] if own.checksums else "",
        "told": str(history.table),
    }
    parts = {key: sql.Literal(value) for key, value in values.items()}
    return sql.SQL(text).format(table=_table(history.table), **parts).as_string(None)
