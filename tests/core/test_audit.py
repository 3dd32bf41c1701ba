"""What an audit that was cut short need not count again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from orchestrator.core.audit import counted_before
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Relation
from orchestrator.core.journal import Event, OrphansCounted, StepFinished, StepStarted
from orchestrator.core.outcome import StepState
from orchestrator.core.run import Run, fold

RELATIONS = tuple(
    Relation(
        table=TableName(schema="public", name=each),
        columns=("p_id",),
        referenced=TableName(schema="public", name="p"),
        referenced_columns=("id",),
        name=each,
    )
    for each in "abc"
)


def counted(relation: Relation, orphans: int = 0, moment: Literal["audit", "validate"] = "audit") -> OrphansCounted:
    """A count on record."""
    return OrphansCounted(relation=relation.id, orphans=orphans, query="q", duration_ms=1, moment=moment, method="m")


def run(*events: Event) -> Run:
    """A run of an audit with these events."""
    return fold("r", [(each, datetime(2026, 1, 1, tzinfo=UTC)) for each in (StepStarted(step="audit"), *events)])


def test_only_counts_without_orphans_stand() -> None:
    """A relation that had some may have been repaired since; what validate counted is another matter."""
    found = counted_before(
        RELATIONS, run(counted(RELATIONS[0]), counted(RELATIONS[1], 3), counted(RELATIONS[2], moment="validate"))
    )
    assert [(each.relation, each.count, each.method) for each in found] == [(RELATIONS[0], 0, "m")]


@pytest.mark.parametrize(("state", "kept"), [("held", 1), ("failed", 1), ("done", 0)])
def test_an_audit_that_is_done_is_taken_again_whole(state: StepState, kept: int) -> None:
    """Orphans come and go; an audit that was held or failed goes on where it was."""
    ended = StepFinished(step="audit", state=state, note="", duration_ms=1)
    assert len(counted_before(RELATIONS, run(counted(RELATIONS[0]), ended, StepStarted(step="audit")))) == kept
