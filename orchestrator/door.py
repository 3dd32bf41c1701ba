"""What every task has in common: its options, its one line for a mistake, its document and its exit code."""

from __future__ import annotations

import functools
import gc
import inspect
import io
import json as jsonlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.tasks import task

if TYPE_CHECKING:
    from orchestrator.app.answer import Answer
    from orchestrator.app.request import Request

COMMON: dict[str, tuple[Any, str]] = {
    "env": (None, "the environment: the name of a file in the inventory"),
    "runbook": ("master_tables", "name of a runbook in runbooks/, or a folder with foreign_keys.toml"),
    "inventory": ("inventory", "folder with one TOML file per environment"),
    "runs": ("runs", "folder for journals and reports"),
    "json": (False, "one JSON document on stdout, log lines on stderr"),
}


def command(**helps: str) -> Callable[[Callable[..., Answer]], Callable[..., Any]]:
    """Make a task of a function that takes a request and its own options, which `helps` explains.

    The options that every task takes are added here, once. Invoke reads them from the signature.
    """

    def make(act: Callable[..., Answer]) -> Callable[..., Any]:
        @functools.wraps(act)
        def run(c: Any, **given: Any) -> None:
            own = {name: given.pop(name) for name in helps if name not in COMMON}
            answered(lambda: act(_request(c, own, given), **own), json=given["json"])

        own = [each for each in inspect.signature(act).parameters.values() if each.name in helps]
        common = [_parameter(name, default) for name, (default, _) in COMMON.items()]
        run.__signature__ = inspect.Signature([_parameter("c", inspect.Parameter.empty), *common, *own])  # type: ignore[attr-defined]
        explained = {name: text for name, (_, text) in COMMON.items()} | helps
        return task(run, auto_shortflags=False, help=explained)

    return make


def _parameter(name: str, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _request(c: Any, own: dict[str, Any], common: dict[str, Any]) -> Request:
    """The common options as a value; imports happen in functions, so that `invoke --list` stays quick."""
    from orchestrator.app.request import Request
    from orchestrator.core.outcome import Refused

    if c.config.run.dry:
        message = "invoke's own --dry does not reach a database: use deploy --dry-run"
        raise Refused(message)
    chosen = own.pop("only", None)
    only = tuple(word.strip() for word in (chosen or "").split(",") if word.strip())
    if chosen is not None and not only:
        message = "--only names nothing; leave it out to mean everything"
        raise Refused(message)
    places = {key: Path(common[key]) for key in ("inventory", "runs")}
    return Request(**{**common, **places}, only=only, dry_run=own.pop("dry_run", False))


def answered(act: Callable[[], Answer], *, json: bool) -> None:
    """Call the app; one line for what a person can mend, the document for a script, and the exit code."""
    from orchestrator.app import DATABASE_ERROR, explained
    from orchestrator.app.answer import JSON_ESCAPE
    from orchestrator.core.outcome import EXIT_FAILED, EXIT_HELD, OrchestratorError

    signal.signal(signal.SIGTERM, _interrupt)
    # Values make no circles: left as it is, the collector would spend a third of a large plan in looking for some.
    gc.set_threshold(250_000)
    for stream, errors in ((sys.stdout, JSON_ESCAPE), (sys.stderr, "backslashreplace")):
        # A name that the terminal cannot show is written as an escape, never a reason to fall silent.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    try:
        answer = act()
    except OrchestratorError as error:
        _fail(str(error), error.exit_code, json=json)
    except DATABASE_ERROR as error:
        _fail(explained(error), EXIT_FAILED, json=json)
    except KeyboardInterrupt:
        _fail("interrupted; what took effect is on record, invoke status tells how far it came", EXIT_HELD, json=json)
    if json:
        sys.stdout.writelines(answer.text())
    # The program ends: Python's last collections need not look through all that a large answer is made of.
    gc.freeze()
    raise Exit(code=answer.exit_code)


def _interrupt(*_: object) -> None:
    """SIGTERM ends a run as Ctrl-C does: the statement is cancelled, and what took effect is on record."""
    raise KeyboardInterrupt


def _fail(message: str, code: int, *, json: bool) -> None:
    from orchestrator.app import redacted

    line = redacted(" ".join(message.split()))
    print(f"error: {line}", file=sys.stderr)
    if json:
        states = {1: "failed", 2: "refused", 3: "held"}
        print(jsonlib.dumps({"state": states[code], "error": line}, ensure_ascii=False))
    raise Exit(code=code)


def rows_of(text: str, option: str = "--rows") -> int:
    """A number of rows; Invoke's own conversion would end in a traceback. Raises Refused."""
    from orchestrator.core.outcome import Refused

    digits = str(text).replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        message = f"{option} {text}: must be a whole number of rows, at least 1"
        raise Refused(message)
    return int(digits)


def reason_of(text: str | None) -> str | None:
    """A reason that says something. Raises Refused."""
    from orchestrator.core.outcome import Refused

    if text is not None and not text.strip():
        message = '--abandon needs a reason: --abandon "why"'
        raise Refused(message)
    return text


def passing(request: Request, override: str | None, reason: str | None, evidence: str | None) -> Request:
    """The request with what is said at the gates of production. Raises Refused."""
    from dataclasses import replace

    from orchestrator.app.passage import passage

    return replace(request, passage=passage(override, reason, evidence))


def as_it_stands(request: Request, *, as_is: bool, accept_no_undo: bool, migration: str | None) -> Request:
    """The request of a script that is run as it stands. Raises Refused."""
    from dataclasses import replace

    from orchestrator.core.outcome import Refused

    if as_is and migration is None:
        message = "--as-is goes with --migration FILE"
        raise Refused(message)
    return replace(request, as_is=as_is, accept_no_undo=accept_no_undo)


def typed(name: str) -> bool:
    """Ask for the environment's name on a terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    print(f"type {name} to go on: ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip() == name
    except KeyboardInterrupt:
        # Nothing has begun, so it is a no and not an interruption.
        return False
