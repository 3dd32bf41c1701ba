"""The runs that the documents tell of: the newest rehearsal, and the newest deployment of each environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from orchestrator.adapters import events, ledger
from orchestrator.adapters.journals import Journals, in_folder, in_ledger
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.runs import RunFolder, all_runs
from orchestrator.app.checklists import chain
from orchestrator.app.site import Site
from orchestrator.core.documents import same_state
from orchestrator.core.journal import RunStarted, Task
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRuns:
    """The newest of each kind; a deployment comes with the rollback that came after it, if one did."""

    rehearsal: Run | None
    deployments: tuple[tuple[Run, Run | None], ...]


def known_runs(site: Site, connection: Connection) -> KnownRuns:
    """From the ledger of the environment, that of its `evidence_from` where it answers, and the copies here."""
    with ExitStack() as stack:
        readers = [connection, *_evidence(site, stack)]
        light = _light(site, readers)
        wanted = {each.id: each for each in light if each.started and not each.started.dry_run}
        rehearsals = [each for each in wanted.values() if _task(each) == "rehearse"]
        newest = {_environment(each): each for each in wanted.values() if _task(each) == "deploy"}
        backs = {_environment(each): each for each in wanted.values() if _took_back(each)}
        pairs = [(run, backs.get(name)) for name, run in newest.items()]
        return KnownRuns(
            rehearsal=_whole(site, rehearsals[-1], readers) if rehearsals else None,
            deployments=tuple(
                (_whole(site, run, readers), _whole(site, back, readers) if back and back.id > run.id else None)
                for run, back in pairs
            ),
        )


def unchanged_since(site: Site, snapshot: Run) -> Run:
    """The first snapshot of those that told the same without a break: documents change only when something did."""
    first = snapshot
    for folder in reversed(tuple(all_runs(site.request.runs))):
        if folder.run < snapshot.id and _is_snapshot(folder, site.environment.name):
            try:
                former = events.fold_entries(folder.run, folder.entries())
            except OrchestratorError:
                break
            if not same_state(former, snapshot):
                break
            first = former
    return first


def _is_snapshot(folder: RunFolder, environment: str) -> bool:
    try:
        first = next(iter(folder.entries()), None)
    except OrchestratorError:
        return False
    started = events.decode(first.kind, first.data) if first else None
    return isinstance(started, RunStarted) and (started.task, started.environment) == ("docs", environment)


def _light(site: Site, readers: Sequence[Connection]) -> tuple[Run, ...]:
    """All runs of the chain, oldest first, with little more than their beginnings."""
    runbook, names = site.folder.runbook.name, chain(site.request.inventory, site.environment.name)
    found = Journals()
    for each in readers:
        found = found.with_others(in_ledger(each, runbook=runbook, environments=names))
    return found.with_others(in_folder(site.request.runs, runbook=runbook, environments=names)).runs


def _evidence(site: Site, stack: ExitStack) -> Iterator[Connection]:
    """A session where the evidence comes from. Where there is none the checklist says so."""
    name = site.environment.environment.evidence_from
    if name and name != site.environment.name:
        try:
            yield stack.enter_context(replace(site.reach(name), read_only=True).session("docs"))
        except OrchestratorError:
            return


def _whole(site: Site, run: Run, readers: Sequence[Connection]) -> Run:
    """A run with all its events, from a ledger that has it, or from the copy."""
    for connection in readers:
        found = events.fold_entries(run.id, ledger.entries(connection, run.id))
        if found.started:
            return found
    return events.fold_entries(run.id, RunFolder(root=site.request.runs, run=run.id).entries())


def _task(run: Run) -> Task | None:
    return run.started.task if run.started else None


def _environment(run: Run) -> str:
    return run.started.environment if run.started else ""


def _took_back(run: Run) -> bool:
    return _task(run) == "rollback" and bool(run.undone)
