"""What the batches of a run add up to: every number that is told of a remediation comes from here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.core.journal.remediation import (
    KeptTableDropped,
    KeptTableMade,
    RemediationCounted,
    RemediationPlanned,
    RowRefused,
    RowsPutBack,
    RowsRemediated,
)
from orchestrator.core.nouns import counted
from orchestrator.core.remediation import DONE_WORDS, How

RemediationEvent = (
    RemediationPlanned
    | KeptTableMade
    | RowsRemediated
    | RowsPutBack
    | RowRefused
    | KeptTableDropped
    | RemediationCounted
)


@dataclass(slots=True, kw_only=True)
class Remediated:
    """The remediation of one run so far. `last` is the last batch; `longest_ms` the longest wait of others, in ms."""

    planned: RemediationPlanned
    made: bool = False
    dropped: bool = False
    batches: int = 0
    rows: int = 0
    lost: int = 0
    locked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last: RowsRemediated | RowsPutBack | None = None
    counted: RemediationCounted | None = None
    longest_ms: float = 0.0

    def see(self, event: RemediationEvent) -> None:
        """Take one event in."""
        match event:
            case RowsRemediated() | RowsPutBack():
                self.batches += 1
                self.rows += event.rows
                self.locked += event.locked
                self.lost += event.lost if isinstance(event, RowsPutBack) else 0
                self.longest_ms = max(self.longest_ms, event.waited_ms or 0.0)
                self.last = event
            case RowRefused():
                self.refused[event.reason] += 1
            case KeptTableMade():
                self.made = True
            case KeptTableDropped():
                self.dropped = True
            case RemediationCounted():
                self.counted = event
            case RemediationPlanned():
                self.planned = event


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationView:
    """A remediation as it is told. `put_back` is the run whose rows are put back; counts are rows."""

    relation: str
    how: How
    to: tuple[str, ...]
    put_back: str
    planned: int
    rows: int
    batches: int
    lost: int
    refused: int
    referenced: int
    orphans_left: int | None
    kept: str
    kept_rows: int | None
    reasons: tuple[str, ...]
    statements: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def told(self) -> str:
        """How far it came, in one sentence."""
        return "; ".join(self._parts())

    @property
    def safe(self) -> str:
        """What is safe now."""
        if not self.rows:
            return "no row was changed"
        if self.put_back:
            rows = counted(self.rows, "row is what it was", "rows are what they were")
            return f"{rows} before run {self.put_back}, each batch is on record"
        rows = counted(self.rows, "row")
        return f"{rows} {DONE_WORDS[self.how]}, each batch is on record, what was there is in {self.kept}"

    def _parts(self) -> Iterator[str]:
        word = "put back" if self.put_back else DONE_WORDS[self.how]
        yield f"{counted(self.rows, 'row')} {word} in {counted(self.batches, 'batch', 'batches')}"
        if self.lost:
            yield f"{self.lost} could not be put back: gone, or changed since"
        if self.refused:
            yield f"{self.refused} refused by the server: {', '.join(self.reasons)}"
        if self.referenced and not self.put_back:
            yield f"{self.referenced} left alone: other rows refer to them"
        if self.orphans_left is not None:
            yield f"{counted(self.orphans_left, 'orphan is', 'orphans are')} left"
        if self.kept_rows:
            yield f"{counted(self.kept_rows, 'row is', 'rows are')} kept in {self.kept}"


def view_of(done: Remediated) -> RemediationView:
    """The view."""
    planned, counted = done.planned, done.counted
    remedy = planned.remedy
    return RemediationView(
        relation=remedy.relation.id,
        how=remedy.how,
        to=remedy.to,
        put_back=planned.of,
        planned=planned.orphans,
        rows=done.rows,
        batches=done.batches,
        lost=done.lost,
        refused=done.refused.total(),
        referenced=counted.referenced if counted else planned.referenced,
        orphans_left=counted.orphans if counted else None,
        kept=str(remedy.kept),
        kept_rows=counted.kept if counted else None,
        reasons=tuple(f"{reason} ({count})" for reason, count in done.refused.most_common()),
        statements=planned.statements,
        notes=remedy.notes,
    )


def after_remediation(done: Remediated, run: str, where: str, *, again: str, dry: bool) -> Iterator[str]:
    """What to type once a remediation is over; `again` has the options that it was asked for with."""
    if dry:
        undo = " --undo" if done.planned.of else ""
        yield f"to do it: invoke remediate {where}{undo}{again} --apply"
        return
    left = done.counted.orphans if done.counted else 0
    if done.planned.of:
        return
    if left:
        orphans = counted(left, "orphan is", "orphans are")
        yield f"{orphans} left: another --how for them, or repair what keeps them, then invoke remediate again"
    if done.rows:
        yield f"to put the rows back: invoke rollback {where} --run {run}"
