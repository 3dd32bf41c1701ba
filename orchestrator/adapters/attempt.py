"""One attempt: settings, locks, statements, record and COMMIT, sent in one piece.

Locks are held while the server works and not while a packet travels, so a slow link costs no writer anything. What is
left of the budget is counted by the server's clock. An error anywhere in the piece ends the transaction, and with it
every lock, before we hear of it. Source of the last: AbortTransaction in PostgreSQL's xact.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import generators, sql
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from orchestrator.adapters import points
from orchestrator.adapters.ddl import lock_table
from orchestrator.adapters.postgres import Connection, statement
from orchestrator.core.catalog import TableName
from orchestrator.core.locks import SECOND_LOCK_MS, Lock
from orchestrator.core.transaction import Transaction

Settings = Mapping[str, str]

AUTOVACUUM_GIVES_WAY_MS = 500
"""How much longer than deadlock_timeout an autovacuum is waited for: then the server has told it to stop."""

RECORD_WITHIN_MS = 30_000
"""How long the record of a long statement may wait for its turn; no writer waits meanwhile."""

BEGIN = sql.SQL(
    "select set_config('orchestrator.began', clock_timestamp()::text, true),"
    " set_config('lock_timeout', {lock}, true), set_config('statement_timeout', {statement}, true),"
    # The commit of short DDL must not wait for a standby while it holds locks; the run's last event does that.
    " set_config('synchronous_commit', 'local', true)"
)
LEFT = sql.SQL(
    "select set_config('lock_timeout', least({most}, greatest(1, left_ms - 1))::text, true),"
    " set_config('statement_timeout', greatest(1, left_ms)::text, true)"
    " from (select ({budget} - 1000 * extract(epoch from clock_timestamp()"
    " - current_setting('orchestrator.began')::timestamptz))::integer as left_ms) as t"
)


class AttemptFailed(Exception):
    """What the server said, and the lock that was asked for when it said so."""

    def __init__(self, error: psycopg.Error, refused: Lock | None) -> None:
        """Keep both."""
        self.error, self.refused = error, refused
        super().__init__(str(error))


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One transaction on one connection. `locks` are asked for in this order, `record` is the SQL that writes it down.

    `gentle` are locks behind which no writer waits, asked for first and patiently: an autovacuum on these tables gives
    way to them after deadlock_timeout (`patience_ms`). `settings` hold for this transaction only. With `looks` the
    locks that it really holds are read just before its commit, after its record: they are in `held` then.
    """

    connection: Connection
    work: Transaction
    locks: tuple[Lock, ...]
    record: bytes
    gentle: tuple[Lock, ...] = ()
    patience_ms: int = 0
    settings: Settings = field(default_factory=dict)
    looks: bool = False
    held: tuple[Lock, ...] = ()
    _piece: list[tuple[bytes, Lock | None]] = field(init=False, default_factory=list)

    def carry_out(self) -> dict[str, Any]:
        """The record as the server wrote it. Raises AttemptFailed; then nothing of it was kept and no lock is held."""
        self._compose()
        points.reached("effect:begin")
        try:
            written = self._exchange()
        except psycopg.Error:
            self._leave()
            raise
        points.reached("effect:committed")
        if self.looks:
            self.held = tuple(map(_lock, _rows(self.connection, written.pop(-2))))
        return next(_rows(self.connection, written[-2]))

    def _exchange(self) -> list[PGresult]:
        """Send the piece and wait for all answers. As one simple query: the server has all of it before it begins.

        In a pipeline each part would go on its own, and a way that dies between two of them would leave locks behind
        that no timeout of the server ends. Raises AttemptFailed, psycopg.OperationalError.
        """
        connection = self.connection
        with connection.lock:
            connection.pgconn.send_query(b";\n".join(text for text, _ in self._piece))
            results: list[PGresult] = connection.wait(generators.execute(connection.pgconn))
        # A text of several statements has several results; all locks are asked for before it.
        for number, result in enumerate(results):
            if result.status == ExecStatus.FATAL_ERROR:
                lock = self._piece[number][1] if number < len(self._piece) else None
                error = error_from_result(result, encoding="utf-8")
                self._leave()
                raise AttemptFailed(error, lock) from error
        return results

    def _compose(self) -> None:
        work = self.work
        self._add(sql.SQL("begin"))
        for lock in self.gentle:
            self._configure({"lock_timeout": str(self.patience_ms), "statement_timeout": "0"})
            self._add(lock_table(lock), lock)
        first = max(1, work.lock_timeout_ms - 1) if work.short else work.lock_timeout_ms
        self._add(BEGIN.format(lock=sql.Literal(str(first)), statement=sql.Literal(str(work.statement_timeout_ms))))
        if self.settings:
            self._configure(self.settings)
        for position, lock in enumerate(self.locks if work.short else ()):
            if position:
                self._bound(SECOND_LOCK_MS)
            self._add(lock_table(lock), lock)
        for text in work.statements:
            if work.short:
                self._bound(work.lock_timeout_ms)
            self._add(text.encode())
        if work.short:
            self._bound(work.lock_timeout_ms)
        else:
            self._configure({"lock_timeout": str(RECORD_WITHIN_MS)})
        self._add(self.record)
        if self.looks:
            self._add(statement("held_locks"))
        self._add(sql.SQL("commit"))

    def _add(self, query: sql.Composable | bytes, lock: Lock | None = None) -> None:
        self._piece.append((query if isinstance(query, bytes) else query.as_string(self.connection).encode(), lock))

    def _bound(self, most_ms: int) -> None:
        """What is left of the budget bounds what comes next; a further lock gets less than the first."""
        self._add(LEFT.format(most=sql.Literal(most_ms), budget=sql.Literal(self.work.lock_timeout_ms)))

    def _configure(self, settings: Settings) -> None:
        calls = (
            sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
            for name, value in settings.items()
        )
        self._add(sql.SQL("select {}").format(sql.SQL(", ").join(calls)))

    def _leave(self) -> None:
        """Leave the failed transaction; its locks are gone already."""
        with suppress(psycopg.Error):
            if self.connection.info.transaction_status in {TransactionStatus.INERROR, TransactionStatus.INTRANS}:
                self.connection.execute("rollback")


def _rows(connection: Connection, result: PGresult) -> Iterator[dict[str, Any]]:
    """The rows of an answer, by the names of its columns."""
    values = Transformer(connection)
    values.set_pgresult(result)
    names = [(result.fname(number) or b"").decode() for number in range(result.nfields)]
    for number in range(result.ntuples):
        yield dict(zip(names, values.load_row(number, tuple), strict=True))


def _lock(row: dict[str, Any]) -> Lock:
    """A lock as pg_locks tells it: `ShareRowExclusiveLock` is SHARE ROW EXCLUSIVE."""
    words = re.findall("[A-Z][a-z]+", row["mode"].removesuffix("Lock"))
    return Lock(table=TableName(schema=row["schema"], name=row["name"]), mode=" ".join(words).upper())  # type: ignore[arg-type]
