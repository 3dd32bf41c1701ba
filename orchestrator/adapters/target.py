"""The target over the whole life of a run: the same database, however often the connection to it breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import psycopg

from orchestrator.adapters.identity import identify
from orchestrator.adapters.interruption import within
from orchestrator.adapters.postgres import Connection, Server, logged_in, pid_of, plain_line
from orchestrator.core.backoff import full_jitter
from orchestrator.core.journal import Identity
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import CannotConnect, TargetChanged, TargetLost

FIRST_DELAY_MS = 100.0
LONGEST_DELAY_MS = 2000.0
ANSWER_WITHIN_S = 10.0
GONE_WITHIN_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Opens connections for one run, and proves each time that they lead to the database it began on.

    `within_s` is how long a lost target is waited for, in seconds.
    """

    server: Server
    identity: Identity
    within_s: float

    def again(self, step: str, *, former: Connection | None = None, reason: str = "") -> tuple[Connection, int]:
        """A connection after a loss, and how many attempts it took; the former session is ended if it lingers.

        Raises TargetLost when there is none in time, TargetChanged when another database answers.
        """
        pid = pid_of(former) if former is not None else None
        if former is not None:
            former.close()
        problem = reason
        attempts = 0
        for attempts, _ in enumerate(self._patience(), start=1):
            try:
                return self._try(step, pid), attempts
            except CannotConnect as error:
                problem = str(error)
        stopped = self.server.interruption.reason
        why = stopped or f"no connection within {self.within_s:g} s ({counted(attempts, 'attempt')}): {problem}"
        message = f"run {self.server.run}: {why}; what took effect is on record, go on with: {self.server.resume}"
        raise TargetLost(message)

    def prove(self, connection: Connection) -> None:
        """Raise TargetChanged when this is another database, CannotConnect when it only reads, as a standby does."""
        now = identify(connection)
        row = connection.execute("select pg_is_in_recovery() as standby").fetchone()
        was = self.identity
        if now.database != was.database or (
            now.system_identifier and was.system_identifier and now.system_identifier != was.system_identifier
        ):
            connection.close()
            message = (
                f"run {self.server.run}: {self.server.place} is another database now (system identifier"
                f" {now.system_identifier}, was {was.system_identifier}): nothing more was done; find out why before"
                f' anything else, then {self.server.resume}, or {self.server.resume} --abandon "why"'
            )
            raise TargetChanged(message)
        if row and row["standby"]:
            connection.close()
            message = f"{self.server.place} is in recovery: a standby that was not promoted"
            raise CannotConnect(message)

    def _try(self, step: str, former: int | None) -> Connection:
        connection = self.server.connect(step)
        try:
            with within(connection, ANSWER_WITHIN_S):
                self.prove(connection)
                if former:
                    self._end(connection, former)
        except psycopg.Error as error:
            connection.close()
            raise CannotConnect(plain_line(error)) from error
        return connection

    def _end(self, connection: Connection, pid: int) -> None:
        """End our own former session, and wait until it is gone: what it does at the last moment is on record then.

        Raises CannotConnect when it does not go.
        """
        with logged_in(connection):
            row = connection.execute(
                "select pg_terminate_backend(pid, %s) as gone from pg_stat_activity"
                " where pid = %s and pid <> pg_backend_pid() and usename = session_user"
                " and application_name = current_setting('application_name')",
                (GONE_WITHIN_MS, pid),
            ).fetchone()
        if row and not row["gone"]:
            connection.close()
            message = f"{self.server.place}: our former session {pid} does not end"
            raise CannotConnect(message)

    def _patience(self) -> Iterator[None]:
        """One turn per attempt, with pauses between them, until the time is over or somebody asks to stop."""
        deadline = time.monotonic() + self.within_s
        for delay in full_jitter(first_ms=FIRST_DELAY_MS, most_ms=LONGEST_DELAY_MS, random=Random()):  # noqa: S311
            yield
            if time.monotonic() > deadline or self.server.interruption.reason:
                return
            self.server.interruption.wait(delay / 1000)
