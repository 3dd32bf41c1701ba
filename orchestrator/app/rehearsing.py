"""The rehearsal: a copy of the target, the runbook there, back from every boundary and there again; then evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.adapters.audit_sql import AuditSql
from orchestrator.adapters.copying import ScratchCopy, execute
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.evidence import FILE, signing_key, write_evidence
from orchestrator.adapters.journal import RunJournal
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import begin, confirmed, refuse_open_run
from orchestrator.app.copy_steps import taken
from orchestrator.app.deserted import REPEATED, clear_deserted, clear_scratch
from orchestrator.app.finishing import finish
from orchestrator.app.live import follow
from orchestrator.app.on_copy import OnCopy
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.app.telling import telling
from orchestrator.app.writes_on_copy import Load, WritesOnCopy
from orchestrator.core.answers import evidence_document
from orchestrator.core.audit_plan import audits_alike
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.evidence import Evidence
from orchestrator.core.journal import (
    EvidenceRecorded,
    FindingsRecorded,
    NotificationQueued,
    PlanRecorded,
    VerdictGiven,
)
from orchestrator.core.likeness import alike, plan_differences, unrecorded
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_HELD,
    EXIT_REFUSED,
    HeldBack,
    JournalLost,
    OrchestratorError,
    Refused,
    RunState,
)
from orchestrator.core.plan import Plan
from orchestrator.core.rehearsal import Ground, Walk, evidence_of, findings, verdict_of
from orchestrator.core.snapshot import recorded
from orchestrator.core.verdict import Verdict, Word
from orchestrator.engine.rehearsal import Rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

STEPS = ("copy", "walks", "performance", "evidence")
ENDINGS: dict[Word, tuple[RunState, int]] = {
    "GO": ("done", EXIT_DONE),
    "HOLD": ("done", EXIT_HELD),
    "NO-GO": ("failed", EXIT_FAILED),
}
MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """The environment that the copy is made like: its catalog, and the plan for it."""

    name: str
    catalog: Catalog
    plan: Plan


def rehearse(
    request: Request, *, like: str | None, yes: bool, confirm: Callable[[str], bool], load: Load | None
) -> Answer:
    """Walk the whole runbook on a scratch copy. Raises OrchestratorError before a run has begun.

    Without a `load` what the keys cost per write is not measured, and the evidence says so.
    """
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        confirmed(site, yes=yes, confirm=confirm)
        key = signing_key(site.environment)
        other = _other(request, like, stack)
        with telling(site) as attach, at_work(site, attach) as work:
            clear_deserted(work)
            refuse_open_run(site, work.connection)
            clear_scratch(work)
            journal = follow(site, work.new_journal())
            begin(site, journal, work.connection, task="rehearse", steps=STEPS, like=like)
            return _told(site, journal, key, _rehearsed(work, journal, other, load))


def _other(request: Request, like: str | None, stack: ExitStack) -> Other | None:
    """The environment to be made like, only read. Raises OrchestratorError."""
    if like is None:
        return None
    site = open_site(replace(request, env=like), stack, read_only=True)
    catalog = site.catalog("like").catalog()
    return Other(name=like, catalog=catalog, plan=site.make_plan(catalog))


def _rehearsed(work: AtWork, journal: RunJournal, other: Other | None, load: Load | None) -> int:
    """The rehearsal to its end, which is on record in any case; the exit code. Raises JournalLost."""
    try:
        proved = _prove(work, journal, other, load)
        verdict = Verdict(word=proved.verdict, reasons=proved.reasons)
        state, code = ENDINGS[verdict.word]
    except JournalLost:
        if journal.ledger is None:
            raise
        verdict, state, code = Verdict(word="NO-GO", reasons=("the copy was lost",)), "failed", EXIT_FAILED
    except OrchestratorError as error:
        verdict, state, code = _broken_off(work.site, error)
    reason = "; ".join(verdict.reasons)
    journal.record(VerdictGiven(gate="rehearsal", word=verdict.word, reasons=verdict.reasons))
    journal.record(NotificationQueued(topic="finished", about=state))
    journal.close(state, reason)
    return code


def _broken_off(site: Site, error: OrchestratorError) -> tuple[Verdict, RunState, int]:
    """How a rehearsal ends that came to no end: it leaves nothing to go on with, so that the run is closed."""
    stop = site.interruption.reason
    if stop is not None or isinstance(error, HeldBack):
        reasons = (f"{stop or error}; {REPEATED}",)
        return Verdict(word="HOLD", reasons=reasons), "failed", EXIT_HELD
    refused = isinstance(error, Refused)
    verdict = Verdict(word="NO-GO", reasons=(str(error),))
    return verdict, "refused" if refused else "failed", EXIT_REFUSED if refused else EXIT_FAILED


def _prove(work: AtWork, journal: RunJournal, other: Other | None, load: Load | None) -> Evidence:
    """All steps. The copy is gone before the evidence is on record."""
    site = work.site
    copier = ScratchCopy(server=site.server, scratch=site.scratch(), folder=site.run_folder)
    with ExitStack() as stack:
        with taken(journal, "copy") as notes:
            place = stack.enter_context(copier.place())
            work.open_ledger(journal)
            source = site.catalog("copy").catalog()
            tables = tuple(_with_rows(site, source))
            copied = copier.fill(place, tables)
            copy = OnCopy(target=site, place=place, copied=copied)
            ground = _ground(work, copy, source, other)
            journal.record(PlanRecorded(plan=ground.plan))
            journal.record(recorded(ground.catalog, "before", site.contract))
            notes.append(
                f"{counted(copied.tables, 'table')}, {counted(copied.rows, 'row')} dumped, restored and compared"
            )
        writes = WritesOnCopy(copy=copy, journal=journal, load=load, tables=tables)
        before = writes.before(ground.plan)
        with taken(journal, "walks") as notes:
            walks = _walks(site, journal, copy, ground.plan)
            own = findings(ground, walks, copy.held, copy.unwound, site.folder.runbook.steps)
            last = walks[-1].there
            journal.record(FindingsRecorded(step="walks", findings=(*last.all_findings, *own)))
            back = sum(each.back is not None for each in walks)
            notes.append(f"{counted(len(walks), 'time')} there, {counted(back, 'time')} back")
        own = (*own, *writes.after(before, walks))
    with taken(journal, "evidence") as notes:
        proved = evidence_of(ground, walks, copy.held, verdict_of(own, last), datetime.now(UTC))
        journal.record(EvidenceRecorded(evidence=proved))
        notes.append(f"{proved.ways_told}, plan {proved.digest[:16]}")
    return proved


def _with_rows(site: Site, source: Catalog) -> Iterator[TableName]:
    """The tables of the contract that can have statistics; what is missing or no table, preflight tells on the copy."""
    for name in site.contract.tables:
        table = source.table(name)
        if table is not None and table.kind in {"table", "partitioned"}:
            yield name


def _walks(site: Site, journal: RunJournal, copy: OnCopy, plan: Plan) -> tuple[Walk, ...]:
    """There, back and there again; then the copy has every key."""

    def tell(walk: Walk) -> None:
        site.screen.line(f"  {_words(walk)}")

    steps = site.folder.runbook.steps
    rehearsal = Rehearsal(copy=copy, steps=steps, stopping=journal.stopping, tell=tell)
    return rehearsal.walk(len(plan.statements))


def _ground(work: AtWork, copy: OnCopy, source: Catalog, other: Other | None) -> Ground:
    """The copy as the walks find it, made like the other environment. Raises Refused when that cannot be."""
    site, on_copy = work.site, copy.site()
    catalog = on_copy.catalog().catalog()
    if other is not None:
        keys = alike(site.contract, copy=catalog, other=other.catalog, writer=QuotedDdl())
        audits = audits_alike(copy=catalog, other=other.catalog, writer=AuditSql())
        execute(copy.place, (*keys, *audits, *unrecorded(site.make_plan(source), other.plan)))
        catalog = on_copy.catalog().catalog()
    # By the copy's own site: what another tool has applied is read from the copy, not from the target.
    plan = on_copy.make_plan(catalog)
    if other is not None and plan.digest != other.plan.digest:
        told = tuple(plan_differences(plan, other.plan))
        more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        message = f"the copy cannot be made like {other.name}: {'; '.join(told[:MOST_TOLD])}{more}"
        raise Refused(message)
    return Ground(
        run=site.run,
        runbook=site.folder.runbook.name,
        environment=site.environment.name,
        like=other.name if other else None,
        plan=plan,
        catalog=catalog,
        planned=other.plan if other else site.make_plan(source),
        source=source,
        target=work.target.identity,
        backup_ms=copy.copied.duration_ms if site.environment.backup.mode == "dump" else None,
    )


def _words(walk: Walk) -> str:
    took = sum(each.duration_ms or 0.0 for each in walk.there.steps.values())
    there = f"there until {walk.turned}: {counted(len(walk.there.done), 'statement')} ({took / 1000:.1f} s)"
    if walk.back is None:
        return there
    equal = "the fingerprint is what it was" if walk.end == walk.start else "THE FINGERPRINT DIFFERS"
    back_ms = walk.back.steps["rollback"].duration_ms or 0.0
    return f"{there}, and back ({back_ms / 1000:.1f} s): {equal}"


def _told(site: Site, journal: RunJournal, key: Ed25519PrivateKey | None, code: int) -> Answer:
    """The file of the evidence, the reports and the last words."""
    proved = journal.run.evidence
    path = site.run_folder.file(FILE)
    document: dict[str, object] = {}
    if proved is not None:
        write_evidence(path, journal.run, key)
        document = evidence_document(proved) | {"file": str(path), "signed": key is not None}
    answer = finish(site, journal)
    return Answer(document=answer.document | {"evidence": document or None}, exit_code=code)
