"""The tasks that carry a runbook out: deploy, dry run, rollback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from jinja2 import TemplateError

from orchestrator import __version__
from orchestrator.adapters import ledger, points
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.identity import identify
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.adapters.render import report
from orchestrator.adapters.runs import RunFolder
from orchestrator.adapters.target import Target
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.checklists import checked_here
from orchestrator.app.deserted import clear_deserted
from orchestrator.app.gating import gates_of
from orchestrator.app.site import Request, Site, open_site
from orchestrator.app.work import Work, find_work
from orchestrator.core.answers import Document, json_text, run_document
from orchestrator.core.approval import person_of
from orchestrator.core.checklist import CheckedPhase
from orchestrator.core.decision import risk
from orchestrator.core.journal import (
    NotificationQueued,
    PlanRecorded,
    RunStarted,
    StepFinished,
    StepStarted,
    Task,
    VerdictGiven,
)
from orchestrator.core.outcome import (
    EXIT_CODES,
    CannotConnect,
    ConnectionLost,
    Done,
    Failed,
    Held,
    HeldBack,
    JournalLost,
    OpenRun,
    OrchestratorError,
    Refused,
    RunState,
    StepState,
)
from orchestrator.core.ports import Step
from orchestrator.core.run import Run
from orchestrator.core.summary import Summary, summarize
from orchestrator.core.verdict import Word
from orchestrator.engine.conductor import ATTEMPTS, Conductor
from orchestrator.engine.dispatcher import Dispatcher
from orchestrator.engine.walk_back import WalkBack
from orchestrator.steps.apply import Apply
from orchestrator.steps.gates import Gates

ENDINGS: Mapping[StepState, tuple[Word, RunState]] = {
    "done": ("GO", "done"),
    "held": ("HOLD", "held"),
    "failed": ("NO-GO", "failed"),
}
REPORTS = {"html": "report.html", "md": "report.md", "json": "report.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a task gives back: one document, and the exit code that goes with it."""

    document: Document
    exit_code: int

    def text(self) -> Iterator[str]:
        """The document as JSON, piece by piece."""
        return json_text(self.document)


def deploy(request: Request, *, yes: bool, until: str | None, confirm: Callable[[str], bool]) -> Answer:
    """Carry the runbook out, step by step. Raises OrchestratorError before a run has begun."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=request.dry_run)
        steps = site.folder.runbook.steps
        if until is not None and until not in steps:
            message = f"--until {until}: no such step; known: {', '.join(steps)}"
            raise Refused(message)
        if request.dry_run:
            return _dry_run(site, steps[: steps.index(until) + 1] if until else steps, stack)
        confirmed(site, yes=yes, confirm=confirm)
        with at_work(site) as work:
            clear_deserted(work)
            refuse_open_run(site, work.connection)
            journal = work.new_journal()
            begin(site, journal, work.connection, task="deploy", steps=steps, until=until)
            return carry_out(work, journal, steps, until=until, stack=stack)


def rollback(request: Request, *, run: str | None, yes: bool, confirm: Callable[[str], bool]) -> Answer:
    """Walk back what a run added, as a run of its own. Raises OrchestratorError before it has begun."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        confirmed(site, yes=yes, confirm=confirm)
        with at_work(site) as work:
            clear_deserted(work)
            found = find_work(work.connection, run, site.environment.name)
            refuse_open_run(site, work.connection, but=found.run.id)
            return walk_back(work, found)[1]


def walk_back(work: AtWork, found: Work) -> tuple[Run, Answer]:
    """The way back of a run, as a run of its own from its first event to its last."""
    site, journal = work.site, work.new_journal()
    begin(site, journal, work.connection, task="rollback", steps=("rollback",), rolls_back=found.run.id)
    work.open_ledger(journal)
    if not found.run.closed:
        work.abandon(found.run.id, f"walked back by run {site.run}")
    if found.run.plan:
        journal.record(PlanRecorded(plan=found.run.plan))
    answer = walk(work, journal, found)
    return journal.run, answer


def write_reports(
    folder: RunFolder,
    summary: Summary,
    checklist: Sequence[CheckedPhase] = (),
) -> str:
    """All formats of the report into the run's folder; the path of the HTML one."""
    samples = folder.samples()
    for form, name in REPORTS.items():
        text = report(
            summary,
            format=form,  # type: ignore[arg-type]
            samples=samples,
            budget_ms=summary.lock_budget_ms,
            checklist=checklist,
        )
        folder.file(name).write_text(text, encoding="utf-8")
        points.reached(f"file:{name}")
    return str(folder.path / REPORTS["html"])


def confirmed(site: Site, *, yes: bool, confirm: Callable[[str], bool]) -> None:
    """A production run asks for the environment's name. Raises Refused."""
    if site.environment.is_production and not yes and not confirm(site.environment.name):
        message = f"not confirmed: type {site.environment.name} when asked, or give --yes"
        raise Refused(message)


def refuse_open_run(site: Site, connection: Connection, *, but: str | None = None) -> None:
    """A run that is held or was interrupted is gone on with, or closed, before another begins. Raises OpenRun."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        others = [name for name in ledger.open_runs(connection, site.environment.name) if name != but]
    if others:
        name = site.environment.name
        message = (
            f"{name}: run {others[-1]} was held or interrupted: {site.server.resume} goes on with it,"
            f' {site.server.resume} --abandon "why" closes it'
        )
        raise OpenRun(message)


def begin(
    site: Site,
    journal: RunJournal,
    connection: Connection,
    *,
    task: Task,
    steps: tuple[str, ...],
    rolls_back: str | None = None,
    until: str | None = None,
    like: str | None = None,
) -> None:
    """The first event: who, what, where, with which options."""
    user, target = os_user(), identify(connection)
    person = person_of(target.role, site.environment.people)
    journal.record(
        RunStarted(
            task=task,
            runbook=site.folder.runbook.name,
            environment=site.environment.name,
            kind=site.environment.kind,
            steps=steps,
            initiator=person or user,
            os_user=user,
            host=host_name(),
            version=__version__,
            target=target,
            dry_run=site.request.dry_run,
            rolls_back=rolls_back,
            lock_budget_ms=site.environment.policy.lock_timeout_ms,
            options=_options(site.request, until) | ({"like": like} if like else {}),
            definition=site.definition(),
            person=person,
            decision=site.folder.decision,
            risk=risk(site.folder.runbook, site.folder.decision),
        )
    )
    journal.record(NotificationQueued(topic="started", about=task))


def _options(request: Request, until: str | None) -> dict[str, str]:
    """The options that change what a run does, and those that a next command has to repeat."""
    told = {"only": ",".join(request.only), "until": until or "", "where": request.where, **request.passage.options}
    return {key: value for key, value in told.items() if value}


Dress = Callable[[dict[str, Step]], dict[str, Step]]
"""Replaces steps by others: what a copy does differently from its original."""


def carry_out(
    work: AtWork,
    journal: RunJournal,
    names: tuple[str, ...],
    *,
    until: str | None,
    stack: ExitStack,
    dress: Dress | None = None,
) -> Answer:
    """Conduct the steps, from the first or from where the journal says that the run stands; a copy is `dress`ed."""
    gates = gates_of(work.site)
    steps = _steps(work.site, journal, work.target, stack, gates)
    conductor = Conductor(
        steps=dress(steps) if dress else steps,
        recorder=journal,
        gatekeeper=gates,
        opened=lambda: None if journal.ledger else work.open_ledger(journal),
        walk_back=lambda: _walk_own(work, journal),
        auto_rollback=work.site.environment.policy.auto_rollback,
        hearing=work.site.hearing(),
        passes_hold=dress is not None,
    )
    conductor.conduct(names, until=until)
    return finish(work.site, journal)


def _dry_run(site: Site, names: tuple[str, ...], stack: ExitStack) -> Answer:
    journal = site.file_journal()
    with site.server.session("dry-run") as connection:
        begin(site, journal, connection, task="deploy", steps=names)
        target = Target(server=site.server, identity=identify(connection), within_s=0)
    conductor = Conductor(
        steps=_steps(site, journal, target, stack, gates_of(site)),
        recorder=journal,
        opened=lambda: None,
        walk_back=lambda: None,
        auto_rollback="never",
    )
    conductor.rehearse(names, site.screen.preview)
    return finish(site, journal)


def _steps(site: Site, journal: RunJournal, target: Target, stack: ExitStack, gates: Gates) -> dict[str, Step]:
    probes = stack.enter_context(site.probes())
    dispatch = _dispatcher(site, journal, target)
    return {
        "preflight": site.preflight(probes),
        "plan": site.plan_step(),
        "audit": site.audit(),
        "gates": gates,
        "approval": site.approvals(),
        "backup": site.backup(),
        "apply": Apply(dispatch=dispatch, catalog=site.catalog("apply"), contract=site.contract),
        "validate": site.validate(dry=site.request.dry_run),
    }


def _dispatcher(site: Site, journal: RunJournal, target: Target) -> Dispatcher:
    policy = site.environment.policy
    executor = OnlineExecutor(
        target=target,
        journal=journal,
        budget_ms=policy.lock_timeout_ms,
        give_up_after_s=policy.give_up_after_s,
        looker=site.looker,
    )
    return Dispatcher(
        executor=executor,
        recorder=journal,
        budget_ms=policy.lock_timeout_ms,
        give_up_after_s=policy.give_up_after_s,
        workers=policy.validate_workers,
        terminates=frozenset(policy.terminate_blockers),
        max_lag_s=policy.max_replica_lag_s,
    )


def _walk_back(work: AtWork, journal: RunJournal) -> WalkBack:
    return WalkBack(
        dispatch=_dispatcher(work.site, journal, work.target),
        catalog=work.site.catalog("rollback"),
        contract=work.site.contract,
        recorder=journal,
    )


def _walk_own(work: AtWork, journal: RunJournal) -> None:
    """The way back of a run that failed, within the run."""
    _walk_back(work, journal).walk(journal.run)


def walk(work: AtWork, journal: RunJournal, found: Work) -> Answer:
    """The one step of a rollback run, and its verdict."""
    journal.record(StepStarted(step="rollback"))
    began = time.perf_counter()
    outcome = _walked(work, journal, found)
    elapsed = round((time.perf_counter() - began) * 1000, 3)
    journal.record(StepFinished(step="rollback", state=outcome.state, note=outcome.note, duration_ms=elapsed))
    word, state = ENDINGS[outcome.state]
    reason = "" if isinstance(outcome, Done) else outcome.note
    journal.record(VerdictGiven(gate="rollback", word=word, reasons=(reason,) if reason else ()))
    journal.record(NotificationQueued(topic="finished", about=state))
    journal.close(state, reason)
    return finish(work.site, journal)


def _walked(work: AtWork, journal: RunJournal, found: Work) -> Done | Held | Failed:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _walk_once(work, journal, found)
        except JournalLost:
            raise
        except (ConnectionLost, CannotConnect) as error:
            stop = journal.stopping()
            if stop or attempt == ATTEMPTS:
                return Held(note=stop or str(error))
            journal.recover(str(error))
        except HeldBack as error:
            return Held(note=str(error))
        except OrchestratorError as error:
            stop = journal.stopping()
            return Held(note=stop) if stop else Failed(note=str(error))
    raise AssertionError  # the last attempt returns


def _walk_once(work: AtWork, journal: RunJournal, found: Work) -> Done | Failed:
    walked = _walk_back(work, journal).walk(found.run, undone=found.undone, again=found.again)
    # What stands is told by the catalog of now, not by the plan of then.
    journal.record(PlanRecorded(plan=work.site.make_plan(work.site.catalog("rollback").catalog())))
    count = len(journal.run.undone)
    if walked.differences:
        return Failed(note=f"{count} statements walked back, but the catalog differs from before run {walked.of}")
    return Done(note=f"{count} statements walked back")


def finish(site: Site, journal: RunJournal) -> Answer:
    """Reports, last words, answer."""
    summary = summarize(journal.run)
    path = None
    try:
        path = write_reports(site.run_folder, summary, checked_here(site, journal.run).phases)
    except (OSError, OrchestratorError, TemplateError) as error:
        # The run is over and on record: a report can be rendered at any time.
        site.screen.line(f"the report could not be written: {error}; invoke report --run {summary.run}", status="FAIL")
    site.screen.ending(summary, path)
    if journal.ledger and journal.ledger.copy.behind:
        told = f"{journal.ledger.copy.behind} events could not be copied to {site.run_folder.path}: make room there;"
        site.screen.line(f"{told} the database has them, and the next run completes the copy", status="FAIL")
    return Answer(
        document=run_document(summary, report=path, samples=site.run_folder.samples()),
        exit_code=EXIT_CODES[summary.state],
    )
