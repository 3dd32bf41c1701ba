"""A runbook as a tree that two readers share: the conductor runs its steps, the documents show its days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.host_commands import HostCommand

StepName = Literal[
    "preflight",
    "plan",
    "audit",
    "gates",
    "approval",
    "backup",
    "apply",
    "hosts",
    "validate",
    "performance",
    "remediate",
]
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
    "hosts": 1,
    "validate": 1,
    "performance": 1,
    "remediate": 1,
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
    """Something to do in a phase, with its business days (1 is the first). `step` names what the tool does for it.

    `on_hosts` is the command of the step `hosts`.
    """

    title: str
    days: tuple[int, int]
    step: StepName | None = None
    on_hosts: HostCommand | None = None

    @property
    def planned(self) -> str:
        """`day 3`, `days 4 to 5`."""
        first, last = self.days
        return f"day {first}" if first == last else f"days {first} to {last}"


def on_hosts(
    command: str,
    *,
    title: str = "",
    days: tuple[int, int] = (1, 1),
    batch: int = 1,
    timeout_s: float = 300.0,
    sudo: bool = False,
    health: bool = True,
    settle_s: float = 30.0,
    undo: str | None = None,
    probe: str | None = None,
    repeatable: bool = False,
    always: bool = False,
) -> Item:
    """An item whose command is given to every host of the environment, between apply and validate; see HostCommand.

    Raises ValueError.
    """
    given = HostCommand(
        command=command,
        batch=batch,
        timeout_s=timeout_s,
        sudo=sudo,
        health=health,
        settle_s=settle_s,
        undo=undo,
        probe=probe,
        repeatable=repeatable,
        always=always,
    )
    return Item(title=title or command, days=days, step="hosts", on_hosts=given)


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
    on_any_road: tuple[Item, ...] = ()

    @property
    def needs_decision(self) -> bool:
        """Whether a person has to choose a road first."""
        return bool(self.roads)

    def on_hosts(self, option: Option | None) -> tuple[Item, ...]:
        """The items with a command for hosts, on that road and on any; one that stands there twice is given once."""
        road = self.roads.get(option) if option else None
        items = (*(each for phase in (road.phases if road else ()) for each in phase.items), *self.on_any_road)
        found: dict[HostCommand, Item] = {}
        for each in items:
            if each.on_hosts is not None:
                found.setdefault(each.on_hosts, each)
        return tuple(found.values())

    def steps_for(self, option: Option | None) -> tuple[StepName, ...]:
        """The steps of a deployment on that road: commands for hosts come after the database, before validate."""
        if not self.on_hosts(option):
            return self.steps
        at = self.steps.index("validate")
        return (*self.steps[:at], "hosts", *self.steps[at:])


def standard_runbook(name: str) -> Runbook:
    """The runbook of a folder that holds only a contract."""
    return Runbook(name=name, title=name.replace("_", " "))
