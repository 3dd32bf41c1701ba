"""The JSON documents that scripts depend on: keys are added, never renamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.core.checks import Finding
from orchestrator.core.contract import Relation
from orchestrator.core.evidence import Evidence
from orchestrator.core.fates import RelationRow
from orchestrator.core.host_approval import with_commands
from orchestrator.core.journal import PerformanceMeasured
from orchestrator.core.matching import Match
from orchestrator.core.plan import Plan
from orchestrator.core.ports import Orphans
from orchestrator.core.resumption import command_lines
from orchestrator.core.summary import Summary
from orchestrator.core.timeline import Item
from orchestrator.core.verdict import Verdict

Document = dict[str, Any]


def plan_document(plan: Plan, commands: Iterable[Item] = ()) -> Document:
    """`invoke plan --json`; `approval` is what `approve --plan` takes, with the commands on hosts if any."""
    items = tuple(commands)
    return {
        "runbook": plan.runbook,
        "environment": plan.environment,
        "digest": plan.digest,
        "fingerprint": plan.fingerprint,
        "relations": [
            {
                **relation_place(each.relation),
                "name": each.standing or each.relation.name,
                "priority": each.relation.priority,
                "status": each.status,
                "reason": each.reason,
            }
            for each in plan.relations
        ],
        "statements": [
            {
                "id": each.id,
                "sql": each.sql,
                "undo": "; ".join((*each.undo, *each.restore)),
                "locks": [
                    {"schema": lock.table.schema, "table": lock.table.name, "mode": lock.mode} for lock in each.locks
                ],
                "lock_timeout_ms": each.lock_timeout_ms,
                "statement_timeout_ms": each.statement_timeout_ms,
                "hazards": list(each.hazards),
            }
            for each in plan.statements
        ],
        "approval": with_commands(plan.digest, command_lines(items)),
        "host_commands": [{"title": each.title, **asdict(each.on_hosts)} for each in items if each.on_hosts],
    }


def finding_document(finding: Finding) -> Document:
    """One finding."""
    document = asdict(finding)
    document.pop("caused_by_data")
    return document


def findings_document(verdict: Verdict, findings: Iterable[Finding]) -> Document:
    """`invoke preflight --json`, `invoke validate --json`."""
    return {
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "findings": [finding_document(each) for each in findings],
    }


def audit_document(
    results: Iterable[Orphans], hopeless: Iterable[Match], *, show_samples: bool, where: Mapping[str, object]
) -> Document:
    """`invoke audit --json`; a relation that cannot be counted has no number, and a reason. `where` was it counted."""
    relations = [
        {
            **relation_place(each.relation),
            "orphans": each.count,
            "sample": [dict(key) for key in each.sample] if show_samples else [],
            "query": each.query,
            "duration_ms": each.duration_ms,
            "method": each.method,
            "method_reason": each.reason,
        }
        for each in results
    ]
    lost = [{**relation_place(each.relation), "orphans": None, "reason": each.reason} for each in hopeless]
    return {"relations": [*relations, *lost], "total": sum(each["orphans"] for each in relations), **where}


def relation_place(relation: Relation) -> Document:
    """Where a relation stands, as every document tells it."""
    return {
        "schema": relation.table.schema,
        "table": relation.table.name,
        "columns": list(relation.columns),
        "references": {
            "schema": relation.referenced.schema,
            "table": relation.referenced.name,
            "columns": list(relation.referenced_columns),
        },
    }


Samples = Mapping[str, Sequence[Mapping[str, str | None]]]
"""Sampled orphan keys per relation, as far as they are kept where this is asked."""


def run_document(summary: Summary, *, report: str | None, samples: Samples) -> Document:
    """`invoke deploy --json`, and `rollback`."""
    return {
        "run": summary.run,
        "environment": summary.environment,
        "state": summary.state,
        "verdict": summary.verdict,
        "reason": summary.reason,
        "dry_run": summary.dry_run,
        "risk": summary.risk,
        "relations": dict(summary.counts),
        "findings": [finding_document(each) for each in summary.findings],
        "steps": [
            {"id": each.id, "state": each.state, "duration_ms": each.duration_ms, "note": each.note}
            for each in summary.steps
        ],
        "orphans": [
            {
                "relation": each.id,
                "orphans": each.orphans,
                "query": each.query,
                "sample": [dict(key) for key in samples.get(each.id, ())],
            }
            for each in summary.relations
            if each.orphans
        ],
        "longest_lock_wait_ms": summary.longest_lock_wait_ms,
        "rolled_back": summary.rolled_back,
        "rolls_back": summary.rolls_back,
        "differences": list(summary.differences),
        "taken_up": list(summary.taken_up),
        "answers": [asdict(each) for each in summary.answers],
        "reconnections": summary.reconnections,
        "lost_events": summary.lost_events,
        "overridden": list(summary.overridden),
        "not_delivered": list(summary.not_delivered),
        "next_steps": list(summary.next_steps),
        "hosts": [asdict(each) for each in summary.hosts],
        "report": report,
        "remediation": asdict(summary.remediation) if summary.remediation else None,
        "elsewhere": list(summary.elsewhere),
    }


def evidence_document(proved: Evidence) -> Document:
    """What a script asks of a rehearsal; the whole of it is in `evidence.json` of its folder."""
    return {
        "digest": proved.digest,
        "fingerprint": proved.fingerprint,
        "verdict": proved.verdict,
        "reasons": list(proved.reasons),
        "like": proved.like,
        "ways_back": [
            {
                "boundary": each.boundary,
                "proved": each.proved,
                "statements": each.statements,
                "duration_ms": each.duration_ms,
                "differences": list(each.differences),
            }
            for each in proved.ways_back
        ],
        "steps": dict(proved.steps),
    }


def runs_document(summaries: Iterable[Summary]) -> Document:
    """`invoke status --json`, `invoke history --json`."""
    return {
        "runs": [
            {
                "run": each.run,
                "task": each.task,
                "environment": each.environment,
                "runbook": each.runbook,
                "state": each.state,
                "dry_run": each.dry_run,
                "risk": each.risk,
                "started": each.started,
                "finished": each.finished,
                "initiator": each.initiator,
                "digest": each.digest,
                "relations": dict(each.counts),
            }
            for each in summaries
        ]
    }


def report_document(summary: Summary, samples: Samples) -> Document:
    """`invoke report --format json`; `samples` are the orphan keys per relation that are kept on this machine."""
    return run_document(summary, report=None, samples=samples) | {
        "task": summary.task,
        "runbook": summary.runbook,
        "kind": summary.kind,
        "decided": summary.decided,
        "reasons": list(summary.reasons),
        "initiator": summary.initiator,
        "host": summary.host,
        "database": summary.database,
        "server_version": summary.server_version,
        "started": summary.started,
        "finished": summary.finished,
        "duration_ms": summary.duration_ms,
        "digest": summary.digest,
        "fingerprint_before": summary.fingerprint_before,
        "fingerprint_after": summary.fingerprint_after,
        "promised": summary.promised,
        "holding": summary.holding,
        "relation_rows": [_relation_document(each, samples.get(each.id, [])) for each in summary.relations],
        "timeline": [asdict(each) for each in summary.steps],
        "statements": [asdict(each) for each in summary.statements],
        "lock_failures": summary.lock_failures,
        "blockers": list(summary.blockers),
        "undone": summary.undone,
        "backup": asdict(summary.backup) if summary.backup else None,
        "performance": _performance_document(summary.performance) if summary.performance else None,
        "evidence": evidence_document(summary.evidence) if summary.evidence else None,
        "head": summary.head,
        "audit": asdict(summary.audit) if summary.audit else None,
        "watch": asdict(summary.watch) if summary.watch else None,
    }


def _performance_document(measured: PerformanceMeasured) -> Document:
    """What the keys cost per write, with the thresholds' word for each table."""
    return asdict(measured) | {"overheads": [asdict(each) | {"word": each.word} for each in measured.overheads]}


def _relation_document(row: RelationRow, sample: Iterable[Mapping[str, str | None]]) -> Document:
    """One relation with its fate."""
    return asdict(row) | {"columns": list(row.columns), "sample": [dict(key) for key in sample]}
