"""What `report --format json` gives, as a JSON Schema: made from these shapes and from the values that it is made of.

`python -m orchestrator.adapters.report_schema` prints it; `docs/reference/report.schema.json` is that text. Keys are
added, never renamed: a reader should not mind those that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from orchestrator.core.checklist import BoxState
from orchestrator.core.checks import FindingStatus, Severity
from orchestrator.core.fates import Fate, RelationRow
from orchestrator.core.host_rows import HostRow
from orchestrator.core.inventory import Kind
from orchestrator.core.journal import AnswerHeard, AuditRecorded, BackupProved, StatementDone, Task
from orchestrator.core.outcome import RunState, StepState
from orchestrator.core.performance import LoadCost, WriteCost
from orchestrator.core.prediction import Comparison
from orchestrator.core.remediated import RemediationView
from orchestrator.core.summary import StepRow
from orchestrator.core.verdict import Word
from orchestrator.core.watch_series import WatchView

Keys = list[Mapping[str, str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingDocument:
    """The result of one check."""

    id: str
    title: str
    severity: Severity
    status: FindingStatus
    observed: str
    expected: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDocument:
    """A step; its time in ms, null while it has none."""

    id: str
    state: StepState
    duration_ms: float | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphansDocument:
    """A relation with rows that refer to nothing; `sample` has the keys that are kept on this machine."""

    relation: str
    orphans: int
    query: str
    sample: Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationDocument(RelationRow):
    """What became of one relation of the contract. Orphans are rows; null where they were not counted."""

    sample: Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadDocument:
    """What the keys cost a table at most, in ms per write, and the thresholds' word for that."""

    table: str
    ms: float | None
    cause: str
    slow_keys: tuple[str, ...]
    unindexed: tuple[str, ...]
    unknown: tuple[str, ...]
    word: Literal["accepted", "hold", "roll back", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceDocument:
    """What the keys cost per write on a copy, before and after they were added."""

    writes: tuple[WriteCost, ...]
    loads: tuple[LoadCost, ...]
    overheads: tuple[OverheadDocument, ...]
    clients: int
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBackDocument:
    """A way back that was walked in a rehearsal; its time in ms."""

    boundary: str
    proved: bool
    statements: int
    duration_ms: float
    differences: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceDocument:
    """What a rehearsal proves; the times of its steps in ms."""

    digest: str
    fingerprint: str
    verdict: Word
    reasons: list[str]
    like: str | None
    ways_back: list[WayBackDocument]
    steps: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxDocument:
    """An item of the checklist; times are UTC."""

    item: str
    title: str
    days: list[int]
    step: str | None
    state: BoxState
    run: str
    environment: str
    began: str | None
    at: str | None
    by: str
    proof: str
    note: str
    missing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseDocument:
    """A phase of the road that was decided for."""

    phase: str
    items: list[BoxDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDocument:
    """The report of one run. All numbers are from its journal, whose last hash is `head`. Times are in ms."""

    run: str
    environment: str
    state: RunState
    verdict: Word | None
    reason: str
    dry_run: bool
    risk: str
    relations: Mapping[Fate, int]
    findings: list[FindingDocument]
    steps: list[StepDocument]
    orphans: list[OrphansDocument]
    longest_lock_wait_ms: float
    rolled_back: bool
    rolls_back: str | None
    differences: list[str]
    taken_up: list[str]
    answers: list[AnswerHeard]
    reconnections: int
    lost_events: int
    overridden: list[str]
    not_delivered: list[str]
    next_steps: list[str]
    hosts: list[HostRow]
    report: str | None
    task: Task
    runbook: str
    kind: Kind
    decided: str
    reasons: list[str]
    initiator: str
    host: str
    database: str
    server_version: str
    started: str
    finished: str | None
    duration_ms: float | None
    digest: str
    fingerprint_before: str
    fingerprint_after: str
    promised: int
    holding: int
    relation_rows: list[RelationDocument]
    timeline: list[StepRow]
    statements: list[StatementDone]
    lock_failures: int
    blockers: list[str]
    undone: int
    backup: BackupProved | None
    performance: PerformanceDocument | None
    evidence: EvidenceDocument | None
    head: str
    lock_budget_ms: int
    checklist: list[PhaseDocument]
    comparison: list[Comparison]
    audit: AuditRecorded | None
    watch: WatchView | None
    remediation: RemediationView | None
    elsewhere: list[str]


def report_schema() -> dict[str, Any]:
    """The schema. A document has every key at any time."""
    schema = TypeAdapter(ReportDocument).json_schema(mode="serialization")
    return {"$schema": GenerateJsonSchema.schema_dialect, **_untitled(schema)}


def _untitled(part: Any) -> Any:
    """Without the titles that pydantic makes of the names; a property that is called `title` is no text."""
    if isinstance(part, dict):
        return {key: _untitled(value) for key, value in part.items() if key != "title" or isinstance(value, dict)}
    return [_untitled(each) for each in part] if isinstance(part, list) else part


def schema_text() -> str:
    """The schema as the file has it."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
