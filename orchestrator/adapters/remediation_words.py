"""A remediation on the terminal while it is at work."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.journal import (
    Event,
    KeptTableDropped,
    KeptTableMade,
    RowRefused,
    RowsPutBack,
    RowsRemediated,
)
from orchestrator.core.nouns import counted

EVERY = 100
"""So many batches are told of by one line, once there have been that many."""


def remediation_lines(event: Event) -> Iterator[str]:
    """What is told of one event; most batches say nothing."""
    match event:
        case KeptTableMade():
            yield f"  what was there is kept in {event.table}"
        case RowsRemediated() | RowsPutBack() if event.batch & (event.batch - 1) == 0 or event.batch % EVERY == 0:
            yield f"  batch {event.batch}: {counted(event.rows, 'row')} in {event.duration_ms:.0f} ms"
        case RowRefused():
            yield f"  a row is left as it is: {event.reason}"
        case KeptTableDropped():
            yield f"  nothing is kept any more: {event.table} is gone"
        case _:
            return
