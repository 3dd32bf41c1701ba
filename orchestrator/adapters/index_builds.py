"""Indexes built and dropped CONCURRENTLY, in lanes: outside of a transaction, so with an intent before, a probe after.

Whatever an interruption leaves is found by looking: no index, an invalid one, or the one that was wanted. An invalid
one is dropped and built again. A valid one that this run has not intended is somebody else's, and stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from orchestrator.adapters import blockers, points
from orchestrator.adapters.attempt import AUTOVACUUM_GIVES_WAY_MS, RECORD_WITHIN_MS
from orchestrator.adapters.attempts import Attempts
from orchestrator.adapters.ddl import lock_table
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.lanes import Lanes, Taken
from orchestrator.adapters.postgres import Connection, pid_of, statement
from orchestrator.adapters.watchdog import Watch
from orchestrator.core.entry import Entry
from orchestrator.core.indexes import is_ours
from orchestrator.core.journal import (
    Event,
    NotificationQueued,
    StatementDone,
    StatementIntended,
    StatementPostponed,
    StatementUndone,
)
from orchestrator.core.outcome import HeldBack, LockUnavailable, StatementRejected
from orchestrator.core.transaction import Transaction

DUPLICATE = "42P07"
LOOK_EVERY_S = 1.0
"""How often it is looked for whom a build waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What has the index's name: nothing (`there` is false), an index that is `ours` by its definition, or another."""

    there: bool = False
    ours: bool = False
    valid: bool = False


@dataclass(slots=True, kw_only=True)
class IndexBuilds:
    """Of one run. `give_up_after_s` bounds each wait for older transactions, in s; nobody waits behind it meanwhile."""

    attempts: Attempts
    interruption: Interruption
    give_up_after_s: float
    _waits: dict[str, tuple[str, str]] = field(default_factory=dict)
    _looked: float = float("-inf")

    def carry_out(self, connection: Connection, work: Transaction, attempts: int) -> Taken:
        """In a lane's thread: intend, build or drop, look, record. Raises what an attempt raises."""
        watch: Watch | None = None
        try:
            with self.interruption.cancelling(connection), self.attempts.watching(connection, work) as watch:
                if self.interruption.reason is not None:
                    message = f"{self.interruption.reason}; {work.id} was not begun"
                    raise HeldBack(message)
                with self._patient(connection):
                    seen = self._intend(connection, work)
                    with self._waiting_for_ours(work):
                        self._act(connection, work, seen)
                event = work.event(attempts=attempts)
                if watch is not None and isinstance(event, StatementDone | StatementUndone):
                    # Seen by the watchdog: there is no transaction that could look before its end.
                    event = replace(event, waited_ms=round(watch.longest_ms, 3))
                return Taken(entry=self._record(connection, work, event))
        except psycopg.Error as error:
            raise self._meaning(error, work, watch) from error

    def tell_waits(self, connection: Connection, lanes: Lanes) -> None:
        """In the main thread: for whom builds wait, each once. Raises psycopg.Error, JournalLost."""
        now = time.monotonic()
        if not lanes.concurrent or now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        for lane in lanes.concurrent:
            work, found = lane.work, blockers.waited_for(connection, pid_of(lane.connection), lanes.pids)
            if found is None or self._waits.get(work.id, ("", ""))[0] == found.key:
                continue
            first, self._waits[work.id] = work.id not in self._waits, (found.key, found.told())
            postponed = StatementPostponed(statement=work.id, obstacle="transaction", blocker=found.told(), times=1)
            self.attempts.journal.record(postponed)
            if first:
                queued = NotificationQueued(topic="blocked", about=f"{work.id}: {found.told()}")
                self.attempts.journal.record(queued)

    @contextmanager
    def _patient(self, connection: Connection) -> Iterator[None]:
        """Waits of the session are bounded by the time to give up, and its duration is counted from here."""
        limit = str(max(1, round(self.give_up_after_s * 1000)))
        connection.execute(
            "select set_config('lock_timeout', %s, false),"
            " set_config('orchestrator.began', clock_timestamp()::text, false)",
            (limit,),
        )
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                connection.execute("reset lock_timeout")

    @contextmanager
    def _waiting_for_ours(self, work: Transaction) -> Iterator[None]:
        """A wait that was too long, for nobody else's transaction, was for a validation of ours: that is no waiting.

        Raises LockUnavailable without the code that would let its time run.
        """
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            if work.id in self._waits:
                raise
            message = f"{work.id}: a validation beside it took longer than the time to give up"
            raise LockUnavailable(message, sqlstate="", table=str(work.locks[0].table)) from error

    def _intend(self, connection: Connection, work: Transaction) -> Seen:
        """Put on record what is about to be done, and see what is there, while nobody else can build it.

        An autovacuum gives way to the lock, as it would to CREATE INDEX. Under another lease the record is refused.
        """
        patience = str(self.attempts.deadlock_timeout_ms + AUTOVACUUM_GIVES_WAY_MS)
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (patience,))
            connection.execute(lock_table(work.locks[0]))
            seen = self._look(connection, work)
            intended = self._intended(connection, work)
            self._refuse(work, seen, intended=intended)
            if intended:
                self.attempts.journal.still_ours(connection)
            else:
                event = StatementIntended(id=work.id, relation=work.relation, sql=work.statements[0], of=work.of)
                self.attempts.journal.append(connection, event)
        points.reached("intent:committed")
        return seen

    def _refuse(self, work: Transaction, seen: Seen, *, intended: bool) -> None:
        """Raises StatementRejected when what has the name is not ours to build over or to drop."""
        foreign = seen.there and (not seen.ours or (seen.valid and work.kind == "index" and not intended))
        if foreign:
            place = f"{work.locks[0].table.schema}.{work.constraint}"
            message = f"{work.id}: {place} is somebody else's index, or another thing: it is left as it is"
            raise StatementRejected(message, sqlstate=DUPLICATE)

    def _act(self, connection: Connection, work: Transaction, seen: Seen) -> None:
        table, name = work.locks[0].table, work.constraint
        build = work.kind == "index"
        if seen.there and not (build and seen.valid):
            drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(table.schema, name))
            connection.execute(drop)
            points.reached("index:dropped")
        if build and not seen.valid:
            connection.execute(work.statements[0].encode())
            points.reached("index:built")

    def _record(self, connection: Connection, work: Transaction, event: Event) -> Entry:
        """Look once more, and put the effect on record. Raises LockUnavailable when it is not there any more."""
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (str(RECORD_WITHIN_MS),))
            seen = self._look(connection, work)
            if (seen.ours and seen.valid) != (work.kind == "index"):
                message = f"{work.constraint} was changed by somebody else meanwhile"
                raise LockUnavailable(message, sqlstate="", table=str(work.locks[0].table))
            record = self.attempts.journal.appending(connection, event, tables=(), waited_ms=0, short=False)
            points.reached("effect:begin")
            row = connection.execute(record).fetchone()
        points.reached("effect:committed")
        return Entry(**(row or {}))

    def _look(self, connection: Connection, work: Transaction) -> Seen:
        """The probe: what has the index's name. Raises psycopg.Error."""
        table = work.locks[0].table
        values = {"schema": table.schema, "table": table.name, "name": work.constraint}
        # What the path shows is not written in full: definitions are compared with those of an empty one.
        with connection.transaction(force_rollback=True):
            connection.execute("set local search_path = ''")
            row = connection.execute(statement("index_state"), values).fetchone()
        if row is None:
            return Seen()
        ours = bool(row["here"]) and is_ours(row["definition"], work.columns, work.definition)
        return Seen(there=True, ours=ours, valid=row["valid"])

    def _intended(self, connection: Connection, work: Transaction) -> bool:
        values = {"run": self.attempts.journal.run.id, "id": work.id, "of": work.of}
        row = connection.execute(statement("intended"), values).fetchone()
        return bool(row and row["intended"])

    def _meaning(self, error: psycopg.Error, work: Transaction, watch: Watch | None) -> Exception:
        """What an error means; a wait that lasted too long says for whom."""
        found = self.attempts.meaning(error, work, watch)
        if isinstance(found, LockUnavailable) and work.id in self._waits:
            message = f"{found}; the last that was waited for was {self._waits[work.id][1]}"
            return LockUnavailable(message, sqlstate=found.sqlstate, table=found.table, waited_ms=found.waited_ms)
        return found
