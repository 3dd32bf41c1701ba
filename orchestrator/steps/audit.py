"""Audit: orphans per relation, counted exactly, with a sample of their keys and the query that shows them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.core.audit import countable, counted_before, orphan_finding
from orchestrator.core.contract import Contract
from orchestrator.core.journal import FindingsRecorded, NotificationQueued
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.ports import CatalogReader, OrphanCounter, Orphans, Recorder, SampleKeeper
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Reads only. `refuse` tells whether orphans stop the run before it changes anything."""

    contract: Contract
    catalog: CatalogReader
    counter: OrphanCounter
    samples: SampleKeeper
    refuse: bool
    found: Callable[[Orphans], None]
    name: StepName = "audit"
    changes: bool = False

    def due(self, _: Run) -> str | None:
        """Always: orphans come and go."""
        return None

    def act(self, recorder: Recorder) -> Outcome:
        """Count every relation that can be counted, then judge them together."""
        results = tuple(self._count(recorder))
        finding = orphan_finding(results, recorder.run, refuse=self.refuse)
        recorder.record(FindingsRecorded(step=self.name, findings=(finding,)))
        total = sum(each.count for each in results)
        if total:
            recorder.record(NotificationQueued(topic="orphans", about=counted(total, "orphan")))
        ill, asked = sum(each.count > 0 for each in results), counted(len(results), "relation")
        return Done(note=f"{counted(total, 'orphan')} in {ill} of {asked}")

    def preview(self, _: Run) -> Iterator[str]:
        """The relations that are counted."""
        yield from (f"count orphans of {each.id}" for each in self.contract.promised)

    def _count(self, recorder: Recorder) -> Iterator[Orphans]:
        """The counts that this step has on record since it was begun, then those that are left."""
        catalog = self.catalog.catalog()
        before = counted_before(countable(self.contract, catalog), recorder.run)
        yield from before
        kept = {each.relation for each in before}
        left = tuple(each for each in countable(self.contract, catalog) if each not in kept)
        for each in self.counter.count(left, catalog):
            recorder.record(each.event("audit", self.samples.keep(each)))
            if each.count:
                self.found(each)
            yield each
