"""Telling people of a run while it goes on: who listens to its journal, and what is left when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters import events
from orchestrator.adapters.delivery import Delivery
from orchestrator.adapters.inventory import resolve
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.outbox import Kept, RunOutbox, waiting_folders
from orchestrator.adapters.runs import RunFolder
from orchestrator.app.finishing import REPORTS
from orchestrator.app.site import Site
from orchestrator.core.clicks import Button, button_of
from orchestrator.core.inventory import Secret, Slack
from orchestrator.core.journal import DeliveryGivenUp, Event, RunStarted
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run
from orchestrator.core.summary import summarize

if TYPE_CHECKING:
    from orchestrator.adapters.sending import Sender

Attach = Callable[[RunJournal], None]
Told = Callable[[RunOutbox, Kept], None]


@contextmanager
def telling(site: Site) -> Iterator[Attach]:
    """Deliver messages while the block lasts, of the run whose journal is attached and of earlier ones.

    Without `[slack]` nothing happens. The end takes at most 5 s more, and an interruption there breaks nothing.
    """
    deliveries: list[Delivery] = []
    try:
        yield partial(_attach, site, deliveries)
        deliveries.extend(_left_alone(site) if not deliveries else ())
    finally:
        with suppress(KeyboardInterrupt):
            for delivery in deliveries:
                _say(site, delivery.end())


def _attach(site: Site, deliveries: list[Delivery], journal: RunJournal) -> None:
    settings = site.environment.slack
    if settings is None:
        return
    # Said once, by whichever journal has it on record.
    journal.listeners.append(lambda event, _: _say(site, (event,)))
    run = RunFolder(root=site.request.runs, run=journal.file.folder.run)
    try:
        made = _delivery(site, settings, RunOutbox(folder=run, alive=True))
    except Refused as error:
        left: list[Event] = [DeliveryGivenUp(reason=f"Slack: {error}")]
        journal.delivered = lambda: (left.pop(),) if left else ()
        return
    journal.followers.append(made.follow)
    journal.delivered = made.delivered
    deliveries.append(made)


def _left_alone(site: Site) -> Iterator[Delivery]:
    """What earlier runs left, where none was begun now: one that was closed by hand has something to tell."""
    settings = site.environment.slack
    if settings is not None and any(left_over(site.request.runs, site.environment.name)):
        with suppress(Refused):
            yield _delivery(site, settings, None)


def _delivery(site: Site, settings: Slack, own: RunOutbox | None) -> Delivery:
    """Deliver from now on. Raises Refused when there is no token."""
    token, runs = token_of(settings), site.request.runs
    asks = partial(button_of, site.environment.name, approvals=site.environment.policy.approvals)
    older = tuple(left_over(runs, site.environment.name, but=own.folder.run if own else ""))
    made = Delivery(make=lambda told: sender_for(settings, token, told, runs=runs, asks=asks), own=own, older=older)
    made.start()
    return made


def _say(site: Site, told: Iterable[Event]) -> None:
    """What cannot be delivered is told once on the terminal; the report has it from the journal."""
    for event in told:
        if isinstance(event, DeliveryGivenUp):
            site.screen.line(f"{event.reason}; the run goes on, and {site.server.command('notify')} --test says more")


def token_of(settings: Slack) -> Secret:
    """The token. Raises Refused, which says where it was looked for."""
    try:
        return resolve(settings.token, place="slack.token")
    except Refused as error:
        message = f"slack.token: there is none in {settings.token}"
        raise Refused(message) from error


def left_over(runs: Path, environment: str, *, but: str = "") -> Iterator[RunOutbox]:
    """The outboxes of an environment's runs that have something left to tell on this machine, oldest first."""
    for folder in waiting_folders(runs):
        if folder.run != but and _environment_of(folder) == environment:
            yield RunOutbox(folder=folder, ended=True)


def _environment_of(folder: RunFolder) -> str:
    """Whose run it was, by its first entry; empty when that cannot be read."""
    with suppress(Refused, OSError):
        first = next(folder.entries(), None)
        event = events.decode(first.kind, first.data) if first else None
        return event.environment if isinstance(event, RunStarted) else ""
    return ""


def sender_for(
    settings: Slack, token: Secret, told: Told, *, runs: Path, asks: Callable[[Run], Button | None]
) -> Sender:
    """A sender to the channel of an environment; loads Slack's library. Without an app token nobody can listen."""
    from orchestrator.adapters.sending import Sender
    from orchestrator.adapters.slack import SlackChannel

    def path_of(run: Run) -> str:
        path = runs / run.id / REPORTS["html"]
        # It is written after the run's last event, and the message has told the end by then.
        return str(path) if run.finished is not None or path.exists() else ""

    channel = SlackChannel(settings=settings, token=token)
    buttons = asks if settings.app_token else lambda _: None
    return Sender(channel=channel, told=told, report_of=partial(_report_of, runs), path_of=path_of, asks=buttons)


def _report_of(runs: Path, run: Run) -> str:
    """The report as it may leave this machine: what was sampled of orphans stays here, whatever its file has."""
    from orchestrator.adapters.render import report

    summary = summarize(run, alive=False)
    path = runs / run.id / REPORTS["html"]
    if path.exists() and not RunFolder(root=runs, run=run.id).samples():
        return path.read_text(encoding="utf-8")
    return report(summary, format="html", samples={}, budget_ms=summary.lock_budget_ms)
