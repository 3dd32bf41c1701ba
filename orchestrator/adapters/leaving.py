"""Taking the ledger away: locked first, then looked at and copied, dropped in the same transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, QueryCanceled

from orchestrator.adapters import points
from orchestrator.adapters.postgres import Connection, is_lost, plain_line, statement
from orchestrator.adapters.standing import others
from orchestrator.core.backoff import full_jitter
from orchestrator.core.leaving import LEASES, named
from orchestrator.core.outcome import ConnectionLost, OrchestratorError, Refused

TRIES: Final = 5
FIRST_DELAY_MS: Final = 100.0
LONGEST_DELAY_MS: Final = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Drops schema `orchestrator` with everything in it. `budget_ms` bounds all waiting for locks of an attempt."""

    connection: Connection
    budget_ms: int
    copy: Callable[[], None]
    stopped: Callable[[], str | None]

    def leave(self) -> None:
        """Lock, copy, drop, commit; all of it or nothing. Raises Refused, ConnectionLost, OrchestratorError."""
        delays = full_jitter(first_ms=FIRST_DELAY_MS, most_ms=LONGEST_DELAY_MS, random=Random())  # noqa: S311
        for attempt, delay in enumerate(delays, start=1):
            try:
                self._attempt()
            except (LockNotAvailable, QueryCanceled) as error:
                if reason := self.stopped():
                    message = f"stopped: {reason}; the ledger stands as it was"
                    raise Refused(message) from error
                if attempt == TRIES:
                    raise Refused(self._in_the_way()) from error
                time.sleep(delay / 1000)
            except InsufficientPrivilege as error:
                message = f"schema orchestrator cannot be dropped: {plain_line(error)}; let its owner do it"
                raise Refused(message) from error
            except psycopg.Error as error:
                kind = ConnectionLost if is_lost(error) else OrchestratorError
                raise kind(f"dropping schema orchestrator: {plain_line(error)}") from error
            else:
                return

    def _attempt(self) -> None:
        """Writers of the ledger wait from the first lock on, so that what is copied is what is dropped.

        Readers wait from the second lock to the commit only. No table of the application is locked.
        """
        with self.connection.transaction():
            began = time.monotonic()
            self._lock("SHARE", self.budget_ms, but=LEASES)
            spent = (time.monotonic() - began) * 1000
            self.copy()
            self._lock("ACCESS EXCLUSIVE", max(1, round(self.budget_ms - spent)))
            self._refuse_what_came()
            for each in self._kept():
                self.connection.execute(sql.SQL("drop table {} restrict").format(each))
            self.connection.execute("drop schema if exists orchestrator_quarantine restrict")
            # All that stands in it is ours, and nothing elsewhere is made of it.
            self.connection.execute("drop schema orchestrator cascade")
            points.reached("ledger:dropping")
        points.reached("ledger:dropped")

    def _refuse_what_came(self) -> None:
        """While journals were copied only writers waited: a view was allowed. Raises Refused."""
        if came := others(self.connection):
            message = f"somebody built on the ledger while it was copied ({named(came)}): nothing was changed"
            raise Refused(message)

    def _lock(self, mode: str, budget_ms: int, *, but: frozenset[str] | None = None) -> None:
        """One statement for all tables, so that one limit holds for all of them together.

        Tables with the columns `but` are left out: our own heartbeat writes to a lease while we copy. Nobody else
        takes one meanwhile, as our session holds the lock of the run.
        """
        found = [row for row in self._relations() if but is None or not but <= set(row["columns"])]
        names = [sql.Identifier(row["schema"], row["name"]) for row in found]
        self.connection.execute("select set_config('statement_timeout', %s, true)", (str(budget_ms),))
        lock = sql.SQL("lock table {} in {} mode").format(sql.SQL(", ").join(names), sql.SQL(mode))
        self.connection.execute(lock)
        self.connection.execute("select set_config('statement_timeout', '0', true)")

    def _relations(self) -> list[dict[str, Any]]:
        return self.connection.execute(statement("leaving_relations")).fetchall()

    def _kept(self) -> list[sql.Identifier]:
        """The tables of remediations, which are known to be empty."""
        kept = (each for each in self._relations() if each["schema"] == "orchestrator_quarantine")
        return [sql.Identifier(each["schema"], each["name"]) for each in kept]

    def _in_the_way(self) -> str:
        found = self.connection.execute(statement("leaving_holders")).fetchall()
        who = ", ".join(f"{row['application']} (pid {row['pid']})" for row in found) or "somebody"
        return (
            f"the ledger is in use by {who}, and was not free within the lock budget of {self.budget_ms} ms in"
            f" {TRIES} attempts: nothing was changed; end it, or try later"
        )
