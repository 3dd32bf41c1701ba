"""How a run begins: confirmed by a person, beside no other open run, with its first event."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator import __version__
from orchestrator.adapters import ledger
from orchestrator.adapters.identity import identify
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core.approval import person_of
from orchestrator.core.decision import risk
from orchestrator.core.journal import (
    NotificationQueued,
    RunStarted,
    Task,
)
from orchestrator.core.outcome import (
    OpenRun,
    Refused,
)


def confirmed(site: Site, *, yes: bool, confirm: Callable[[str], bool]) -> None:
    """A production run asks for the environment's name. Raises Refused."""
    if site.environment.is_production and not yes and not confirm(site.environment.name):
        message = f"not confirmed: type {site.environment.name} when asked, or give --yes"
        raise Refused(message)


def refuse_open_run(site: Site, connection: Connection, *, but: str | None = None) -> None:
    """A run that is held or was interrupted is gone on with, or closed, before another begins. Raises OpenRun."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        others = [name for name in ledger.open_runs(connection, site.environment.name) if name != but]
    if others:
        name = site.environment.name
        message = (
            f"{name}: run {others[-1]} was held or interrupted: {site.server.resume} goes on with it,"
            f' {site.server.resume} --abandon "why" closes it'
        )
        raise OpenRun(message)


def begin(
    site: Site,
    journal: RunJournal,
    connection: Connection,
    *,
    task: Task,
    steps: tuple[str, ...],
    rolls_back: str | None = None,
    until: str | None = None,
    like: str | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """The first event: who, what, where, with which options."""
    user, target = os_user(), identify(connection)
    person = person_of(target.role, site.environment.people)
    journal.record(
        RunStarted(
            task=task,
            runbook=site.folder.runbook.name,
            environment=site.environment.name,
            kind=site.environment.kind,
            steps=steps,
            initiator=person or user,
            os_user=user,
            host=host_name(),
            version=__version__,
            target=target,
            dry_run=site.request.dry_run,
            rolls_back=rolls_back,
            lock_budget_ms=site.environment.policy.lock_timeout_ms,
            options=_options(site.request, until) | ({"like": like} if like else {}) | dict(options or {}),
            definition=site.definition(),
            person=person,
            decision=site.folder.decision,
            risk=risk(site.folder.runbook, site.folder.decision),
        )
    )
    journal.record(NotificationQueued(topic="started", about=task))


def _options(request: Request, until: str | None) -> dict[str, str]:
    """The options that change what a run does, and those that a next command has to repeat."""
    told = {"only": ",".join(request.only), "until": until or "", "where": request.where, **request.passage.options}
    return {key: value for key, value in told.items() if value}
