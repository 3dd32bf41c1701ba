"""Which road was decided for, by whom and why. What the roads are stands in the runbook, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.core.timeline import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision as `decision.toml` keeps it."""

    option: Option
    rationale: str
    by: str
    at: datetime
