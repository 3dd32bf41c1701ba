"""Which watch `invoke monitor` goes on with: the one that the target has open, whoever began it, or this machine's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import psycopg

from orchestrator.adapters import events, ledger, ledger_watch
from orchestrator.adapters.ledger_watch import KeptWatch
from orchestrator.adapters.postgres import plain_line
from orchestrator.adapters.runs import JournalCopy, RunFolder
from orchestrator.adapters.watch_folder import open_watch, watching_alone
from orchestrator.app.site import Site
from orchestrator.app.watch_keeping import STEP, WatchKeeping
from orchestrator.app.work import find_work
from orchestrator.core import chain
from orchestrator.core.chain import Flaw
from orchestrator.core.entry import Entry
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import CannotConnect, OrchestratorError, Refused
from orchestrator.core.run import Run

READ_WITHIN_S: Final = 60.0
"""A watch of days by the second has many megabytes of samples."""


def going_on(site: Site, stack: ExitStack, run: str | None, *, every_s: float) -> tuple[Site, WatchKeeping] | None:
    """The open watch (of run `run`), ours until the stack ends, its folder whole; None when there is none.

    Raises Refused while somebody else is at it, and when its chain is broken.
    """
    here = open_watch(site.request.runs, site.environment.name, run)
    there = _in_target(site, run, alone=here is None)
    if here and not (there and there.id == here[0].run):
        here = _on_this_machine(site, run)
    if there and _completed(site, there, every_s):
        # It had its end here already, when the database was away.
        return going_on(site, stack, run, every_s=every_s)
    if there and (here is None or here[1] == there.of or here[0].run < there.id):
        return _taken_over(site, stack, there, every_s)
    if here is None:
        return None
    folder, of = here
    stack.enter_context(watching_alone(folder))
    _refuse_broken(folder, tuple(folder.entries()))
    # The target is asked when the next sample is brought: it may be away now.
    taken = site.taking_up(events.fold_entries(folder.run, folder.entries()))
    return taken, keeping_of(taken, stack, of, every_s=every_s)


def keeping_of(site: Site, stack: ExitStack, of: str, *, every_s: float) -> WatchKeeping:
    """What keeps the watch of a site's own run in the target; given back when the stack ends."""
    keeping = WatchKeeping(server=site.server, screen=site.screen, run=site.run, of=of, every_s=every_s)
    stack.callback(keeping.release)
    return keeping


def _in_target(site: Site, run: str | None, *, alone: bool) -> KeptWatch | None:
    """The open watch that the target has; none where it cannot be asked.

    Raises CannotConnect when there is nothing else to go on with.
    """
    try:
        with site.server.connect(STEP) as connection:
            ledger_watch.prepare(connection)
            with connection.transaction():
                if ledger_watch.hindrance(connection):
                    return None
                return ledger_watch.open_watch(connection, site.environment.name, run)
    except CannotConnect:
        if alone:
            raise
        return None
    except (psycopg.Error, OrchestratorError):
        return None


def _on_this_machine(site: Site, run: str | None) -> tuple[RunFolder, str] | None:
    """The open watch of this machine; one that ended on another is completed here, and told."""
    while True:
        found = open_watch(site.request.runs, site.environment.name, run)
        if found is None or not _ended_elsewhere(site, found[0]):
            return found
        site.screen.line(
            f"the watch {found[0].run} of run {found[1]} has ended on another machine; its folder is whole"
        )


def _ended_elsewhere(site: Site, folder: RunFolder) -> bool:
    try:
        with site.server.connect(STEP) as connection, connection.transaction():
            if not ledger_watch.readable(connection):
                return False
            found = ledger_watch.watch_of(connection, folder.run)
            if found is None or not found.head.closed:
                return False
            held = ledger_watch.entries(connection, folder.run)
    except (psycopg.Error, OrchestratorError):
        return False
    with watching_alone(folder):
        _rebuild(site, folder, found, held)
    return True


def _completed(site: Site, there: KeptWatch, every_s: float) -> bool:
    """Bring the end of a watch that only its folder here has; false when there is no such end.

    Raises LeaseLost, and Refused where the end is not taken: nothing may follow it.
    """
    folder = RunFolder(root=site.request.runs, run=there.id)
    known = tuple(folder.entries())
    if not chain.has_ended(known) or not there.free or not there.ends_in(known):
        return False
    with watching_alone(folder):
        keeping = WatchKeeping(server=site.server, screen=site.screen, run=there.id, of=there.of, every_s=every_s)
        if not keeping.bring(known, last=True):
            message = (
                f"{site.environment.name}: watch {there.id} has ended here, and its end cannot be brought: try again"
            )
            raise Refused(message)
    return True


def _taken_over(site: Site, stack: ExitStack, there: KeptWatch, every_s: float) -> tuple[Site, WatchKeeping]:
    """The watch that the target has open, in a folder of this machine. Raises Refused."""
    if not there.free:
        raise _watched(site, there)
    folder = RunFolder(root=site.request.runs, run=there.id)
    stack.enter_context(watching_alone(folder))
    keeping = WatchKeeping(server=site.server, screen=site.screen, run=there.id, of=there.of, every_s=every_s)
    stack.callback(keeping.release)
    try:
        with keeping.connected(READ_WITHIN_S) as connection:
            taken = keeping.take(connection, there)
            # The row is ours until the commit: head and entries belong together.
            now = ledger_watch.watch_of(connection, there.id) or there
            held = ledger_watch.entries(connection, there.id) if taken else ()
    except psycopg.Error as error:
        message = f"{site.environment.name}: the watch {there.id} cannot be read there: {plain_line(error)}"
        raise Refused(message) from error
    if not taken:
        raise _watched(site, now)
    _rebuild(site, folder, now, held)
    before = there.lease
    told = f"last sample at {before.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC from {before.owner.host}"
    site.screen.line(f"watch {there.id}: {told}")
    found = site.taking_up(events.fold_entries(folder.run, folder.entries()))
    keeping.server, keeping.head = found.server, len(held)
    return found, keeping


def _watched(site: Site, by: KeptWatch) -> Refused:
    message = (
        f"{site.environment.name}: run {by.of} is watched already: {by.lease.told()}; stop that one, or wait until its"
        f" lease has ended, then type the same again"
    )
    return Refused(message)


def _rebuild(site: Site, folder: RunFolder, there: KeptWatch, held: Sequence[Entry]) -> None:
    """Make the folder what the target says, and keep what only this machine has. Raises Refused when one is broken."""
    flaw = chain.chain_flaw(there.id, held) or chain.head_flaw(held, there.head)
    flaw = flaw or (None if held else Flaw(seq=1, problem="it has no event"))
    if flaw is not None:
        place, watch = site.environment.name, there.id
        message = f"{place}: the chain of watch {watch} is broken in the database: {flaw.problem}"
        raise Refused(f"{message}; invoke verify --env {place}{site.server.where} --run {watch} says more")
    known = tuple(folder.entries())
    _refuse_broken(folder, known)
    common = chain.common(held, known)
    if common == len(held):
        # The same, or what waits here to be brought.
        return
    lost = known[common:]
    JournalCopy(folder=folder).rebuild(held, lost)
    if lost:
        told = f"{counted(len(lost), 'event')} of this machine not brought before another went on"
        site.screen.line(f"{told}: kept in {folder.path}, beside the journal")


def _refuse_broken(folder: RunFolder, known: Sequence[Entry]) -> None:
    flaw = chain.chain_flaw(folder.run, known)
    if flaw is not None:
        message = f"{folder.path}: the journal was touched: {flaw.problem}; move that folder away, or restore it"
        raise Refused(message)


def deployment_to_watch(site: Site, run: str | None) -> Run:
    """The run to watch: it stands in the ledger, and something of it is in effect. Raises Refused."""
    name = site.environment.name
    with site.server.session(STEP, read_only=True) as connection:
        if ledger.version_of(connection) is None:
            message = (
                f"{name}: nothing was deployed there, or invoke ledger --uninstall took its record away, so there is"
                f" nothing to watch: {site.server.command('deploy')}"
            )
            raise Refused(message)
        try:
            return find_work(connection, run, name).run
        except Refused as error:
            message = f"nothing to watch: {error}"
            raise Refused(message) from error
