"""One run at a time on a target: a session lock that goes with the process, and a lease that outlives the session."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from orchestrator.adapters import ledger, points
from orchestrator.adapters.interruption import cut, within
from orchestrator.adapters.pooler import pooled
from orchestrator.adapters.postgres import Connection, Server, is_lost, logged_in, plainly
from orchestrator.adapters.processes import gone, this_process
from orchestrator.adapters.silence import Silence
from orchestrator.core.lease import HEARTBEAT_S, LEASE_S, Lease, Owner, free
from orchestrator.core.outcome import OrchestratorError, Refused

SILENT_FOR_S = 8.0
"""A heartbeat without an answer for so long means that the way to the server is dead."""

ENDED_WITHIN_S = 5.0

_kept: set[int] = set()
"""The tokens that this process keeps alive."""


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Keeps other runs out from its own connection: first by the session lock, with the ledger by the lease."""

    server: Server
    token: int = 0
    _connection: Connection | None = None
    _dead: int | None = None
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _silence: Silence = field(default_factory=lambda: Silence(after_s=SILENT_FOR_S))

    def start(self) -> Connection:
        """Make sure that nobody else is at work, and stay so. Raises Refused, which says who is."""
        connection = self._connection = self._connect()
        found = pooled(self.server, connection)
        place = self.server.environment
        if found is not None:
            message = f"{place}: a transaction pooler is in between ({found}): connect to the server itself"
            raise Refused(message)
        with plainly("reading the lease", reading=True), within(connection, SILENT_FOR_S + ENDED_WITHIN_S):
            lease = read(connection)
            left = lease is not None and not lease.released
            lapsed = left and free(lease, gone=lease is not None and deserted(lease))
            # A dead run's other sessions may outlive the one that held the lock: a VALIDATE, an open transaction.
            holder = _end_sessions(connection, lease.run) if lapsed and lease else ledger.take_run_lock(connection)
        if holder is not None:
            message = f"{place}: another run is at work: {lease.told() if lease and left else holder}"
            raise Refused(f"{message}; wait until it has ended")
        if left and not lapsed and lease is not None:
            message = f"{place}: another run is at work or lost its connection a moment ago: {lease.told()}"
            raise Refused(message)
        self._dead = lease.token if lease and lapsed else None
        # From the first moment: what only reads would wait for ever on a way that swallows everything.
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        return connection

    def claim(self) -> int:
        """Take the lease over, under a new token: from here on nobody writes under an older one. Raises Refused."""
        connection, me = self._open(), this_process()
        points.reached("lease:claim")
        with plainly("taking the lease", reading=True):
            row = connection.execute(CLAIM, _values(self.server.run, me, self._dead)).fetchone()
        if row is None:
            found = read(connection)
            message = f"{self.server.environment}: another run is at work: {found.told() if found else 'unknown'}"
            raise Refused(message)
        points.reached("lease:claimed")
        self.token = int(row["token"])
        _kept.add(self.token)
        return self.token

    def end(self) -> None:
        """Give the lease back and disconnect; where that fails, it ends by itself."""
        self._done.set()
        _kept.discard(self.token)
        if self._thread is not None:
            self._thread.join()
        connection = self._connection
        if connection is None:
            return
        with suppress(psycopg.Error), within(connection, SILENT_FOR_S):
            if self.token:
                points.reached("lease:release")
                mine = (self.token, self.server.run)
                connection.execute("update orchestrator.lease set released = true where token = %s and run = %s", mine)
                points.reached("lease:released")
        connection.close()

    def _keep(self) -> None:
        """The heartbeat, in a thread of its own."""
        while not self._done.wait(HEARTBEAT_S):
            try:
                if not self._beat():
                    self.server.interruption.ask("another process has taken this run's place")
                    return
            except psycopg.Error as error:
                if not is_lost(error):
                    continue
                self._reconnect()

    def _beat(self) -> bool:
        """Renew the lease; False when it is somebody else's. Before there is one, only ask whether somebody answers."""
        connection, began = self._open(), time.monotonic()
        try:
            with within(connection, SILENT_FOR_S):
                # Whoever waits for an answer that was lost would wait for ever.
                for each in self._silence.dead(connection, self.server.interruption.watched()):
                    cut(each)
                if not self.token:
                    connection.execute("select")
                    return True
                row = connection.execute(
                    "update orchestrator.lease set heartbeat_at = clock_timestamp(),"
                    " expires_at = clock_timestamp() + make_interval(secs => %s)"
                    " where token = %s and run = %s returning token",
                    (LEASE_S, self.token, self.server.run),
                ).fetchone()
        except psycopg.Error:
            if time.monotonic() - began >= SILENT_FOR_S:
                # A black hole: whoever waits for an answer on the same way would wait for ever.
                self.server.interruption.sever()
            raise
        return row is not None

    def _reconnect(self) -> None:
        """Try once; the next heartbeat tries again. The run itself decides how long it waits for the target."""
        self._open().close()
        with suppress(OrchestratorError, psycopg.Error):
            self._connection = connection = self._connect()
            # On a server that was started again the session lock is gone.
            with within(connection, SILENT_FOR_S):
                ledger.take_run_lock(connection)

    def _connect(self) -> Connection:
        connection = self.server.connect("lease")
        # A heartbeat must not wait for a standby: its silence would be taken for a dead way.
        with plainly("preparing the lease", reading=True), within(connection, SILENT_FOR_S):
            connection.execute("set synchronous_commit = local")
        return connection

    def _open(self) -> Connection:
        if self._connection is None:
            message = "the lease is used before it was started"
            raise RuntimeError(message)
        return self._connection


def read(connection: Connection) -> Lease | None:
    """The lease as the target has it, None where there is no ledger or an older one. Raises psycopg.Error."""
    if (ledger.version_of(connection) or 0) < ledger.CLOSED_SINCE:
        return None
    row = connection.execute("select *, clock_timestamp() as now from orchestrator.lease").fetchone()
    if row is None:
        return None
    owner = Owner(**{name: row.pop(name) for name in ("host", "machine", "pid", "started", "os_user")})
    return Lease(owner=owner, **row)


def deserted(lease: Lease) -> bool:
    """Whether nobody renews it any more: its process is gone, or is ours and has given up."""
    return gone(lease.owner) or (lease.owner == this_process() and lease.token not in _kept)


CLAIM = """
update orchestrator.lease set token = token + 1, run = %(run)s, holder = session_user, host = %(host)s,
    machine = %(machine)s, pid = %(pid)s, started = %(started)s, os_user = %(os_user)s,
    taken_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => %(seconds)s), released = false
where released or expires_at <= clock_timestamp() or token = %(dead)s
returning token
"""


def _values(run: str, me: Owner, dead: int | None) -> dict[str, Any]:
    owner = {name: getattr(me, name) for name in ("host", "machine", "pid", "started", "os_user")}
    return {"run": run, "seconds": LEASE_S, "dead": dead, **owner}


def _end_sessions(connection: Connection, run: str) -> str | None:
    """End what a dead process of ours left on the server, then take the session lock; who still has it otherwise."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while True:
        with logged_in(connection):
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name like %s and usename = session_user and pid <> pg_backend_pid()"
                # A copy on the same server has its original's lease: the original may well be at work.
                " and datname = current_database()",
                (f"orchestrator/{run}/%",),
            )
        holder = ledger.take_run_lock(connection)
        if holder is None or time.monotonic() > deadline:
            return holder
