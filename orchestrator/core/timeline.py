"""A runbook as a tree that two readers share: the conductor runs its steps, the documents show its days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

StepName = Literal["preflight", "plan", "audit", "gates", "approval", "backup", "apply", "validate", "performance"]
PhaseName = Literal["decision", "implementation", "validation", "production"]
Option = Literal["A", "B"]

STEP_VERSIONS: Mapping[StepName, int] = {
    "preflight": 1,
    "plan": 1,
    "audit": 1,
    "gates": 1,
    "approval": 1,
    "backup": 1,
    "apply": 1,
    "validate": 1,
    "performance": 1,
}
"""Goes up when a step comes to mean something else: a run that began with the older one is not taken up."""

STANDARD_STEPS: tuple[StepName, ...] = (
    "preflight",
    "plan",
    "audit",
    "gates",
    "approval",
    "backup",
    "apply",
    "validate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something to do in a phase, with its business days (1 is the first). `step` names what the tool does for it."""

    title: str
    days: tuple[int, int]
    step: StepName | None = None

    @property
    def planned(self) -> str:
        """`day 3`, `days 4 to 5`."""
        first, last = self.days
        return f"day {first}" if first == last else f"days {first} to {last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase of the checklist."""

    name: PhaseName
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """One option of the decision: what it means, its risk, its business days (fewest, most), and its phases.

    `keys` tells whether it leads to adding the keys; otherwise orphans are refused by the application and audited.
    """

    title: str
    risk: Literal["low", "medium", "high"]
    days: tuple[int, int]
    phases: tuple[Phase, ...]
    recommended: bool = False
    keys: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """What is deployed: a name, the steps that `deploy` takes, and the roads that may be decided for."""

    name: str
    title: str
    steps: tuple[StepName, ...] = STANDARD_STEPS
    roads: dict[Option, Road] = field(default_factory=dict)

    @property
    def needs_decision(self) -> bool:
        """Whether a person has to choose a road first."""
        return bool(self.roads)


def standard_runbook(name: str) -> Runbook:
    """The runbook of a folder that holds only a contract."""
    return Runbook(name=name, title=name.replace("_", " "))
