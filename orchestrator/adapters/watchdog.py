"""The watchdog: from a connection of its own it sees who waits behind us, and cancels what keeps others waiting.

A short attempt is bounded by the server's own timeouts; here it is measured, also when it fails. A VALIDATE blocks no
writer by itself, but whoever asks for a stronger lock on its table queues behind it, and writers behind him: then the
VALIDATE gives way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters.blockers import waiters
from orchestrator.adapters.interruption import within
from orchestrator.adapters.postgres import Connection, Server
from orchestrator.core.locks import Mode, conflict
from orchestrator.core.outcome import OrchestratorError

SHORT_S = 0.01
"""How often a short attempt is looked at; whatever is over sooner is measured in its own transaction."""

LONG_S = 0.05
"""How often, and from when on, long statements are looked at: half of the usual budget."""

ANSWER_WITHIN_S = 5.0
CANCEL_AGAIN_S = 0.5
"""A cancel that meets a session between two statements is ignored by the server."""


APPLICATION: frozenset[Mode] = frozenset({"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE"})
"""What reading and writing rows asks for."""


@dataclass(slots=True, kw_only=True, eq=False)
class Watch:
    """A statement at work. `longest_ms` is the longest that somebody was seen waiting since it began.

    `crowd` tells whether anybody waits for its tables at this moment.
    """

    pid: int
    held: Mapping[int, Mode]
    short: bool
    began: float
    longest_ms: float = 0.0
    cancelled: bool = False
    cancelled_at: float = float("-inf")
    crowd: bool = False


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Watches the statements of one step; the budget is in ms."""

    server: Server
    budget_ms: int
    _watches: set[Watch] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _connection: Connection | None = None
    _thread: threading.Thread | None = None
    _over: bool = False

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Watch while the block lasts."""
        self._over = False
        self._thread = threading.Thread(target=self._keep, name="watchdog", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()
            self._thread.join()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def watching(self, pid: int, held: Mapping[int, Mode], *, short: bool) -> Iterator[Watch]:
        """Watch one statement of the backend `pid`, which holds these locks by the tables' identifiers."""
        watch = Watch(pid=pid, held=held, short=short, began=time.monotonic())
        with self._changed:
            self._watches.add(watch)
            self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.discard(watch)

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a table of a long statement at this moment."""
        return any(each.crowd for each in tuple(self._watches))

    def _keep(self) -> None:
        """The thread: nothing is asked while nothing lasts."""
        while True:
            with self._changed:
                if self._over:
                    return
                self._changed.wait(self._pause())
                watches = tuple(self._watches)
            now = time.monotonic()
            due = [each for each in watches if now - each.began >= (SHORT_S if each.short else LONG_S)]
            if due:
                self._look(due)

    def _pause(self) -> float | None:
        if not self._watches:
            return None
        return SHORT_S if any(each.short for each in self._watches) else LONG_S

    def _look(self, watches: list[Watch]) -> None:
        """One look for all of them. A connection that breaks is made again at the next one."""
        try:
            connection = self._connection = self._connection or self._connected()
            with within(connection, ANSWER_WITHIN_S):
                tables = frozenset[int]().union(*(each.held for each in watches))
                found = tuple(waiters(connection, tables, [each.pid for each in watches]))
                for each in watches:
                    self._judge(connection, each, found)
        except (psycopg.Error, OrchestratorError):
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _judge(self, connection: Connection, watch: Watch, found: tuple[tuple[int, Mode, float], ...]) -> None:
        """Measure who waits, and cancel what is over the budget."""
        lasted_ms = (time.monotonic() - watch.began) * 1000
        mine = [(table, mode, min(waited, lasted_ms)) for table, mode, waited in found if table in watch.held]
        watch.crowd = bool(mine)
        # A VALIDATE is in nobody's way until somebody asks for a lock that ours excludes, and others queue behind him.
        queues = {table for table, mode, _ in mine if watch.short or conflict(watch.held[table], mode)}
        behind = [waited for table, mode, waited in mine if table in queues and mode in APPLICATION]
        watch.longest_ms = max([watch.longest_ms, *behind])
        late = time.monotonic() - watch.cancelled_at > CANCEL_AGAIN_S
        if max(behind, default=0.0) >= self.budget_ms and late:
            self._cancel(connection, watch)

    def _cancel(self, connection: Connection, watch: Watch) -> None:
        """Under the lock, so that the statement cannot end and another begin on its connection meanwhile."""
        with self._changed:
            if watch in self._watches:
                row = connection.execute("select pg_cancel_backend(%s) as sent", (watch.pid,)).fetchone()
                watch.cancelled = watch.cancelled or bool(row and row["sent"])
                watch.cancelled_at = time.monotonic()

    def _connected(self) -> Connection:
        """As the role that logged in: it may cancel its own sessions, the role of `database.role` may not."""
        connection = self.server.connect("watchdog")
        connection.execute("set role none")
        return connection
