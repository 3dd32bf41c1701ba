"""The ledger: schema `orchestrator` in the target database; how it is made, upgraded and read."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from orchestrator.adapters import points
from orchestrator.adapters.postgres import Connection, is_lost, plain_line, plainly, statement
from orchestrator.core.entry import Entry, Head
from orchestrator.core.outcome import ConnectionLost, Refused

VERSIONS = ("ledger_1", "ledger_2", "ledger_3", "ledger_4", "ledger_5", "ledger_6")
"""The SQL file that leads to each version from the one before."""

VERSION = len(VERSIONS)

CLOSED_SINCE = 2
"""Version 1 did not note which runs are closed."""

RUN_LOCK = 0x0AC4E57A
"""Our session-level advisory lock on the target: one run at a time."""

DUMP_LOCK = 0x0AC4E57B
"""Shared by our dumps, alone for a way back: the two never overlap."""


def install(connection: Connection) -> None:
    """Create the ledger where there is none, upgrade an older one; each in one transaction. Raises Refused."""
    version = version_of(connection) or 0
    if version > VERSION:
        message = f"the ledger in this database has version {version}, this program knows {VERSION}: use a newer one"
        raise Refused(message)
    if version == VERSION:
        return
    points.reached("ledger:install")
    try:
        with connection.transaction():
            for name in VERSIONS[version:]:
                connection.execute(statement(name))
    except InsufficientPrivilege as error:
        todo = "upgraded: let its owner do it" if version else "created: grant CREATE on the database to this role"
        message = f"schema orchestrator cannot be {todo}"
        raise Refused(message) from error
    except psycopg.Error as error:
        if is_lost(error):
            raise ConnectionLost(plain_line(error)) from error
        if version_of(connection) == VERSION:
            # Somebody else was quicker: a watch upgrades without the lock of runs.
            return
        message = f"the journal cannot be created in schema orchestrator: {plain_line(error)}"
        raise Refused(message) from error
    points.reached("ledger:installed")


def version_of(connection: Connection) -> int | None:
    """The version of the ledger, None where there is none."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        found = connection.execute("select to_regclass('orchestrator.ledger') is not null as found").fetchone()
        if not (found and found["found"]):
            return None
        row = connection.execute("select max(version) as version from orchestrator.ledger").fetchone()
    return int(row["version"]) if row else None


def run_ids(connection: Connection, environment: str | None = None) -> tuple[str, ...]:
    """The runs in the ledger, oldest first."""
    if version_of(connection) is None:
        return ()
    query = sql.SQL("select id from orchestrator.run where %(env)s::text is null or environment = %(env)s order by id")
    return tuple(row["id"] for row in connection.execute(query, {"env": environment}))


def head(connection: Connection, run: str) -> Head | None:
    """The end of a run's chain as the ledger keeps it, None for a run that it does not know. Raises psycopg.Error."""
    version = version_of(connection)
    if version is None:
        return None
    query = statement("head" if version >= CLOSED_SINCE else "head_1")
    row = connection.execute(query, {"run": run}).fetchone()
    return Head(**row) if row else None


def open_runs(connection: Connection, environment: str) -> tuple[str, ...]:
    """The runs of an environment that are not closed, oldest first; of an older ledger none that can go on."""
    if (version_of(connection) or 0) < CLOSED_SINCE:
        return ()
    rows = connection.execute(
        "select id from orchestrator.run where environment = %s and not closed order by id", (environment,)
    )
    return tuple(row["id"] for row in rows)


def ask_to_hold(connection: Connection, run: str, *, reason: str, os_user: str, host: str) -> None:
    """Leave a request that the run at work will hear. Raises psycopg.Error."""
    connection.execute(
        "insert into orchestrator.request (run, kind, os_user, host, reason) values (%s, 'hold', %s, %s, %s)",
        (run, os_user, host, reason),
    )


def entries(connection: Connection, run: str, *, after: int | None = None) -> Iterator[Entry]:
    """The entries of one run, all of them or those after a number.

    A time that no calendar of ours has (infinity) is read as another one: its event's hash tells that it was changed.
    """
    if version_of(connection) is None:
        return
    rows = connection.execute(
        "select run, seq, case when at between '0001-01-02' and '9999-12-30' then at else 'epoch' end as at,"
        " actor, kind, data::text as data, previous, hash from orchestrator.event"
        " where run = %(run)s and (%(after)s::bigint is null or seq > %(after)s) order by seq",
        {"run": run, "after": after},
    )
    for row in rows:
        yield Entry(**row)


def alive(connection: Connection) -> frozenset[str]:
    """The runs that are connected to this database now, by their application names (orchestrator/RUN/STEP)."""
    rows = connection.execute(
        "select distinct split_part(application_name, '/', 2) as run from pg_stat_activity"
        " where application_name like 'orchestrator/%%' and datname = current_database()",
        (),
    )
    return frozenset(row["run"] for row in rows)


def take_run_lock(connection: Connection) -> str | None:
    """Take the lock that one run holds at a time; None when it was granted, otherwise who holds it."""
    row = connection.execute("select pg_try_advisory_lock(%s) as granted", (RUN_LOCK,)).fetchone()
    if row and row["granted"]:
        return None
    holder = connection.execute(statement("run_lock_holder"), {"key": RUN_LOCK}).fetchone()
    if holder is None:
        return "another run"
    since = f"{holder['backend_start']:%Y-%m-%d %H:%M:%S} UTC"
    return f"{holder['application_name']} from {holder['client']} as {holder['usename']}, since {since}"
