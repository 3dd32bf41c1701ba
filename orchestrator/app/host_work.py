"""The commands on hosts of a site, there and back."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.adapters.host_hands import HostHands
from orchestrator.adapters.journal import RunJournal
from orchestrator.app.site import Site
from orchestrator.app.work import Work
from orchestrator.core.host_commands import Settled
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run
from orchestrator.steps.host_commands import HostCommands
from orchestrator.steps.host_walk_back import HostWalkBack


def host_commands(site: Site) -> HostCommands:
    """The step `hosts`."""
    return HostCommands(
        items=site.folder.on_hosts,
        hosts=site.environment.host,
        crew=_hands(site),
        walks_back=site.environment.policy.auto_rollback != "never",
        said=site.request.hosts_said,
    )


def hosts_back(site: Site, journal: RunJournal, work: Run, found: Work | None = None) -> tuple[str, ...]:
    """Take back what a run did on hosts: what could not be, line by line. Raises HeldBack, Refused."""
    walk = HostWalkBack(items=site.folder.on_hosts, hosts=site.environment.host, crew=_hands(site), recorder=journal)
    if found is None:
        return walk.walk(work)
    return walk.walk(work, gone=found.hosts_undone, again=found.hosts_again)


def hosts_said(run: Run, done: str | None, again: str | None) -> dict[str, Settled]:
    """What a person says of commands that were cut off. Raises Refused for a host where none was."""
    said: dict[str, Settled] = dict(_said(done, "done"))
    for name, word in _said(again, "again"):
        if name in said:
            message = f"host {name} is named by --host-done and by --host-again: which one?"
            raise Refused(message)
        said[name] = word
    open_ends = {host for (_, host), place in run.hosts.places.items() if place.state == "cut off"}
    unknown = sorted(said.keys() - open_ends)
    if unknown:
        message = f"host {unknown[0]}: no command of run {run.id} was cut off there" + (
            f"; it was on {', '.join(sorted(open_ends))}" if open_ends else ""
        )
        raise Refused(message)
    return said


def _said(names: str | None, word: Settled) -> Iterator[tuple[str, Settled]]:
    yield from ((name.strip(), word) for name in (names or "").split(",") if name.strip())


def _hands(site: Site) -> HostHands:
    return HostHands(limits=site.environment.policy.hosts, interruption=site.interruption)
