"""What every task takes from the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.app.passage import Passage
from orchestrator.core.host_commands import Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What every task takes: where to look and how to answer."""

    env: str | None = None
    runbook: str = "master_tables"
    inventory: Path = Path("inventory")
    runs: Path = Path("runs")
    json: bool = False
    dry_run: bool = False
    only: tuple[str, ...] = ()
    passage: Passage = field(default_factory=Passage)
    as_is: bool = False
    accept_no_undo: bool = False
    hosts_said: Mapping[str, Settled] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The options that a next command has to repeat."""
        usual = Request()
        places = {
            "runbook": (self.runbook, usual.runbook),
            "inventory": (self.inventory, usual.inventory),
            "runs": (self.runs, usual.runs),
        }
        return "".join(f" --{name} {shlex.quote(str(now))}" for name, (now, same) in places.items() if now != same)
