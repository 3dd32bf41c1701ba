"""The runs that the documents tell of: the newest rehearsal, deployments of each environment, and watches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from orchestrator.adapters import events, ledger, ledger_watch
from orchestrator.adapters.journals import Journals, in_folder, in_ledger
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.runs import RunFolder, all_runs
from orchestrator.app.checklists import chain
from orchestrator.app.site import Site
from orchestrator.core.documents import same_state
from orchestrator.core.journal import RunStarted, Task
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRuns:
    """The newest rehearsal; of each environment the newest deployment that was not refused, and a newer one that was.

    A deployment comes with the rollback that took away something after it, if one did. `watches` has the newest one of
    each environment.
    """

    rehearsal: Run | None
    deployments: tuple[tuple[Run, Run | None], ...]
    watches: tuple[Run, ...] = ()


def known_runs(site: Site, connection: Connection) -> KnownRuns:
    """From the ledger of the environment, that of its `evidence_from` where it answers, and the copies here."""
    with ExitStack() as stack:
        readers, light = [connection], _read(site, connection)
        with suppress(OrchestratorError):
            # Where it does not answer, or cannot be read, the checklist says so.
            for other in _evidence(site, stack):
                light = light.with_others(_read(site, other))
                readers.append(other)
        light = light.with_others(_copies(site))
        wanted = {each.id: each for each in light.runs if each.started and not each.started.dry_run}
        rehearsals = [each for each in wanted.values() if _task(each) == "rehearse"]
        deployments = [each for each in wanted.values() if _task(each) == "deploy"]
        carried = {_environment(each): each for each in deployments if not _refused(each)}
        refused = {_environment(each): each for each in deployments if _refused(each)}
        watches = {_environment(each): each for each in wanted.values() if _task(each) == "monitor"}
        backs = {_environment(each): each for each in wanted.values() if _took_back(each)}
        pairs: list[tuple[Run, Run | None]] = [(run, _after(run, backs.get(name))) for name, run in carried.items()]
        pairs += [(run, None) for name, run in refused.items() if name not in carried or run.id > carried[name].id]
        return KnownRuns(
            rehearsal=_whole(site, rehearsals[-1], readers) if rehearsals else None,
            deployments=tuple(
                (_whole(site, run, readers), _whole(site, back, readers) if back else None) for run, back in pairs
            ),
            watches=tuple(_watch(site, each, readers) for each in watches.values()),
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


def _read(site: Site, connection: Connection) -> Journals:
    """All runs of the chain in a ledger, with little more than their beginnings."""
    names = chain(site.request.inventory, site.environment.name)
    return in_ledger(connection, runbook=site.folder.runbook.name, environments=names)


def _copies(site: Site) -> Journals:
    """The same of the copies on this machine."""
    names = chain(site.request.inventory, site.environment.name)
    return in_folder(site.request.runs, runbook=site.folder.runbook.name, environments=names)


def _evidence(site: Site, stack: ExitStack) -> Iterator[Connection]:
    """A session where the evidence comes from, if that is another environment. Raises OrchestratorError."""
    name = site.environment.environment.evidence_from
    if name and name != site.environment.name:
        yield stack.enter_context(replace(site.reach(name), read_only=True).session("docs"))


def _whole(site: Site, run: Run, readers: Sequence[Connection]) -> Run:
    """A run with all its events, from a ledger that has it, or from the copy."""
    for connection in readers:
        found = events.fold_entries(run.id, ledger.entries(connection, run.id))
        if found.started:
            return found
    return events.fold_entries(run.id, RunFolder(root=site.request.runs, run=run.id).entries())


def _watch(site: Site, run: Run, readers: Sequence[Connection]) -> Run:
    """A watch as far as it is known: its folder is written first, and another machine may have gone on with it."""
    found = [events.fold_entries(run.id, RunFolder(root=site.request.runs, run=run.id).entries())]
    for connection in readers:
        with plainly("reading the watch", reading=True):
            found.append(events.fold_entries(run.id, ledger_watch.entries(connection, run.id)))
    return max(found, key=lambda each: each.count)


def _task(run: Run) -> Task | None:
    return run.started.task if run.started else None


def _environment(run: Run) -> str:
    return run.started.environment if run.started else ""


def _took_back(run: Run) -> bool:
    return _task(run) == "rollback" and bool(run.undone)


def _refused(run: Run) -> bool:
    return run.finished is not None and run.finished.state == "refused"


def _after(run: Run, back: Run | None) -> Run | None:
    return back if back and back.id > run.id else None
