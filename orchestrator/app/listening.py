"""`invoke approve --listen`: the Slack buttons of all held runs of an environment, served until somebody ends it."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

from orchestrator.adapters import ledger_answers, ledger_clicks, points
from orchestrator.adapters.inventory import resolve
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.processes import host_name
from orchestrator.adapters.slack_socket import Delivery, SlackSocket, ended_by_signals
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core import approval
from orchestrator.core.backoff import full_jitter
from orchestrator.core.clicks import Again, Click, Counts, Declined, Meaning, meaning
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, CannotConnect, ConnectionLost, OrchestratorError, Refused

LOOK_S = 0.2
"""How soon a signal is seen."""

DONE = {"approve": "approved", "deny": "denied", "accept": "accepted"}

FIRST_DELAY_MS, MOST_DELAY_MS = 100.0, 2000.0


@dataclass(slots=True, kw_only=True)
class Listener:
    """Takes one delivery after the other: journals what counts, acknowledges, and then tells who has to know."""

    site: Site
    socket: SlackSocket
    role: str
    stop: threading.Event
    counted: int = 0
    declined: int = 0

    def serve(self) -> None:
        """Until `stop` is set and nothing that arrived is left."""
        while (delivery := self.socket.next(LOOK_S)) is not None or not self.stop.is_set():
            if delivery is not None:
                self._take(delivery)

    def _take(self, delivery: Delivery) -> None:
        try:
            dealt = [(click, self._journalled(click)) for click in delivery.clicks]
        except OrchestratorError as error:
            # Not acknowledged: Slack shows the person that it failed, or delivers it again.
            self.site.screen.line(f"{error}", status="not counted")
            for click in delivery.clicks:
                self.socket.whisper(
                    click, f"Not counted, please click again later: the database of {self._name} is away"
                )
            return
        self.socket.acknowledge(delivery)
        for click, found in dealt:
            self._tell(click, found)

    def _journalled(self, click: Click) -> Meaning:
        """What the click means; what counts is on record. Raises ConnectionLost, CannotConnect."""
        until = time.monotonic() + self.site.environment.policy.reconnect_within_s
        delays = full_jitter(first_ms=FIRST_DELAY_MS, most_ms=MOST_DELAY_MS, random=random.Random())  # noqa: S311
        while True:
            try:
                with self.site.server.session("listen") as connection:
                    return self._decided(connection, click)
            except Refused as refused:
                if not isinstance(refused, CannotConnect):
                    return Declined(reason=str(refused))
                lost: OrchestratorError = refused
            except ConnectionLost as error:
                # The click may be on record: its key makes a second try the same one.
                lost = error
            delay = next(delays) / 1000
            if time.monotonic() + delay > until or self.stop.wait(delay):
                raise lost

    def _decided(self, connection: Connection, click: Click) -> Meaning:
        runs = {each.id: each for each in ledger_answers.open_runs(connection, self._name)}
        found = meaning(
            click,
            environment=self._name,
            runs=runs,
            given=ledger_clicks.answers_so_far(connection, click.button.run),
            people=self.site.environment.people,
            approvals=self.site.environment.policy.approvals,
            listener=self.role,
        )
        if not isinstance(found, Counts):
            return found
        run, runbook = runs[click.button.run], self.site.folder.runbook.name
        fresh = ledger_clicks.give_click(connection, click, found, run, runbook=runbook, host=host_name())
        points.reached("click:journalled")
        return found if fresh else Again(person=found.person)

    def _tell(self, click: Click, found: Meaning) -> None:
        what = f"run {click.button.run} by"
        match found:
            case Counts(person=person, asked=asked):
                self.counted += 1
                self.site.screen.line(f"{what} {person} (slack {click.slack})", status=DONE[asked.answer])
                self.socket.whisper(click, f"{DONE[asked.answer]}: {self.site.server.resume} hears it")
            case Again(person=person):
                self.site.screen.line(f"{click.pressed} of {what} {person} (slack {click.slack})", status="again")
            case Declined(reason=reason):
                self.declined += 1
                line = f"{click.pressed} of {what} slack {click.slack}: {reason}"
                self.site.screen.line(line, status="declined")
                self.socket.whisper(click, f"Not counted: {reason}")

    @property
    def _name(self) -> str:
        return self.site.environment.name


def listen(request: Request, *, stop: threading.Event | None = None) -> Answer:
    """Serve the buttons until a signal, or `stop`, ends it. Raises Refused."""
    ending = stop or threading.Event()
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        # Without `database.role`: what is written is proved by the role that logged in.
        site = replace(site, server=replace(site.server, role=None))
        socket = _socket(site)
        stack.enter_context(ended_by_signals(ending))
        with site.server.session("listen") as connection:
            role = ledger_clicks.listening_role(connection)
        owners = approval.persons(role, site.environment.people)
        if owners:
            message = f"role {role} is that of {' and '.join(owners)}: clicks under it prove nobody"
            raise Refused(f"{message}; the listener needs a login role of its own")
        with socket.connected():
            site.screen.line(
                f"clicks on buttons of {site.environment.name} as role {role}; Ctrl-C ends it", status="serving"
            )
            listener = Listener(site=site, socket=socket, role=role, stop=ending)
            listener.serve()
    document = {"environment": site.environment.name, "counted": listener.counted, "declined": listener.declined}
    site.screen.line(f"{counted(listener.counted, 'click')} counted, {listener.declined} declined", status="ended")
    return Answer(document=document, exit_code=EXIT_DONE)


def alone(**others: object) -> None:
    """Nothing is said with --listen: who clicks says it. Raises Refused."""
    given = next((name for name, value in others.items() if value), None)
    if given is not None:
        message = f"--listen serves what people click: --{given} does not go with it"
        raise Refused(message)


def _socket(site: Site) -> SlackSocket:
    settings, name = site.environment.slack, site.environment.name
    if settings is None or settings.app_token is None:
        message = f"{name}: buttons need [slack] with channel, token and app_token"
        raise Refused(message)
    if not any(person.slack and person.approver for person in site.environment.people.values()):
        message = f'{name}: nobody of [people] is an approver with slack = "U…": no click could count'
        raise Refused(message)
    return SlackSocket(
        token=resolve(settings.token, place=f"{name}: slack.token"),
        app_token=resolve(settings.app_token, place=f"{name}: slack.app_token"),
        base_url=settings.base_url,
        tell=lambda text: site.screen.line(text, status="note"),
    )
