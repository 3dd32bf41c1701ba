"""What was seen of hosts, and what was done on them. `item` is an item of the runbook as it is typed.

`of` names the run that is walked back when a command is a way back; otherwise it is empty. Times are in ms.
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommandIntended:
    """A command is about to be given to a host. `way_back` tells whether the runbook has one."""

    item: str
    host: str
    way_back: bool = False
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSaid:
    """A piece of what a command printed, without the secrets that were known; the middle of much output is left out."""

    item: str
    host: str
    text: str
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommandDone:
    """It took effect: it ended with code 0 (`itself`), its `probe` says so, or a `person` does."""

    item: str
    host: str
    duration_ms: float = 0.0
    found: Literal["itself", "probe", "person"] = "itself"
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommandFailed:
    """It did not do what it should. `begun` is false when it never ran, `cut` when it was ended in the middle."""

    item: str
    host: str
    reason: str
    code: int | None = None
    duration_ms: float = 0.0
    begun: bool = True
    cut: bool = False
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettled:
    """What service and health of a host are after a command: `reason` is empty when they are well."""

    item: str
    host: str
    reason: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUndoPassedOver:
    """A command's way back was not gone on a host, and why."""

    item: str
    host: str
    of: str
    reason: str
