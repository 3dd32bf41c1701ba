"""`invoke contract`: a runbook's contract from what exists, or brought up to date with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from orchestrator.adapters.contract_file import read_contract, updated, write_contract
from orchestrator.adapters.models import Project
from orchestrator.adapters.runbooks import CONTRACT
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.key_sources import key_source, standing
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.answers import Document, relation_place
from orchestrator.core.contract_update import Changed, ContractUpdate, Source, update_of
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for beside the source's name."""

    out: Path | None = None
    check: bool = False
    schema: str = "public"
    project: Project = field(default_factory=Project)


def one_way(*, suggest: bool, source: Mapping[str, object], guess: Mapping[str, object]) -> None:
    """Raises Refused for an option of --from beside --suggest, or the other way round: it would be passed over."""
    wrong = [name for name, given in (source if suggest else guess).items() if given not in (None, False)]
    if wrong:
        how = "does not go together with" if suggest else "goes together with"
        message = f"--{wrong[0].replace('_', '-')} {how} --suggest"
        raise Refused(message)


def wish(*, out: str | None, check: bool, schema: str | None, project: str | None, python: str | None) -> Wish:
    """The options as they were typed. Raises Refused."""
    for name, text in {"out": out, "schema": schema, "project": project, "python": python}.items():
        if text is not None and not text.strip():
            message = f"--{name} names nothing"
            raise Refused(message)
    place = Project(folder=Path(project or "."), python=python)
    return Wish(out=Path(out) if out else None, check=check, schema=schema or "public", project=place)


def contract(request: Request, *, source: str | None, wish: Wish) -> Answer:
    """Write the file, or with `check` only say whether it would change. Raises Refused, BadDocument, CannotConnect."""
    path = wish.out or _place(request.runbook)
    stands = read_contract(path)
    told = key_source(request, source, stands.contract, default_schema=wish.schema, project=wish.project)
    update = update_of(stands.contract, told)
    if stands.text is None and not update.added:
        raise Refused(_nothing(told, request.env))
    new = updated(stands, update)
    statuses = standing(request, new.contract) if request.env else {}
    if update.changes and not wish.check:
        write_contract(new)
    screen = Screen(json=request.json)
    _show(screen, path, update, check=wish.check)
    document = _document(path, told.name, update)
    if statuses:
        screen.line(f"  in {request.env}: {', '.join(f'{count} {status}' for status, count in statuses.items())}")
        document |= {"environment": request.env, "statuses": dict(statuses)}
    return Answer(document=document, exit_code=EXIT_FAILED if wish.check and update.changes else EXIT_DONE)


def _nothing(told: Source, env: str | None) -> str:
    """Why there is nothing to make a contract of: no key at all, or the environment has every one."""
    if not told.relations or env is None:
        return f"{told.name}: no foreign key that a contract could be made of"
    keys = counted(len(told.relations), "foreign key")
    return f"{env} has all {keys} of {told.name} already; leave --env out to write them into a contract"


def _place(runbook: str) -> Path:
    """The contract of a runbook by name, or of a folder that need not be there yet. Raises Refused."""
    if not runbook.strip():
        message = "--runbook names nothing"
        raise Refused(message)
    folder = RUNBOOKS / runbook if (RUNBOOKS / runbook).is_dir() else Path(runbook)
    if folder.exists() and not folder.is_dir():
        message = f"--runbook {runbook}: is a file; name the folder, or the file with --out"
        raise Refused(message)
    return folder / CONTRACT


def _show(screen: Screen, path: Path, update: ContractUpdate, *, check: bool) -> None:
    for relation in update.added:
        late = f" (deferred: {relation.deferred})" if relation.deferred else ""
        screen.line(f"  new        {relation.id} as {relation.name}{late}")
    for each in update.changed:
        screen.line(f"  changed    {each.relation.id}: {'; '.join(_words(each))}")
    for relation in update.alone:
        screen.line(f"  only here  {relation.id}")
    for out in update.left_out:
        screen.line(f"  left out   {out.key}: {out.reason}")
    for doubt in update.doubted:
        screen.line(f"  promised   {doubt.key}, although: {doubt.reason}")
    screen.line(f"{path}: {_counts(update)}", status=_status(update, check=check))


def _status(update: ContractUpdate, *, check: bool) -> str:
    if not update.changes:
        return "unchanged"
    return "stale" if check else "written"


def _counts(update: ContractUpdate) -> str:
    parts = {
        "new": len(update.added),
        "changed": len(update.changed),
        "unchanged": len(update.unchanged),
        "only in the contract": len(update.alone),
        "left out": len(update.left_out),
    }
    return ", ".join(f"{count} {word}" for word, count in parts.items() if count or word == "new")


def _words(each: Changed) -> Iterator[str]:
    for key, now, then in each.lines:
        yield f"{key} {_said(now)} -> {_said(then)}"


def _said(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _document(path: Path, source: str, update: ContractUpdate) -> Document:
    return {
        "file": str(path),
        "source": source,
        "changes": update.changes,
        "counts": dict(
            Counter(
                added=len(update.added),
                updated=len(update.changed),
                unchanged=len(update.unchanged),
                only_in_contract=len(update.alone),
            )
        ),
        "added": [{**relation_place(each), "name": each.name, "deferred": each.deferred} for each in update.added],
        "updated": [
            {**relation_place(each.relation), "changes": {key: [now, then] for key, now, then in each.lines}}
            for each in update.changed
        ],
        "only_in_contract": [relation_place(each) for each in update.alone],
        "left_out": [asdict(each) for each in update.left_out],
        "doubted": [asdict(each) for each in update.doubted],
    }
