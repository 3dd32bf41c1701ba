"""What to type next."""

from __future__ import annotations

from orchestrator.core.journal import AuditRecorded, Event, RunFinished
from orchestrator.core.journal.audits import AuditedRelation
from orchestrator.core.run import fold
from orchestrator.core.summary import summarize
from tests.journals import BEGAN, began

LOST = AuditedRelation(
    relation="public.orders(customer)",
    priority="critical",
    orphans=3,
    fresh=3,
    exact=True,
    health="alert",
    duration_ms=1.0,
)
FOUND = AuditRecorded(
    audit=2,
    at="2026-03-03 22:00:00",
    relations=1,
    orphans=3,
    fresh=3,
    health="alert",
    duration_ms=1.0,
    found=(LOST,),
    alerts=((LOST.relation, 3),),
)


def told(*events: Event) -> tuple[str, ...]:
    """What is told of a run with these events."""
    return summarize(fold("r1", [(each, BEGAN) for each in (began("audit"), *events)])).next_steps


def test_who_is_called_by_an_audit_is_told_what_can_be_done() -> None:
    """Also when the message leaves before the run has ended; before the audit there is nothing to tell."""
    assert told() == ()
    assert told(FOUND)[0].startswith(
        "what can be done: invoke remediate --env staging --relation 'public.orders(customer)'"
    )
    assert told(FOUND, RunFinished(state="failed", reason="", events=2, head=""))[0] == told(FOUND)[0]
