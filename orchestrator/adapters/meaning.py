"""What an error of the server means for a transaction of ours: try again, give up on it, or stop here."""

from __future__ import annotations

import psycopg

from orchestrator.adapters.postgres import is_lost, is_mendable, plain_line
from orchestrator.adapters.watchdog import Watch
from orchestrator.core.locks import Lock
from orchestrator.core.outcome import ConnectionLost, HeldBack, LockUnavailable, OrchestratorError, StatementRejected
from orchestrator.core.transaction import Transaction

LOCK_ERRORS = frozenset({"55P03", "40P01", "40001"})
"""lock_not_available, deadlock_detected, serialization_failure: another attempt may succeed."""

CANCELLED = "57014"
"""query_canceled: by a timeout or the watchdog of ours, by an interruption, or by somebody else."""


def meaning(
    error: psycopg.Error,
    work: Transaction,
    watch: Watch | None = None,
    *,
    refused: Lock | None = None,
    stopping: str | None = None,
) -> OrchestratorError:
    """The error of ours that says it. `refused` is the lock that was asked for, `stopping` why the run should stop."""
    code = error.sqlstate or ""
    if is_lost(error):
        return ConnectionLost(f"{work.id}: connection lost ({plain_line(error)})")
    # Only a timeout of ours or the watchdog cancels what is short; the server's words may be in any language.
    ours = code == CANCELLED and (work.short or (watch is not None and watch.cancelled))
    if code in LOCK_ERRORS or ours:
        table = str(refused.table) if refused else ", ".join(str(lock.table) for lock in work.locks)
        waited = watch.longest_ms if watch else 0.0
        return LockUnavailable(plain_line(error), sqlstate=code, table=table, waited_ms=round(waited, 3))
    kept = "what it left is cleared away on resume" if work.concurrent else "nothing of it was kept"
    if code == CANCELLED:
        return HeldBack(f"{work.id}: {stopping or 'cancelled by an administrator'}; {kept}")
    if is_mendable(error):
        return HeldBack(f"{work.id}: {plain_line(error)}; {kept}, mend it and resume")
    return StatementRejected(plain_line(error), sqlstate=code)
