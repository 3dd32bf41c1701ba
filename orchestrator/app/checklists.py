"""The checklist of a runbook from the journals of a chain of environments: staging and what takes evidence from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.adapters.documents import read_toml
from orchestrator.adapters.inventory import environment_names
from orchestrator.adapters.journals import Journals, in_folder, in_ledger
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.terminal import Screen
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS, Site
from orchestrator.core.answers import Document
from orchestrator.core.checklist import CheckedPhase, checklist, checklist_document, relation_lines
from orchestrator.core.decision import risk
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.resumption import definition
from orchestrator.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The phases, the risk in words, and the journals that could not be read."""

    phases: tuple[CheckedPhase, ...]
    risk: str
    unread: tuple[str, ...] = ()

    @property
    def document(self) -> Document:
        """The keys that `status --json` adds."""
        return {"risk": self.risk, "checklist": checklist_document(self.phases), "unread": list(self.unread)}


def checked(site: Site, connection: Connection) -> Checked:
    """From an environment's ledger, that of its `evidence_from` where it answers, and the copies on this machine."""
    names = chain(site.request.inventory, site.environment.name)
    runbook = site.folder.runbook.name
    found = in_ledger(connection, runbook=runbook, environments=names)
    found = found.with_others(_evidence(site, runbook, names))
    return _made(site.folder, found.with_others(in_folder(site.request.runs, runbook=runbook, environments=names)))


def checked_here(site: Site, run: Run) -> Checked:
    """From the copies on this machine alone, and a run that is known in full: a report asks no database."""
    return _here(site.request, site.folder, run)


def phases_of(request: Request, run: Run) -> tuple[CheckedPhase, ...]:
    """The phases for the report of any run; none when the runbook that is asked for is not the run's."""
    try:
        folder = load_runbook(request.runbook, root=RUNBOOKS)
    except OrchestratorError:
        return ()
    same = run.started is not None and run.started.runbook == folder.runbook.name
    return _here(request, folder, run).phases if same else ()


def tell(screen: Screen, found: Checked) -> None:
    """Risk and checklist on the screen; nothing of a runbook that has no roads."""
    if found.phases:
        screen.line(f"checklist (risk: {found.risk})")
    screen.checklist(found.phases)
    for each in found.unread if found.phases else ():
        screen.line(f"  {each}", status="note")


def _here(request: Request, folder: RunbookFolder, run: Run) -> Checked:
    name = run.started.environment if run.started else ""
    names = chain(request.inventory, name)
    return _made(folder, in_folder(request.runs, runbook=folder.runbook.name, environments=names), run)


def chain(inventory: Path, name: str) -> frozenset[str]:
    """The environments that one checklist is about: this one, whose evidence it takes, and who takes its evidence.

    The inventory names its files, a run the environment in them: the two need not be the same.
    """
    heads = {stem: head for stem in _names(inventory) if (head := _head(inventory / f"{stem}.toml"))}
    mine = {stem for stem, head in heads.items() if head.get("name") == name}
    sources = {heads[stem].get("evidence_from") for stem in mine}
    takers = {head.get("name") for head in heads.values() if head.get("evidence_from") in mine}
    found = {name, *takers, *(heads[stem].get("name") for stem in heads.keys() & sources)}
    return frozenset(each for each in found if isinstance(each, str))


def _names(inventory: Path) -> tuple[str, ...]:
    with suppress(OrchestratorError):
        return environment_names(inventory)
    return ()


def _head(path: Path) -> dict[str, object]:
    """`[environment]` of a file; a broken one has none here, and its own commands say what is wrong with it."""
    with suppress(OrchestratorError):
        head = read_toml(path).get("environment")
        return head if isinstance(head, dict) else {}
    return {}


def _evidence(site: Site, runbook: str, names: frozenset[str]) -> Journals:
    """The ledger of the environment that evidence comes from; where it does not answer, that is told."""
    name = site.environment.environment.evidence_from
    if not name or name == site.environment.name:
        return Journals()
    try:
        server = replace(site.reach(name), read_only=True)
        with server.session("history") as connection:
            return in_ledger(connection, runbook=runbook, environments=names)
    except OrchestratorError as error:
        return Journals(unread=(f"the journal of {name} was not read: {error}",))


def _made(folder: RunbookFolder, found: Journals, run: Run | None = None) -> Checked:
    lines = definition(folder.runbook.steps, folder.contract, ((each.id, each.sql) for each in folder.checks))
    runs = [each for each in found.runs if run is None or each.id != run.id]
    phases = checklist(
        folder.runbook.roads,
        folder.decision,
        [*runs, run] if run is not None else runs,
        found.confirmations,
        contract=relation_lines(lines),
    )
    return Checked(phases=phases, risk=risk(folder.runbook, folder.decision), unread=found.unread)
