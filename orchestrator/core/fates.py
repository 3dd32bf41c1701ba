"""What became of each relation of the contract in a run: the counts that every report shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.plan import BESIDE_KEYS, PlannedRelation, Statement
from orchestrator.core.run import Run

Fate = Literal["added", "present", "deferred", "failed", "missing"]

FATES: tuple[Fate, ...] = ("added", "present", "deferred", "failed", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationRow:
    """What became of one relation of the contract. Orphans are rows; None where they were not counted."""

    id: str
    schema: str
    table: str
    columns: tuple[str, ...]
    references: str
    name: str
    priority: str
    status: str
    fate: Fate
    reason: str
    orphans: int | None
    query: str
    duration_ms: float | None
    referenced_table: str

    @property
    def table_name(self) -> str:
        """Schema and table, as `referenced_table` is written."""
        return f"{self.schema}.{self.table}"


def relation_rows(run: Run) -> Iterator[RelationRow]:
    """One row per relation, in the contract's order; none before there is a plan."""
    statements: dict[str, list[Statement]] = defaultdict(list)
    # An index helps a key, audits take its place, a history tells of it: no key stands or falls with them.
    for statement in (each for each in run.plan.statements if each.kind not in BESIDE_KEYS) if run.plan else ():
        statements[statement.relation].append(statement)
    # A rehearsal added its keys on a copy: what it measured there is what it proves of each relation.
    rehearsed = (each.id for each in run.evidence.statements) if run.evidence else ()
    standing = frozenset((*(each.id for each in run.standing), *rehearsed))
    for planned in run.plan.relations if run.plan else ():
        mine = statements[planned.relation.id]
        fate, reason = _fate(run, planned, mine, standing)
        yield _row(run, planned, mine, fate, reason)


def _row(run: Run, planned: PlannedRelation, mine: Sequence[Statement], fate: Fate, reason: str) -> RelationRow:
    relation = planned.relation
    counted = run.orphans.get((relation.id, "validate")) or run.orphans.get((relation.id, "audit"))
    times = [run.done[each.id].duration_ms for each in mine if each.id in run.done]
    return RelationRow(
        id=relation.id,
        schema=relation.table.schema,
        table=relation.table.name,
        columns=relation.columns,
        references=relation.target,
        name=planned.standing or relation.name,
        priority=relation.priority,
        status=planned.status,
        fate=fate,
        reason=reason,
        orphans=counted.orphans if counted else None,
        query=counted.query if counted and counted.orphans else "",
        duration_ms=sum(times) if times else None,
        referenced_table=str(relation.referenced),
    )


SETTLED: Mapping[str, Fate] = {
    "present": "present",
    "deferred": "deferred",
    "different": "failed",
    "impossible": "failed",
}
"""Statuses that no statement changes."""


def _fate(run: Run, planned: PlannedRelation, mine: Sequence[Statement], standing: frozenset[str]) -> tuple[Fate, str]:
    """What became of a relation, and why. Only what the journal proves counts as added."""
    settled = SETTLED.get(planned.status)
    if settled:
        reason = f"{planned.status}: {planned.reason}" if settled == "failed" else planned.reason
        return settled, reason
    failures = [run.failures[each.id].message for each in mine if each.id in run.failures]
    if failures:
        return "failed", "; ".join(failures)
    if mine and all(each.id in standing for each in mine):
        return "added", planned.reason
    if any(each.id in run.undone for each in mine):
        return "missing", "walked back"
    begun = any(each.id in standing for each in mine)
    return "missing", "begun, not finished" if begun else planned.reason or _stopped_by(run, planned)


def _stopped_by(run: Run, planned: PlannedRelation) -> str:
    """Orphans that a run was refused for."""
    counted = run.orphans.get((planned.relation.id, "audit"))
    return f"orphans: {counted.orphans}" if counted and counted.orphans else ""
