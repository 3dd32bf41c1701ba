"""`invoke generate`: guards for the application from the contract, and whether those that lie there still fit."""

from __future__ import annotations

from pathlib import Path

from orchestrator.adapters.guards import GuardFolder, guards
from orchestrator.adapters.runbooks import CONTRACT, load_contract, load_runbook
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.own_templates import for_request
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.guarded import contract_digest
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused


def generate(request: Request, *, out: str | None, check: bool) -> Answer:
    """Write the guards, or with `check` only compare: exit 1 with a line per stale file. Raises OrchestratorError."""
    if not out:
        message = "where to? --out DIR: the folder for the generated guard"
        raise Refused(message)
    folder = load_runbook(request.runbook, root=RUNBOOKS)
    # The file itself: under option B a runbook's relations may all be deferred, and are what is guarded.
    contract = load_contract(folder.path / CONTRACT)
    screen, place = Screen(json=request.json), GuardFolder(path=Path(out).expanduser())
    with for_request(request, folder):
        made = guards(contract, name=folder.runbook.name)
    stale = tuple(place.stale(made)) if check else ()
    for path, why in stale:
        screen.line(f"{path}: {why}", status="FAIL")
    paths = () if check else place.write(made)
    for path in paths:
        screen.line(f"{path}: {counted(len(contract.promised), 'relation')}", status="done")
    if check and not stale:
        screen.line(f"{place.path}: {counted(len(made), 'file fits', 'files fit')} the contract", status="done")
    document = {
        "runbook": folder.runbook.name,
        "digest": contract_digest(contract),
        "relations": len(contract.promised),
        "files": [str(place.path / each.name) for each in made],
        "stale": [{"file": str(path), "reason": why} for path, why in stale],
    }
    return Answer(document=document, exit_code=EXIT_FAILED if stale else EXIT_DONE)
