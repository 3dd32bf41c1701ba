"""The tasks that read, and those that take one step alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from orchestrator.adapters import events, lease, ledger, ledger_watch
from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.ledger_answers import approver_exists, role_exists
from orchestrator.adapters.ledger_copy import taken_away
from orchestrator.adapters.loading import Loaded, apply_migrations, fill
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.render import report
from orchestrator.adapters.runs import RunFolder, all_runs
from orchestrator.adapters.terminal import Screen, safety
from orchestrator.app.answer import Answer
from orchestrator.app.beginning import begin
from orchestrator.app.checklists import checked, phases_of, tell
from orchestrator.app.drifting import since
from orchestrator.app.finishing import REPORTS
from orchestrator.app.opening import open_site
from orchestrator.app.own_templates import for_run
from orchestrator.app.request import Request
from orchestrator.app.watch_told import tell_watch, watch_in
from orchestrator.core.answers import (
    findings_document,
    run_document,
    runs_document,
)
from orchestrator.core.checks import Finding
from orchestrator.core.entry import Entry
from orchestrator.core.grants import LISTENER, approver_grants, grants, history_grants, listener_grants
from orchestrator.core.inventory import Environment
from orchestrator.core.journal import Task
from orchestrator.core.lease import free
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_HELD,
    EXIT_REFUSED,
    Refused,
)
from orchestrator.core.run import Run
from orchestrator.core.seeding.shape import refuse_production
from orchestrator.core.summary import Summary, summarize
from orchestrator.core.verdict import Word, judge

CHANGING: frozenset[Task] = frozenset({"deploy", "rollback", "remediate"})
TOLD: frozenset[Task] = CHANGING | {"rehearse"}
"""History tells rehearsals, too; the last run of an environment is one that changed it, or was to."""

GATE_EXITS: Mapping[Word, int] = {"GO": EXIT_DONE, "HOLD": EXIT_HELD, "NO-GO": EXIT_REFUSED}


def preflight(request: Request) -> Answer:
    """`invoke preflight`: every item of the list, and what it comes to."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        journal = site.file_journal()
        probes = stack.enter_context(site.probes())
        with site.server.session("preflight") as connection:
            begin(site, journal, connection, task="preflight", steps=("preflight",))
        site.preflight(probes).act(journal)
        return _judged(site.screen, journal.run.all_findings, GATE_EXITS)


def preflight_grants(request: Request) -> Answer:
    """`invoke preflight --grants`: the statements a DBA runs so that a role may deploy."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        with site.server.session("preflight") as connection:
            row = connection.execute("select current_user as role, current_database() as database").fetchone() or {}
            catalog = read_catalog(connection)
            exists = approver_exists(connection)
            listens = role_exists(connection, LISTENER)
        indexes = site.environment.policy.create_missing_indexes
        lines = (
            *grants(site.contract, catalog, role=row["role"], database=row["database"], indexes=indexes),
            *history_grants(site.folder.history.table if site.folder.history else None, role=row["role"]),
            *approver_grants(site.environment.people, exists=exists),
            *listener_grants(site.environment.people if site.environment.slack else {}, exists=listens),
        )
        for line in () if request.json else lines:
            print(line)
    return Answer(document={"grants": list(lines)}, exit_code=EXIT_DONE)


def backup(request: Request) -> Answer:
    """`invoke backup`: a backup that was proved, or exit 1."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        journal = site.file_journal()
        with site.server.session("backup", read_only=True) as connection:
            begin(site, journal, connection, task="backup", steps=("backup",))
        step = site.backup(always=True)
        if step.tool is None:
            message = f"{site.environment.name}: backup.mode is none, so there is nothing to take"
            raise Refused(message)
        outcome = step.act(journal)
        proved = journal.run.backup
    site.screen.line(outcome.note, status="done")
    site.screen.line(f"restore with: {proved.restore if proved else ''}")
    document = {} if proved is None else {key: getattr(proved, key) for key in type(proved).__slots__}
    return Answer(document={"run": site.run, **document}, exit_code=EXIT_DONE)


def validate(request: Request) -> Answer:
    """`invoke validate`: what stands against what was promised; leaves no row behind."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        journal = site.file_journal()
        with site.server.session("validate", read_only=True) as connection:
            begin(site, journal, connection, task="validate", steps=("validate",))
        site.validate().act(journal)
        exits: Mapping[Word, int] = {"GO": EXIT_DONE, "HOLD": EXIT_FAILED, "NO-GO": EXIT_FAILED}
        return _judged(site.screen, journal.run.all_findings, exits)


def _judged(screen: Screen, findings: tuple[Finding, ...], exits: Mapping[Word, int]) -> Answer:
    verdict = judge(findings)
    screen.line(f"{counted(len(findings), 'check')}", status=verdict.word)
    return Answer(document=findings_document(verdict, findings), exit_code=exits[verdict.word])


def runs(request: Request, *, latest_only: bool) -> Answer:
    """`invoke history`, and `invoke status` with the last run only."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        with site.server.session("history") as connection:
            found = tuple(_summaries(request, site.environment, connection, CHANGING if latest_only else TOLD))
            boxes = checked(site, connection) if latest_only else None
            changed = _since(found, connection) if latest_only else ()
            watch = watch_in(site, connection) if latest_only else None
            chosen = found[-1:] if latest_only else found
            gone = _without_ledger(request, chosen, connection)
    for each in chosen:
        counts = ", ".join(f"{count} {fate}" for fate, count in each.counts.items() if count)
        told = counts or _rows_told(each) or each.reason
        site.screen.line(f"{each.run} {each.task} by {each.initiator}: {told}", status=each.state)
        if latest_only and not gone:
            # Somebody who was not there asks first what is safe now, and then what to type.
            site.screen.line(f"  {safety(each)}")
        for line in each.answers_told if latest_only else ():
            site.screen.line(f"  {line}")
        for step in each.next_steps if latest_only and not gone else ():
            site.screen.line(f"  next: {step}")
    for line in gone:
        site.screen.line(f"  {line}")
    for line in changed:
        site.screen.line(f"  changed since: {line}")
    if not chosen:
        site.screen.line(f"no run of {site.environment.name} yet")
    if boxes:
        tell(site.screen, boxes)
    more = boxes.document | {"drift": list(changed)} if boxes else {}
    more |= {"without_ledger": list(gone)}
    return Answer(document=runs_document(chosen) | more | tell_watch(site, watch), exit_code=EXIT_DONE)


def _rows_told(summary: Summary) -> str:
    return summary.remediation.told if summary.remediation and not summary.dry_run else ""


def _without_ledger(request: Request, found: tuple[Summary, ...], connection: Connection) -> tuple[str, ...]:
    """What has to be known of runs whose ledger was taken away, for the newest of them."""
    newest = found[-1:]
    told = (taken_away(connection, RunFolder(root=request.runs, run=each.run), each.environment) for each in newest)
    return tuple(f"{each}: told from the copy here; it cannot be walked back or gone on with" for each in told if each)


def _since(found: tuple[Summary, ...], connection: Connection) -> tuple[str, ...]:
    """What changed in the tables of the last run that left a catalog behind it, since it ended."""
    newest = (each for each in reversed(found) if each.fingerprint_after or each.statements or each.undone)
    last = next(newest, None)
    # A run that changed something and left no catalog behind makes what was before it no measure any more.
    if last is None or not last.fingerprint_after or last.state not in {"done", "failed"}:
        return ()
    return since(events.fold_entries(last.run, ledger.entries(connection, last.run)), connection)


def _summaries(
    request: Request, environment: Environment, connection: Connection, tasks: frozenset[Task] = CHANGING
) -> Iterator[Summary]:
    """Runs of the ledger, and those that never had one (refused, dry runs) from the folder; by time."""
    known = {name: tuple(ledger.entries(connection, name)) for name in ledger.run_ids(connection)}
    for folder in all_runs(request.runs):
        known.setdefault(folder.run, tuple(folder.entries()))
    alive = _at_work(connection)
    for name in sorted(known):
        run = events.fold_entries(name, known[name])
        started = run.started
        if started and started.environment == environment.name and started.task in tasks:
            yield summarize(run, alive=name in alive)


def _at_work(connection: Connection) -> frozenset[str]:
    """The runs that are at work: the lease tells, because a session can outlive its process for hours.

    Before a run has a lease its session has to do.
    """
    held = lease.read(connection)
    known = set(ledger.run_ids(connection)) if held else set()
    holds = {held.run} if held and not free(held, gone=lease.deserted(held)) else set()
    return frozenset((ledger.alive(connection) - known) | holds)


def show_report(request: Request, *, run: str | None, form: str) -> Answer:
    """`invoke report`: the report of a run, from the copy of its journal or from the ledger."""
    if form not in REPORTS:
        message = f"--format {form}: html, md, json or junit"
        raise Refused(message)
    name = run or latest(request)
    folder = RunFolder(root=request.runs, run=name)
    found = _run_of(request, folder)
    summary = summarize(found)
    with for_run(request, found) as own:
        text = report(
            summary,
            format=form,  # type: ignore[arg-type]
            samples=folder.samples(),
            budget_ms=summary.lock_budget_ms,
            checklist=phases_of(request, found),
        )
    path = folder.replace(REPORTS[form], text)
    if not request.json:
        print(path if form == "html" else text)
    document = run_document(summary, report=str(path), samples=folder.samples()) | {"template_errors": own.told}
    return Answer(document=document, exit_code=EXIT_DONE)


def latest(request: Request) -> str:
    """The last deployment or rollback: of the environment that is named, in its ledger too; else in the folder."""
    if request.env:
        with ExitStack() as stack:
            site = open_site(request, stack, read_only=True)
            with site.server.session("report") as connection:
                names = [each.run for each in _summaries(request, site.environment, connection)]
    else:
        runs = [events.fold_entries(folder.run, folder.entries()) for folder in all_runs(request.runs)]
        names = [run.id for run in runs if run.started and run.started.task in CHANGING]
    if not names:
        message = f"{request.runs}: no run here; name one with --run, and its environment with --env"
        raise Refused(message)
    return names[-1]


def _run_of(request: Request, folder: RunFolder) -> Run:
    entries: tuple[Entry, ...] = tuple(folder.entries())
    if not entries and request.env:
        with ExitStack() as stack:
            site = open_site(request, stack, read_only=True)
            with site.server.session("report") as connection:
                entries = tuple(ledger.entries(connection, folder.run)) or ledger_watch.entries(connection, folder.run)
    run = events.fold_entries(folder.run, entries)
    if run.started is None:
        message = f"run {folder.run} is neither in {request.runs} nor in a ledger (name its environment with --env)"
        raise Refused(message)
    return run


def seed(request: Request, *, rows: int) -> Answer:
    """`invoke seed`: the runbook's migrations, and rows along its contract. Raises Refused on production."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        refuse_production(site.environment.environment)
        applied = apply_migrations(site.server, site.folder.migrations(), site.folder.contract)
        for name in applied:
            site.screen.line(f"applied {name}")
        loaded = fill(site.server, site.folder.contract, rows=rows, progress=lambda each: _told(site.screen, each))
    tables = [{"schema": e.table.schema, "table": e.table.name, "rows": e.rows, "wanted": e.wanted} for e in loaded]
    total = sum(each.rows for each in loaded)
    site.screen.line(f"{counted(total, 'row')} in {counted(len(loaded), 'table')}", status="done")
    return Answer(document={"migrations": list(applied), "tables": tables, "rows": total}, exit_code=EXIT_DONE)


def _told(screen: Screen, loaded: Loaded) -> None:
    short = f" (fewer than {loaded.wanted}: a unique key allows no more)" if loaded.rows < loaded.wanted else ""
    screen.line(f"  {loaded.table}: {counted(loaded.rows, 'row')}{short}")
