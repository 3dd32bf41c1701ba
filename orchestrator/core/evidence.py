"""What a rehearsal proves, as a value that opens production or does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.core.identity import Identity
from orchestrator.core.locks import Lock
from orchestrator.core.nouns import counted
from orchestrator.core.verdict import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One statement as the copy carried it out. Times are in ms.

    `locks` were read from pg_locks inside its transaction, just before the commit. `duration_ms` is the median of
    `times_ms`, which has one for each time that it was carried out; `blocked_ms` is the longest. `table` is the one
    whose rows it reads, empty when it reads none.
    """

    id: str
    relation: str
    sql: str
    locks: tuple[Lock, ...]
    duration_ms: float
    blocked_ms: float
    times_ms: tuple[float, ...] = ()
    table: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """The way back to the start from the boundary after a step: the fingerprints before the first and after the last.

    `duration_ms` is how long the way back took, `differences` what was not as before, in words. `statements` took
    effect until then: with none the way back is empty, and the fingerprints alone prove it.
    """

    boundary: str
    before: str
    after: str
    duration_ms: float
    differences: tuple[str, ...] = ()
    statements: int = 0

    @property
    def proved(self) -> bool:
        """Whether the copy was what it had been."""
        return self.before == self.after and not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One rehearsal. `digest` is the plan's, `fingerprint` that of the tables which it touches, as they were found.

    `lines` are what the fingerprint was taken over, so that a difference can be shown; `rows` counts rows by table.
    `like` names the environment that the copy was made equal to. Step times are in ms: `steps` has the medians of
    `step_times`. The time of the step backup is that of dump, restore and comparison, with which the copy was made.
    """

    run: str
    runbook: str
    environment: str
    like: str | None
    digest: str
    fingerprint: str
    lines: tuple[str, ...]
    target: Identity
    scratch_version: int
    finished: datetime
    verdict: Word
    reasons: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    statements: tuple[Measured, ...] = ()
    steps: Mapping[str, float] = field(default_factory=dict)
    ways_back: tuple[WayBack, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    step_times: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def walked(self) -> tuple[WayBack, ...]:
        """The ways back on which something was taken back; from where nothing had changed there is none to walk."""
        return tuple(each for each in self.ways_back if each.statements)

    @property
    def ways_told(self) -> str:
        """`3 ways back proved`, `1 of 3 ways back proved`, `nothing had to be walked back`: in every report."""
        proved = sum(each.proved for each in self.walked)
        if not self.walked:
            return "nothing had to be walked back"
        some = f"{proved} of " if proved < len(self.walked) else ""
        return f"{some}{counted(len(self.walked), 'way')} back proved"
