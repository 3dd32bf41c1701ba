"""How long writes take by pg_stat_statements: totals per table and kind of write, from the texts of its statements."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from orchestrator.adapters.postgres import Connection, is_lost
from orchestrator.core.catalog import TableName
from orchestrator.core.performance import Operation
from orchestrator.core.watch import Write

INSTALLED: Final = """
select n.nspname as schema, pg_has_role(current_user, 'pg_read_all_stats', 'usage') as all
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'
"""

NAME: Final = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
WRITE: Final = re.compile(
    rf"\b(insert\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?)\s+({NAME})(?:\s*\.\s*({NAME}))?", re.IGNORECASE
)
COMMENT: Final = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
BEGINS: Final = re.compile(r"\s*(insert|update|delete|with)\b", re.IGNORECASE)
OPERATIONS: Final[Mapping[str, Operation]] = {"i": "insert", "u": "update", "d": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The totals since `since`; without `writes` there is nothing to tell, and `unknown` says why."""

    writes: tuple[Write, ...] = ()
    since: str = ""
    unknown: str = ""


def statements(connection: Connection, tables: Iterable[TableName]) -> Statements | None:
    """What the extension knows of these tables; None where it is not installed. Raises psycopg.Error when lost."""
    row = connection.execute(INSTALLED).fetchone()
    if row is None:
        return None
    schema = sql.Identifier(row["schema"])
    query = sql.SQL(
        "select query, sum(calls)::bigint as calls, sum(total_exec_time)::float8 as ms from {}.pg_stat_statements"
        " where toplevel and dbid = (select oid from pg_database where datname = current_database())"
        " group by query"
    ).format(schema)
    reset = sql.SQL("select stats_reset::text as since from {}.pg_stat_statements_info").format(schema)
    try:
        rows = connection.execute(query).fetchall()
        since = connection.execute(reset).fetchone() or {"since": ""}
    except psycopg.Error as error:
        if is_lost(error):
            raise
        # Installed but not loaded: the view exists and refuses.
        return None
    if not row["all"]:
        hidden = "statements of other roles are hidden (needs: grant pg_read_all_stats to this role)"
        return Statements(unknown=hidden)
    return Statements(writes=tuple(_totals(rows, tuple(tables))), since=since["since"] or "")


def _totals(rows: Iterable[Mapping[str, Any]], tables: tuple[TableName, ...]) -> Iterable[Write]:
    totals: dict[tuple[TableName, Operation], list[float]] = defaultdict(lambda: [0, 0.0])
    for row in rows:
        target = written(row["query"], tables)
        if target is not None:
            totals[target][0] += row["calls"]
            totals[target][1] += row["ms"]
    for (table, operation), (calls, ms) in sorted(totals.items(), key=lambda each: (str(each[0][0]), each[0][1])):
        yield Write(table=str(table), operation=operation, calls=int(calls), ms=round(ms, 3))


def written(query: str, tables: tuple[TableName, ...]) -> tuple[TableName, Operation] | None:
    """The table of the contract that a statement writes to, and how; None for any other statement.

    A name without a schema is that of the contract's table, unless two schemas of the contract have one of this name.
    """
    text = COMMENT.sub(" ", query)
    found = WRITE.search(text) if BEGINS.match(text) else None
    if found is None:
        return None
    first, second = _bare(found.group(2)), _bare(found.group(3))
    schema, name = (first, second) if second else ("", first)
    named = [each for each in tables if each.name == name and schema in {"", each.schema}]
    return (named[0], OPERATIONS[found.group(1)[0].lower()]) if len(named) == 1 else None


def _bare(name: str | None) -> str:
    """A name as the catalog has it: quotes away, without quotes in small letters."""
    if not name:
        return ""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
