"""The risk in words, and a decision that holds no more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from orchestrator.core.decision import Decision, risk, stale
from orchestrator.core.timeline import Road, Runbook, standard_runbook

if TYPE_CHECKING:
    from orchestrator.core.timeline import Option

AT = datetime(2026, 12, 14, 9, 30, tzinfo=UTC)
KEYS = Road(title="Add the keys", risk="low", days=(7, 10), phases=())
CODE = Road(title="Check in the application", risk="high", days=(12, 15), phases=())
RUNBOOK = Runbook(name="shop", title="Shop", roads={"A": KEYS, "B": CODE})


def decided(option: Option) -> Decision:
    """A decision."""
    return Decision(option=option, rationale="because", by="Ayu", at=AT)


def test_the_risk_is_medium_until_it_is_decided() -> None:
    """Then it is the road's."""
    assert risk(RUNBOOK, None) == "medium (undecided)"
    assert risk(RUNBOOK, decided("A")) == "low"
    assert risk(RUNBOOK, decided("B")) == "high"


def test_a_runbook_without_roads_has_no_risk_to_tell() -> None:
    """No decision is asked of a bare contract."""
    assert risk(standard_runbook("shop"), None) == ""


@pytest.mark.parametrize(
    ("runbook", "road", "told"),
    [
        (RUNBOOK, "Add the keys", ""),
        (RUNBOOK, None, ""),
        (RUNBOOK, "Check in the application", "A meant 'Check in the application' and means 'Add the keys' now"),
        (Runbook(name="x", title="x", roads={"B": CODE}), None, "A is no road of this runbook"),
        (standard_runbook("x"), None, "this runbook has no roads to decide between"),
    ],
)
def test_a_decision_holds_as_long_as_its_label_means_the_same(runbook: Runbook, road: str | None, told: str) -> None:
    """Two documents once used A and B with opposite meanings."""
    assert stale(runbook, "A", road) == told
