"""The journal of a run as steps see it: a file until the ledger is open, then the ledger; the readers never notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.adapters.ledger import Ledger
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.runs import FileJournal
from orchestrator.core.journal import Entry, Event
from orchestrator.core.run import Run

Listener = Callable[[Event, Run], None]


@dataclass(slots=True, kw_only=True)
class RunJournal:
    """Records events, and tells the listeners of each that is on record."""

    file: FileJournal
    listeners: list[Listener] = field(default_factory=list)
    ledger: Ledger | None = None

    @property
    def run(self) -> Run:
        """The run so far."""
        return self.ledger.run if self.ledger else self.file.run

    def open_ledger(self, connection: Connection, environment: str) -> None:
        """Go on in the target's ledger, with everything that was recorded so far. Raises Refused."""
        ledger = Ledger(connection=connection, folder=self.file.folder)
        ledger.open(environment, self.file.entries)
        self.ledger = ledger

    def record(self, event: Event) -> None:
        """Append one event. Raises OrchestratorError when the ledger cannot be written."""
        (self.ledger or self.file).record(event)
        self._tell(event)

    def append(self, connection: Connection, event: Event) -> Entry:
        """Append one event inside the transaction of its effect; `publish` it after the commit."""
        if self.ledger is None:
            message = "an effect without an open ledger"
            raise RuntimeError(message)
        return self.ledger.append(connection, event)

    def publish(self, entry: Entry, event: Event) -> None:
        """Make a committed entry known."""
        if self.ledger:
            self.ledger.publish(entry)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Telling never breaks the work: a listener that fails (a closed pipe, a full disk) is not asked again."""
        for listener in tuple(self.listeners):
            try:
                listener(event, self.run)
            except Exception:  # noqa: BLE001  whatever it was, the event is on record
                self.listeners.remove(listener)
