"""Carries out transactions online: one attempt at a time where writers are blocked, side by side where they are not.

Each commits its effect with its record. When to try what, and again, is the dispatcher's to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import psycopg

from orchestrator.adapters import blockers
from orchestrator.adapters.attempts import Attempts, Looker
from orchestrator.adapters.index_builds import IndexBuilds
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.lanes import Lane, Lanes, Taken
from orchestrator.adapters.postgres import Connection, is_lost, pid_of, plain_line
from orchestrator.adapters.preparation import keep_dumps_out, prepare
from orchestrator.adapters.spare import SpareCores
from orchestrator.adapters.target import Target
from orchestrator.adapters.validations import Validations
from orchestrator.adapters.watchdog import Watchdog
from orchestrator.core.catalog import TableName
from orchestrator.core.entry import Entry
from orchestrator.core.holders import Holder
from orchestrator.core.locks import Lock, LockOrder
from orchestrator.core.outcome import (
    CannotConnect,
    ConnectionLost,
    HeldBack,
    LockUnavailable,
    OrchestratorError,
)
from orchestrator.core.ports import Ended
from orchestrator.core.transaction import Transaction

WAY_BACK = "rollback"
ENDING_MS = 3000
RECONNECTIONS = 20
TERMINATED_WITHIN_MS = 2000
SMALL_ROWS = 50_000
"""Below this a validation takes some 10 ms in any way, and choosing one a good part of that."""

CANCEL_AGAIN_S = 0.5
CUT_AFTER_S = 8.0
"""A lane that does not end for so long after it was cancelled hears nothing: its way to the server is dead."""


@dataclass(slots=True, kw_only=True)
class OnlineExecutor:
    """Executes against one target. Budget in ms; `give_up_after_s` bounds the wait for a dump of ours."""

    target: Target
    journal: RunJournal
    budget_ms: int
    give_up_after_s: float
    order: LockOrder = field(default_factory=LockOrder)
    looker: Looker | None = None
    _step: str = ""
    _connection: Connection | None = None
    _lanes: Lanes | None = None
    _watchdog: Watchdog | None = None
    _spare: SpareCores = field(default_factory=SpareCores)
    _attempts: Attempts = field(init=False)
    _validations: Validations = field(init=False)
    _builds: IndexBuilds = field(init=False)

    def __post_init__(self) -> None:
        """What is learned on the way lasts as long as this."""
        self._attempts = Attempts(target=self.target, journal=self.journal, order=self.order, looker=self.looker)
        interruption = self.target.server.interruption
        self._validations = Validations(attempts=self._attempts, interruption=interruption)
        self._builds = IndexBuilds(
            attempts=self._attempts, interruption=interruption, give_up_after_s=self.give_up_after_s
        )

    @contextmanager
    def opened(self, step: str) -> Iterator[None]:
        """Hold a connection, and Prisma's lock on it, while statements run. Raises HeldBack when Prisma runs.

        When the block ends early, what runs in lanes is cancelled, and what was committed there is published.
        """
        self._step = step
        self._connection = self.target.server.connect(step)
        self._lanes = Lanes(target=self.target, step=step)
        self._watchdog = Watchdog(server=self.target.server, budget_ms=self.budget_ms)
        self._attempts.watchdog = self._watchdog
        try:
            with self._watchdog.awake():
                try:
                    self._prepare(self._connection)
                    yield
                finally:
                    self._end_lanes()
        finally:
            self._connection.close()
            self._connection = None

    @property
    def running(self) -> tuple[Transaction, ...]:
        """What is at work in lanes."""
        return self._open_lanes().running

    def may_go_on(self, work: Transaction) -> None:
        """Raises HeldBack when somebody asked to stop, LeaseLost; a lost connection is found again."""
        interruption = self.target.server.interruption
        if interruption.reason is None:
            try:
                self.journal.heed(self._open_connection())
            except psycopg.Error as error:
                self._recovered(self._attempts.meaning(error, work))
        if interruption.reason is not None:
            message = f"{interruption.reason}; what took effect is on record, {work.id} was not begun"
            raise HeldBack(message)

    def holders(self, works: Collection[Transaction]) -> tuple[Holder, ...]:
        """Who holds locks on the tables of these transactions, our own sessions left out.

        What writers have locked so far is a hint at the order in which the application locks. A doubt ends nothing.
        """
        tables = {lock.table for each in works for lock in each.locks}
        connection = self._open_connection()
        try:
            ours = [pid_of(connection), *self._open_lanes().pids]
            found, written = blockers.holders(connection, self._attempts.known(connection, tables), ours)
        except psycopg.Error as error:
            if is_lost(error):
                self._recovered(ConnectionLost(plain_line(error)))
            return ()
        for each in works:
            self.order.seed(each.locks, written)
        return found

    def attempt(
        self, work: Transaction, *, attempts: int, waited_ms: float = 0.0, vacuumed: Collection[TableName] = ()
    ) -> None:
        """One attempt, recorded when it took effect. `waited_ms` is what others have waited in attempts before.

        On the tables of `vacuumed` an autovacuum is made to give way first. Raises LockUnavailable, StatementRejected,
        HeldBack. A lost connection is found again, and whether it took effect is on record then.
        """
        gentle = tuple(Lock(table=each, mode="SHARE UPDATE EXCLUSIVE") for each in vacuumed)
        event = work.event(attempts=attempts)
        try:
            entry = self._attempts.carry_out(self._open_connection(), work, event, waited_ms=waited_ms, gentle=gentle)
        except ConnectionLost as error:
            self._recovered(error)
        else:
            self.journal.publish(entry)

    def begin(self, work: Transaction, *, attempts: int, keys: int, rows: float) -> None:
        """Start a long one in a lane; `keys` of its table, which has about `rows`, are still to be validated.

        For a small table any way is as good as the other. Raises LockUnavailable when there is no connection now.
        """
        steers = work.kind == "validate" and rows >= SMALL_ROWS
        chosen = keys if steers else 0

        def act(lane: Connection) -> Taken:
            if work.concurrent:
                return self._builds.carry_out(lane, work, attempts)
            return self._validations.carry_out(lane, work, attempts, chosen)

        try:
            self._open_lanes().begin(work, act)
        except CannotConnect as error:
            table = str(work.locks[0].table) if work.locks else ""
            raise LockUnavailable(str(error), sqlstate="", table=table) from error

    def ended(self, within_s: float) -> Iterator[Ended]:
        """What ended in lanes, waited for so long; what took effect is on record and published."""
        if self.target.server.interruption.cancels:
            # A statement that was just about to begin has not felt the first cancel.
            self._open_lanes().cancel()
        self._tell_waits()
        for lane in self._open_lanes().ended(within_s):
            yield self._collected(lane)

    def _tell_waits(self) -> None:
        """For whom an index is waiting; a doubt ends nothing."""
        try:
            self._builds.tell_waits(self._open_connection(), self._open_lanes())
        except psycopg.Error as error:
            if is_lost(error):
                self._recovered(ConnectionLost(plain_line(error)))

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the moment when somebody asks to stop."""
        self.target.server.interruption.wait(seconds)

    def terminate(self, holder: Holder) -> str:
        """End a session; why that was not possible, empty when it was told to end."""
        if holder.pid is None:
            return "a prepared transaction has no session"
        try:
            query = "select pg_terminate_backend(%s, %s)"
            self._open_connection().execute(query, (holder.pid, TERMINATED_WITHIN_MS))
        except psycopg.Error as error:
            if is_lost(error):
                self._recovered(ConnectionLost(plain_line(error)))
            return plain_line(error)
        return ""

    def lag_s(self) -> float:
        """How far the slowest replica is behind, in seconds; 0 where there is none or it is hidden from us."""
        query = "select coalesce(max(extract(epoch from replay_lag)), 0)::float8 as lag from pg_stat_replication"
        try:
            row = self._open_connection().execute(query).fetchone()
        except psycopg.Error as error:
            if is_lost(error):
                self._recovered(ConnectionLost(plain_line(error)))
            return 0.0
        return float(row["lag"]) if row else 0.0

    def calibrate(self) -> None:
        """Measure the server before there is work, so that cores to spare are known as such."""
        try:
            self._spare.calibrate(self._open_connection())
        except psycopg.Error as error:
            if is_lost(error):
                self._recovered(ConnectionLost(plain_line(error)))

    def spare(self) -> bool:
        """Whether the server has a core to spare, and nobody waits for a table that is being validated."""
        if self._watchdog is not None and self._watchdog.crowded:
            return False
        try:
            return self._spare.found(self._open_connection())
        except psycopg.Error as error:
            if is_lost(error):
                self._recovered(ConnectionLost(plain_line(error)))
            return False

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a table that is being validated."""
        return self._watchdog is not None and self._watchdog.crowded

    def _collected(self, lane: Lane) -> Ended:
        """Read a lane's result, in the main thread: publish, or find out what became of it."""
        lanes = self._open_lanes()
        try:
            taken = lane.future.result()
        except ConnectionLost as error:
            self._lane_lost(lane, str(error))
            return Ended(work=lane.work)
        except OrchestratorError as error:
            lanes.give_back(lane.connection)
            return Ended(work=lane.work, error=error)
        lanes.give_back(lane.connection)
        self.journal.publish(taken.entry)
        for note in taken.notes:
            self.journal.record(note)
        self._validations.learn(self.journal.run.done.get(lane.work.id))
        return Ended(work=lane.work)

    def _lane_lost(self, lane: Lane, reason: str) -> None:
        """End the former session, so that it cannot commit any more, and learn what it did. Raises JournalLost."""
        fresh, _ = self.target.again(self._step, former=lane.connection, reason=reason)
        self.journal.recover(reason)
        self._open_lanes().give_back(fresh)

    def _end_lanes(self) -> None:
        """Nothing of ours survives the step: cancel, wait, and publish what was committed all the same.

        What was committed and never heard of is found by the next event, which follows it in the chain.
        """
        lanes, taken = self._open_lanes(), list[Entry]()
        try:
            for times in count():
                if not lanes.running:
                    break
                lanes.cancel(cut_off=times * CANCEL_AGAIN_S >= CUT_AFTER_S)
                for lane in lanes.ended(CANCEL_AGAIN_S):
                    if lane.future.exception() is None:
                        taken.append(lane.future.result().entry)
                    lane.connection.close()
        finally:
            lanes.close()
            self._lanes = None
        for entry in taken:
            self.journal.publish(entry)

    def _recovered(self, error: Exception) -> None:
        """Find the target again after a lost connection; anything else is raised."""
        if not isinstance(error, ConnectionLost):
            raise error
        self._reconnect(str(error))

    def _reconnect(self, reason: str) -> None:
        """Find the target again and learn from the ledger what took effect. Raises JournalLost, HeldBack."""
        for _ in range(RECONNECTIONS):
            former = self._connection
            self._connection, _ = self.target.again(self._step, former=former, reason=reason)
            self._attempts.forget()
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
        """Raises HeldBack when another runner, or a dump of ours, is at work, and ConnectionLost."""
        self._attempts.deadlock_timeout_ms = prepare(connection, budget_ms=self.budget_ms, patience_ms=patience_ms)
        if self._step == WAY_BACK:
            keep_dumps_out(connection, self.target.server.interruption, within_s=self.give_up_after_s)

    def _open_connection(self) -> Connection:
        if self._connection is None:
            message = "the executor is used outside of opened()"
            raise RuntimeError(message)
        return self._connection

    def _open_lanes(self) -> Lanes:
        if self._lanes is None:
            message = "the executor is used outside of opened()"
            raise RuntimeError(message)
        return self._lanes
