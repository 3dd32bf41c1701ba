"""The condition of a key's two tables, and the vacuum that may improve it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.postgres import Connection, statement
from orchestrator.core.catalog import TableName
from orchestrator.core.journal import TableVacuumed
from orchestrator.core.validation import Choice, Condition, choose

OLD_SNAPSHOT_S = 5.0
"""A snapshot that is older keeps a vacuum from doing any good to what changed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Both sides of a key; `indexed` tells whether indexes lead along it on both."""

    child: Condition
    parent: Condition
    indexed: bool


def conditions(connection: Connection, table: int, name: str) -> Conditions | None:
    """The tables of a key that stands; None when it does not. Raises psycopg.Error."""
    rows = {row["side"]: row for row in connection.execute(statement("condition"), {"table": table, "name": name})}
    if len(rows) < len(("child", "parent")):
        return None
    # Partitions each have a map of their own, and what a partitioned table shows is that of none of them.
    plain = all(row["plain"] and row["along"] for row in rows.values())
    return Conditions(child=_condition(rows["child"]), parent=_condition(rows["parent"]), indexed=plain)


def way_of(
    connection: Connection, table: int, name: str, *, keys: int, may_vacuum: bool
) -> tuple[Choice | None, Conditions | None]:
    """How to validate a key that stands, and what that was concluded from. Raises psycopg.Error."""
    seen = conditions(connection, table, name)
    if seen is None:
        return None, None
    choice = choose(seen.child, seen.parent, indexed=seen.indexed, keys=keys, may_vacuum=may_vacuum)
    if choice.vacuum and old_snapshot(connection):
        choice = choose(seen.child, seen.parent, indexed=seen.indexed, keys=keys, may_vacuum=False)
    return choice, seen


def _condition(row: Mapping[str, Any]) -> Condition:
    then = row["pages_then"]
    return Condition(
        rows=row["rows"],
        pages=row["pages"],
        index_pages=row["index_pages"],
        visible=min(1.0, row["visible_then"] / then) if then else 0.0,
        correlation=row["correlation"],
        # After a crash or a reset nobody knows what changed: pages that are not visible then are not visible now.
        changed=row["changed"] if row["known"] else max(row["changed"], row["pages"] - row["visible_then"]),
    )


def old_snapshot(connection: Connection) -> bool:
    """Whether somebody's snapshot would keep a vacuum from doing good. Raises psycopg.Error."""
    row = connection.execute(
        "select exists (select from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()"
        " and backend_type <> 'autovacuum worker' and clock_timestamp() - xact_start > make_interval(secs => %s))"
        " or exists (select from pg_prepared_xacts) as old",
        (OLD_SNAPSHOT_S,),
    ).fetchone()
    return bool(row and row["old"])


def vacuum(connection: Connection, table: TableName, before: Condition) -> TableVacuumed:
    """Vacuum one table without its last pages being given back, which would lock readers out. Raises psycopg.Error."""
    began = time.monotonic()
    connection.execute("set lock_timeout = '900ms'")
    connection.execute(sql.SQL("vacuum (truncate false, process_toast false) {}").format(qualified(table)))
    spent = (time.monotonic() - began) * 1000
    row = connection.execute(
        "select relallvisible::float8 / greatest(relpages, 1) as visible from pg_class where oid = %s::regclass",
        (qualified(table).as_string(connection),),
    ).fetchone()
    return TableVacuumed(
        table=str(table),
        duration_ms=round(spent, 3),
        visible_before=round(before.visible_now, 4),
        visible_after=round(float(row["visible"]), 4) if row else 0.0,
    )
