"""Carries out statements online: both locks within the budget or not at all, and the record in the same transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random

import psycopg
from psycopg import sql

from orchestrator.adapters import points
from orchestrator.adapters.blockers import blocker_of
from orchestrator.adapters.ddl import lock_table
from orchestrator.adapters.interruption import within
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.ledger import DUMP_LOCK
from orchestrator.adapters.postgres import Connection, is_lost, is_mendable, plain_line, plainly
from orchestrator.adapters.target import ANSWER_WITHIN_S, Target
from orchestrator.core.backoff import full_jitter
from orchestrator.core.journal import (
    Event,
    KeyRestored,
    LockAttemptFailed,
    NotificationQueued,
    StatementDone,
    StatementUndone,
)
from orchestrator.core.locks import SECOND_LOCK_MS, Lock, LockOrder
from orchestrator.core.outcome import ConnectionLost, HeldBack, LockUnavailable, StatementRejected
from orchestrator.core.plan import VALIDATE_LOCK_TIMEOUT_MS, Statement
from orchestrator.core.run import Run

LOCK_ERRORS = frozenset({"55P03", "40P01", "40001"})
"""lock_not_available, deadlock_detected, serialization_failure: another attempt may succeed."""

CANCELLED = "57014"
PRISMA_LOCK = 72707369
"""The advisory lock that Prisma's migrate takes; holding it keeps a concurrent `migrate deploy` out."""

WAY_BACK = "rollback"
LEAST_IDLE_MS = 250
ENDING_MS = 3000
RECONNECTIONS = 20
FIRST_DELAY_MS = 50.0
LONGEST_DELAY_MS = 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What one transaction does: its locks, its statements, and the event that tells of it."""

    id: str
    locks: tuple[Lock, ...]
    statements: tuple[str, ...]
    lock_timeout_ms: int
    statement_timeout_ms: int
    event: Callable[[int, float, float], Event]
    on_record: Callable[[Run], bool]

    @property
    def blocks_writers(self) -> bool:
        return any(lock.blocks_writers for lock in self.locks)


@dataclass(slots=True, kw_only=True)
class OnlineExecutor:
    """Executes plans against one target. Budget in ms, `give_up_after_s` in s per statement."""

    target: Target
    journal: RunJournal
    budget_ms: int
    give_up_after_s: float
    random: Random = field(default_factory=Random)
    order: LockOrder = field(default_factory=LockOrder)
    _step: str = ""
    _connection: Connection | None = None

    @contextmanager
    def opened(self, step: str) -> Iterator[None]:
        """Hold a connection, and Prisma's lock on it, while statements run. Raises HeldBack when Prisma runs."""
        self._step = step
        self._connection = self.target.server.connect(step)
        try:
            self._prepare(self._connection)
            yield
        finally:
            self._connection.close()
            self._connection = None

    def execute(self, planned: Statement) -> None:
        """Do it and record it. Raises StatementRejected, HeldBack."""
        self._carry_out(
            _Work(
                id=planned.id,
                locks=planned.locks,
                statements=(planned.sql,),
                lock_timeout_ms=planned.lock_timeout_ms,
                statement_timeout_ms=planned.statement_timeout_ms,
                event=lambda attempts, duration, blocked: StatementDone(
                    id=planned.id,
                    relation=planned.relation,
                    sql=planned.sql,
                    attempts=attempts,
                    duration_ms=duration,
                    blocked_ms=blocked,
                ),
                on_record=lambda run: planned.id in run.done,
            )
        )

    def undo(self, planned: Statement, *, of: str) -> None:
        """Walk it back and record that, as far as that is not done. Raises StatementRejected, HeldBack."""
        if planned.id not in self.journal.run.undone:
            self._drop(planned, of)
        for number, text in enumerate(planned.restore, start=1):
            if self.journal.run.restored[planned.id] < number:
                self._restore(planned, of, text, number)

    def _drop(self, planned: Statement, of: str) -> None:
        self._carry_out(
            _Work(
                id=planned.id,
                locks=planned.undo_locks,
                statements=planned.undo,
                lock_timeout_ms=self.budget_ms,
                statement_timeout_ms=self.budget_ms,
                event=lambda attempts, duration, blocked: StatementUndone(
                    id=planned.id,
                    relation=planned.relation,
                    of=of,
                    sql=planned.undo,
                    attempts=attempts,
                    duration_ms=duration,
                    blocked_ms=blocked,
                ),
                on_record=lambda run: planned.id in run.undone,
            )
        )

    def _restore(self, planned: Statement, of: str, text: str, number: int) -> None:
        """Validate a partition's own key, which the drop has put there again."""
        self._carry_out(
            _Work(
                id=planned.id,
                locks=(),
                statements=(text,),
                lock_timeout_ms=VALIDATE_LOCK_TIMEOUT_MS,
                statement_timeout_ms=0,
                event=lambda _, duration, __: KeyRestored(
                    id=planned.id, relation=planned.relation, of=of, sql=text, duration_ms=duration
                ),
                on_record=lambda run: run.restored[planned.id] >= number,
            )
        )

    def _carry_out(self, work: _Work) -> None:
        began = time.monotonic()
        delays = full_jitter(first_ms=FIRST_DELAY_MS, most_ms=LONGEST_DELAY_MS, random=self.random)
        for attempt, delay in enumerate(delays, start=1):
            try:
                self._may_go_on(work)
                self._try(work, attempt, began, delay)
            except ConnectionLost as error:
                self._reconnect(str(error))
            # The one question after every attempt, also one whose COMMIT got no answer: is it on record?
            if work.on_record(self.journal.run):
                return

    def _try(self, work: _Work, attempt: int, began: float, delay: float) -> None:
        """One attempt, and a pause when a lock was not granted. Raises HeldBack after `give_up_after_s`."""
        try:
            self._attempt(work, attempt)
        except LockUnavailable as error:
            self._tell(work, attempt, error)
            if time.monotonic() - began > self.give_up_after_s:
                message = f"{work.id}: no lock within {self.give_up_after_s} s ({attempt} attempts): {error}"
                raise HeldBack(message) from error
            self.target.server.interruption.wait(delay / 1000)

    def _may_go_on(self, work: _Work) -> None:
        """Raises HeldBack when somebody asked to stop, LeaseLost, ConnectionLost."""
        interruption = self.target.server.interruption
        try:
            if interruption.reason is None:
                self.journal.heed(self._open_connection())
        except psycopg.Error as error:
            raise self._explained(error, work) from error
        if interruption.reason is not None:
            message = f"{interruption.reason}; what took effect is on record, {work.id} was not begun"
            raise HeldBack(message)

    def _reconnect(self, reason: str) -> None:
        """Find the target again and learn from the ledger what took effect. Raises JournalLost, HeldBack."""
        for _ in range(RECONNECTIONS):
            former = self._connection
            self._connection, _ = self.target.again(self._step, former=former, reason=reason)
            self.journal.recover(reason)
            try:
                self._prepare(self._connection, patience_ms=ENDING_MS)
            except ConnectionLost as error:
                reason = str(error)
            else:
                return
        message = f"the connection broke {RECONNECTIONS} times in a row: {reason}"
        raise HeldBack(message)

    def _prepare(self, connection: Connection, *, patience_ms: int = 1) -> None:
        """Take Prisma's lock; a former session of ours may need a moment to give it back.

        Raises HeldBack when another runner has it, ConnectionLost.
        """
        # A way that dies while locks are held must not hold them up: the server ends the transaction by itself.
        idle = max(LEAST_IDLE_MS, 2 * self.budget_ms)
        with plainly("preparing a connection"):
            connection.execute(f"set idle_in_transaction_session_timeout = {idle}".encode())
            connection.execute(f"set lock_timeout = {patience_ms}".encode())
            try:
                connection.execute("select pg_advisory_lock(%s)", (PRISMA_LOCK,))
            except psycopg.errors.LockNotAvailable:
                message = "another migration runner holds advisory lock 72707369: wait for it, then resume"
                raise HeldBack(message) from None
            if self._step == WAY_BACK:
                self._keep_dumps_out(connection)

    def _keep_dumps_out(self, connection: Connection) -> None:
        """A way back must not meet a dump of ours, for which DROP CONSTRAINT would wait, and readers behind it.

        Raises HeldBack when the dump has not ended within `give_up_after_s`.
        """
        deadline = time.monotonic() + self.give_up_after_s
        interruption = self.target.server.interruption
        for delay in full_jitter(first_ms=FIRST_DELAY_MS, most_ms=LONGEST_DELAY_MS, random=self.random):
            row = connection.execute("select pg_try_advisory_lock(%s) as granted", (DUMP_LOCK,)).fetchone()
            if row and row["granted"]:
                return
            if interruption.reason or time.monotonic() > deadline:
                message = interruption.reason or "a backup of this database is being taken: resume when it has ended"
                raise HeldBack(message)
            interruption.wait(delay / 1000)

    def _attempt(self, work: _Work, attempt: int) -> None:
        """One transaction: settings, locks, statements, and the journal's row last, because its lock is shared."""
        connection = self._open_connection()
        locks = self.order.arrange(work.locks)
        started = time.perf_counter()
        try:
            with self._watched(connection, work), connection.transaction():
                self._take_locks(connection, work, locks, started)
                for text in work.statements:
                    self._stay_within(connection, work, started)
                    connection.execute(text.encode())
                elapsed = _ms_since(started)
                blocked = elapsed if work.blocks_writers else 0.0
                event = work.event(attempt, elapsed, blocked)
                entry = self.journal.append(connection, event)
                points.reached("effect:executed")
        except psycopg.Error as error:
            raise self._explained(error, work) from error
        points.reached("effect:committed")
        self.journal.publish(entry, event)

    def _watched(self, connection: Connection, work: _Work) -> AbstractContextManager[None]:
        """What is short must answer soon; what is long may be cancelled by an interruption."""
        if work.statement_timeout_ms:
            return within(connection, ANSWER_WITHIN_S + work.statement_timeout_ms / 1000)
        return self.target.server.interruption.cancelling(connection)

    def _take_locks(self, connection: Connection, work: _Work, locks: tuple[Lock, ...], started: float) -> None:
        """Settings and locks. The second lock gets what the first left over, and never more than it should need."""
        # The commit of short DDL must not wait for a standby while it holds locks; the run's last event does that.
        # One ms less than the statement timeout, so that the server says which lock it was that was not granted.
        wait = max(1, work.lock_timeout_ms - 1) if work.blocks_writers else work.lock_timeout_ms
        _configure(connection, wait, work.statement_timeout_ms, synchronous_commit="local")
        if not work.blocks_writers:
            return
        for position, lock in enumerate(locks):
            if position:
                left = max(1, int(work.lock_timeout_ms - _ms_since(started)))
                _configure(connection, min(left, SECOND_LOCK_MS), work.statement_timeout_ms)
            try:
                connection.execute(lock_table(lock))
            except psycopg.Error:
                if position:
                    self.order.flip(locks)
                raise

    def _stay_within(self, connection: Connection, work: _Work, started: float) -> None:
        """What is left of the budget bounds the next statement. Raises LockUnavailable when nothing is left."""
        if not work.blocks_writers:
            return
        left = int(work.lock_timeout_ms - _ms_since(started))
        if left < 1:
            message = f"the budget of {work.lock_timeout_ms} ms was used up by the locks"
            raise LockUnavailable(message, sqlstate="", table=", ".join(str(lock.table) for lock in work.locks))
        _configure(connection, left, left)

    def _explained(self, error: psycopg.Error, work: _Work) -> Exception:
        """What an error means: try again, give up on this statement, or stop here."""
        code = error.sqlstate or ""
        if is_lost(error):
            return ConnectionLost(f"{work.id}: connection lost ({plain_line(error)})")
        ours = code == CANCELLED and "statement timeout" in str(error)
        if code in LOCK_ERRORS or ours:
            table = ", ".join(str(lock.table) for lock in work.locks)
            return LockUnavailable(plain_line(error), sqlstate=code, table=table)
        if code == CANCELLED:
            why = self.target.server.interruption.reason or "cancelled by an administrator"
            return HeldBack(f"{work.id}: {why}; nothing of it was kept")
        if is_mendable(error):
            return HeldBack(f"{work.id}: {plain_line(error)}; nothing of it was kept, mend it and resume")
        return StatementRejected(plain_line(error), sqlstate=code)

    def _tell(self, work: _Work, attempt: int, error: LockUnavailable) -> None:
        """Journal the 1st, 2nd, 4th, 8th … failure: a long wait must not fill the ledger."""
        if attempt & (attempt - 1):
            return
        blocker = blocker_of(self._open_connection(), work.locks)
        self.journal.record(
            LockAttemptFailed(
                statement=work.id, attempt=attempt, table=error.table, sqlstate=error.sqlstate, blocker=blocker
            )
        )
        if attempt == 1:
            self.journal.record(NotificationQueued(topic="blocked", about=f"{work.id}: {blocker}"))

    def _open_connection(self) -> Connection:
        if self._connection is None:
            message = "the executor is used outside of opened()"
            raise RuntimeError(message)
        return self._connection


def _configure(connection: Connection, lock_timeout_ms: int, statement_timeout_ms: int, **more: str) -> None:
    settings = {"lock_timeout": str(lock_timeout_ms), "statement_timeout": str(statement_timeout_ms), **more}
    calls = sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in settings.items()
    )
    connection.execute(sql.SQL("select {}").format(calls))


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
