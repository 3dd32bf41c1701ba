"""Writes DDL: every identifier is quoted by psycopg, and nothing here depends on a connection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from psycopg import sql

from orchestrator.core.catalog import Action, Deferrable, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.locks import Lock

ACTIONS: dict[Action, str] = {
    "no action": "NO ACTION",
    "restrict": "RESTRICT",
    "cascade": "CASCADE",
    "set null": "SET NULL",
    "set default": "SET DEFAULT",
}
DEFERRABLE: dict[Deferrable, str] = {
    "not": "",
    "initially immediate": " DEFERRABLE INITIALLY IMMEDIATE",
    "initially deferred": " DEFERRABLE INITIALLY DEFERRED",
}
MODES = {
    "ACCESS SHARE": sql.SQL("ACCESS SHARE"),
    "ROW SHARE": sql.SQL("ROW SHARE"),
    "ROW EXCLUSIVE": sql.SQL("ROW EXCLUSIVE"),
    "SHARE UPDATE EXCLUSIVE": sql.SQL("SHARE UPDATE EXCLUSIVE"),
    "SHARE": sql.SQL("SHARE"),
    "SHARE ROW EXCLUSIVE": sql.SQL("SHARE ROW EXCLUSIVE"),
    "EXCLUSIVE": sql.SQL("EXCLUSIVE"),
    "ACCESS EXCLUSIVE": sql.SQL("ACCESS EXCLUSIVE"),
}


def qualified(name: TableName) -> sql.Identifier:
    """The table, with its schema, quoted."""
    return sql.Identifier(name.schema, name.name)


def lock_table(lock: Lock) -> sql.Composed:
    """LOCK TABLE ONLY … IN … MODE: partitions are named one by one, heirs are not ours to lock."""
    return sql.SQL("LOCK TABLE ONLY {} IN {} MODE").format(qualified(lock.table), MODES[lock.mode])


@cache
def quoted(*names: str) -> str:
    """Names with dots between them, quoted by psycopg; a large plan says each of them many times."""
    return sql.Identifier(*names).as_string(None)


def _columns(names: tuple[str, ...]) -> str:
    return f"({', '.join(map(quoted, names))})"


def _table(name: TableName) -> str:
    return quoted(name.schema, name.name)


@dataclass(frozen=True, slots=True)
class QuotedDdl:
    """The writer that plans are made with."""

    def add(self, relation: Relation, *, not_valid: bool) -> str:
        """ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY; what PostgreSQL takes as default is left out."""
        parts = (
            f"ALTER TABLE {_table(relation.table)} ADD CONSTRAINT {quoted(relation.name)}",
            f" FOREIGN KEY {_columns(relation.columns)}",
            f" REFERENCES {_table(relation.referenced)} {_columns(relation.referenced_columns)}",
            " MATCH FULL" if relation.match == "full" else "",
            f" ON DELETE {ACTIONS[relation.on_delete]}",
            f" {_columns(relation.on_delete_columns)}" if relation.on_delete_columns else "",
            f" ON UPDATE {ACTIONS[relation.on_update]}",
            DEFERRABLE[relation.deferrable],
            " NOT VALID" if not_valid else "",
        )
        return "".join(parts)

    def validate(self, table: TableName, name: str) -> str:
        """ALTER TABLE … VALIDATE CONSTRAINT."""
        return f"ALTER TABLE {_table(table)} VALIDATE CONSTRAINT {quoted(name)}"

    def drop(self, table: TableName, name: str) -> str:
        """ALTER TABLE … DROP CONSTRAINT."""
        return f"ALTER TABLE {_table(table)} DROP CONSTRAINT {quoted(name)}"

    def add_check(self, table: TableName, name: str, definition: str) -> str:
        """ALTER TABLE … ADD CONSTRAINT, with the definition in the server's own words."""
        return f"ALTER TABLE {_table(table)} ADD CONSTRAINT {quoted(name)} {definition}"

    def index(self, table: TableName, name: str, columns: tuple[str, ...]) -> str:
        """CREATE INDEX CONCURRENTLY; without IF NOT EXISTS, which would succeed over an invalid leftover."""
        return f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {_table(table)} {_columns(columns)}"

    def drop_index(self, table: TableName, name: str) -> str:
        """DROP INDEX CONCURRENTLY; the index is in its table's schema."""
        return f"DROP INDEX CONCURRENTLY {quoted(table.schema, name)}"
