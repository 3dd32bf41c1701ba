"""The document set: the one view that all documents are made from.

Nothing here is a number: all of them come from the journals of runs, the runbook and its decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from orchestrator.core.checklist import Box, CheckedPhase, boxes
from orchestrator.core.decision import UNDECIDED, Decision
from orchestrator.core.journal.documents import SchemaDescribed
from orchestrator.core.matching import Status
from orchestrator.core.pages import GUIDES, PAGES, Guide, Page
from orchestrator.core.plan import Plan, PlannedRelation
from orchestrator.core.run import Run
from orchestrator.core.summary import Summary, summarize
from orchestrator.core.timeline import Option, Road, Runbook

FAILED: Final[frozenset[Status]] = frozenset({"different", "impossible"})
"""Statuses that no statement of ours mends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment, the newer rollback of it, and the newest watch of its environment, if there is one."""

    summary: Summary
    rollback: Summary | None = None
    watched: Summary | None = None

    @property
    def production(self) -> bool:
        """Whether it was on production."""
        return self.summary.kind == "production"

    @property
    def to_watch(self) -> bool:
        """Whether it added something that stands, and no watch of it is known."""
        stands = self.summary.state == "done" and self.rollback is None and bool(self.summary.statements)
        watch = self.watched.watch if self.watched else None
        return stands and (watch is None or watch.of != self.summary.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSet:
    """The view of all documents. `where` are the options that a command has to repeat, `at` is the snapshot's time."""

    snapshot: Summary
    at: datetime
    runbook: Runbook
    decision: Decision | None
    risk: str
    plan: Plan
    schema: SchemaDescribed
    rehearsal: Summary | None = None
    deployments: tuple[Deployment, ...] = ()
    phases: tuple[CheckedPhase, ...] = ()
    unread: tuple[str, ...] = ()
    where: str = ""

    @property
    def option(self) -> Option | None:
        """The road that was decided for."""
        return self.decision.option if self.decision else None

    @property
    def road(self) -> Road | None:
        """What that option means."""
        return self.runbook.roads[self.decision.option] if self.decision else None

    @property
    def risk_before(self) -> str:
        """The risk as it is until somebody decides."""
        return UNDECIDED if self.runbook.needs_decision else ""

    @property
    def pages(self) -> tuple[Page, ...]:
        """The documents of this set, in their order."""
        return tuple(each for each in PAGES if each.option in {None, self.option})

    @property
    def others(self) -> tuple[Page, ...]:
        """The documents that another decision would add."""
        roads = self.runbook.roads
        return tuple(each for each in PAGES if each not in self.pages and each.option in roads)

    @property
    def guides(self) -> tuple[Guide, ...]:
        """The guides with the documents that are there."""
        here = {each.key for each in self.pages}
        return tuple(
            Guide(role=each.role, goal=each.goal, reads=tuple(key for key in each.reads if key in here))
            for each in GUIDES
        )

    @property
    def promised(self) -> tuple[PlannedRelation, ...]:
        """The relations of this release, in the contract's order; without its key one is missing on every road."""
        return tuple(
            replace(each, status="missing") if each.status == "deferred" else each
            for each in self.plan.relations
            if each.relation.deferred is None
        )

    @property
    def deferred(self) -> tuple[PlannedRelation, ...]:
        """The relations that are left for later, each with its reason."""
        return tuple(each for each in self.plan.relations if each.relation.deferred is not None)

    @property
    def failed(self) -> tuple[PlannedRelation, ...]:
        """The relations that no statement of ours mends, each with its reason."""
        return tuple(each for each in self.plan.relations if each.status in FAILED)

    @property
    def statuses(self) -> Mapping[str, int]:
        """The promised relations by their status in the snapshot."""
        counts = Counter(each.status for each in self.promised)
        return {
            "present": counts["present"],
            "missing": counts["missing"],
            "failed": sum(counts[each] for each in FAILED),
        }

    @property
    def priorities(self) -> Mapping[str, Mapping[str, int]]:
        """Promised, present and missing relations by priority, the most urgent first."""
        found = {}
        for word in ("critical", "high", "medium", "low"):
            mine = Counter(each.status for each in self.promised if each.relation.priority == word)
            if mine:
                found[word] = {"promised": mine.total(), "present": mine["present"], "missing": mine["missing"]}
        return found

    @property
    def on_delete(self) -> Mapping[str, int]:
        """The promised relations by what a delete of the referenced row does."""
        return dict(Counter(each.relation.on_delete for each in self.promised).most_common())

    @property
    def referenced(self) -> Mapping[str, int]:
        """The promised relations by referenced table."""
        return dict(Counter(str(each.relation.referenced) for each in self.promised).most_common())

    @property
    def figures(self) -> Mapping[str, int]:
        """What the tables have from which the promised relations start."""
        tables = [each for each in self.schema.tables if each.refers]
        return {
            "tables": len(tables),
            "indexes": sum(each.indexes for each in tables),
            "checks": sum(len(each.checks) for each in tables),
            "partial_unique": sum(len(each.partial_unique) for each in tables),
        }

    @property
    def done(self) -> tuple[Box, ...]:
        """The boxes of the checklist that are ticked."""
        return tuple(box for _, box in boxes(self.phases) if box.ticked)

    @property
    def left(self) -> tuple[Box, ...]:
        """The boxes that are not."""
        return tuple(box for _, box in boxes(self.phases) if not box.ticked)

    @property
    def staging(self) -> tuple[Deployment, ...]:
        """The deployments of environments that are not production."""
        return tuple(each for each in self.deployments if not each.production)

    @property
    def production(self) -> tuple[Deployment, ...]:
        """The deployments of production."""
        return tuple(each for each in self.deployments if each.production)

    @property
    def applies(self) -> bool:
        """Whether the road that was decided for adds the keys; so it is where nothing is decided."""
        return self.road is None or any(item.step == "apply" for phase in self.road.phases for item in phase.items)

    @property
    def orphans(self) -> Mapping[str, int]:
        """Orphans in rows by relation, as they were last counted in the snapshot's environment, if anybody did."""
        told = [*([self.rehearsal] if self.rehearsal else []), *(each.summary for each in self.deployments)]
        here = (each for each in told if each.environment == self.snapshot.environment)
        return {row.id: row.orphans for each in here for row in each.relations if row.orphans is not None}


def document_set(
    snapshot: Run,
    runbook: Runbook,
    *,
    rehearsal: Run | None = None,
    deployments: Iterable[tuple[Run, Run | None]] = (),
    watches: Iterable[Run] = (),
    phases: Sequence[CheckedPhase] = (),
    risk: str = "",
    unread: Sequence[str] = (),
    where: str = "",
) -> DocumentSet:
    """The view of a snapshot and of the runs known beside it; a deployment comes with its rollback, if any.

    `watches` has at most one of each environment. The decision is that of the snapshot. Raises ValueError for a
    snapshot that is not whole.
    """
    if snapshot.started is None or snapshot.started_at is None or snapshot.plan is None or snapshot.schema is None:
        message = f"run {snapshot.id} is no whole snapshot: plan or schema is missing"
        raise ValueError(message)
    told = _deployments(deployments, {each.environment: each for each in map(summarize, watches) if each.watch})
    return DocumentSet(
        snapshot=summarize(snapshot),
        at=snapshot.started_at,
        runbook=runbook,
        decision=snapshot.started.decision,
        risk=risk or snapshot.started.risk,
        plan=snapshot.plan,
        schema=snapshot.schema,
        rehearsal=summarize(rehearsal) if rehearsal else None,
        deployments=tuple(sorted(told, key=lambda each: (each.production, each.summary.environment, each.summary.run))),
        phases=tuple(phases),
        unread=tuple(unread),
        where=where,
    )


def _deployments(pairs: Iterable[tuple[Run, Run | None]], watches: Mapping[str, Summary]) -> list[Deployment]:
    """One that was refused changed nothing: the watch belongs to the one before it."""
    told = [(summarize(run), summarize(back) if back else None) for run, back in pairs]
    return [
        Deployment(
            summary=run,
            rollback=back,
            watched=None if run.state == "refused" else watches.get(run.environment),
        )
        for run, back in told
    ]


def same_state(one: Run, other: Run) -> bool:
    """Whether two snapshots tell the same: target, options, decision, plan, catalog and checks."""
    return _told(one) is not None and _told(one) == _told(other)


def _told(run: Run) -> tuple[object, ...] | None:
    if run.started is None or run.plan is None or run.schema is None or "before" not in run.catalogs:
        return None
    first = run.started
    return (
        (first.environment, first.target, first.options, first.decision, first.definition, first.runbook),
        (run.plan.digest, run.plan.relations, run.catalogs["before"], run.schema),
    )
