"""`invoke remediate`: something is done about the rows of one relation that refer to nothing, and put back again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from orchestrator.adapters import events, ledger
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.remediation import RemediationRows
from orchestrator.adapters.runs import Samples
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import begin, confirmed, refuse_open_run
from orchestrator.app.deserted import clear_deserted
from orchestrator.app.finishing import finish
from orchestrator.app.live import follow
from orchestrator.app.opening import open_site
from orchestrator.app.remediation_plan import (
    STEP,
    Wish,
    catalog_of,
    check_elsewhere,
    objection,
    planned_back,
    planned_for,
    rows_for,
    tell,
    tell_rows,
)
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.app.telling import telling
from orchestrator.core.outcome import Refused
from orchestrator.core.remediation import MOST_ROWS
from orchestrator.core.run import Run
from orchestrator.engine.batches import Batches
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.remediation import PutBack, Remediate

__all__ = ["Wish"]


def remediate(request: Request, wish: Wish, *, apply: bool, yes: bool, confirm: Callable[[str], bool]) -> Answer:
    """Show what would be done, or do it with `apply`. Raises OrchestratorError."""
    if not wish.undo and wish.run is not None:
        message = "--run goes with --undo"
        raise Refused(message)
    if wish.undo and (wish.relation or wish.how or wish.to):
        message = "--undo takes what to put back from --run alone"
        raise Refused(message)
    with ExitStack() as stack:
        site = open_site(replace(request, dry_run=not apply), stack, read_only=not apply)
        if not apply:
            return _dry_run(site, wish)
        if not wish.undo:
            # Under the lease it is read again; what cannot be is said before anybody is asked.
            _look(site, wish)
        confirmed(site, yes=yes, confirm=confirm)
        with telling(site) as attach, at_work(site, attach) as work:
            clear_deserted(work)
            if wish.undo:
                found = run_to_put_back(work.connection, wish.run, site.environment.name)
                refuse_open_run(site, work.connection, but=found.id)
                return put_back(work, found, wish)
            refuse_open_run(site, work.connection)
            return _begin(work, wish)


def run_to_put_back(connection: Connection, name: str | None, environment: str) -> Run:
    """The remediation of that name, by default the environment's last that keeps rows. Raises Refused."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        names = [name] if name else reversed(ledger.run_ids(connection, environment))
        over: set[str] = set()
        left = ""
        for each in names:
            run = events.fold_entries(each, ledger.entries(connection, each))
            done = run.remediated
            if done and done.planned.of:
                # The newest way back of a run tells what is left of it.
                left = left or (done.planned.of if done.lost and done.planned.of not in over else "")
                over |= {done.planned.of} if run.finished and run.finished.state in {"done", "failed"} else set()
            elif done and (name or (done.made and not done.dropped and each not in over)):
                return run
    if name:
        message = f"run {name} is no remediation of this database's ledger"
    else:
        more = f"; what could not be put back of run {left} is tried again with --run {left}" if left else ""
        message = f"no remediation is there to put back{more}"
    raise Refused(message)


def is_remediation(connection: Connection, name: str) -> bool:
    """Whether a run of the ledger did something about orphans. Raises Refused."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        done = events.fold_entries(name, ledger.entries(connection, name)).remediated
    return done is not None and not done.planned.of


def put_back(work: AtWork, found: Run, wish: Wish | None = None) -> Answer:
    """The way back of a remediation, as a run of its own. Raises Refused."""
    site = work.site
    planned = planned_back(site, found, catalog_of(site))
    journal = follow(site, work.new_journal())
    options = wish.options if wish else {}
    begin(site, journal, work.connection, task="remediate", steps=(STEP,), rolls_back=found.id, options=options)
    journal.record(planned)
    work.open_ledger(journal)
    return go_on(work, journal)


def go_on(work: AtWork, journal: RunJournal) -> Answer:
    """Conduct the one step of a remediation, from wherever it stands. Raises OrchestratorError."""
    site, done = work.site, journal.run.remediated
    if done is None:
        message = f"run {site.run} was interrupted before it had a plan: close it with {site.server.resume} --abandon"
        raise Refused(message)
    planned = done.planned
    if planned.of:
        _close(work, planned.of)
    rows = RemediationRows(server=site.server, remedy=planned.remedy, catalog=catalog_of(site), run=site.run)
    batches = _batches(work, journal)
    step = (
        PutBack(remedy=planned.remedy, rows=rows, batches=batches, of=planned.of)
        if planned.of
        else Remediate(remedy=planned.remedy, rows=rows, batches=batches)
    )
    conductor = Conductor(
        steps={STEP: step}, recorder=journal, opened=lambda: None, walk_back=lambda: None, auto_rollback="never"
    )
    conductor.conduct((STEP,))
    return finish(site, journal)


def _close(work: AtWork, of: str) -> None:
    """A remediation that is put back does not go on any more."""
    found = run_to_put_back(work.connection, of, work.site.environment.name)
    if not found.closed:
        work.abandon(of, f"put back by run {work.site.run}")


def _begin(work: AtWork, wish: Wish) -> Answer:
    site = work.site
    catalog = catalog_of(site)
    rows = rows_for(site, wish, catalog)
    found = rows.orphans()
    if not found.count:
        message = f"{rows.remedy.relation.id} has no orphans: there is nothing to do"
        raise Refused(message)
    planned = planned_for(rows, found)
    check_elsewhere(planned, wish)
    tell_rows(site, planned, would=False)
    journal = follow(site, work.new_journal())
    begin(site, journal, work.connection, task="remediate", steps=(STEP,), options=wish.options)
    # With the run itself, so that it can be taken up from its first moment.
    journal.record(planned)
    work.open_ledger(journal)
    return go_on(work, journal)


def _look(site: Site, wish: Wish) -> None:
    """What can be known before anybody is asked; the rows are counted only where they decide. Raises Refused."""
    rows = rows_for(site, wish, catalog_of(site))
    if rows.remedy.shared:
        check_elsewhere(planned_for(rows, rows.orphans()), wish)


def _dry_run(site: Site, wish: Wish) -> Answer:
    """Read only: the plan, on record in the run's own folder."""
    catalog = catalog_of(site)
    with site.server.session("dry-run") as connection:
        if wish.undo:
            of = run_to_put_back(connection, wish.run, site.environment.name)
            planned, found = planned_back(site, of, catalog), None
        else:
            rows = rows_for(site, wish, catalog)
            found = rows.orphans()
            planned, of = planned_for(rows, found), None
        journal = follow(site, site.file_journal())
        rolls_back = of.id if of else None
        begin(site, journal, connection, task="remediate", steps=(STEP,), rolls_back=rolls_back, options=wish.options)
    journal.record(planned)
    if found is not None and found.count:
        Samples(folder=site.run_folder, policy=site.environment.policy.show_samples).keep(found)
        site.show_orphans(found)
    tell(site, planned)
    if reason := objection(planned, accepted=wish.accept_new_orphans):
        journal.close("refused", reason)
    else:
        site.screen.line("  nothing was changed; --apply does it")
        journal.close("done", "dry run: nothing was changed")
    return finish(site, journal)


def _batches(work: AtWork, journal: RunJournal) -> Batches:
    policy = work.site.environment.policy
    executor = OnlineExecutor(
        target=work.target,
        journal=journal,
        budget_ms=policy.lock_timeout_ms,
        give_up_after_s=policy.give_up_after_s,
    )
    started = journal.run.started
    most = int(started.options.get("batch", MOST_ROWS)) if started else MOST_ROWS
    return Batches(
        executor=executor,
        recorder=journal,
        budget_ms=policy.lock_timeout_ms,
        give_up_after_s=policy.give_up_after_s,
        max_lag_s=policy.max_replica_lag_s,
        most=most,
    )
