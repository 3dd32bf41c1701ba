"""What was done on hosts, row by row, for reports and documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A command on one host. The time is in ms; `said` are its last words, secrets masked.

    `state` is done, failed, cut off or not begun; `back` that of its way back, empty where none was gone.
    """

    item: str
    host: str
    state: str
    reason: str
    duration_ms: float
    said: str
    back: str


def host_rows(run: Run) -> Iterator[HostRow]:
    """The commands of a run in their order; those that a rollback took back stand as what it did."""
    work = run.hosts
    for (item, host), place in work.places.items():
        own = work.undone.get((run.id, item, host))
        yield HostRow(
            item=item,
            host=host,
            state=place.state,
            reason=place.reason,
            duration_ms=place.duration_ms,
            said=place.said,
            back=own.state if own else "",
        )
    for (of, item, host), place in work.undone.items():
        if of != run.id:
            yield HostRow(
                item=item,
                host=host,
                state=place.state,
                reason=place.reason,
                duration_ms=place.duration_ms,
                said=place.said,
                back=place.state,
            )
