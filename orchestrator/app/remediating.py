"""`invoke remediate`: something is done about the rows of one relation that refer to nothing, and put back again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from orchestrator.adapters import events, ledger
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.remediation import RemediationRows
from orchestrator.adapters.remediation_sql import shown
from orchestrator.adapters.runs import Samples
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import begin, confirmed, refuse_open_run
from orchestrator.app.deserted import clear_deserted
from orchestrator.app.finishing import finish
from orchestrator.app.live import follow
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.app.telling import telling
from orchestrator.core.catalog import Catalog
from orchestrator.core.journal import RemediationPlanned
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Refused
from orchestrator.core.ports import Orphans
from orchestrator.core.remediation import DONE_WORDS, MOST_ROWS, Remedy, find_relation, make_remedy, parse_how, parse_to
from orchestrator.core.run import Run
from orchestrator.engine.batches import Batches
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.remediation import PutBack, Remediate

STEP = "remediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for on the command line. `batch` is the most rows of a batch."""

    relation: str | None = None
    how: str | None = None
    to: str | None = None
    batch: int | None = None
    undo: bool = False
    run: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """What a next command has to repeat, and what a resumed run goes on with."""
        told = {"relation": self.relation, "how": self.how, "to": self.to, "batch": self.batch and str(self.batch)}
        return {key: value for key, value in told.items() if value}


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
            _rows(site, wish, _catalog(site))
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
        for each in names:
            run = events.fold_entries(each, ledger.entries(connection, each))
            done = run.remediated
            if done and done.planned.of:
                over |= {done.planned.of} if run.finished and run.finished.state in {"done", "failed"} else set()
            elif done and (name or (done.made and not done.dropped and each not in over)):
                return run
    message = (
        f"run {name} is no remediation of this database's ledger" if name else "no remediation is there to put back"
    )
    raise Refused(message)


def is_remediation(connection: Connection, name: str) -> bool:
    """Whether a run of the ledger did something about orphans. Raises Refused."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        done = events.fold_entries(name, ledger.entries(connection, name)).remediated
    return done is not None and not done.planned.of


def put_back(work: AtWork, found: Run, wish: Wish | None = None) -> Answer:
    """The way back of a remediation, as a run of its own. Raises Refused."""
    site = work.site
    planned = _planned_back(site, found, _catalog(site))
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
    rows = RemediationRows(server=site.server, remedy=planned.remedy, catalog=_catalog(site), run=site.run)
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
    catalog = _catalog(site)
    rows = _rows(site, wish, catalog)
    found = rows.orphans()
    if not found.count:
        message = f"{rows.remedy.relation.id} has no orphans: there is nothing to do"
        raise Refused(message)
    journal = follow(site, work.new_journal())
    begin(site, journal, work.connection, task="remediate", steps=(STEP,), options=wish.options)
    # With the run itself, so that it can be taken up from its first moment.
    journal.record(_planned(rows, found))
    work.open_ledger(journal)
    return go_on(work, journal)


def _dry_run(site: Site, wish: Wish) -> Answer:
    """Read only: the plan, on record in the run's own folder."""
    catalog = _catalog(site)
    with site.server.session("dry-run") as connection:
        if wish.undo:
            of = run_to_put_back(connection, wish.run, site.environment.name)
            planned, found = _planned_back(site, of, catalog), None
        else:
            rows = _rows(site, wish, catalog)
            found = rows.orphans()
            planned, of = _planned(rows, found), None
        journal = follow(site, site.file_journal())
        rolls_back = of.id if of else None
        begin(site, journal, connection, task="remediate", steps=(STEP,), rolls_back=rolls_back, options=wish.options)
    journal.record(planned)
    if found is not None and found.count:
        Samples(folder=site.run_folder, policy=site.environment.policy.show_samples).keep(found)
        site.show_orphans(found)
    _tell(site, planned)
    journal.close("done", "dry run: nothing was changed")
    return finish(site, journal)


def _rows(site: Site, wish: Wish, catalog: Catalog) -> RemediationRows:
    """What was asked for, on this catalog. Raises Refused."""
    if not wish.relation:
        message = "--relation is missing: TABLE.COLUMN or the constraint's name"
        raise Refused(message)
    contract = site.folder.contract
    relation, how = find_relation(wish.relation, contract), parse_how(wish.how)
    to = parse_to(wish.to, relation, how)
    remedy = make_remedy(relation, how, to, contract=contract, catalog=catalog, run=site.run)
    rows = RemediationRows(server=site.server, remedy=remedy, catalog=catalog, run=site.run)
    rows.check_first()
    return rows


def _planned(rows: RemediationRows, found: Orphans) -> RemediationPlanned:
    """What is going to be done; keys of rows do not enter the journal."""
    referenced = rows.referenced() if found.count else 0
    return RemediationPlanned(
        remedy=rows.remedy, orphans=found.count, referenced=referenced, statements=shown(rows.changing(()))
    )


def _planned_back(site: Site, found: Run, catalog: Catalog) -> RemediationPlanned:
    """What would be put back. Raises Refused when nothing can be."""
    if found.remediated is None:
        message = f"run {found.id} is no remediation"
        raise Refused(message)
    remedy = found.remediated.planned.remedy
    _no_standing_key(remedy, catalog)
    rows = RemediationRows(server=site.server, remedy=remedy, catalog=catalog, run=site.run)
    kept = rows.kept()
    # An empty copy is dropped: the run was killed before its first batch, and nothing else would ever do it.
    if kept is None or (kept[0] and not kept[1]):
        told = (
            f"; {counted(kept[0], 'row that could not be stays', 'rows that could not be stay')} in {remedy.kept}"
            if kept
            else ""
        )
        message = f"run {found.id} has nothing left to put back{told}"
        raise Refused(message)
    return RemediationPlanned(remedy=remedy, orphans=kept[1], statements=shown(rows.putting_back(())), of=found.id)


def _no_standing_key(remedy: Remedy, catalog: Catalog) -> None:
    """An orphan is not taken back by a table whose key stands, valid or not. Raises Refused."""
    table = catalog.table(remedy.relation.table)
    key = next((each for each in table.foreign_keys if remedy.relation.same_link(each)), None) if table else None
    if table is None or (key is not None and key.enforced and key.triggers_enabled):
        why = f"its key {key.name} stands: walk back the run that added it first" if key else "its table is gone"
        message = f"{remedy.relation.id}: rows cannot be put back, {why}"
        raise Refused(message)


def _tell(site: Site, planned: RemediationPlanned) -> None:
    """The plan for people."""
    remedy, line = planned.remedy, site.screen.line
    if planned.of:
        line(f"  {counted(planned.orphans, 'row')} that run {planned.of} {DONE_WORDS[remedy.how]} would be put back")
    else:
        to = f" to {', '.join(remedy.to)}" if remedy.to else ""
        rows = f"{planned.orphans - planned.referenced} of {counted(planned.orphans, 'row')}"
        line(f"  {rows} would be {DONE_WORDS[remedy.how]}{to}")
    if planned.referenced:
        line(f"  {planned.referenced} would be left alone: other rows refer to them")
    for note in remedy.notes:
        line(f"  note: {note}")
    line("  each batch is one transaction, with the keys of its rows in the list:")
    for statement in planned.statements:
        line(f"    {statement};")
    if not planned.of:
        what = "whole rows" if not remedy.sets else "primary keys and old values"
        line(f"  {what} are kept in {remedy.kept}; {site.server.command('rollback')} --run RUN puts them back")
    line("  nothing was changed; --apply does it")


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


def _catalog(site: Site) -> Catalog:
    return site.catalog(STEP).catalog()
