"""What the steps of a run find, decide and prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.checks import Finding
from orchestrator.core.outcome import StepState
from orchestrator.core.performance import LoadCost, Overhead, WriteCost
from orchestrator.core.plan import Plan
from orchestrator.core.verdict import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step began."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step ended. The duration is in ms."""

    step: str
    state: StepState
    note: str
    duration_ms: float
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsRecorded:
    """The results of the checks of one step."""

    step: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictGiven:
    """What the rules made of the findings at a gate."""

    gate: str
    word: Word
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecorded:
    """The plan that this run carries out."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRecorded:
    """The catalog's fingerprint at a moment; `tables` has one per table, `lines` those of the tables of the plan."""

    moment: Literal["before", "after", "after rollback"]
    fingerprint: str
    tables: Mapping[str, str]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphansCounted:
    """Rows of a relation that refer to nothing: an exact count in rows, the query that shows them, time in ms.

    `sample` holds up to 20 keys and stays empty where the policy keeps them out of the ledger. `method` is how they
    were counted; older journals do not tell.
    """

    relation: str
    orphans: int
    query: str
    duration_ms: float
    moment: Literal["audit", "validate"] = "audit"
    sample: tuple[Mapping[str, str | None], ...] = ()
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupProved:
    """A backup and its proof. Sizes are in bytes, times in ms; `tables` and `rows` were compared after a restore.

    `path` is None for an external backup, whose restore point stands in `restore`.
    """

    mode: Literal["dump", "external"]
    path: str | None
    restore: str
    bytes: int
    tables: int
    rows: int
    dump_ms: float
    restore_ms: float
    compare_ms: float
    tool: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceMeasured:
    """What the keys of the contract cost per write on a copy, before and after they were added.

    `writes` were measured one at a time, `loads` with `clients` at once by `method`; `overheads` judge each table.
    """

    writes: tuple[WriteCost, ...]
    loads: tuple[LoadCost, ...]
    overheads: tuple[Overhead, ...]
    clients: int
    method: str
