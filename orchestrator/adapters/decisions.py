"""`decision.toml` of a runbook: which road was decided for, by whom and why."""

from __future__ import annotations

from pathlib import Path

from orchestrator.adapters.documents import parse, read_toml
from orchestrator.core.decision import Decision
from orchestrator.core.outcome import BadDocument

DECISION = "decision.toml"


def load_decision(path: Path) -> Decision | None:
    """The decision of a runbook's folder, None where there is none. Raises BadDocument, Refused."""
    file = path / DECISION
    if not file.exists():
        return None
    decision = parse(file, read_toml(file), Decision)
    for key in ("rationale", "by"):
        if not getattr(decision, key).strip():
            raise BadDocument(file=str(file), key=key, problem="is empty")
    return decision
