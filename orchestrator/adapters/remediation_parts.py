"""Pieces that the SQL of remediation is made of, there and back."""

from __future__ import annotations

import json

from psycopg import sql

from orchestrator.core.remediation import Remedy

AND, COMMA = sql.SQL(" AND "), sql.SQL(", ")

# Compiling never pays for a few rows. The record reads the other three: a session must not keep the last batch's.
BEGIN = (
    "SELECT set_config('jit', 'off', true), set_config('orchestrator.locked', '[]', true),"
    " set_config('orchestrator.rows', '0', true), set_config('orchestrator.lost', '0', true)"
)


def text(template: str, **parts: sql.Composable) -> str:
    """The template with its parts, as it is sent."""
    return sql.SQL(template).format(**parts).as_string(None)


def name(word: str) -> sql.Identifier:
    """A name on its own."""
    return sql.Identifier(word)


def column(table: str, word: str) -> sql.Identifier:
    """The column of what stands under that name in the statement."""
    return sql.Identifier(table, word)


def equal(left: str, right: str, word: str) -> sql.Composed:
    """A column has the same value here and there."""
    return sql.SQL("{} = {}").format(column(left, word), column(right, word))


def as_json(value: object) -> sql.Composed:
    """The value as a JSON literal."""
    return sql.SQL("{}::json").format(sql.Literal(json.dumps(value, ensure_ascii=False)))


def match(remedy: Remedy, other: str) -> sql.Composed:
    """The row `child` is the one of `other`, by its primary key."""
    return AND.join(equal("child", other, each) for each in remedy.key)
