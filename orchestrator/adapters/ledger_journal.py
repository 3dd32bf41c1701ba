"""The journal of a run that changes its target: every event is in the ledger first, then in the copy beside us."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters import events, ledger, points
from orchestrator.adapters.interruption import within
from orchestrator.adapters.postgres import Connection, is_lost, is_mendable, plain_line, plainly, statement
from orchestrator.adapters.runs import JournalCopy
from orchestrator.adapters.target import ANSWER_WITHIN_S, Target
from orchestrator.core import chain
from orchestrator.core.entry import Entry
from orchestrator.core.journal import ConnectionRestored, Event, HoldAsked, LedgerRewound, RunFinished
from orchestrator.core.outcome import (
    ConnectionLost,
    JournalLost,
    LeaseLost,
    Refused,
    RunState,
    TargetChanged,
    TargetLost,
)
from orchestrator.core.run import Run

TRIES = 5
"""How often something is tried again at once when only the connection broke."""

LEASE_TAKEN = "OR001"
RUN_CLOSED = "OR002"
"""What orchestrator.append raises: another run's lease, a closed run."""

ROWS = frozenset({"rows_remediated", "rows_put_back"})
"""Events whose counts the transaction itself fills in."""


@dataclass(slots=True, kw_only=True)
class LedgerJournal:
    """Writes under the lease `token`. A lost connection is found again and the last event looked for, not repeated."""

    target: Target
    connection: Connection
    copy: JournalCopy
    token: int
    run: Run
    database: int = field(init=False, default=0)
    _hashes: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Events wait for no standby, which may be away; the last one does."""
        with plainly("preparing the journal"):
            query = "select oid::bigint as oid from pg_database where datname = current_database()"
            row = self.connection.execute(query).fetchone()
        self.database = int(row["oid"]) if row else 0
        self._wait_for_no_standby()

    def _wait_for_no_standby(self) -> None:
        with plainly("preparing the journal"):
            self.connection.execute("set synchronous_commit = local")

    def begin(self, environment: str, earlier: Sequence[Entry]) -> None:
        """Take over what was recorded before there was a ledger. Raises Refused, JournalLost.

        When the answer to the COMMIT is lost, the ledger is asked: a run must not be told as refused and stand there.
        """
        points.reached("run:begin")
        for last in (False,) * TRIES + (True,):
            try:
                with plainly("opening the journal", reading=True):
                    if ledger.head(self.connection, self.run.id) is None:
                        self._begin(environment, earlier)
                break
            except ConnectionLost as error:
                if last:
                    raise TargetLost(str(error)) from error
                self.connection, _ = self.target.again("journal", former=self.connection, reason=str(error))
        points.reached("run:begun")
        for entry in earlier:
            self._take(entry)

    def _begin(self, environment: str, earlier: Sequence[Entry]) -> None:
        with self.connection.transaction():
            self.connection.execute(
                "insert into orchestrator.run (id, environment, head_seq, head_hash) values (%s, %s, %s, %s)",
                (self.run.id, environment, len(earlier), earlier[-1].hash),
            )
            with self.connection.cursor() as cursor:
                cursor.executemany(
                    "insert into orchestrator.event values (%s, %s, %s, %s, %s, %s::json, %s, %s)",
                    [(e.run, e.seq, e.at, e.actor, e.kind, e.data, e.previous, e.hash) for e in earlier],
                )

    def take_up(self, known: Sequence[Entry]) -> tuple[Entry, ...]:
        """Go on with a run that another process began; `known` is the copy that this machine has of it.

        Gives back the events that the ledger has lost and no event tells of yet; the caller records that. Raises
        JournalLost when copy or ledger was touched.
        """
        held = list(ledger.entries(self.connection, self.run.id))
        common = chain.common(held, known)
        if common < min(len(held), len(known)) and not chain.both_whole(self.run.id, held, known):
            message = (
                f"run {self.run.id}: the copy in {self.copy.folder.path} and the ledger part ways at event"
                f" {common + 1}, and one of them was touched: invoke verify --env {self.target.server.environment}"
                f"{self.target.server.where} --run {self.run.id} says more; to go on with what the ledger says, move"
                " that folder away first; nothing was done"
            )
            raise JournalLost(message)
        self.copy.rebuild(held, known[common:] if common < len(known) else ())
        for entry in held:
            self._take(entry)
        self.connection.execute("update orchestrator.request set heard = true where run = %s", (self.run.id,))
        return chain.unexplained(held, tuple(self.copy.folder.lost()))

    def record(self, event: Event) -> tuple[Entry, ...]:
        """Append one event in a transaction of its own; gives back what became known by that. Raises JournalLost."""
        return self._record(lambda: event)

    def close(self, state: RunState, reason: str) -> tuple[Entry, ...]:
        """Append the last event, which holds the count and the hash of those before. Raises JournalLost.

        Its commit is the one that waits for a synchronous standby, for all that was committed before.
        """
        known = self.settle()
        with suppress(psycopg.Error):
            self.connection.execute("reset synchronous_commit")
        return (
            *known,
            *self._record(lambda: RunFinished(state=state, reason=reason, events=self.run.count, head=self.run.head)),
        )

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
            raise self.overtaken(error) or error from error
        return Entry(**(row or {}))

    def appending(
        self, connection: Connection, event: Event, *, tables: Sequence[int], waited_ms: float, short: bool
    ) -> bytes:
        """The SQL that appends one event inside the caller's transaction; `publish` the entry after the commit.

        The server fills in how long it took and, where `short`, who waited for `tables`. Touches nothing of ours, so
        that any thread may call it.
        """
        kind, data = events.encode(event)
        values = {"run": self.run.id, "kind": kind, "data": data, "token": self.token}
        if short:
            values |= {"tables": list(tables), "waited": round(waited_ms, 3), "database": self.database}
        query = statement("append_rows" if kind in ROWS else "append_short" if short else "append_long")
        return psycopg.ClientCursor(connection).mogrify(query, values).encode()

    def publish(self, entry: Entry) -> tuple[Entry, ...]:
        """Copy a committed entry to disk and into the run that we show; gives back what became known by that.

        Transactions that run side by side are not heard of in the order of their commits. Entries commit in the order
        of their numbers, so those before this one are in the ledger already: they are read there. So are those of a new
        primary, which may have the numbers of events that were lost. Raises JournalLost.
        """
        if entry.seq <= self.run.count and self._hashes[entry.seq - 1] == entry.hash:
            return ()
        if entry.seq != self.run.count + 1 or entry.previous != self.run.head:
            return tuple(self.refresh("another transaction was first"))
        self._follow(entry)
        return (entry,)

    def settle(self) -> tuple[Entry, ...]:
        """When nothing is at work any more: fetch what was committed and never heard of. Raises JournalLost."""
        return tuple(self.refresh("an answer was lost"))

    def overtaken(self, error: psycopg.Error) -> LeaseLost | None:
        """The error that the ledger raises when another process has taken this run's place."""
        return self._overtaken(plain_line(error)) if error.sqlstate in {LEASE_TAKEN, RUN_CLOSED} else None

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
            except (psycopg.Error, ConnectionLost) as error:
                if isinstance(error, psycopg.Error) and not is_lost(error):
                    raise self._unwritable(error) from error
                if time.monotonic() - began > self.target.within_s and attempts >= TRIES:
                    message = f"run {self.run.id}: the connection breaks again and again ({plain_line(error)})"
                    raise TargetLost(f"{message}; go on with: {self.target.server.resume}") from error
                self.connection, more = self.target.again("journal", former=self.connection, reason=str(error))
                self._wait_for_no_standby()
                attempts += more
            except Refused as error:
                message = f"run {self.run.id}: {error}; mend it and go on with: {self.target.server.resume}"
                raise TargetLost(message) from error
        new, lost = found
        for entry in new:
            self._follow(entry)
        if lost:
            new += self.record(LedgerRewound(after=self.run.count, lost=tuple(lost), reason=reason))
        # A closed run takes no event any more: its end was on record when the answer was lost.
        if attempts and not self.run.closed:
            spent = round((time.monotonic() - began) * 1000, 1)
            new += self.record(ConnectionRestored(reason=reason, after_ms=spent, attempts=attempts))
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
        # A number alone proves nothing: on a promoted standby a transaction of ours may have taken the next one.
        held = list(ledger.entries(self.connection, self.run.id, after=self.run.count - 1))
        if not held or held[0].hash != self.run.head:
            return [], self._rewind()
        return held[1:], []

    def _rewind(self) -> list[str]:
        """Go back to what the database says."""
        held = list(ledger.entries(self.connection, self.run.id))
        kept = sum(each.hash == mine for each, mine in zip(held, self._hashes, strict=False))
        lost = self._hashes[kept:]
        self.copy.rebuild(held, list(self.copy.folder.entries())[kept:])
        self.run, self._hashes = Run(self.run.id), []
        for entry in held:
            self._take(entry)
        return lost

    def _record(self, make: Callable[[], Event]) -> tuple[Entry, ...]:
        known: list[Entry] = []
        while True:
            event = make()
            try:
                with within(self.connection, ANSWER_WITHIN_S):
                    entry = self.append(self.connection, event)
            except psycopg.Error as error:
                if not is_lost(error):
                    raise self._unwritable(error) from error
                written = events.encode(event)
                found = self.refresh(plain_line(error))
                known += found
                if any((each.kind, each.data) == written for each in found):
                    return tuple(known)
                continue
            points.reached("journal:committed")
            return (*known, *self.publish(entry))

    def _follow(self, entry: Entry) -> None:
        self._take(entry)
        self.copy.add(entry)

    def _take(self, entry: Entry) -> None:
        self._hashes.append(entry.hash)
        events.take(self.run, entry)

    def _unwritable(self, error: psycopg.Error) -> JournalLost:
        """What has no record does not go on; once the cause is gone, resume does."""
        message = f"run {self.run.id}: the journal cannot be written: {plain_line(error)}"
        if is_mendable(error):
            resume = self.target.server.resume
            return TargetLost(f"{message}; what took effect is on record, mend it and go on with: {resume}")
        return JournalLost(message)

    def _overtaken(self, why: str) -> LeaseLost:
        message = f"run {self.run.id}: another process has taken its place ({why}); this one did nothing more"
        return LeaseLost(message)
