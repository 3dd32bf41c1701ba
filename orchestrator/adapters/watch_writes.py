"""How long writes take where nothing gathers it: a few real writes to each table, each rolled back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import median
from typing import Any, Final, cast

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from orchestrator.adapters.postgres import Connection, is_lost, plain_line
from orchestrator.adapters.write_costs import EXPLAIN
from orchestrator.adapters.write_trials import BEGIN, Trial, Trials, trials_of
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.watch import Write

MEASURED: Final = 3
"""Writes whose median is told; the one before them only warms up plans and pages."""

PROBE_FOR_S: Final = 10.0
"""What a sample takes at most; tables that had no turn are told as such."""

STATEMENT_TIMEOUT_MS: Final = 2000


@dataclass(slots=True)
class Counting:
    """A connection that counts what it adds to the server's statistics: those are ours, not the application's."""

    connection: Connection
    committed: int = 0
    rolled_back: int = 0
    violations: int = 0

    @property
    def asking(self) -> Connection:
        """Itself, for those that only execute."""
        return cast("Connection", self)

    @property
    def info(self) -> psycopg.ConnectionInfo:
        """What is known of the server."""
        return self.connection.info

    def execute(self, query: Any, values: Any = None) -> Any:
        """Execute, and count how the transaction ended."""
        try:
            result = self.connection.execute(query, values)
        except psycopg.errors.IntegrityError as error:
            self.violations += error.sqlstate in {"23503", "23001"}
            raise
        if isinstance(query, (str, bytes)) and query[-8:] in {"ROLLBACK", b"ROLLBACK"}:
            self.rolled_back += 1
        elif self.connection.info.transaction_status == TransactionStatus.IDLE:
            self.committed += 1
        return result


@dataclass(slots=True, kw_only=True)
class WriteProbes:
    """The writes of a contract's tables, found once and used again until one of them is refused."""

    contract: Contract
    lock_timeout_ms: int
    _known: dict[str, Trials] = field(default_factory=dict)

    def take(self, counting: Counting, catalog: Catalog) -> tuple[tuple[Write, ...], str]:
        """A time for each write, and what could not be timed. Raises psycopg.Error when the connection is lost."""
        for name, most in (("lock_timeout", self.lock_timeout_ms), ("statement_timeout", STATEMENT_TIMEOUT_MS)):
            counting.execute(sql.SQL("set {} = {}").format(sql.Identifier(name), sql.Literal(most)))
        stop = time.monotonic() + PROBE_FOR_S
        writes, unknown = [], []
        for trials in self._trials(counting, catalog):
            key = f"{trials.operation} {trials.table}"
            if time.monotonic() > stop:
                unknown.append(f"{key}: no time was left")
                break
            ms, why = self._timed(counting, trials)
            if ms is None:
                unknown.append(f"{key}: {why}")
                self._known.clear()
                continue
            writes.append(Write(table=str(trials.table), operation=trials.operation, calls=MEASURED, ms=round(ms, 3)))
        return tuple(writes), "; ".join(unknown)

    def _trials(self, counting: Counting, catalog: Catalog) -> Iterator[Trials]:
        if self._known:
            yield from tuple(self._known.values())
            return
        found = {}
        for each in trials_of(counting.asking, self.contract, catalog):
            found[f"{each.operation} {each.table}"] = each
            yield each
        self._known = found

    def _timed(self, counting: Counting, trials: Trials) -> tuple[float | None, str]:
        if not trials.trials:
            return None, trials.unknown
        try:
            first, *rest = trials.trials
            _explained(counting, first)
            chosen = islice(cycle((*rest, first)), MEASURED)
            return median([_explained(counting, each) for each in chosen]), ""
        except psycopg.Error as error:
            if is_lost(error):
                raise
            counting.execute("ROLLBACK")
            return None, plain_line(error)


def _explained(counting: Counting, trial: Trial) -> float:
    """The ms that the server takes for a write, in a transaction of its own. Raises psycopg.Error."""
    counting.execute("; ".join((*BEGIN, *trial.before)).encode())
    found = counting.execute((EXPLAIN + trial.statement).encode()).fetchone()
    counting.execute("ROLLBACK")
    return float(found["QUERY PLAN"][0]["Execution Time"]) if found else 0.0
