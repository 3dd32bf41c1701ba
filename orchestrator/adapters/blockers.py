"""Who stands in the way of a lock that was not granted."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from orchestrator.adapters.postgres import Connection, is_lost, plain_line, statement
from orchestrator.core.locks import CONFLICTS, Lock
from orchestrator.core.outcome import ConnectionLost


def blocker_of(connection: Connection, locks: Iterable[Lock]) -> str:
    """The oldest who holds a conflicting lock on one of the tables, in words; a doubt is told and ends no run.

    Raises ConnectionLost.
    """
    try:
        return _named(connection, tuple(locks))
    except psycopg.Error as error:
        if is_lost(error):
            raise ConnectionLost(plain_line(error)) from error
        return f"unknown ({plain_line(error)})"


def _named(connection: Connection, locks: tuple[Lock, ...]) -> str:
    modes = sorted({f"{mode.title().replace(' ', '')}Lock" for lock in locks for mode in CONFLICTS[lock.mode]})
    found = connection.execute(
        statement("blockers"),
        {
            "schemas": [lock.table.schema for lock in locks],
            "names": [lock.table.name for lock in locks],
            "modes": modes,
        },
    ).fetchone()
    if found is None:
        return "nobody any more"
    who = f"pid {found['pid']}" if found["pid"] else "a prepared transaction"
    known = [found["usename"], found["application"], found["state"]]
    age = [f"{found['age_s']} s old"] if found["age_s"] is not None else []
    return f"{who} ({', '.join([*filter(None, known), *age])})"
