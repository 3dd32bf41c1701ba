"""The journal of a run as steps see it: a file until the ledger is open, then the ledger; the readers never notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters import events
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.ledger_journal import LedgerJournal
from orchestrator.adapters.postgres import Connection, plain_line
from orchestrator.adapters.runs import FileJournal
from orchestrator.adapters.target import Target
from orchestrator.core.entry import Entry
from orchestrator.core.journal import Event
from orchestrator.core.outcome import CannotConnect, JournalLost, RunState, TargetLost
from orchestrator.core.run import Run

Listener = Callable[[Event, Run], None]
Follower = Callable[[Entry], None]


def _nothing() -> tuple[Event, ...]:
    """Where nobody delivers messages, there is nothing to record of them."""
    return ()


@dataclass(slots=True, kw_only=True)
class RunJournal:
    """Records events, and tells the listeners of each that is on record.

    Followers get the entries themselves. `delivered` gives what another thread has delivered since it was last asked:
    it is recorded before the next event, so that one thread alone writes the chain.
    """

    file: FileJournal
    interruption: Interruption = field(default_factory=Interruption)
    listeners: list[Listener] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)
    delivered: Callable[[], Iterable[Event]] = _nothing
    target: Target | None = None
    ledger: LedgerJournal | None = None

    @property
    def run(self) -> Run:
        """The run so far."""
        return self.ledger.run if self.ledger else self.file.run

    def record(self, event: Event) -> None:
        """Append one event. Raises JournalLost when the ledger cannot be written."""
        for each in (*self.delivered(), event):
            self._record(each)

    def _record(self, event: Event) -> None:
        if self.ledger:
            self._tell_all(self.ledger.record(event))
            return
        self.file.record(event)
        self._tell_all(self.file.entries[-1:])

    def close(self, state: RunState, reason: str) -> None:
        """Append the last event, which seals the chain."""
        for each in self.delivered():
            self._record(each)
        if self.ledger:
            self._tell_all(self.ledger.close(state, reason))
        else:
            self.file.close(state, reason)
            self._tell_all(self.file.entries[-1:])

    def appending(
        self, connection: Connection, event: Event, *, tables: Sequence[int], waited_ms: float, short: bool
    ) -> bytes:
        """The SQL that appends one event inside the transaction of its effect; `publish` it after the commit.

        The server fills in how long it took and, where `short`, the longest that anybody waited for `tables`.
        """
        return self._opened().appending(connection, event, tables=tables, waited_ms=waited_ms, short=short)

    def append(self, connection: Connection, event: Event) -> None:
        """Append one event inside the caller's transaction; the next event makes it known. From any thread.

        Raises psycopg.Error, LeaseLost.
        """
        self._opened().append(connection, event)

    def still_ours(self, connection: Connection) -> None:
        """Raises LeaseLost when another process has taken this run's place, psycopg.Error. From any thread."""
        self._opened().may_go_on(connection)

    def publish(self, entry: Entry) -> None:
        """Make a committed entry known, and those that waited for it."""
        self._tell_all(self._opened().publish(entry))

    def overtaken(self, error: psycopg.Error) -> JournalLost | None:
        """What it means for this run when the ledger refused an event; None when it is something else."""
        return self._opened().overtaken(error)

    def recover(self, reason: str) -> None:
        """After a lost connection: find the target again, and out how far the run came. Raises JournalLost."""
        if self.ledger:
            self._tell_all(self.ledger.refresh(reason))
        elif self.target:
            try:
                connection, _ = self.target.again("journal", reason=reason)
            except TargetLost as error:
                # Nothing is on record in the target yet, so the run ends here as refused.
                message = f"{self.target.server.environment}: {reason}, and it did not come back"
                raise CannotConnect(message) from error
            connection.close()

    def stopping(self) -> str | None:
        """Why the run should stop before anything new: interrupted, or asked to hold; None to go on."""
        if self.interruption.reason is None and self.ledger is not None:
            try:
                self.heed(self.ledger.connection)
            except psycopg.Error as error:
                self.recover(plain_line(error))
        return self.interruption.reason

    def heed(self, connection: Connection) -> None:
        """Look before a statement: the lease must be ours, and a request to hold is put on record.

        Raises LeaseLost, psycopg.Error.
        """
        asked = self._opened().may_go_on(connection)
        if asked is not None:
            self.record(asked)
            self._opened().heard()
            self.interruption.ask(f"asked to hold by {asked.by} from {asked.host}: {asked.reason}", cancel=False)

    def _opened(self) -> LedgerJournal:
        if self.ledger is None:
            message = "an effect without an open ledger"
            raise RuntimeError(message)
        return self.ledger

    def _tell_all(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            for follower in self.followers:
                follower(entry)
            event = events.decode(entry.kind, entry.data)
            if event is not None:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        """Telling never breaks the work: a listener that fails (a closed pipe, a full disk) is not asked again."""
        for listener in tuple(self.listeners):
            try:
                listener(event, self.run)
            except Exception:  # noqa: BLE001  whatever it was, the event is on record
                self.listeners.remove(listener)
