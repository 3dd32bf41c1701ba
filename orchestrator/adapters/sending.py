"""What is sent next: one message of one run, in order, each once; after an uncertain outcome Slack is read first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from orchestrator.adapters import points
from orchestrator.adapters.outbox import Kept, RunOutbox
from orchestrator.adapters.slack import NotDelivered, RefusedForGood, SlackChannel
from orchestrator.adapters.slack_words import Said, alert, line, run_message
from orchestrator.core.clicks import Button
from orchestrator.core.journal import DeliveryGivenUp, MessageDelivered
from orchestrator.core.messages import Message, Place, standing
from orchestrator.core.run import Run
from orchestrator.core.summary import Summary, summarize

EVERY_S: Final = 1.5
"""The least time between two changes of the run's message; Slack allows about 50 a minute."""

SHARE: Final = 20
"""Making the words takes at most one in so many parts of the time: a large run is told of more rarely."""

CLOCKS: Final = timedelta(hours=1)
"""How far the database's clock and Slack's may differ."""

ReportOf = Callable[[Run], str]
PathOf = Callable[[Run], str]
Asks = Callable[[Run], Button | None]


@dataclass(slots=True, kw_only=True)
class Sender:
    """Delivers to one channel. `told` hears what became of each message; `report_of` makes the report of a run.

    `asks` gives the button for what a held run asks, where somebody may listen for clicks.
    """

    channel: SlackChannel
    told: Callable[[RunOutbox, Kept], None]
    report_of: ReportOf
    path_of: PathOf
    asks: Asks = lambda _: None
    _at: dict[str, float] = field(init=False, default_factory=dict)
    _cost: dict[str, float] = field(init=False, default_factory=dict)

    def once(self, box: RunOutbox) -> float | None:
        """Send one thing; None when something was sent, otherwise in how many seconds to come again.

        Raises NotDelivered, RefusedForGood when Slack refuses everything.
        """
        if box.run.started is None:
            return EVERY_S
        message = box.next
        if box.changed and box.outbox.place is not None:
            wait = self._wait(box)
            if wait <= 0:
                self._change(box, box.outbox.place)
                return None
            if message is None:
                return wait
        if message is None:
            return EVERY_S
        self._send(box, message)
        return None

    def _wait(self, box: RunOutbox) -> float:
        if box.run.finished is not None:
            return 0.0
        pause = max(EVERY_S, SHARE * self._cost.get(box.run.id, 0.0))
        return self._at.get(box.run.id, 0.0) + pause - time.monotonic()

    def _change(self, box: RunOutbox, place: Place) -> None:
        """The run's message as the run is now: however much has happened, one change tells it."""
        head = box.outbox.head
        said = self._run_message(box)
        try:
            self.channel.change(place, said, name=head.id if head else "", run=box.run.id)
        except RefusedForGood as error:
            # Somebody took the message away: there is nothing to change any more, and the thread goes on.
            if error.whole:
                raise
        self._at[box.run.id] = time.monotonic()
        box.changed = False

    def _run_message(self, box: RunOutbox) -> Said:
        began = time.perf_counter()
        summary = self._summary(box)
        latest = box.latest.at if box.latest else None
        said = run_message(summary, standing(box.run, latest), report=self.path_of(box.run)) if latest else None
        self._cost[box.run.id] = time.perf_counter() - began
        if said is None:
            message = "a message of a run without events"
            raise RuntimeError(message)
        return said

    def _summary(self, box: RunOutbox) -> Summary:
        return summarize(box.run, alive=box.alive)

    def _send(self, box: RunOutbox, message: Message) -> None:
        if message.id in box.outbox.uncertain and self._found(box, message):
            return
        try:
            place = self._put(box, message)
        except NotDelivered as error:
            if error.uncertain:
                box.outbox.uncertain.add(message.id)
            raise
        except RefusedForGood as error:
            self._refused(box, message, error)
            return
        points.reached("slack:sent")
        self._tell(box, message, place)
        if message.part == "run":
            self._at[box.run.id] = time.monotonic()
            box.changed = False

    def _put(self, box: RunOutbox, message: Message) -> Place:
        """Raises NotDelivered, RefusedForGood."""
        head, run = box.outbox.place, box.run.id
        if message.part == "run":
            return self.channel.post(self._run_message(box), name=message.id, run=run)
        if message.topic == "audit":
            return self.channel.post(alert(message, self._summary(box), link=""), name=message.id, run=run)
        if head is None:
            error = "no message of the run to write under"
            raise RefusedForGood(error, whole=True)
        if message.part == "line":
            return self.channel.post(line(message, self._summary(box)), name=message.id, run=run, thread=head.ts)
        if message.part == "alert":
            said = alert(message, self._summary(box), link=self.channel.link(head), button=self.asks(box.run))
            return self.channel.post(said, name=message.id, run=run)
        name, title = filename(message), f"Report of run {run}"
        file = self.channel.upload(self.report_of(box.run), filename=name, title=title, under=head)
        return Place(channel=head.channel, ts=file)

    def _refused(self, box: RunOutbox, message: Message, error: RefusedForGood) -> None:
        """A report that Slack will not take is not worth the messages after it. Raises RefusedForGood for all else."""
        if message.part == "run" or (error.whole and message.part != "report"):
            raise error
        self._tell_event(box, DeliveryGivenUp(reason=f"{message.part}: {error}", message=message.id))

    def _found(self, box: RunOutbox, message: Message) -> bool:
        """Whether the message stands in Slack already; everything else that is found there is noted, too."""
        if not self.channel.reads:
            return False
        try:
            stands = self._standing(box, message)
        except RefusedForGood:
            # Without the right to read, delivery is at least once.
            self.channel.reads = False
            return False
        for each in box.outbox.waiting:
            place = stands.get(each.id) or stands.get(filename(each))
            if each.id in box.outbox.uncertain and place is not None:
                self._tell(box, each, place)
        beside = message.part in {"run", "alert"}
        box.outbox.uncertain -= {each.id for each in box.outbox.waiting if (each.part in {"run", "alert"}) == beside}
        return message.id in box.outbox.delivered

    def _standing(self, box: RunOutbox, message: Message) -> dict[str, Place]:
        head, began = box.outbox.place, box.run.started_at
        if message.part in {"run", "alert"} and began is not None:
            return dict(self.channel.beside(began - CLOCKS))
        return dict(self.channel.under(head)) if head else {}

    def _tell(self, box: RunOutbox, message: Message, place: Place) -> None:
        event = MessageDelivered(message=message.id, part=message.part, channel=place.channel, ts=place.ts)
        self._tell_event(box, event)

    def _tell_event(self, box: RunOutbox, event: Kept) -> None:
        box.delivered(event)
        self.told(box, event)


def filename(message: Message) -> str:
    """What the report is called in Slack: the name by which it is found again."""
    run, seq, digest = message.id.split("/")[:3]
    return f"report-{run}-{seq}-{digest[:6]}.html"
