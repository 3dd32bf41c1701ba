"""Going on with what was held or interrupted, closing it, and asking a run at work to hold."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from orchestrator import __version__
from orchestrator.adapters import events, lease, ledger
from orchestrator.adapters.identity import identify
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.adapters.runs import all_runs
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work, complete_copy
from orchestrator.app.beginning import confirmed
from orchestrator.app.host_work import hosts_said
from orchestrator.app.live import follow
from orchestrator.app.opening import open_site
from orchestrator.app.remediating import go_on as go_on_remediating
from orchestrator.app.request import Request
from orchestrator.app.runs import carry_out
from orchestrator.app.site import Site
from orchestrator.app.telling import telling
from orchestrator.app.walking_back import walk
from orchestrator.app.work import work_of
from orchestrator.core.approval import person_of
from orchestrator.core.journal import RunResumed
from orchestrator.core.lease import free
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.remediated import view_of
from orchestrator.core.resumption import edited
from orchestrator.core.run import Run

SHOWN = 10
"""How many differences of a runbook are shown."""


def resume(
    request: Request,
    *,
    abandon: str | None,
    yes: bool,
    confirm: Callable[[str], bool],
    host_done: str | None = None,
    host_again: str | None = None,
) -> Answer:
    """Go on with the open run of an environment, wherever it was begun; or close it. Raises OrchestratorError."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        with site.server.session("resume", read_only=True) as connection:
            run = _open_run(site, connection)
        _no_rehearsal(site, run, abandon)
        site = site.taking_up(run)
        said = hosts_said(run, host_done, host_again)
        site = replace(site, request=replace(site.request, hosts_said=said))
        if abandon is None:
            confirmed(site, yes=yes, confirm=confirm)
        with telling(site) as attach, at_work(site, attach) as work:
            if abandon is not None:
                return _abandon(work, run, abandon)
            _same_runbook(site, run)
            _same_target(work, run)
            journal = follow(site, work.take_up())
            _tell(work, journal)
            return _go_on(work, journal, stack)


def hold(request: Request, *, run: str | None, reason: str) -> Answer:
    """Ask the run at work, on whatever machine, to stop after its current statement. Raises Refused."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        with site.server.session("hold") as connection, plainly("asking to hold", reading=True):
            held = lease.read(connection)
            if held is None or free(held, gone=lease.deserted(held)) or run not in {None, held.run}:
                what = f"run {run}" if run else "no run"
                told = f"{what} is {'not ' if run else ''}at work; {site.server.command('status')} tells more"
                message = f"{site.environment.name}: {told}"
                raise Refused(message)
            ledger.ask_to_hold(connection, held.run, reason=reason, os_user=os_user(), host=host_name())
        site.screen.line(
            f"run {held.run} stops after its current statement; {site.server.resume} goes on", status="asked"
        )
    return Answer(document={"run": held.run, "state": "asked", "reason": reason}, exit_code=EXIT_DONE)


def _open_run(site: Site, connection: Connection) -> Run:
    name = site.environment.name
    with plainly("reading the journal in schema orchestrator", reading=True):
        found = ledger.open_runs(connection, name)
        if not found:
            # A run that ended may have been killed before its last event was copied: the copy is its witness.
            for each in all_runs(site.request.runs):
                complete_copy(connection, each)
            status, deploy = site.server.command("status"), site.server.command("deploy")
            message = (
                f"{name}: nothing to resume: no run of its ledger is open; {status} tells what was, {deploy} begins"
            )
            raise Refused(message)
        return events.fold_entries(found[-1], ledger.entries(connection, found[-1]))


def _no_rehearsal(site: Site, run: Run, abandon: str | None) -> None:
    """A rehearsal is repeated, not resumed: its copy went with its process. Raises Refused."""
    if abandon is None and run.started and run.started.task == "rehearse":
        again = f"invoke rehearse --env {site.environment.name}{site.server.where}"
        message = f"run {run.id} was a rehearsal, which is repeated and not resumed: {again}, which closes it first"
        raise Refused(message)


def _abandon(work: AtWork, run: Run, reason: str) -> Answer:
    closed = work.abandon(run.id, reason)
    standing = len(closed.standing)
    work.site.screen.line(f"run {run.id}: {reason}", status="abandoned")
    if standing:
        rollback, deploy = work.site.server.command("rollback"), work.site.server.command("deploy")
        stands = counted(standing, "statement of it stands", "statements of it stand")
        told = f"  {stands}: {rollback} --run {run.id} walks back"
        work.site.screen.line(f"{told}, {deploy} goes on from there")
    if closed.remediated and closed.remediated.rows and not closed.remediated.planned.of:
        rollback = work.site.server.command("rollback")
        work.site.screen.line(f"  {view_of(closed.remediated).told}; {rollback} --run {run.id} puts them back")
    document = {"run": run.id, "environment": work.site.environment.name, "state": "abandoned", "reason": reason}
    return Answer(document={**document, "standing": standing}, exit_code=EXIT_DONE)


def _same_runbook(site: Site, run: Run) -> None:
    """Raises Refused with what was edited since the run began."""
    started = run.started
    if started is None or started.runbook != site.folder.runbook.name:
        began = started.runbook if started else "unknown"
        message = f"run {run.id} began with runbook {began}, this is {site.folder.runbook.name}: name it with --runbook"
        raise Refused(message)
    changes = edited(started.definition, site.definition())
    if changes and started.task == "deploy":
        more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        message = (
            f"runbook {started.runbook} was edited since run {run.id} began: {'; '.join(changes[:SHOWN])}{more};"
            " put it back, or close the run with --abandon and deploy"
        )
        raise Refused(message)


def _same_target(work: AtWork, run: Run) -> None:
    """Raises Refused when the ledger came along to another server, as with a restored copy."""
    was = run.started.target if run.started else work.target.identity
    now = work.target.identity
    if was.system_identifier and now.system_identifier and was.system_identifier != now.system_identifier:
        message = (
            f"run {run.id} began on another server (system identifier {was.system_identifier}, this is"
            f" {now.system_identifier}): a copy does not go on with the runs of its original; close it with --abandon"
        )
        raise Refused(message)


def _tell(work: AtWork, journal: RunJournal) -> None:
    """Who goes on, from where, under which lease."""
    user, target = os_user(), identify(work.connection)
    journal.record(
        RunResumed(
            initiator=person_of(target.role, work.site.environment.people) or user,
            os_user=user,
            host=host_name(),
            version=__version__,
            target=target,
            token=work.keeper.token,
            after="held" if journal.run.finished else "interrupted",
        )
    )


def _go_on(work: AtWork, journal: RunJournal, stack: ExitStack) -> Answer:
    started = journal.run.started
    if started is None:
        message = f"run {work.site.run} has no beginning in the ledger: close it with --abandon"
        raise Refused(message)
    if started.task == "remediate":
        return go_on_remediating(work, journal)
    if started.rolls_back is not None:
        found = work_of(work.connection, started.rolls_back)
        if not found.run.closed:
            # This run was interrupted before it could close the one that it walks back.
            work.abandon(found.run.id, f"walked back by run {work.site.run}")
        return walk(work, journal, found)
    return carry_out(work, journal, started.steps, until=started.options.get("until"), stack=stack)
