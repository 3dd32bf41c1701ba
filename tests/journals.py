"""Journals by hand: runs that ended well, badly and not at all, and a contract of hostile names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.core.catalog import TableName
from orchestrator.core.checks import Finding
from orchestrator.core.contract import Contract, Relation, default_name
from orchestrator.core.journal import (
    BackupProved,
    CatalogRecorded,
    FindingsRecorded,
    Identity,
    LockAttemptFailed,
    OrphansCounted,
    PlanRecorded,
    RunFinished,
    RunStarted,
    StatementDone,
    StatementFailed,
    StatementUndone,
    StepFinished,
    StepStarted,
    VerdictGiven,
    WalkedBack,
)
from orchestrator.core.locks import Lock
from orchestrator.core.plan import Plan, PlannedRelation, Proof, Statement, plan_digest
from orchestrator.core.run import fold
from orchestrator.core.summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.core.journal import Event, Task

STEPS = ("preflight", "plan", "audit", "gates", "backup", "apply", "validate")
BEGAN = datetime(2026, 3, 3, 22, 0, tzinfo=UTC)
BUDGET_MS = 100
HOSTILE = ("a|b", "<script>alert(1)</script>", "{{ 7*7 }}", "back`tick``s", 'say "hi"', "__init__", "[x](y)", "&amp;")


def the_plan(contract: Contract) -> Plan:
    """A plan that adds and validates each promised relation but the first, which stands already."""
    present, *missing = contract.promised
    relations = tuple(
        PlannedRelation(
            relation=each,
            status="deferred" if each.deferred else "present" if each is present else "missing",
            reason=each.deferred or ("stands under this name" if each is present else ""),
        )
        for each in contract.relations
    )
    statements = (*(statement(each, "add") for each in missing), *(statement(each, "validate") for each in missing))
    return Plan(
        runbook="master_tables",
        environment="staging",
        digest=plan_digest(relations, statements),
        fingerprint="f" * 64,
        relations=relations,
        statements=statements,
    )


def statement(relation: Relation, kind: Literal["add", "validate"]) -> Statement:
    """One statement for a relation, written by the writer of real plans."""
    ddl, adds = QuotedDdl(), kind == "add"
    mode: Literal["SHARE ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"] = (
        "SHARE ROW EXCLUSIVE" if adds else "SHARE UPDATE EXCLUSIVE"
    )
    locks = tuple(Lock(table=name, mode=mode) for name in dict.fromkeys((relation.table, relation.referenced)))
    return Statement(
        id=f"{kind}:{relation.table}.{relation.name}",
        kind=kind,
        relation=relation.id,
        sql=ddl.add(relation, not_valid=True) if adds else ddl.validate(relation.table, relation.name),
        undo=(ddl.drop(relation.table, relation.name),),
        restore=(),
        proof=Proof(table=relation.table, constraint=relation.name, state="not valid" if adds else "valid"),
        locks=locks,
        undo_locks=locks,
        lock_timeout_ms=BUDGET_MS if adds else 1000,
        statement_timeout_ms=BUDGET_MS if adds else 0,
    )


def began(task: Task = "deploy", **rest: str) -> RunStarted:
    """The beginning of a run."""
    return RunStarted(
        task=task,
        runbook="master_tables",
        environment="staging",
        kind="staging",
        steps=STEPS,
        initiator="Ayu",
        os_user="ayu",
        host="build-7",
        version="1.0.0",
        target=Identity(system_identifier="7", database="apms", server_version=160003, role="app_owner"),
        **rest,  # type: ignore[arg-type]
    )


def step(name: str, ms: float, *events: Event, state: Literal["done", "failed", "held"] = "done") -> Iterator[Event]:
    """A step with what it recorded."""
    yield StepStarted(step=name)
    yield from events
    yield StepFinished(step=name, state=state, note=f"{name} came to its end", duration_ms=ms)


def finding(name: str, status: Literal["pass", "fail"], **rest: str) -> Finding:
    """A finding."""
    return Finding(
        id=name,
        title=f"Is {name} as it should be?",
        severity="critical" if status == "fail" else "important",
        status=status,
        observed=rest.get("observed", "as expected"),
        expected="as it should be",
        remedy=rest.get("remedy", ""),
    )


def done(plan: Plan) -> Iterator[Event]:
    """What carrying out a whole plan leaves in the journal."""
    for number, each in enumerate(plan.statements):
        blocked = 0.0 if each.kind == "validate" else 4.5 + number
        yield StatementDone(
            id=each.id, relation=each.relation, sql=each.sql, attempts=1, duration_ms=5.0 + number, blocked_ms=blocked
        )


def catalog(moment: Literal["before", "after", "after rollback"], letter: str) -> CatalogRecorded:
    """A recorded catalog."""
    return CatalogRecorded(moment=moment, fingerprint=letter * 64, tables={}, lines=())


def checked() -> Iterator[Event]:
    """A preflight that is GO."""
    findings = tuple(finding(f"check-{number}", "pass") for number in range(7))
    yield from step("preflight", 1234, FindingsRecorded(step="preflight", findings=findings))
    yield VerdictGiven(gate="preflight", word="GO")


def backed_up() -> Iterator[Event]:
    """A proved backup."""
    proof = BackupProved(
        mode="dump",
        path="/srv/backups/apms-r1",
        restore="createdb apms_r1 && pg_restore --dbname=apms_r1 /srv/backups/apms-r1/dump",
        bytes=12_897_485,
        tables=27,
        rows=1_204_331,
        dump_ms=2100,
        restore_ms=5400,
        compare_ms=1900,
        tool="pg_dump 16.3",
        manifest_sha256="c" * 64,
    )
    yield from step("backup", 9400, proof)


def fully_done(plan: Plan) -> Iterator[Event]:
    """A run that added everything."""
    yield began()
    yield from checked()
    yield from step("plan", 210, PlanRecorded(plan=plan), catalog("before", "b"))
    counts = (OrphansCounted(relation=each.relation.id, orphans=0, query="", duration_ms=3) for each in plan.relations)
    yield from step("audit", 800, *counts)
    yield from backed_up()
    failure = LockAttemptFailed(
        statement=plan.statements[0].id, attempt=1, table="t", sqlstate="55P03", blocker="pid 7"
    )
    yield from step("apply", 3100, failure, *done(plan))
    findings = FindingsRecorded(step="validate", findings=(finding("C1", "pass"),))
    yield from step("validate", 4800, catalog("after", "a"), findings)
    yield VerdictGiven(gate="validate", word="GO")
    yield RunFinished(state="done")


def refused(plan: Plan) -> Iterator[Event]:
    """A run that found orphans before the first change."""
    yield began()
    yield from checked()
    yield from step("plan", 210, PlanRecorded(plan=plan), catalog("before", "b"))
    guilty = plan.relations[-1].relation
    count = OrphansCounted(relation=guilty.id, orphans=1234, query=f"SELECT 1 -- {guilty.name}", duration_ms=3)
    bad = finding("orphans", "fail", observed=f"{guilty.id}: 1234", remedy="repair, then invoke deploy --env staging")
    yield from step("audit", 800, count, FindingsRecorded(step="audit", findings=(bad,)), state="failed")
    yield VerdictGiven(gate="audit", word="NO-GO", reasons=(f"orphans (critical): {bad.observed}",))
    yield RunFinished(state="refused", reason="audit is NO-GO")


def walked_back(plan: Plan) -> Iterator[Event]:
    """A run that failed, walked back and found the catalog changed by somebody else."""
    *first, last = plan.statements
    yield began()
    yield from checked()
    yield from step("plan", 210, PlanRecorded(plan=plan), catalog("before", "b"))
    yield from step(
        "apply",
        700,
        *list(done(plan))[: len(first)],
        StatementFailed(id=last.id, relation=last.relation, sqlstate="42P17", message="no", because_of_orphans=False),
        state="failed",
    )
    yield VerdictGiven(gate="apply", word="NO-GO", reasons=("no",))
    for each in reversed(first):
        yield StatementUndone(
            id=each.id, relation=each.relation, of="r1", sql=each.undo, attempts=1, duration_ms=2, blocked_ms=1
        )
    yield catalog("after rollback", "d")
    yield WalkedBack(of="r1", before="b" * 64, after="d" * 64, differences=("new: public.users: index <late>",))
    yield RunFinished(state="failed", reason="apply failed")


def unfinished(plan: Plan) -> Iterator[Event]:
    """A run in the middle of its work."""
    yield began()
    yield from checked()
    yield from step("plan", 210, PlanRecorded(plan=plan))
    yield StepStarted(step="apply")
    yield next(done(plan))


def summary_of(events: Iterator[Event]) -> Summary:
    """The view of these events, half a second apart."""
    return summarize(fold("r1", ((event, BEGAN + timedelta(seconds=n / 2)) for n, event in enumerate(events))))


def hostile_contract() -> Contract:
    """Relations between tables whose names mean something to Markdown, HTML, Jinja or SQL."""
    return Contract(
        relations=tuple(
            Relation(
                table=TableName(schema="public", name=name),
                columns=(f"{name} id",),
                referenced=TableName(schema="public", name="line\nbreak; DROP TABLE x"),
                referenced_columns=("id",),
                name=default_name("hostile", [str(number)]),
                deferred=f"because of {name}" if number % 2 else None,
            )
            for number, name in enumerate(HOSTILE)
        )
    )
