"""The ledger: schema `orchestrator` in the target database, and its copy under `runs/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from orchestrator.adapters import events
from orchestrator.adapters.postgres import Connection, plain_line, plainly, statement
from orchestrator.adapters.runs import JOURNAL, RunFolder
from orchestrator.core.journal import Entry, Event
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

VERSION = 1

RUN_LOCK = 0x0AC4E57A
"""Our session-level advisory lock on the target: one run at a time."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The journal of a run that changes its target: every event is in the database first, then in the copy."""

    connection: Connection
    folder: RunFolder
    run: Run = field(init=False)
    _uncopied: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.run = Run(self.folder.run)

    def open(self, environment: str, earlier: Sequence[Entry]) -> None:
        """Install the ledger where there is none, and take over what was recorded before it was there.

        Raises Refused for a ledger of a newer version or when it may not be created.
        """
        install(self.connection)
        with plainly("opening the journal", reading=True), self.connection.transaction():
            self.connection.execute(
                "insert into orchestrator.run (id, environment, head_seq, head_hash) values (%s, %s, %s, %s)",
                (self.run.id, environment, len(earlier), earlier[-1].hash),
            )
            with self.connection.cursor() as cursor:
                cursor.executemany(
                    "insert into orchestrator.event values (%s, %s, %s, %s, %s, %s::json, %s, %s)",
                    [(e.run, e.seq, e.at, e.actor, e.kind, e.data, e.previous, e.hash) for e in earlier],
                )
        for entry in earlier:
            events.take(self.run, entry)

    def record(self, event: Event) -> None:
        """Append one event in a transaction of its own."""
        with plainly("writing the journal"):
            entry = self.append(self.connection, event)
        self.publish(entry)

    def append(self, connection: Connection, event: Event) -> Entry:
        """Append one event inside the caller's transaction; `publish` it after the commit."""
        kind, data = events.encode(event)
        row = connection.execute(
            "select e.run, e.seq, e.at, e.actor, e.kind, e.data::text as data, e.previous, e.hash"
            " from orchestrator.append(%s, %s, %s) e",
            (self.run.id, kind, data),
        ).fetchone()
        return _entry(row)

    def publish(self, entry: Entry) -> None:
        """Copy a committed entry to disk and into the run that we show.

        A copy that cannot be written waits for the next entry: the ledger has it, and the work goes on.
        """
        self._uncopied.append(events.to_line(entry))
        events.take(self.run, entry)
        with suppress(Refused):
            while self._uncopied:
                self.folder.append(JOURNAL, self._uncopied[0])
                self._uncopied.pop(0)


def install(connection: Connection) -> None:
    """Create the ledger where there is none. Raises Refused."""
    version = version_of(connection)
    if version is None:
        try:
            with connection.transaction():
                connection.execute(statement("ledger"))
        except InsufficientPrivilege as error:
            message = "schema orchestrator cannot be created: grant CREATE on the database to this role"
            raise Refused(message) from error
        except psycopg.Error as error:
            message = f"the journal cannot be created in schema orchestrator: {plain_line(error)}"
            raise Refused(message) from error
    elif version > VERSION:
        message = f"the ledger in this database has version {version}, this program knows {VERSION}: use a newer one"
        raise Refused(message)


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


def entries(connection: Connection, run: str) -> Iterator[Entry]:
    """The entries of one run."""
    if version_of(connection) is None:
        return
    rows = connection.execute(
        "select run, seq, at, actor, kind, data::text as data, previous, hash"
        " from orchestrator.event where run = %s order by seq",
        (run,),
    )
    for row in rows:
        yield _entry(row)


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


def _entry(row: Any) -> Entry:
    return Entry(**row)
