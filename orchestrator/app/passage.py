"""How a run may pass its gates: what is overridden and why, evidence from a file, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.gate_list import Overrides, overrides
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run


def utc_now() -> datetime:
    """The clock that runs go by."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What a person says at the gates of production."""

    overrides: Overrides = field(default_factory=Overrides)
    evidence: Path | None = None
    clock: Callable[[], datetime] = utc_now

    @property
    def options(self) -> Mapping[str, str]:
        """What the journal keeps of it, so that a resume knows."""
        return {
            "override": ",".join(sorted(self.overrides.names)),
            "override_reason": self.overrides.reason,
            "evidence": str(self.evidence or ""),
        }

    def resumed(self, run: Run) -> Passage:
        """The passage of a run that is taken up: what was said of evidence still counts, of the hour it does not."""
        told = run.started.options if run.started else {}
        names = frozenset(filter(None, told.get("override", "").split(",")))
        before = Overrides(names=names, reason=told.get("override_reason", "")).lasting()
        file = Path(told["evidence"]) if told.get("evidence") else None
        return Passage(overrides=self.overrides.with_others(before), evidence=self.evidence or file, clock=self.clock)


def passage(override: str | None, reason: str | None, evidence: str | None) -> Passage:
    """What the options say. Raises Refused."""
    file = Path(evidence).expanduser() if evidence else None
    if file is not None and not file.is_file():
        message = f"--evidence {evidence}: no such file"
        raise Refused(message)
    return Passage(overrides=overrides(override, reason), evidence=file)
