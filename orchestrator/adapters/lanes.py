"""Lanes: connections on which long statements run side by side, each in a thread that only waits for the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters.interruption import CANCEL_WITHIN_S, cut
from orchestrator.adapters.postgres import Connection, pid_of
from orchestrator.adapters.target import Target
from orchestrator.core.entry import Entry
from orchestrator.core.journal import Event
from orchestrator.core.transaction import Transaction
from orchestrator.core.workers import MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a lane has committed: the record, not known to anybody yet, and what else is to be told."""

    entry: Entry
    notes: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One connection, and what is at work on it."""

    connection: Connection
    work: Transaction
    future: Future[Taken]


@dataclass(slots=True, kw_only=True)
class Lanes:
    """The lanes of one step, one more than validations, for an index; a connection is made when needed, and kept."""

    target: Target
    step: str
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(MOST + 1, thread_name_prefix="lane"))
    _idle: list[Connection] = field(default_factory=list)
    _busy: list[Lane] = field(default_factory=list)

    @property
    def running(self) -> tuple[Transaction, ...]:
        """What is at work."""
        return tuple(each.work for each in self._busy)

    @property
    def pids(self) -> tuple[int, ...]:
        """The backends of all lanes."""
        return tuple(pid_of(each) for each in [*self._idle, *(lane.connection for lane in self._busy)])

    @property
    def concurrent(self) -> tuple[Lane, ...]:
        """Those that build or drop an index."""
        return tuple(each for each in self._busy if each.work.concurrent)

    def begin(self, work: Transaction, act: Callable[[Connection], Taken]) -> None:
        """Start work on a lane of its own. Raises CannotConnect."""
        connection = self._idle.pop() if self._idle else self.target.server.connect(self.step)
        self._busy.append(Lane(connection=connection, work=work, future=self._pool.submit(act, connection)))

    def ended(self, within_s: float) -> Iterator[Lane]:
        """The lanes whose work ended, waited for so long; the caller reads the results and gives connections back."""
        if not self._busy:
            return
        wait([each.future for each in self._busy], timeout=within_s, return_when=FIRST_COMPLETED)
        for lane in tuple(self._busy):
            if lane.future.done():
                self._busy.remove(lane)
                yield lane

    def cancel(self, *, cut_off: bool = False) -> None:
        """Cancel what is at work, or cut its way; a statement that has not begun yet is caught by the next call."""
        for lane in self._busy:
            if cut_off:
                cut(lane.connection)
                continue
            with suppress(psycopg.Error):
                lane.connection.cancel_safe(timeout=CANCEL_WITHIN_S)

    def give_back(self, connection: Connection) -> None:
        """A connection that is free again; one that broke is forgotten."""
        if not connection.closed and not connection.broken:
            self._idle.append(connection)

    def close(self) -> None:
        """End threads and connections, once nothing is at work any more."""
        self._pool.shutdown(wait=True)
        for each in self._idle:
            each.close()
        self._idle.clear()
