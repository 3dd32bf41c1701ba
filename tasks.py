"""The door: Invoke tasks. Each parses, calls the app and ends with its exit code; nothing else happens here."""

from __future__ import annotations

import gc
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.tasks import task

# Invoke turns compiled files off, and every command would compile the whole engine anew; a user's own wish stands.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from orchestrator.door import COMMON, answered, as_it_stands, command, passing, reason_of, rows_of, typed  # noqa: E402

if TYPE_CHECKING:
    from orchestrator.app.answer import Answer

CONFIRMED = "do not ask for the environment's name"
OVERRIDE = "gates of production to pass although they are closed, with commas; needs --override-reason"
OVERRIDE_REASON = "why; it stands in every report"
EVIDENCE = "a rehearsal's evidence as a file, beside what the ledger of evidence_from has"
ONLY = "critical, or names of tables, with commas: the rest is deferred"


@command(
    dry_run="read only: show every step, statement, lock and check",
    yes=CONFIRMED,
    until="stop after this step",
    only=ONLY,
    override=OVERRIDE,
    override_reason=OVERRIDE_REASON,
    evidence=EVIDENCE,
    migration="this SQL file instead of a runbook: tried on a copy; keys, indexes and checks are deployed online",
    as_is="with --migration: run the file as it stands, in one transaction, when it does anything else",
    accept_no_undo="a script that is run as it stands has no way back: go on all the same",
)
def deploy(
    request,
    *,
    dry_run=False,
    yes=False,
    until=None,
    only=None,
    override=None,
    override_reason=None,
    evidence=None,
    migration=None,
    as_is=False,
    accept_no_undo=False,
):
    """Carry the runbook out: preflight, plan, audit, gates, backup, apply, validate."""
    from orchestrator.app import resuming, runs
    from orchestrator.core.outcome import OpenRun

    request = passing(request, override, override_reason, evidence)
    request = as_it_stands(request, as_is=as_is, accept_no_undo=accept_no_undo, migration=migration)
    if migration is not None:
        from orchestrator.app import existing

        request = existing.taken_apart(request, migration, yes=yes, confirm=typed)
    try:
        return runs.deploy(request, yes=yes, until=until, confirm=typed)
    except OpenRun as open_run:
        # Only a person at a terminal can say yes to going on with another run than the one that was asked for.
        if not sys.stdin.isatty():
            raise
        print(open_run, file=sys.stderr)
        if not typed("resume"):
            raise
        return resuming.resume(request, abandon=None, yes=True, confirm=typed)


@command(
    like="first drop on the copy the contract's keys that this environment lacks",
    no_performance="do not measure what the keys cost per write; the evidence says so",
    only=ONLY,
    yes=CONFIRMED,
)
def rehearse(request, *, like=None, no_performance=False, only=None, yes=False):
    """Walk the whole runbook there, back and there again on a scratch copy; leaves evidence."""
    from orchestrator.app import rehearsing, writes_on_copy

    load = None if no_performance else writes_on_copy.Load()
    return rehearsing.rehearse(request, like=like, yes=yes, confirm=typed, load=load)


@command(
    relation="TABLE.COLUMN, or the constraint's name",
    how="set-null, delete, reassign or quarantine",
    to="for reassign: the key of the row that the orphans are given to",
    apply="do it; without this it is only shown",
    batch="rows of a batch at most; by default as many as the lock budget has room for",
    undo="put back what a remediation did; by default the last one",
    run="for --undo: the remediation to put back",
    accept_new_orphans="do it although another relation of the table loses rows by it",
    yes=CONFIRMED,
)
def remediate(
    request,
    *,
    relation=None,
    how=None,
    to=None,
    apply=False,
    batch=None,
    undo=False,
    run=None,
    accept_new_orphans=False,
    yes=False,
):
    """Do something about a relation's orphans, in batches, or put it back; shows only, unless --apply."""
    from orchestrator.app import remediating

    most = None if batch is None else rows_of(batch, "--batch")
    wish = remediating.Wish(
        relation=relation,
        how=how,
        to=to,
        batch=most,
        undo=undo,
        run=run,
        accept_new_orphans=accept_new_orphans,
    )
    return remediating.remediate(request, wish, apply=apply, yes=yes, confirm=typed)


@command(run="the run to walk back", yes=CONFIRMED)
def rollback(request, *, run=None, yes=False):
    """Walk back what a run added, by default the last one that added something."""
    from orchestrator.app import walking_back

    return walking_back.rollback(request, run=run, yes=yes, confirm=typed)


@command(
    abandon="close the run for good instead, for this reason",
    yes=CONFIRMED,
    override=OVERRIDE,
    override_reason=OVERRIDE_REASON,
    evidence=EVIDENCE,
    host_done="hosts, with commas, where a command that was cut off took effect",
    host_again="hosts, with commas, where a command that was cut off is to be given again",
)
def resume(
    request,
    *,
    abandon=None,
    yes=False,
    override=None,
    override_reason=None,
    evidence=None,
    host_done=None,
    host_again=None,
):
    """Go on with a run that was held or interrupted, also from another machine."""
    from orchestrator.app import resuming

    request = passing(request, override, override_reason, evidence)
    return resuming.resume(
        request, abandon=reason_of(abandon), yes=yes, confirm=typed, host_done=host_done, host_again=host_again
    )


@command(run="the run to stop; by default the one at work", reason="why, for the journal")
def hold(request, *, run=None, reason="no reason given"):
    """Ask the run at work, on whatever machine, to stop after its current statement."""
    from orchestrator.app import resuming

    return resuming.hold(request, run=run, reason=reason)


@command(
    run="the run; by default the one that waits",
    deny="end the run as refused instead, once it is resumed",
    plan="before any run: the digest of the plan, as invoke plan shows it",
    item="confirm this manual item of the checklist instead",
    by="who confirms the item",
    note="why, for the record; required",
    listen="serve the Approve and Deny buttons in Slack of all held runs, until Ctrl-C",
)
def approve(request, *, run=None, deny=False, plan=None, item=None, by=None, note=None, listen=False):
    """Approve the run that waits, or accept its HOLD; you are who your database role proves."""
    from orchestrator.app import approving

    if listen:
        from orchestrator.app import listening

        listening.alone(run=run, deny=deny, plan=plan, item=item, by=by, note=note)
        return listening.listen(request)
    if item is not None or by is not None:
        return approving.confirm(request, item=item, by=by, note=note, run=run)
    return approving.approve(request, run=run, deny=deny, plan=plan, note=note)


@command(test="send a test message and say what is missing", flush="deliver what earlier runs left over")
def notify(request, *, test=False, flush=False):
    """Try the Slack settings of an environment, or deliver what is waiting on this machine."""
    from orchestrator.app import notifying

    return notifying.notify(request, test=test, flush=flush)


@command(reason="why this database is this environment now", yes=CONFIRMED)
def adopt(request, *, reason=None, yes=False):
    """A refreshed copy becomes this environment: new marker, the runs that came along are closed."""
    from orchestrator.app import adopting

    return adopting.adopt(request, reason=reason, yes=yes, confirm=typed)


@command(
    uninstall="copy every journal to runs/, then drop schema orchestrator",
    yes="do not ask for the environment's name, and accept what is lost",
    keep_copy="--uninstall: also keep the whole schema in this folder, as a script for psql",
)
def ledger(request, *, uninstall=False, yes=False, keep_copy=None):
    """Show what stands in schema orchestrator, or leave the environment without a trace."""
    from orchestrator.app import leaving
    from orchestrator.core.outcome import Refused

    if uninstall:
        kept = None if keep_copy is None else Path(keep_copy)
        return leaving.uninstall(request, yes=yes, keep_copy=kept, confirm=typed)
    if yes or keep_copy is not None:
        message = "--yes and --keep-copy go with --uninstall only"
        raise Refused(message)
    return leaving.show(request)


@command()
def hosts(request):
    """Look at every host of the inventory, and exit 1 when one is not well; needs no database."""
    from orchestrator.app import hosts as looking

    return looking.look(request)


@command(against="the other environment")
def drift(request, *, against=None):
    """Compare the contract's tables in two environments; exit 1 when they differ."""
    from orchestrator.app import drifting

    return drifting.drift(request, against=against)


@command(run="the run; by default the last one")
def verify(request, *, run=None):
    """Check a run's chain of events in the database and in the copy against each other."""
    from orchestrator.app import verifying

    return verifying.verify(request, run=run)


@command(
    option="A or B, as the runbook means them",
    rationale="why",
    by="who decided",
)
def decide(request, *, option=None, rationale=None, by=None):
    """Record which road the runbook takes; --env adds what stands there to the record."""
    from orchestrator.app import deciding

    return deciding.decide(request, option=option, rationale=rationale, by=by)


@command(
    option="A or B; by default the one that was decided for",
    start="the first day, such as 2026-12-14; by default the day of the decision",
    holidays="skip the holidays of this country, too: ID, US, US-CA, ...",
    format="text, md, json or ics",
)
def timeline(request, *, option=None, start=None, holidays=None, format=None):
    """Show a road in dates; with --env also what its runs made of it."""
    from orchestrator.app import timelines

    return timelines.timeline(request, option=option, start=start, holidays=holidays, form=format)


@command(
    from_="prisma:PATH, database:ENV, django:SETTINGS or sqlalchemy:MODULE:METADATA",
    suggest="look for keys that the catalog of --env seems to lack, and write them with suggested = true",
    threshold="--suggest: only candidates at least this sure, from 0 to 1; by default 0.6",
    with_data="--suggest: also ask the rows how many of each column's values the other table has",
    out="write or update this file instead of the runbook's foreign_keys.toml",
    check="write nothing; exit 1 when the file would change",
    schema="where tables lie of which the source does not say it; by default public",
    project="django, sqlalchemy: the folder where the models' code is found; by default this one",
    python="django, sqlalchemy: the interpreter that has the project's packages; by default this one",
)
def contract(
    request,
    *,
    from_=None,
    suggest=False,
    threshold=None,
    with_data=False,
    out=None,
    check=False,
    schema=None,
    project=None,
    python=None,
):
    """Write the contract from what exists, or bring it up to date and keep what people wrote."""
    from orchestrator.app import contracting, suggesting

    source = {"from": from_, "out": out, "check": check, "schema": schema, "project": project, "python": python}
    guess = {"threshold": threshold, "with_data": with_data}
    contracting.one_way(suggest=suggest, source=source, guess=guess)
    if suggest:
        return suggesting.suggest(request, suggesting.wishes(**guess))
    wish = contracting.wish(out=out, check=check, schema=schema, project=project, python=python)
    return contracting.contract(request, source=from_, wish=wish)


@command(grants="print the statements that give this role its rights")
def preflight(request, *, grants=False):
    """Check everything that can be checked beforehand; changes nothing."""
    from orchestrator.app import reading

    return reading.preflight_grants(request) if grants else reading.preflight(request)


@command(format="sql: a script that psql can run", only=ONLY)
def plan(request, *, format=None, only=None):
    """Show contract against catalog, and the statements that would be executed."""
    from orchestrator.app import planning

    # A plan lives until it is printed, and then the program ends: a collector would only look at it again and again.
    gc.disable()
    return planning.plan(request, form=format)


@command(
    on="read this environment instead: a standby or another physical copy of the first",
    record="keep the counts in the history that option B installed, and tell of new orphans",
)
def audit(request, *, on=None, record=False):
    """Count orphans of every relation exactly; exit 1 when there are any."""
    from orchestrator.app import auditing, recording

    return recording.record(request, on=on) if record else auditing.audit(request, on=on)


@command()
def backup(request):
    """Take a backup and prove it by restoring and comparing."""
    from orchestrator.app import reading

    return reading.backup(request)


@command()
def validate(request):
    """Check what stands against what was promised; leaves no row behind."""
    from orchestrator.app import reading

    return reading.validate(request)


@command()
def status(request):
    """Show the last run of an environment and what to do next."""
    from orchestrator.app import reading

    return reading.runs(request, latest_only=True)


@command()
def history(request):
    """List all runs of an environment."""
    from orchestrator.app import reading

    return reading.runs(request, latest_only=False)


@command(run="the run; by default the last one", format="html, md, json or junit")
def report(request, *, run=None, format="html"):
    """Render the report of a run from its journal."""
    from orchestrator.app import reading

    return reading.show_report(request, run=run, form=format)


@command(
    for_="how long, such as 72h; without it one sample is taken, as a timer wants it",
    every="between two samples, such as 5m",
    prometheus="write the latest sample to this file in Prometheus' text format",
    run="the deployment to watch; by default the last one that stands",
)
def monitor(request, *, for_=None, every=None, prometheus=None, run=None):
    """Watch a deployment: writes, errors, violations, locks, replicas, keys and hosts against the thresholds."""
    from orchestrator.app import monitoring, watch_times

    wanted = watch_times.times(for_=for_, every=every)
    return monitoring.monitor(request, run=run, wanted=wanted, prometheus=Path(prometheus) if prometheus else None)


@command(out="the folder for the documents")
def docs(request, *, out=None):
    """Record what the catalog has, and write the document set from the journals."""
    from orchestrator.app import documenting

    return documenting.docs(request, out=out)


@command(
    migration="what is missing as a migration of prisma, alembic, django or sql; without --env the whole contract",
    out="the folder for the guard; with --migration that in which the tool's migrations lie",
    check="write nothing: exit 1 with a line per generated file that is missing or stale",
    name="what it is called; prisma and sql put 14 digits of UTC before it, unless it begins with some",
    app="django: the app's label, by default the name of the folder above",
)
def generate(request, *, migration=None, out=None, check=False, name=None, app=None):
    """Write a guard for the application from the contract, or the missing keys as a migration."""
    from orchestrator.app import generating, migrating
    from orchestrator.core.outcome import Refused

    if migration is None:
        if name is not None or app is not None:
            message = "--name and --app go with --migration only"
            raise Refused(message)
        return generating.generate(request, out=out, check=check)
    if check:
        message = "--check compares a generated guard; it does not go with --migration"
        raise Refused(message)
    return migrating.migration(request, form=migration, out=out, name=name, app=app)


@command(rows="rows in the largest table")
def seed(request, *, rows="10000"):
    """Apply the runbook's migrations and fill its tables; never on production."""
    from orchestrator.app import reading

    return reading.seed(request, rows=rows_of(rows))


@task(
    auto_shortflags=False,
    help={
        "rows": "rows in the largest table",
        "with_orphans": "plant three orphans and show how they are refused",
        "keep": "keep the two servers' data afterwards",
        "folder": "where the demo plays; emptied at the start",
        "json": COMMON["json"][1],
    },
)
def demo(c, rows="200000", with_orphans=False, keep=False, folder="demo-story", json=False):
    """Play the whole story on two embedded servers, staging and production."""

    def act() -> Answer:
        from orchestrator.app.demo import demo as play

        return play(folder=Path(folder), rows=rows_of(rows), with_orphans=with_orphans, keep=keep, json=json)

    answered(act, json=json)


@task(auto_shortflags=False)
def check(c):
    """Run the project's own gates: ruff, mypy, the direction of imports."""
    for gate in ("ruff format --check .", "ruff check .", "mypy", "lint-imports --no-cache"):
        c.run(f"{Path(sys.executable).parent / gate}", in_stream=False)


@task(
    auto_shortflags=False,
    help={
        "sections": "of deploy, rollback, random, twice, server, network, starters, and with a way back each: set-null,"
        " quarantine, delete, reassign (remediations), hosts (commands on two hosts); by default all",
        "points": "all, or about how many of the points of each way",
        "runs": "trials per section that is not about points",
        "starts": "how often two deployments are started together",
        "major": "version of the embedded server",
        "seed": "another number, other random moments",
    },
)
def chaos(c, sections=None, points="all", runs="30", starts="50", major="16", seed="1"):
    """Kill deployments, remediations and rollouts wherever the world outside changes, resume, and compare."""
    given = {"sections": sections, "points": points, "runs": runs, "starts": starts, "major": major, "seed": seed}
    options = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None)
    c.run(f"{sys.executable} -m tests.chaos {options}", in_stream=False)


@task(
    auto_shortflags=False,
    help={
        "sections": "of recording, online, audit, small, validation, schema, slack, start, suggest; by default all",
        "rows": "rows in the largest table; 2_000_000 for figures to quote, by default 200_000",
        "shape": "tree: most rows in one table (by default), broad: many large tables",
        "major": "version of the embedded server: 15, 16 or 18; by default 16",
        "url": "measure on this server instead, in databases of its own; BENCH_DATABASE_URL does the same",
        "keep": "keep the server with the filled tables in this folder, for the next time",
        "ways": "a: one transaction, b: by hand, c: this project; by default all",
        "workers": "validate_workers of this project: numbers or auto; by default auto",
        "orders": "of writes: parent, child, mixed; by default all",
        "states": "of the tables: vacuumed, changed; by default vacuumed",
        "obstacles": "none, idle, autovacuum; by default none,idle",
        "rounds": "measured rounds, medians are told; by default 2",
        "writers": "connections that write meanwhile; by default 3",
        "tables": "tables of the large schema; by default 10_000",
        "keys": "keys of the large schema; by default 30_000",
        "limit": "seconds after which a way is stopped; by default 120",
        "json": "one JSON document on stdout",
        "write": "also write page and chart to docs/benchmarks/",
    },
)
def bench(
    c,
    sections=None,
    rows=None,
    shape=None,
    major=None,
    url=None,
    keep=None,
    ways=None,
    workers=None,
    orders=None,
    states=None,
    obstacles=None,
    rounds=None,
    writers=None,
    tables=None,
    keys=None,
    limit=None,
    json=False,
    write=False,
):
    """Measure this project against psql under a write load, the audit, the recording, small deployments, the start."""
    given = {"sections": sections, "rows": rows, "shape": shape, "major": major, "url": url, "keep": keep, "ways": ways}
    given |= {"workers": workers, "orders": orders, "states": states, "obstacles": obstacles, "rounds": rounds}
    given |= {"writers": writers, "tables": tables, "keys": keys, "limit": limit}
    options = [f"--{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    options += [f"--{name}" for name, on in (("json", json), ("write", write)) if on]
    c.run(f"{sys.executable} -m tests.bench {' '.join(options)}", in_stream=False)


@task(auto_shortflags=False, help={"only": "a pytest expression"})
def test(c, only=None):
    """Run the suite on servers that it starts itself, three workers at a time."""
    _pytest(c, "not matrix", only)


@task(auto_shortflags=False, help={"only": "a pytest expression"})
def matrix(c, only=None):
    """Run what the suite leaves out: more versions and more schemas of its slow tests."""
    _pytest(c, "matrix", only)


def _pytest(c, marked, only):
    chosen = f"-k {shlex.quote(only)}" if only else ""
    # One more than the cores of a small machine: many tests wait for a server, a lock or a signal.
    c.run(f"{sys.executable} -m pytest -n 3 --dist worksteal -m {shlex.quote(marked)} {chosen}", in_stream=False)
