"""The two ways of a remediation as steps: something is done about the orphans of a relation, or it is put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.core.batch import Batch, BatchEvent, batch
from orchestrator.core.elsewhere import Elsewhere, grown
from orchestrator.core.journal import (
    KeptTableDropped,
    KeptTableMade,
    RemediationCounted,
    RowRefused,
    RowsPutBack,
    RowsRemediated,
)
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Failed, HeldBack, Outcome, StatementRejected
from orchestrator.core.ports import Orphans, Recorder
from orchestrator.core.remediated import Remediated, view_of
from orchestrator.core.remediation import Remedy
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName
from orchestrator.engine.batches import Batches

Key = Mapping[str, str]

MOST_REFUSED = 100
"""So many rows that the server refuses one by one are no exception any more."""

MOST_PASSES = 50
"""So many times all orphans were looked for and done, and there are new ones: somebody makes them."""


class Rows(Protocol):
    """The rows of one remedy, and the statements for them. Reading raises OrchestratorError."""

    def page(self, after: Key | None) -> tuple[Key, ...]:
        """The keys of the next orphans that may be touched."""

    def kept_page(self, below: int | None) -> tuple[int, ...]:
        """The numbers of the next kept rows, the last first."""

    def orphans(self) -> Orphans:
        """All orphans, counted exactly."""

    def referenced(self) -> tuple[int, tuple[str, ...]]:
        """How many of them other rows refer to, and the tables of those."""

    def elsewhere(self) -> tuple[Elsewhere, ...]:
        """What was done to other relations of the table."""

    def kept(self) -> tuple[int, int] | None:
        """How many rows are kept, and how many are still to be put back; None without the table."""

    def check(self) -> None:
        """Raises HeldBack when the row that orphans are to be given to is gone."""

    def making(self) -> tuple[str, ...]:
        """Statements that make the table of what is kept."""

    def dropping(self) -> tuple[str, ...]:
        """Statements that drop it."""

    def changing(self, keys: Sequence[Key]) -> tuple[str, ...]:
        """Statements of one batch."""

    def putting_back(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """Statements of one batch on the way back."""

    def marking(self, number: int, reason: str) -> tuple[str, ...]:
        """Statements that note why a row is not put back."""


@dataclass(slots=True, kw_only=True)
class Remediate:
    """Does it to every orphan that may be touched; what was done already is no orphan any more."""

    remedy: Remedy
    rows: Rows
    batches: Batches
    name: StepName = "remediate"
    changes: bool = True
    _refused: set[tuple[str, ...]] = field(default_factory=set)

    def due(self, _: Run) -> str | None:
        """Always: new orphans may have come since."""
        return None

    def preview(self, run: Run) -> Iterator[str]:
        """The dry run tells the plan itself."""
        yield from run.remediated.planned.statements if run.remediated else ()

    def act(self, recorder: Recorder) -> Outcome:
        """Pass after pass, until no orphan is left that may be touched. Raises OrchestratorError."""
        with self.batches.executor.opened(self.name):
            if not _of(recorder).made:
                statements = self.rows.making()
                self.batches.one(
                    lambda: self._batch(statements, KeptTableMade(table=str(self.remedy.kept), attempts=0))
                )
            self._passes(recorder)
            self._drop_if_empty()
        return self._ended(recorder)

    def _passes(self, recorder: Recorder) -> None:
        patience = self.batches.patience(self.remedy.relation.id)
        for _ in range(MOST_PASSES):
            rows, locked = _of(recorder).rows, _of(recorder).locked
            if not self._pass(recorder):
                return
            if _of(recorder).rows == rows:
                self.rows.check()
                self._check_taken(_of(recorder).locked - locked)
                self.batches.wait_for_others(self._change(recorder, ()), patience)
            else:
                patience = self.batches.patience(self.remedy.relation.id)
        message = f"{self.remedy.relation.id}: new orphans keep coming: end what makes them, then resume"
        raise HeldBack(message)

    def _check_taken(self, locked: int) -> None:
        """Rows that were ours and did not change are no one's who has them locked. Raises HeldBack."""
        if locked:
            told = "; ".join(self.remedy.notes) or "a rule or a trigger keeps them"
            message = f"{locked} rows of {self.remedy.relation.table} stay as they are whatever is done: {told}"
            raise HeldBack(message)

    def _pass(self, recorder: Recorder) -> bool:
        """All orphans that are there now, page by page; whether there was any."""
        after: Key | None = None
        found = False
        while page := self.rows.page(after):
            after = page[-1]
            keys = [each for each in page if tuple(each.values()) not in self._refused]
            found = found or bool(keys)
            self.batches.carry_out(
                keys,
                lambda chosen: self._change(recorder, chosen),
                lambda key, error: self._refuse(recorder, key, error),
            )
        return found

    def _refuse(self, recorder: Recorder, key: Key, error: StatementRejected) -> None:
        self._refused.add(tuple(key.values()))
        refusal = RowRefused(relation=self.remedy.relation.id, sqlstate=error.sqlstate, reason=str(error))
        recorder.record(refusal)
        if len(self._refused) > MOST_REFUSED:
            rows = counted(len(self._refused), "row was", "rows were")
            message = f"{rows} refused by the server, the last because: {error}"
            raise HeldBack(message)

    def _change(self, recorder: Recorder, keys: Sequence[Key]) -> Batch:
        number = _of(recorder).batches + 1
        record = RowsRemediated(relation=self.remedy.relation.id, batch=number, keys=len(keys), attempts=0)
        return self._batch(self.rows.changing(keys), record)

    def _drop_if_empty(self) -> None:
        if (self.rows.kept() or (1, 1))[0] == 0:
            statements = self.rows.dropping()
            self.batches.one(lambda: self._batch(statements, KeptTableDropped(table=str(self.remedy.kept), attempts=0)))

    def _ended(self, recorder: Recorder) -> Outcome:
        found = self.rows.orphans()
        done = _count(recorder, self.remedy, self.rows, found.count)
        told = view_of(done).told
        if found.count:
            return Failed(note=told, remedy="look at what is left with the query of invoke audit", ours=False)
        if done.counted and grown(done.counted.elsewhere):
            return Failed(note=told, ours=False)
        return Done(note=told)

    def _batch(self, statements: Sequence[str], record: BatchEvent) -> Batch:
        tables = (self.remedy.relation.table,)
        return batch(self.remedy, statements, record, budget_ms=self.batches.budget_ms, tables=tables)


@dataclass(slots=True, kw_only=True)
class PutBack:
    """Puts back what run `of` took away or changed, the last first; what cannot be stays where it is kept, and why."""

    remedy: Remedy
    rows: Rows
    batches: Batches
    of: str
    name: StepName = "remediate"
    changes: bool = True

    def due(self, _: Run) -> str | None:
        """Always: what was put back is not kept any more."""
        return None

    def preview(self, run: Run) -> Iterator[str]:
        """The dry run tells the plan itself."""
        yield from run.remediated.planned.statements if run.remediated else ()

    def act(self, recorder: Recorder) -> Outcome:
        """Pass after pass over what is kept. Raises OrchestratorError."""
        with self.batches.executor.opened(self.name):
            self._passes(recorder)
            if self.rows.kept() == (0, 0):
                statements = self.rows.dropping()
                dropped = KeptTableDropped(table=str(self.remedy.kept), attempts=0)
                self.batches.one(lambda: self._batch(statements, dropped))
        done = _count(recorder, self.remedy, self.rows, self.rows.orphans().count)
        told = view_of(done).told
        return Failed(note=told, ours=False) if done.lost else Done(note=told)

    def _passes(self, recorder: Recorder) -> None:
        patience = self.batches.patience(self.remedy.relation.id)
        while (kept := self.rows.kept()) and kept[1]:
            done = _of(recorder)
            before = done.rows + done.lost
            self._pass(recorder)
            done = _of(recorder)
            if done.rows + done.lost == before:
                self.batches.wait_for_others(self._change(recorder, ()), patience)
            else:
                patience = self.batches.patience(self.remedy.relation.id)

    def _pass(self, recorder: Recorder) -> None:
        below: int | None = None
        while page := self.rows.kept_page(below):
            below = page[-1]
            self.batches.carry_out(
                page,
                lambda chosen: self._change(recorder, chosen),
                lambda number, error: self._refuse(recorder, number, error),
            )

    def _refuse(self, recorder: Recorder, number: int, error: StatementRejected) -> None:
        self.batches.one(lambda: self._batch(self.rows.marking(number, str(error)), self._record(recorder, 1)))
        refusal = RowRefused(relation=self.remedy.relation.id, sqlstate=error.sqlstate, reason=str(error))
        recorder.record(refusal)

    def _change(self, recorder: Recorder, numbers: Sequence[int]) -> Batch:
        return self._batch(self.rows.putting_back(numbers), self._record(recorder, len(numbers)))

    def _record(self, recorder: Recorder, keys: int) -> RowsPutBack:
        number = _of(recorder).batches + 1
        return RowsPutBack(relation=self.remedy.relation.id, of=self.of, batch=number, keys=keys, attempts=0)

    def _batch(self, statements: Sequence[str], record: BatchEvent) -> Batch:
        tables = (self.remedy.relation.table,)
        return batch(self.remedy, statements, record, budget_ms=self.batches.budget_ms, tables=tables)


def _of(recorder: Recorder) -> Remediated:
    """What this run has done so far; its plan is its first event of the kind."""
    done = recorder.run.remediated
    if done is None:
        message = "a remediation without its plan on record"
        raise RuntimeError(message)
    return done


def _count(recorder: Recorder, remedy: Remedy, rows: Rows, orphans: int) -> Remediated:
    kept = rows.kept()
    referenced, referring = rows.referenced() if orphans else (0, ())
    counted = RemediationCounted(
        relation=remedy.relation.id,
        orphans=orphans,
        referenced=referenced,
        kept=kept[0] if kept else 0,
        referring=referring,
        elsewhere=rows.elsewhere(),
    )
    recorder.record(counted)
    return _of(recorder)
