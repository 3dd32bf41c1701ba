"""The migration of what is missing, for the tool that keeps the schema's history."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import cast, get_args

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.documents import nearest
from orchestrator.adapters.history import HISTORY
from orchestrator.adapters.migrations import Wanted, written
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.own_templates import for_request
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.migration import Change, Form, changes_of_contract, changes_of_plan
from orchestrator.core.outcome import EXIT_DONE, Refused


def migration(request: Request, *, form: str, out: str | None, name: str | None, app: str | None) -> Answer:
    """`invoke generate --migration FORM --out DIR`: the missing keys as a migration. Raises Refused, BadDocument."""
    if form not in get_args(Form):
        message = f"--migration {form}: {nearest(form, get_args(Form))}"
        raise Refused(message)
    if not out:
        message = f"--migration {form}: say with --out in which folder its migrations lie"
        raise Refused(message)
    if app is not None and form != "django":
        message = "--app goes with --migration django only"
        raise Refused(message)
    chosen, screen = cast("Form", form), Screen(json=request.json)
    folder = load_runbook(request.runbook, root=RUNBOOKS)
    changes = _missing(request, folder)
    if not changes:
        screen.line("nothing is missing, and nothing was written", status="done")
        return Answer(document=_document(chosen, "", (), 0), exit_code=EXIT_DONE)
    with for_request(request, folder):
        wanted = Wanted(
            runbook=folder.runbook.name, changes=changes, folder=Path(out), name=name, now=datetime.now(UTC), app=app
        )
        made = written(chosen, wanted)
    made.write()
    for path in made.files:
        screen.line(f"{path}", status="done")
    if chosen != "sql":
        screen.line(f"to have deploy record it in {chosen}'s own table, write into {folder.path / HISTORY}:")
        for key, word in (("tool", chosen), ("folder", str(Path(out).resolve())), ("migration", made.name)):
            screen.line(f"  {key} = {json.dumps(word, ensure_ascii=False)}")
    return Answer(document=_document(chosen, made.name, tuple(made.files), len(changes)), exit_code=EXIT_DONE)


def _missing(request: Request, folder: RunbookFolder) -> tuple[Change, ...]:
    """Missing in the catalog of an environment, which is only read; without one all that is promised.

    Raises Refused when a relation is in the way of a migration that would work.
    """
    if request.env is None:
        return changes_of_contract(folder.contract, QuotedDdl())
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        plan = site.make_plan(site.catalog("plan").catalog())
    for each in plan.relations:
        if each.status in {"different", "impossible"}:
            message = (
                f"{site.environment.name}: {each.relation.id} is {each.status}: {each.reason}; nothing was written"
            )
            raise Refused(message)
    return changes_of_plan(plan, QuotedDdl())


def _document(form: Form, name: str, files: tuple[Path, ...], changes: int) -> dict[str, object]:
    return {"migration": form, "name": name, "files": [str(path) for path in files], "changes": changes}
