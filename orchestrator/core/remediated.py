"""What the batches of a run add up to: every number that is told of a remediation comes from here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.core.elsewhere import grown, harmed
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
    """A remediation as it is told. `put_back` is the run whose rows are put back; counts are rows.

    `referring` are tables whose rows keep orphans from being touched, `elsewhere` says what it did to other relations.
    """

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
    referring: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    new_orphans: int = 0

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
            yield f"{self.lost} could not be put back: the last column of what is kept says why"
        if self.refused:
            yield f"{self.refused} refused by the server: {', '.join(self.reasons)}"
        if self.referenced and not self.put_back:
            yield left_alone(self.referenced, self.referring, would=False)
        if self.orphans_left is not None:
            yield f"{counted(self.orphans_left, 'orphan is', 'orphans are')} left"
        yield from self.elsewhere
        if self.kept_rows:
            yield f"{counted(self.kept_rows, 'row is', 'rows are')} kept in {self.kept}"


def left_alone(rows: int, referring: Sequence[str], *, would: bool) -> str:
    """Orphans that are not touched, and whose rows refer to them."""
    tables = f" ({', '.join(referring)})" if referring else ""
    return f"{rows} {'would be ' if would else ''}left alone: other rows refer to them{tables}"


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
        referring=counted.referring if counted else planned.referring,
        elsewhere=tuple(each.told(would=False) for each in harmed(counted.elsewhere)) if counted else (),
        new_orphans=grown(counted.elsewhere) if counted else 0,
    )


def after_remediation(done: Remediated, run: str, where: str, *, again: str, dry: bool) -> Iterator[str]:
    """What to type once a remediation is over; `again` has the options that it was asked for with."""
    if dry:
        yield f"to do it: invoke remediate {where}{again} --apply"
        return
    if done.planned.of:
        if done.lost:
            yield from _after_loss(done, where)
        return
    left = done.counted.orphans if done.counted else 0
    if left:
        orphans = counted(left, "orphan is", "orphans are")
        yield f"{orphans} left: another --how for them, or repair what keeps them, then invoke remediate again"
    if done.counted and grown(done.counted.elsewhere):
        names = ", ".join(each.relation for each in done.counted.elsewhere if each.orphans)
        yield f"the new orphans of {names}: put the rows back, or remediate that relation, too"
    if done.rows:
        yield f"to put the rows back: invoke rollback {where} --run {run}"


def _after_loss(done: Remediated, where: str) -> Iterator[str]:
    """Rows that could not be put back: where they are, how to try again, and how to be done with them."""
    remedy = done.planned.remedy
    kept = ".".join(f'"{each.replace(chr(34), chr(34) * 2)}"' for each in (remedy.kept.schema, remedy.kept.name))
    left = f'"{remedy.marks.left}"'
    yield f"see why, in the last column: TABLE {kept}"
    # Printed for a person, never run by us.
    clear = f"UPDATE {kept} SET {left} = NULL"  # noqa: S608
    again = f"invoke remediate {where} --undo --run {done.planned.of} --apply"
    yield f"to try again, once what is in their way is repaired: {clear}; then {again}"
    yield f"once nobody wants them back: DROP TABLE {kept}"
