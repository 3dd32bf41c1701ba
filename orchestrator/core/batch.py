"""One transaction over rows: what it does to them and the event that tells of it, within the lock budget as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.core.catalog import TableName
from orchestrator.core.journal import Event, KeptTableDropped, KeptTableMade, RowsPutBack, RowsRemediated
from orchestrator.core.locks import Lock
from orchestrator.core.remediation import Remedy
from orchestrator.core.run import Run
from orchestrator.core.transaction import Transaction

OWN_TABLE_MS = 5_000
"""How long making or dropping a table of our own may take: nobody waits for it."""

BatchEvent = KeptTableMade | KeptTableDropped | RowsRemediated | RowsPutBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Transaction):
    """A transaction over rows. Writers wait behind the rows that it locks, so it is bounded like locks on tables."""

    record: BatchEvent

    def __post_init__(self) -> None:
        """Whatever locks it takes on tables: its rows are what others wait for."""
        object.__setattr__(self, "short", True)

    def event(self, *, attempts: int, way: str = "", why: str = "", predicted_ms: float | None = None) -> Event:
        """The record; what only the server can count and measure is filled in when it is written."""
        del way, why, predicted_ms
        return replace(self.record, attempts=attempts)

    def on_record(self, run: Run) -> bool:
        """Whether the journal says that it took effect."""
        done = run.remediated
        if done is None:
            return False
        match self.record:
            case KeptTableMade():
                return done.made
            case KeptTableDropped():
                return done.dropped
            case record:
                return done.batches >= record.batch


def batch(
    remedy: Remedy, statements: Sequence[str], record: BatchEvent, *, budget_ms: int, tables: Sequence[TableName]
) -> Batch:
    """A batch of rows of these tables; the budget is in ms."""
    number = record.batch if isinstance(record, RowsRemediated | RowsPutBack) else 0
    own = not number
    limit = max(budget_ms, OWN_TABLE_MS) if own else budget_ms
    return Batch(
        id=f"table {remedy.kept.name}" if own else f"batch {number} of {remedy.relation.name}",
        kind="rows",
        relation=remedy.relation.id,
        constraint=remedy.relation.name,
        statements=tuple(statements),
        locks=() if own else tuple(Lock(table=each, mode="ROW EXCLUSIVE") for each in tables),
        lock_timeout_ms=limit,
        statement_timeout_ms=limit,
        number=number,
        record=record,
    )
