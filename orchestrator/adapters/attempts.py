"""Attempts, one after the other or side by side: each watched, bounded, and understood when it fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters import blockers
from orchestrator.adapters.attempt import AUTOVACUUM_GIVES_WAY_MS, Attempt, AttemptFailed
from orchestrator.adapters.interruption import within
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.meaning import meaning
from orchestrator.adapters.postgres import Connection, pid_of
from orchestrator.adapters.target import ANSWER_WITHIN_S, Target
from orchestrator.adapters.watchdog import Watch, Watchdog
from orchestrator.core.catalog import TableName
from orchestrator.core.entry import Entry
from orchestrator.core.journal import Event
from orchestrator.core.locks import Lock, LockOrder
from orchestrator.core.outcome import HeldBack
from orchestrator.core.transaction import Transaction

Looker = Callable[[Transaction, tuple[Lock, ...]], None]
"""Is told which locks a transaction really held; from the threads of lanes, too."""


@dataclass(slots=True, kw_only=True)
class Attempts:
    """What the attempts of one run have in common. Called from the threads of lanes, too.

    Only a rehearsal has a `looker`: nobody else pays for the look.
    """

    target: Target
    journal: RunJournal
    order: LockOrder
    watchdog: Watchdog | None = None
    deadlock_timeout_ms: int = 1000
    looker: Looker | None = None
    _oids: dict[TableName, int] = field(default_factory=dict)

    def carry_out(
        self,
        connection: Connection,
        work: Transaction,
        event: Event,
        *,
        waited_ms: float = 0.0,
        gentle: tuple[Lock, ...] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Entry:
        """One transaction on this connection, committed with its record. Raises what `meaning` makes of a failure."""
        locks = self.order.arrange(work.locks)
        patience_ms = self.deadlock_timeout_ms + AUTOVACUUM_GIVES_WAY_MS
        seconds = ANSWER_WITHIN_S + (work.statement_timeout_ms + patience_ms * len(gentle)) / 1000
        interruption = self.target.server.interruption
        watched: Watch | None = None
        try:
            tables = self.known(connection, [lock.table for lock in work.locks])
            attempt = Attempt(
                connection=connection,
                work=work,
                locks=locks,
                record=self.journal.appending(connection, event, tables=tables, waited_ms=waited_ms, short=work.short),
                gentle=gentle,
                patience_ms=patience_ms,
                settings=settings or {},
                looks=self.looker is not None,
            )
            # What is short must answer soon; what is long may be cancelled by an interruption.
            with (
                within(connection, seconds) if work.short else interruption.cancelling(connection),
                self.watching(connection, work) as watched,
            ):
                if interruption.cancels and not work.short:
                    # Asked between our last look and now, when there was nothing to cancel yet.
                    message = f"{interruption.reason}; {work.id} was not begun"
                    raise HeldBack(message)
                row = attempt.carry_out()
        except AttemptFailed as failure:
            if failure.refused is not None and failure.refused in locks[1:]:
                self.order.flip(locks, locks.index(failure.refused))
            raise self.meaning(failure.error, work, watched, failure.refused) from failure
        except psycopg.Error as error:
            raise self.meaning(error, work) from error
        if self.looker is not None:
            self.looker(work, attempt.held)
        return Entry(**row)

    @contextmanager
    def watching(self, connection: Connection, work: Transaction) -> Iterator[Watch | None]:
        """Under the watchdog's eyes."""
        if self.watchdog is None:
            yield None
            return
        tables = self.known(connection, [lock.table for lock in work.locks])
        held = dict(zip(tables, (lock.mode for lock in work.locks), strict=False))
        with self.watchdog.watching(pid_of(connection), held, short=work.short) as watch:
            yield watch

    def known(self, connection: Connection, tables: Collection[TableName]) -> list[int]:
        """The object identifiers of tables, looked up once. Raises psycopg.Error."""
        missing = [each for each in tables if each not in self._oids]
        if missing:
            self._oids |= blockers.oids(connection, missing)
        return [self._oids[each] for each in tables if each in self._oids]

    def forget(self) -> None:
        """After a lost connection: look everything up anew."""
        self._oids = {}

    def meaning(
        self, error: psycopg.Error, work: Transaction, watch: Watch | None = None, refused: Lock | None = None
    ) -> Exception:
        """What an error means for this transaction."""
        reason = self.target.server.interruption.reason
        return self.journal.overtaken(error) or meaning(error, work, watch, refused=refused, stopping=reason)
