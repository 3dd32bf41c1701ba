"""Plan: contract against catalog, written down with the fingerprint that it was made for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.journal import PlanRecorded
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.plan import Plan
from orchestrator.core.ports import CatalogReader, Recorder
from orchestrator.core.run import Run
from orchestrator.core.snapshot import recorded
from orchestrator.core.timeline import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePlan:
    """Reads only."""

    contract: Contract
    catalog: CatalogReader
    make_plan: Callable[[Catalog], Plan]
    name: StepName = "plan"
    changes: bool = False

    def due(self, run: Run) -> str | None:
        """The plan belongs to the catalog of this moment, until a statement of it has taken effect."""
        begun = run.done or run.intended
        return f"{counted(len(run.done), 'statement')} of the plan took effect: it stays as it is" if begun else None

    def act(self, recorder: Recorder) -> Outcome:
        """Record what stands before, and what would be done."""
        catalog = self.catalog.catalog()
        plan = self.make_plan(catalog)
        recorder.record(recorded(catalog, "before", self.contract))
        recorder.record(PlanRecorded(plan=plan))
        counts = Counter(each.status for each in plan.relations)
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        return Done(note=f"{counted(len(plan.statements), 'statement')} for {told or 'no relation'}")

    def preview(self, run: Run) -> Iterator[str]:
        """Every relation with its status."""
        for each in run.plan.relations if run.plan else ():
            yield f"{each.status:<10} {each.relation.id}" + (f" ({each.reason})" if each.reason else "")
