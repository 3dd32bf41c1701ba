"""What the connection of a step holds before statements run: other runners and our own dumps stay out meanwhile."""

from __future__ import annotations

import time
from random import Random

import psycopg

from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.ledger import DUMP_LOCK
from orchestrator.adapters.postgres import Connection, plainly, statement
from orchestrator.adapters.redaction import without_url_passwords
from orchestrator.core.backoff import full_jitter
from orchestrator.core.outcome import HeldBack

PRISMA_LOCK = 72707369
"""The advisory lock that Prisma's migrate takes; holding it keeps a concurrent `migrate deploy` out."""

LEAST_IDLE_MS = 250
FIRST_DELAY_MS = 50.0
LONGEST_DELAY_MS = 2000.0


def prepare(connection: Connection, *, budget_ms: int, patience_ms: int) -> int:
    """Take Prisma's lock; a former session of ours may need a moment to give it back. Gives deadlock_timeout in ms.

    Raises HeldBack when another runner has it, ConnectionLost.
    """
    # A way that dies while locks are held must not hold them up: the server ends the transaction by itself.
    idle = max(LEAST_IDLE_MS, 2 * budget_ms)
    with plainly("preparing a connection"):
        connection.execute(f"set idle_in_transaction_session_timeout = {idle}".encode())
        connection.execute(f"set lock_timeout = {patience_ms}".encode())
        try:
            connection.execute("select pg_advisory_lock(%s)", (PRISMA_LOCK,))
        except psycopg.errors.LockNotAvailable:
            row = connection.execute(statement("probes/runners")).fetchone()
            name = without_url_passwords(row["application"] or "no name") if row else ""
            who = f"pid {row['pid']} ({name})" if row else "another migration runner"
            message = f"{who} holds advisory lock {PRISMA_LOCK} of prisma migrate: wait for it, then resume"
            raise HeldBack(message) from None
        query = "select setting::integer as ms from pg_settings where name = 'deadlock_timeout'"
        row = connection.execute(query).fetchone()
    return int(row["ms"]) if row else 1000


def keep_dumps_out(connection: Connection, interruption: Interruption, *, within_s: float) -> None:
    """A way back must not meet a dump of ours, for which DROP CONSTRAINT would wait, and readers behind it.

    Raises HeldBack when the dump has not ended in time, ConnectionLost.
    """
    deadline = time.monotonic() + within_s
    for delay in full_jitter(first_ms=FIRST_DELAY_MS, most_ms=LONGEST_DELAY_MS, random=Random()):  # noqa: S311
        with plainly("keeping dumps out"):
            row = connection.execute("select pg_try_advisory_lock(%s) as granted", (DUMP_LOCK,)).fetchone()
        if row and row["granted"]:
            return
        if interruption.reason or time.monotonic() > deadline:
            message = interruption.reason or "a backup of this database is being taken: resume when it has ended"
            raise HeldBack(message)
        interruption.wait(delay / 1000)
