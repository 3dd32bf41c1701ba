"""Writes DDL: every identifier is quoted by psycopg, and nothing here depends on a connection."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from orchestrator.core.catalog import Action, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.locks import Lock

ACTIONS: dict[Action, sql.SQL] = {
    "no action": sql.SQL("NO ACTION"),
    "restrict": sql.SQL("RESTRICT"),
    "cascade": sql.SQL("CASCADE"),
    "set null": sql.SQL("SET NULL"),
    "set default": sql.SQL("SET DEFAULT"),
}
DEFERRABLE = {
    "not": sql.SQL(""),
    "initially immediate": sql.SQL(" DEFERRABLE INITIALLY IMMEDIATE"),
    "initially deferred": sql.SQL(" DEFERRABLE INITIALLY DEFERRED"),
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


def column_list(columns: tuple[str, ...]) -> sql.Composed:
    """Columns in parentheses, quoted."""
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns)))


def lock_table(lock: Lock) -> sql.Composed:
    """LOCK TABLE ONLY … IN … MODE: partitions are named one by one, heirs are not ours to lock."""
    return sql.SQL("LOCK TABLE ONLY {} IN {} MODE").format(qualified(lock.table), MODES[lock.mode])


@dataclass(frozen=True, slots=True)
class QuotedDdl:
    """The writer that plans are made with."""

    def add(self, relation: Relation, *, not_valid: bool) -> str:
        """ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY; what PostgreSQL takes as default is left out."""
        parts: list[sql.Composable] = [
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY {} REFERENCES {} {}").format(
                qualified(relation.table),
                sql.Identifier(relation.name),
                column_list(relation.columns),
                qualified(relation.referenced),
                column_list(relation.referenced_columns),
            ),
            sql.SQL(" MATCH FULL") if relation.match == "full" else sql.SQL(""),
            sql.SQL(" ON DELETE {}").format(ACTIONS[relation.on_delete]),
            sql.SQL(" {}").format(column_list(relation.on_delete_columns))
            if relation.on_delete_columns
            else sql.SQL(""),
            sql.SQL(" ON UPDATE {}").format(ACTIONS[relation.on_update]),
            DEFERRABLE[relation.deferrable],
            sql.SQL(" NOT VALID") if not_valid else sql.SQL(""),
        ]
        return sql.Composed(parts).as_string(None)

    def validate(self, table: TableName, name: str) -> str:
        """ALTER TABLE … VALIDATE CONSTRAINT."""
        text = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")
        return text.format(qualified(table), sql.Identifier(name)).as_string(None)

    def drop(self, table: TableName, name: str) -> str:
        """ALTER TABLE … DROP CONSTRAINT."""
        text = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
        return text.format(qualified(table), sql.Identifier(name)).as_string(None)
