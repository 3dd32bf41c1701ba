"""The journal of a run that changes its target: every event is in the ledger first, then in the copy beside us."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters import events, ledger, points
from orchestrator.adapters.interruption import within
from orchestrator.adapters.postgres import Connection, is_lost, is_mendable, plain_line, plainly
from orchestrator.adapters.runs import JournalCopy
from orchestrator.adapters.target import ANSWER_WITHIN_S, Target
from orchestrator.core.entry import Entry, Head
from orchestrator.core.journal import ConnectionRestored, Event, HoldAsked, LedgerRewound, RunFinished
from orchestrator.core.outcome import JournalLost, LeaseLost, OrchestratorError, RunState, TargetChanged, TargetLost
from orchestrator.core.run import Run

LEASE_TAKEN = "OR001"
RUN_CLOSED = "OR002"
"""What orchestrator.append raises: another run's lease, a closed run."""


@dataclass(slots=True, kw_only=True)
class LedgerJournal:
    """Writes under the lease `token`. A lost connection is found again and the last event looked for, not repeated."""

    target: Target
    connection: Connection
    copy: JournalCopy
    token: int
    run: Run
    _hashes: list[str] = field(init=False, default_factory=list)

    def begin(self, environment: str, earlier: Sequence[Entry]) -> None:
        """Take over what was recorded before there was a ledger. Raises Refused."""
        points.reached("run:begin")
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
        points.reached("run:begun")
        for entry in earlier:
            self._take(entry)

    def take_up(self, known: Sequence[Entry]) -> tuple[Entry, ...]:
        """Go on with a run that another process began; `known` is the copy that this machine has of it.

        Gives back the events that the ledger has lost, which are recorded as such. Raises JournalLost when copy and
        ledger tell different stories.
        """
        held = list(ledger.entries(self.connection, self.run.id))
        for mine, theirs in zip(known, held, strict=False):
            if mine.hash != theirs.hash:
                message = (
                    f"run {self.run.id}: the copy in {self.copy.folder.path} and the ledger part ways at event"
                    f" {mine.seq}: invoke verify --run {self.run.id} says more; nothing was done"
                )
                raise JournalLost(message)
        lost = tuple(known[len(held) :])
        self.copy.rebuild(held, lost)
        for entry in held:
            self._take(entry)
        self.connection.execute("update orchestrator.request set heard = true where run = %s", (self.run.id,))
        return lost

    def record(self, event: Event) -> Entry:
        """Append one event in a transaction of its own. Raises JournalLost."""
        return self._record(lambda: event)

    def close(self, state: RunState, reason: str) -> tuple[Entry, RunFinished]:
        """Append the last event, which holds the count and the hash of those before."""
        made: list[RunFinished] = []

        def last() -> RunFinished:
            made.append(RunFinished(state=state, reason=reason, events=self.run.count, head=self.run.head))
            return made[-1]

        return self._record(last), made[-1]

    def append(self, connection: Connection, event: Event) -> Entry:
        """Append one event inside the caller's transaction; `publish` it after the commit.

        Raises psycopg.Error, and LeaseLost when another process has taken this run's place.
        """
        kind, data = events.encode(event)
        try:
            row = connection.execute(
                "select e.run, e.seq, e.at, e.actor, e.kind, e.data::text as data, e.previous, e.hash"
                " from orchestrator.append(%s, %s, %s, %s) e",
                (self.run.id, kind, data, self.token),
            ).fetchone()
        except psycopg.Error as error:
            if error.sqlstate in {LEASE_TAKEN, RUN_CLOSED}:
                raise self._overtaken(plain_line(error)) from error
            raise
        return Entry(**(row or {}))

    def publish(self, entry: Entry) -> None:
        """Copy a committed entry to disk and into the run that we show."""
        self._take(entry)
        self.copy.add(entry)

    def may_go_on(self, connection: Connection) -> HoldAsked | None:
        """Look before a statement: whether the lease is still ours, and whether somebody asked us to hold.

        Raises LeaseLost, psycopg.Error.
        """
        row = connection.execute(
            "select exists (select from orchestrator.lease where token = %(token)s and not released) as mine,"
            " (select json_build_object('by', os_user, 'host', host, 'reason', reason) from orchestrator.request"
            "  where run = %(run)s and not heard order by id limit 1) as request",
            {"token": self.token, "run": self.run.id},
        ).fetchone() or {"mine": False, "request": None}
        if not row["mine"]:
            raise self._overtaken(f"lease {self.token} is not the current one any more")
        return HoldAsked(**row["request"]) if row["request"] else None

    def heard(self) -> None:
        """The request to hold is on record."""
        with plainly("writing the journal"):
            self.connection.execute("update orchestrator.request set heard = true where run = %s", (self.run.id,))

    def refresh(self, reason: str) -> list[Entry]:
        """Find out how far the run came; the entries that were committed without our knowing are published.

        Raises TargetLost, TargetChanged, LeaseLost.
        """
        began = time.monotonic()
        attempts = 0
        while True:
            try:
                with within(self.connection, ANSWER_WITHIN_S):
                    found = self._missed()
                break
            except (psycopg.Error, OrchestratorError) as error:
                if isinstance(error, JournalLost):
                    raise
                self.connection, more = self.target.again("journal", former=self.connection, reason=str(error))
                attempts += more
        new, lost = found
        for entry in new:
            self.publish(entry)
        if lost:
            new.append(self.record(LedgerRewound(after=self.run.count, lost=tuple(lost), reason=reason)))
        if attempts:
            spent = round((time.monotonic() - began) * 1000, 1)
            new.append(self.record(ConnectionRestored(reason=reason, after_ms=spent, attempts=attempts)))
        return new

    def _missed(self) -> tuple[list[Entry], list[str]]:
        """Entries of the ledger that we have not seen, and the hashes of ours that it no longer has."""
        head = ledger.head(self.connection, self.run.id)
        if head is None:
            message = (
                f"run {self.run.id}: the database does not know this run any more: it was set back to a time before;"
                " nothing more was done"
            )
            raise TargetChanged(message)
        if head.seq < self.run.count:
            return [], self._rewind(head)
        return list(ledger.entries(self.connection, self.run.id, after=self.run.count)), []

    def _rewind(self, head: Head) -> list[str]:
        """Go back to what the database says."""
        lost = self._hashes[head.seq :]
        gone = list(self.copy.folder.entries())[head.seq :]
        held = list(ledger.entries(self.connection, self.run.id))
        self.copy.rebuild(held, gone)
        self.run, self._hashes = Run(self.run.id), []
        for entry in held:
            self._take(entry)
        return lost

    def _record(self, make: Callable[[], Event]) -> Entry:
        while True:
            event = make()
            try:
                with within(self.connection, ANSWER_WITHIN_S):
                    entry = self.append(self.connection, event)
            except psycopg.Error as error:
                if not is_lost(error):
                    raise self._unwritable(error) from error
                written = events.encode(event)
                for each in self.refresh(plain_line(error)):
                    if (each.kind, each.data) == written:
                        return each
                continue
            points.reached("journal:committed")
            self.publish(entry)
            return entry

    def _take(self, entry: Entry) -> None:
        self._hashes.append(entry.hash)
        events.take(self.run, entry)

    def _unwritable(self, error: psycopg.Error) -> JournalLost:
        """What has no record does not go on; once the cause is gone, resume does."""
        message = f"run {self.run.id}: the journal cannot be written: {plain_line(error)}"
        if is_mendable(error):
            return TargetLost(f"{message}; what took effect is on record, mend it and go on with: invoke resume")
        return JournalLost(message)

    def _overtaken(self, why: str) -> LeaseLost:
        message = f"run {self.run.id}: another process has taken its place ({why}); this one did nothing more"
        return LeaseLost(message)
