"""Validate: what stands now against what was promised, in transactions that leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.core.audit import countable, orphan_finding
from orchestrator.core.catalog import Catalog
from orchestrator.core.checks import NEEDS_KEYS, NOT_ON_THIS_ROAD, Finding
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.journal import FindingsRecorded
from orchestrator.core.matching import Match, differing_types, match_all
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.ports import (
    CatalogReader,
    OrphanCounter,
    Orphans,
    Recorder,
    SampleKeeper,
    SuiteRunner,
    TenantCounter,
)
from orchestrator.core.run import Run
from orchestrator.core.snapshot import recorded
from orchestrator.core.timeline import StepName
from orchestrator.steps.hosts import HostWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """Changes nothing that lasts. `whole` is the runbook's contract, `contract` what this run is to carry out of it."""

    contract: Contract
    whole: Contract
    catalog: CatalogReader
    counter: OrphanCounter
    samples: SampleKeeper
    suite: SuiteRunner
    tenants: TenantCounter
    behavioural: bool
    hosts: HostWatch | None = None
    name: StepName = "validate"
    changes: bool = True

    def due(self, _: Run) -> str | None:
        """Always: that nothing had to be done is a claim to prove, too."""
        return None

    def act(self, recorder: Recorder) -> Outcome:
        """Structure first, then rows, then behaviour."""
        catalog = self.catalog.catalog()
        recorder.record(recorded(catalog, "after", self.contract))
        results = tuple(self._recount(recorder, catalog))
        blamed = {each.relation for each in recorder.run.failures.values() if each.because_of_orphans}
        lost = orphan_finding(results, recorder.run, refuse=True, name="C1.orphans")
        findings = tuple(self._findings(catalog, results, blamed, lost))
        findings += self.hosts.findings(recorder, "after") if self.hosts else ()
        recorder.record(FindingsRecorded(step=self.name, findings=findings))
        against = sum(each.counts_against and each.severity != "optional" for each in findings)
        return Done(note=f"{counted(len(findings), 'check')}, {against} against")

    def preview(self, _: Run) -> Iterator[str]:
        """What is checked."""
        keys = counted(len(self.contract.promised), "key stands", "keys stand")
        yield f"check that {keys} valid and enforced, with the whole definition"
        yield f"count orphans of {counted(len(self.contract.promised), 'relation')}"
        yield from (f"look at host {each.name}" for each in (self.hosts.hosts if self.hosts else ()))
        yield "check types, workspace isolation" + (", and behaviour" if self.behavioural else "")

    def _recount(self, recorder: Recorder, catalog: Catalog) -> Iterator[Orphans]:
        for each in self.counter.count(countable(self.contract, catalog), catalog):
            recorder.record(each.event("validate", self.samples.keep(each)))
            yield each

    def _findings(
        self, catalog: Catalog, results: tuple[Orphans, ...], blamed: set[str], lost: Finding
    ) -> Iterator[Finding]:
        matches = match_all(self.contract, catalog)
        # Orphans that were there when VALIDATE ran may be gone by now: what the journal says counts, too.
        orphaned = blamed | {each.relation.id for each in results if each.count}
        yield keys_finding(matches, orphaned)
        yield lost
        yield from types_findings(matches, catalog)
        yield self._isolation(catalog)
        whole = all(
            each.status == "present" or each.relation.deferred is not None for each in match_all(self.whole, catalog)
        )
        for each in self.suite.run(behavioural=self.behavioural, all_keys=whole):
            never = bool(self.whole.road) and each.observed == NEEDS_KEYS
            yield replace(each, observed=NOT_ON_THIS_ROAD) if never else each

    def _isolation(self, catalog: Catalog) -> Finding:
        """C5: for each relation whose two tables name a tenant, rows where the two differ."""
        pairs = [each for each in self.contract.promised if shares_tenant(each, catalog)]
        crossing = {each.id: count for each, count in self.tenants.crossing(pairs, catalog) if count}
        return Finding(
            id="C5.isolation",
            title="Do references stay within their workspace?",
            severity="critical",
            status="fail" if crossing else "pass",
            observed="; ".join(f"{name}: {counted(count, 'row')}" for name, count in crossing.items())
            or f"no crossing row in {counted(len(pairs), 'relation')}",
            expected="0 rows (NULL is global)",
            remedy="find out which side is wrong before repairing it" if crossing else "",
            caused_by_data=True,
        )


TENANT = "workspace_id"


def shares_tenant(relation: Relation, catalog: Catalog) -> bool:
    """Whether both tables of a relation say which workspace a row belongs to."""
    sides = (catalog.table(relation.table), catalog.table(relation.referenced))
    return all(side is not None and side.column(TENANT) is not None for side in sides) and all(
        side.column(column) is not None
        for side, columns in zip(sides, (relation.columns, relation.referenced_columns), strict=True)
        if side
        for column in columns
    )


def keys_finding(matches: tuple[Match, ...], orphaned: set[str]) -> Finding:
    """C1: every promised key stands, valid and enforced, with its whole definition."""
    absent = [each for each in matches if each.status not in {"present", "deferred"}]
    promised = [each for each in matches if each.status != "deferred"]
    lines = [f"{each.relation.id}: {each.status}" + (f", {each.reason}" if each.reason else "") for each in absent]
    # A key that orphans keep from being valid is the data's fault; any other absence is ours.
    by_data = all(each.relation.id in orphaned for each in absent)
    return Finding(
        id="C1.foreign-keys",
        title="Does every promised key stand, valid and enforced, as defined?",
        severity="critical",
        status="fail" if absent else "pass",
        observed="; ".join(lines) or f"{len(promised)} of {len(promised)} stand",
        expected=f"{len(promised)} of {len(promised)}",
        remedy="invoke plan shows what is left" if absent else "",
        caused_by_data=bool(absent) and by_data,
    )


def types_findings(matches: tuple[Match, ...], catalog: Catalog) -> Iterator[Finding]:
    """C2: equal types pass, different but comparable ones are told, others are critical."""
    clashing, different = [], []
    for each in matches:
        if each.relation.deferred is not None:
            continue
        clashing += [obstacle.text for obstacle in each.obstacles if obstacle.matter in {"type", "missing"}]
        different += [] if each.obstacles else list(differing_types(each.relation, catalog))
    whole = Finding(
        id="C2.types",
        title="Do referencing columns have the type of their key?",
        severity="critical",
        status="fail" if clashing else "pass",
        observed="; ".join(clashing) or "all pairs can be compared",
        expected="types that can be compared",
        remedy="change the column's type in a migration of its own" if clashing else "",
    )
    yield whole
    yield replace(
        whole,
        id="C2.same-types",
        severity="optional",
        status="fail" if different else "pass",
        observed="; ".join(different) or "all pairs have one type",
        expected="equal types",
        remedy="give both columns one type when you next change the table" if different else "",
    )
