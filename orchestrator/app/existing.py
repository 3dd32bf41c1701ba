"""Deploying a migration that exists: tried out on a copy, taken apart into a contract, and that deployed online."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.adapters.as_is import AS_IS
from orchestrator.adapters.copying import ScratchCopy
from orchestrator.adapters.derived import derived_folder, remember_trial, tried_on, write_derived
from orchestrator.adapters.runbooks import CONTRACT, RunbookFolder, load_runbook
from orchestrator.adapters.trial import Tried, try_out
from orchestrator.app.beginning import confirmed
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.additions import NO_ADDITIONS, NOT_VALID, Additions
from orchestrator.core.adoption import told
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Refused
from orchestrator.core.timeline import standard_runbook

NOT_ENFORCED = " NOT ENFORCED"


def taken_apart(request: Request, path: str, *, yes: bool, confirm: Callable[[str], bool]) -> Request:
    """The request with the runbook that the migration comes to. Raises Refused when it does more than add keys.

    A file that was taken apart before is not tried again on the same environment: what it added may stand already.
    Elsewhere it may do more, and is tried there, too.
    """
    if request.dry_run or request.only:
        message = (
            "--migration is tried out on a copy and deployed as a whole: it goes with neither --dry-run nor --only"
        )
        raise Refused(message)
    migration = Path(path)
    try:
        script = migration.read_bytes()
    except OSError as error:
        message = f"--migration {path}: cannot be read ({error.strerror})"
        raise Refused(message) from error
    folder = derived_folder(request.runs, migration, script)
    known = tried_on(folder, request.env or "") and (request.as_is or not (folder / AS_IS).exists())
    if not known:
        try:
            tried = _tried(request, folder, script, yes=yes, confirm=confirm)
            as_is = _judge(tried, script, as_is=request.as_is)
            if as_is:
                tried = replace(tried, keys=(), additions=NO_ADDITIONS, moved=None)
            _same(folder, tried)
        except Refused as error:
            message = f"--migration {path}: {error}"
            raise Refused(message) from error
        if not (folder / CONTRACT).exists():
            relations = tuple(each.relation for each in tried.keys)
            write_derived(
                folder, migration, script, relations, additions=tried.additions, moved=tried.moved, as_is=as_is
            )
        remember_trial(folder, request.env or "")
    return replace(request, runbook=str(folder))


def _tried(request: Request, folder: Path, script: bytes, *, yes: bool, confirm: Callable[[str], bool]) -> Tried:
    """What it does to a copy, which is gone afterwards."""
    empty = RunbookFolder(path=folder, runbook=standard_runbook(folder.name), contract=Contract(relations=()))
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False, folder=empty)
        confirmed(site, yes=yes, confirm=confirm)
        copier = ScratchCopy(server=site.server, scratch=site.scratch(), folder=site.run_folder)
        # No run has begun: the folder that the dump went through is not to stay.
        stack.callback(_gone, site.run_folder.path)
        place = stack.enter_context(copier.place())
        copied = copier.fill(place, ())
        tried = try_out(place, script)
        site.screen.line(f"tried on a copy of {counted(copied.tables, 'table')}: {_counted(tried)}", status="done")
        return tried


def _counted(tried: Tried) -> str:
    words = f"{counted(len(tried.keys), 'new key')}"
    if tried.additions:
        words += f", {counted(len(tried.additions.indexes), 'index', 'indexes')}"
        words += f", {counted(len(tried.additions.checks), 'check')}"
    return words


def _same(folder: Path, tried: Tried) -> None:
    """What it came to where it was tried first is what it comes to here. Raises Refused."""
    if not (folder / CONTRACT).exists():
        return
    known = load_runbook(str(folder), root=RUNBOOKS)
    keys = {_written(each) for each in known.contract.relations} ^ {_written(each.relation) for each in tried.keys}
    others = {each.id for each in keys} | _names(known.additions) ^ _names(tried.additions)
    if others:
        message = f"it adds something else here than where it was tried first: {', '.join(sorted(others))}"
        raise Refused(message)


def _names(additions: Additions) -> set[str]:
    """Indexes and checks, each with its definition."""
    return {f"{each.table}: {each.name} {each.definition}" for each in (*additions.indexes, *additions.checks)}


def _written(relation: Relation) -> Relation:
    """Without what a person may have added."""
    return replace(relation, priority="low", deferred=None)


def _gone(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _judge(tried: Tried, script: bytes, *, as_is: bool) -> bool:
    """Whether it is run as it stands; what can go online always does. Raises Refused."""
    try:
        _online(tried)
    except Refused:
        if not as_is or not (tried.others or tried.rows):
            raise
        _fit(tried, script)
        return True
    return False


def _fit(tried: Tried, script: bytes) -> None:
    """Raises Refused for a script that is no part of one transaction."""
    if tried.bound:
        message = f"{tried.bound}: it cannot be run as it stands"
        raise Refused(message)
    try:
        script.decode()
    except UnicodeDecodeError as error:
        message = "it is not UTF-8 text"
        raise Refused(message) from error


def _online(tried: Tried) -> None:
    """Raises Refused for anything but new keys, indexes and checks."""
    if tried.others:
        message = (
            "it does more than add foreign keys, indexes and checks, which is not deployed online:"
            f" {told(tried.others)}"
        )
        raise Refused(message)
    if tried.rows:
        message = f"it changes rows, which is not deployed online: {tried.rows}"
        raise Refused(message)
    for each in tried.keys:
        if each.objection:
            raise Refused(each.objection)
    for check in tried.additions.checks:
        if check.definition.endswith((NOT_VALID, NOT_ENFORCED)):
            message = f"check {check.name} of {check.table} does not hold after it (NOT VALID, or not enforced)"
            raise Refused(message)
    if tried.leans:
        message = f"{tried.leans[0]} needs a unique index that the same file makes: deploy that by itself first"
        raise Refused(message)
    if tried.objection:
        raise Refused(tried.objection)
    if not (tried.keys or tried.additions):
        message = "it changes nothing in this database"
        raise Refused(message)
