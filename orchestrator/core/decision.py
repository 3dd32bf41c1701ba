"""Which road was decided for, by whom and why. What the roads are stands in the runbook, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from orchestrator.core.timeline import Option, Runbook

UNDECIDED: Final = "medium (undecided)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision as `decision.toml` keeps it."""

    option: Option
    rationale: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What stood in front of the people who decided: counts of the contract, and of a catalog where one was looked at.

    `statuses` counts the contract's relations by their status there.
    """

    promised: int
    deferred: int
    tables: int
    environment: str = ""
    database: str = ""
    server_version: str = ""
    statuses: Mapping[str, int] = field(default_factory=dict)


def risk(runbook: Runbook, decision: Decision | None) -> str:
    """The risk in words: medium until it is decided, then the road's; empty where no decision is asked."""
    if not runbook.needs_decision:
        return ""
    return runbook.roads[decision.option].risk if decision else UNDECIDED


def road_without_keys(runbook: Runbook, decision: Decision | None) -> str:
    """`option B` where that is decided for and adds no keys; empty on every other road."""
    road = runbook.roads.get(decision.option) if decision else None
    return f"option {decision.option}" if decision and road and not road.keys else ""


def stale(runbook: Runbook, option: Option, road: str | None) -> str:
    """Why a decision for that option does not hold any more, empty when it does.

    `road` is what the option meant when it was decided: two documents must never use one label for two things.
    """
    if not runbook.needs_decision:
        return "this runbook has no roads to decide between"
    if option not in runbook.roads:
        return f"{option} is no road of this runbook"
    now = runbook.roads[option].title
    return f"{option} meant {road!r} and means {now!r} now" if road is not None and road != now else ""
