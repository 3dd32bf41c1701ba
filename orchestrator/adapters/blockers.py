"""Looks at who holds locks on our tables, before any is asked for; asks for none itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

from orchestrator.adapters.postgres import Connection, statement
from orchestrator.adapters.redaction import redacted, without_url_passwords
from orchestrator.core.catalog import TableName
from orchestrator.core.holders import Holder
from orchestrator.core.locks import CONFLICTS, Mode

MODES: Mapping[str, Mode] = {f"{mode.title().replace(' ', '')}Lock": mode for mode in CONFLICTS}
"""The modes as pg_locks spells them."""


SEEN = ("pid", "role", "application", "state", "backend", "age_ms", "query", "transaction")


def _seen(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a session. It may call itself by the URL that it connected to, password and all."""
    found = {name: row[name] for name in SEEN}
    found["application"] = without_url_passwords(found["application"] or "")
    found["query"] = redacted(found["query"] or "")
    return found


def oids(connection: Connection, tables: Iterable[TableName]) -> dict[TableName, int]:
    """The object identifiers of tables; one that does not exist is left out. Raises psycopg.Error."""
    wanted = tuple(tables)
    rows = connection.execute(
        "select n.nspname as schema, c.relname as name, c.oid"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " join unnest(%s::text[], %s::text[]) as wanted (schema, name)"
        " on wanted.schema = n.nspname and wanted.name = c.relname",
        ([each.schema for each in wanted], [each.name for each in wanted]),
    )
    return {TableName(schema=row["schema"], name=row["name"]): row["oid"] for row in rows}


def holders(
    connection: Connection, tables: Collection[int], ours: Collection[int]
) -> tuple[tuple[Holder, ...], tuple[frozenset[TableName], ...]]:
    """Who holds what on these tables, and per transaction which of them it has locked for writing.

    `ours` are the pids of our own sessions. Raises psycopg.Error.
    """
    rows = connection.execute(statement("holders"), {"tables": list(tables), "ours": list(ours)}).fetchall()
    found = tuple(
        Holder(
            table=TableName(schema=row["schema"], name=row["name"]),
            mode=MODES[row["mode"]],
            **_seen(row),
        )
        for row in rows
    )
    written: dict[str, set[TableName]] = {}
    for row, holder in zip(rows, found, strict=True):
        if holder.mode == "ROW EXCLUSIVE":
            written.setdefault(row["transaction"], set()).add(holder.table)
    return found, tuple(frozenset(each) for each in written.values())


def waited_for(connection: Connection, pid: int, ours: Collection[int]) -> Holder | None:
    """The oldest transaction of others for which a session of ours waits, whatever it holds; None when there is none.

    An index that is built concurrently waits for transactions, not for locks on its table. Raises psycopg.Error.
    """
    row = connection.execute(statement("waited_for"), {"pid": pid, "ours": list(ours)}).fetchone()
    if row is None:
        return None
    # Which table it is about does not matter here.
    nowhere = TableName(schema="", name="")
    return Holder(table=nowhere, mode="ACCESS SHARE", **_seen(row))


def waiters(
    connection: Connection, tables: Collection[int], ours: Collection[int]
) -> Iterator[tuple[int, Mode, float]]:
    """Who waits for a lock on these tables: table, mode and how long, in ms. Raises psycopg.Error."""
    for row in connection.execute(statement("waiters"), {"tables": list(tables), "ours": list(ours)}):
        yield cast("int", row["relation"]), MODES[row["mode"]], float(row["waited_ms"])
