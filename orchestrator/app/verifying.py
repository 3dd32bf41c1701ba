"""`invoke verify`: the chain of a run, in the database and in the copy, against each other."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace

from orchestrator.adapters import ledger, ledger_watch
from orchestrator.adapters.ledger_copy import taken_away
from orchestrator.adapters.postgres import plainly
from orchestrator.adapters.runs import RunFolder
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.reading import latest
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core.chain import Examined, chain_flaw, common, examine
from orchestrator.core.entry import Entry, Head
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused


def verify(request: Request, *, run: str | None) -> Answer:
    """Examine a run, by default the environment's last. Exit 0 when it is whole, or rewound on record."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        name = run or latest(request)
        found = _examined(site, RunFolder(root=request.runs, run=name))
        _show(site, found)
    good = found.state == "whole" or (found.state == "rewound" and found.acknowledged)
    document = {**asdict(found), "missing_in_copy": found.missing_in_copy}
    return Answer(document=document, exit_code=EXIT_DONE if good else EXIT_FAILED)


def _examined(site: Site, folder: RunFolder) -> Examined:
    with site.server.session("verify") as connection, plainly("reading the journal", reading=True):
        kept = tuple(ledger.entries(connection, folder.run))
        head = ledger.head(connection, folder.run)
        watch = None if head else ledger_watch.head(connection, folder.run)
        if watch is not None:
            kept, head = ledger_watch.entries(connection, folder.run), watch
        gone = taken_away(connection, folder, site.environment.name) if not kept and head is None else None
    try:
        copy = tuple(folder.entries()) or None
        lost = tuple(folder.lost())
    except Refused as error:
        return Examined(run=folder.run, state="unknown", problem=str(error), events=len(kept))
    if watch is not None:
        return _watch(folder.run, kept, watch, copy, len(lost))
    if gone and copy:
        flaw = chain_flaw(folder.run, copy)
        told = flaw.problem if flaw else f"{gone}: the copy is whole in itself, and nothing is left to compare it with"
        return Examined(
            run=folder.run,
            state="forged" if flaw else "unknown",
            problem=told,
            copied=len(copy),
            first=flaw.seq if flaw else None,
        )
    if not kept and head is None and copy is None:
        message = f"run {folder.run} is neither in the ledger of {site.environment.name} nor in {folder.root}"
        raise Refused(message)
    if not kept and head is None and copy and not any(each.kind == "ledger_opened" for each in copy):
        message = f"run {folder.run} never had a ledger (refused, or a dry run): there is nothing to compare"
        raise Refused(message)
    return examine(folder.run, ledger=kept, head=head, copy=copy, lost=lost)


def _watch(run: str, kept: tuple[Entry, ...], head: Head, copy: tuple[Entry, ...] | None, beside: int) -> Examined:
    """A watch is written here first: what the database does not have, or not yet, is no event that it lost."""
    waiting = len(copy) - len(kept) if copy and common(kept, copy) == len(kept) else 0
    found = examine(run, ledger=kept, head=head, copy=copy[: len(kept)] if copy and waiting else copy)
    told = [f"{counted(waiting, 'event')} not brought yet"] if waiting else []
    told += [f"{counted(beside, 'event')} kept beside the journal: another machine went on without"] if beside else []
    return replace(found, problem="; ".join(told)) if found.state == "whole" and told else found


def _show(site: Site, found: Examined) -> None:
    counts = f"{counted(found.events, 'event')} in the database, {found.copied} in the copy"
    at = f" (event {found.first})" if found.first is not None and found.state != "whole" else ""
    site.screen.line(f"run {found.run}: {counts}{at}", status=found.state)
    if found.problem:
        site.screen.line(f"  {found.problem}")
