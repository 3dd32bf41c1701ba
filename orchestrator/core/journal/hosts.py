"""What was seen of hosts, and what was done on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.core.hosts import HostFacts

Moment = Literal["before", "between", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsSeen:
    """A look at hosts: before the run's first change, between two batches of a command, or after the last change."""

    moment: Moment
    facts: tuple[HostFacts, ...]
    clock: str = ""
