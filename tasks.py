"""The door: Invoke tasks. Each parses, calls the app and ends with its exit code; nothing else happens here."""

from __future__ import annotations

import json as jsonlib
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.tasks import task

if TYPE_CHECKING:
    from orchestrator.app.runs import Answer
    from orchestrator.app.site import Request

COMMON = {
    "env": "the environment: the name of a file in the inventory",
    "runbook": "name of a runbook in runbooks/, or a folder with foreign_keys.toml",
    "inventory": "folder with one TOML file per environment",
    "runs": "folder for journals and reports",
    "json": "one JSON document on stdout, log lines on stderr",
}


def _request(c: Any, **given: Any) -> Request:
    """The common options as a value; imports happen here, so that `invoke --list` stays quick."""
    from orchestrator.app.site import Request
    from orchestrator.core.outcome import Refused

    if c.config.run.dry:
        message = "invoke's own --dry does not reach a database: use deploy --dry-run"
        raise Refused(message)
    only = tuple(word.strip() for word in (given.pop("only", None) or "").split(",") if word.strip())
    inventory, runs = Path(given.pop("inventory")), Path(given.pop("runs"))
    return Request(only=only, inventory=inventory, runs=runs, **given)


def _run(*, json: bool, act: Callable[[], Answer]) -> None:
    """Call the app; one line for what a person can mend, the document for a script, and the exit code."""
    from orchestrator.app import DATABASE_ERROR, explained
    from orchestrator.core.outcome import EXIT_FAILED, EXIT_HELD, OrchestratorError

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        answer = act()
    except OrchestratorError as error:
        _fail(str(error), error.exit_code, json=json)
    except DATABASE_ERROR as error:
        _fail(explained(error), EXIT_FAILED, json=json)
    except KeyboardInterrupt:
        _fail("interrupted; what took effect is on record, invoke status tells how far it came", EXIT_HELD, json=json)
    if json:
        print(jsonlib.dumps(answer.document, ensure_ascii=False, indent=2, default=str))
    raise Exit(code=answer.exit_code)


def _interrupt(*_: object) -> None:
    """SIGTERM ends a run as Ctrl-C does: the statement is cancelled, and what took effect is on record."""
    raise KeyboardInterrupt


def _fail(message: str, code: int, *, json: bool) -> None:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    if json:
        states = {1: "failed", 2: "refused", 3: "held"}
        print(jsonlib.dumps({"state": states[code], "error": line}, ensure_ascii=False))
    raise Exit(code=code)


def _count(text: str, option: str) -> int:
    """A number of rows; Invoke's own conversion would end in a traceback. Raises Refused."""
    from orchestrator.core.outcome import Refused

    digits = str(text).replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        message = f"{option} {text}: must be a whole number of rows, at least 1"
        raise Refused(message)
    return int(digits)


def _typed(name: str) -> bool:
    """Ask for the environment's name on a terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    print(f"type {name} to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == name


@task(
    auto_shortflags=False,
    help={
        **COMMON,
        "dry_run": "read only: show every step, statement, lock and check",
        "yes": "do not ask for the environment's name",
        "until": "stop after this step",
        "only": "critical, or names of tables, with commas: the rest is deferred",
    },
)
def deploy(
    c,
    env=None,
    runbook="master_tables",
    inventory="inventory",
    runs="runs",
    json=False,
    dry_run=False,
    yes=False,
    until=None,
    only=None,
):
    """Carry the runbook out: preflight, plan, audit, backup, apply, validate."""

    def act() -> Answer:
        from orchestrator.app.runs import deploy as run

        request = _request(
            c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json, dry_run=dry_run, only=only
        )
        return run(request, yes=yes, until=until, confirm=_typed)

    _run(json=json, act=act)


@task(
    auto_shortflags=False,
    help={**COMMON, "run": "the run to walk back", "yes": "do not ask for the environment's name"},
)
def rollback(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False, run=None, yes=False):
    """Walk back what a run added, by default the last one that added something."""

    def act() -> Answer:
        from orchestrator.app.runs import rollback as walk

        request = _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)
        return walk(request, run=run, yes=yes, confirm=_typed)

    _run(json=json, act=act)


@task(auto_shortflags=False, help={**COMMON, "grants": "print the statements that give this role its rights"})
def preflight(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False, grants=False):
    """Check everything that can be checked beforehand; changes nothing."""

    def act() -> Answer:
        from orchestrator.app import reading

        request = _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)
        return reading.preflight_grants(request) if grants else reading.preflight(request)

    _run(json=json, act=act)


@task(
    auto_shortflags=False,
    help={**COMMON, "format": "sql: a script that psql can run", "only": "critical, or names of tables"},
)
def plan(
    c,
    env=None,
    runbook="master_tables",
    inventory="inventory",
    runs="runs",
    json=False,
    format=None,
    only=None,
):
    """Show contract against catalog, and the statements that would be executed."""

    def act() -> Answer:
        from orchestrator.app import reading

        request = _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json, only=only)
        return reading.plan(request, form=format)

    _run(json=json, act=act)


@task(auto_shortflags=False, help=COMMON)
def audit(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False):
    """Count orphans of every relation exactly; exit 1 when there are any."""
    from orchestrator.app import reading

    _run(
        json=json,
        act=lambda: reading.audit(_request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)),
    )


@task(auto_shortflags=False, help=COMMON)
def backup(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False):
    """Take a backup and prove it by restoring and comparing."""
    from orchestrator.app import reading

    _run(
        json=json,
        act=lambda: reading.backup(_request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)),
    )


@task(auto_shortflags=False, help=COMMON)
def validate(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False):
    """Check what stands against what was promised; leaves no row behind."""
    from orchestrator.app import reading

    _run(
        json=json,
        act=lambda: reading.validate(_request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)),
    )


@task(auto_shortflags=False, help=COMMON)
def status(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False):
    """Show the last run of an environment and what to do next."""
    from orchestrator.app import reading

    _run(
        json=json,
        act=lambda: reading.runs(
            _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json), latest_only=True
        ),
    )


@task(auto_shortflags=False, help=COMMON)
def history(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False):
    """List all runs of an environment."""
    from orchestrator.app import reading

    _run(
        json=json,
        act=lambda: reading.runs(
            _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json), latest_only=False
        ),
    )


@task(auto_shortflags=False, help={**COMMON, "run": "the run; by default the last one", "format": "html, md or json"})
def report(
    c,
    env=None,
    runbook="master_tables",
    inventory="inventory",
    runs="runs",
    json=False,
    run=None,
    format="html",
):
    """Render the report of a run from its journal."""

    def act() -> Answer:
        from orchestrator.app import reading

        request = _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)
        return reading.show_report(request, run=run, form=format)

    _run(json=json, act=act)


@task(auto_shortflags=False, help={**COMMON, "rows": "rows in the largest table"})
def seed(c, env=None, runbook="master_tables", inventory="inventory", runs="runs", json=False, rows="10000"):
    """Apply the runbook's migrations and fill its tables; never on production."""

    def act() -> Answer:
        from orchestrator.app import reading

        request = _request(c, env=env, runbook=runbook, inventory=inventory, runs=runs, json=json)
        return reading.seed(request, rows=_count(rows, "--rows"))

    _run(json=json, act=act)


@task(
    auto_shortflags=False,
    help={
        "rows": "rows in the largest table",
        "with_orphans": "plant three orphans and show how they are refused",
        "keep": "keep the two servers' data afterwards",
        "folder": "where the demo plays; emptied at the start",
        "json": COMMON["json"],
    },
)
def demo(c, rows="200000", with_orphans=False, keep=False, folder="demo-story", json=False):
    """Play the whole story on two embedded servers, staging and production."""

    def act() -> Answer:
        from orchestrator.app.demo import demo as play

        return play(folder=Path(folder), rows=_count(rows, "--rows"), with_orphans=with_orphans, keep=keep, json=json)

    _run(json=json, act=act)


@task(auto_shortflags=False)
def check(c):
    """Run the project's own gates: ruff, mypy, the direction of imports."""
    for command in ("ruff format --check .", "ruff check .", "mypy", "lint-imports --no-cache"):
        c.run(f"{Path(sys.executable).parent / command}", in_stream=False)


@task(
    auto_shortflags=False, help={"matrix": "the long matrix over server versions, too", "only": "a pytest expression"}
)
def test(c, matrix=False, only=None):
    """Run the suite on servers that it starts itself, two workers at a time."""
    marks = "" if matrix else "-m 'not matrix'"
    chosen = f"-k {shlex.quote(only)}" if only else ""
    c.run(f"{sys.executable} -m pytest -n 2 {marks} {chosen}", in_stream=False)
