"""What opens a gate, or was said in front of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.evidence import Evidence
from orchestrator.core.prediction import Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecorded:
    """A rehearsal is over, and this is what it proves."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesPredicted:
    """What the rehearsal of this plan lets expect of the run. `rehearsal` is its run, `rehearsed` its times in ms."""

    rehearsal: str
    planned: Mapping[str, Expected]
    rehearsed: Mapping[str, float]
    way_back: Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesOverridden:
    """Somebody passed closed gates on purpose; every report shows it."""

    gates: tuple[str, ...]
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHeard:
    """A person approved, denied, accepted a HOLD or confirmed a manual item, and the run took it into its record.

    `subject` is what was answered: the gate of a HOLD, or the item; empty for an approval. `proof` tells how the person
    is known (`role ayu`, `slack U012ABCDEF`), `actor` is the session user that wrote it, `os_user` is only told.
    `digest` is the plan's and `target` the identity that it was said about. `id` is the ledger's number of the answer
    and `at` when it was given; older journals do not tell.
    """

    answer: Literal["approve", "deny", "accept", "confirm"]
    person: str
    proof: str
    actor: str
    os_user: str
    note: str
    digest: str = ""
    target: str = ""
    subject: str = ""
    id: int = 0
    at: str = ""
