"""The thread that tells people: it takes what is on record, and never keeps the run waiting.

The run's thread hands entries over and takes back what was delivered, to put it on record; that is all they share.
Slack's library is loaded here, too, so that a run without Slack pays nothing for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from orchestrator.adapters.outbox import Kept, RunOutbox
from orchestrator.core.entry import Entry
from orchestrator.core.journal import DeliveryGivenUp, Event

if TYPE_CHECKING:
    from orchestrator.adapters.sending import Sender

END_WITHIN_S: Final = 5.0
"""How long the end of a run waits for the rest of its messages, at most."""

FIRST_S, MOST_S = 0.5, 10.0
"""Between attempts while Slack does not answer: doubled each time."""

WAKE: Final = None
"""Handed over to say that there is something to look at beside entries."""

SenderOf = Callable[[Callable[[RunOutbox, Kept], None]], "Sender"]


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """Delivers the messages of one run and what earlier runs left over. `make` makes the sender, in the thread.

    `own` is None where no run has begun; `older` come after it.
    """

    make: SenderOf
    own: RunOutbox | None
    older: Sequence[RunOutbox] = ()
    _entries: SimpleQueue[Entry | None] = field(init=False, default_factory=SimpleQueue)
    _told: SimpleQueue[Event] = field(init=False, default_factory=SimpleQueue)
    _until: float | None = field(init=False, default=None)
    _refused: bool = field(init=False, default=False)
    _read: bool = field(init=False, default=False)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread = threading.Thread(target=self._run, name="slack", daemon=True)
        self._thread.start()

    def follow(self, entry: Entry) -> None:
        """Take an entry that is on record; returns at once."""
        self._entries.put(entry)

    def delivered(self) -> Iterator[Event]:
        """What became of messages since this was last asked, for the record."""
        with suppress(Empty):
            while True:
                yield self._told.get_nowait()

    def end(self) -> Iterator[Event]:
        """Nothing more will come: deliver the rest for at most 5 s, and give back what the chain has not taken."""
        self._until = time.monotonic() + END_WITHIN_S
        self._entries.put(WAKE)
        if self._thread is not None:
            self._thread.join(END_WITHIN_S)
        yield from self.delivered()

    def _run(self) -> None:
        try:
            self._deliver(self.make(self._hear))
        except Exception as error:  # noqa: BLE001  whatever it was: telling never breaks the work
            # Its own words might hold what is nobody's business; what was not told stays marked as waiting.
            self._told.put(DeliveryGivenUp(reason=f"Slack: {type(error).__name__}"))
        finally:
            for box in self._boxes():
                box.release()

    def _boxes(self) -> tuple[RunOutbox, ...]:
        return (self.own, *self.older) if self.own is not None else tuple(self.older)

    def _hear(self, box: RunOutbox, event: Kept) -> None:
        if box is self.own:
            self._told.put(event)

    def _deliver(self, sender: Sender) -> None:
        from orchestrator.adapters.slack import NotDelivered, RefusedForGood

        older = [box for box in self.older if box.claim()]
        for box in older:
            box.read()
        pause, delay, barred = 0.0, FIRST_S, 0.0
        while True:
            self._take(max(pause, barred - time.monotonic()))
            boxes = [box for box in (*self._mine(), *older) if not box.done]
            if self._over(boxes, barred):
                return
            if time.monotonic() < barred:
                continue
            try:
                pause, delay = _once(sender, boxes), FIRST_S
            except NotDelivered as error:
                pause, delay = delay, min(MOST_S, delay * 2)
                if error.retry_after_s is not None:
                    pause, barred = 0.0, time.monotonic() + error.retry_after_s
                if self._until is not None and error.away:
                    return
            except RefusedForGood as error:
                self._told.put(DeliveryGivenUp(reason=f"Slack: {error}"))
                return

    def _mine(self) -> tuple[RunOutbox, ...]:
        """The run of this process, from its first event on."""
        return (self.own,) if self.own is not None and self.own.latest is not None and self.own.claim() else ()

    def _take(self, pause: float) -> None:
        """Take in what is on record, and wait so long for Slack; entries that come meanwhile do not cut that short."""
        until = time.monotonic() + pause
        while True:
            left = until - time.monotonic()
            ending = self._until is not None
            try:
                entry = self._entries.get(timeout=max(0.0, left)) if left > 0 else self._entries.get_nowait()
            except Empty:
                return
            if entry is not None and self.own is not None:
                self._follow(self.own, entry)
            if self._until is not None and not ending:
                return

    def _follow(self, own: RunOutbox, entry: Entry) -> None:
        if not self._read:
            self._read = True
            if entry.seq > 1:
                # Taken up: what the process before us sent last may stand there without a record.
                own.read()
        own.take(entry)

    def _over(self, boxes: Sequence[RunOutbox], barred: float) -> bool:
        """Whether the end has come, and there is no more to do or no more time for it."""
        if self._until is None:
            return False
        if self.own is not None:
            self.own.end()
        return max(time.monotonic(), barred) > self._until or all(box.done for box in boxes)


def _once(sender: Sender, boxes: Sequence[RunOutbox]) -> float:
    """Send one thing of the first run that has something to send; in how many seconds to come again."""
    waits = []
    for box in boxes:
        wait = sender.once(box)
        if wait is None:
            return 0.0
        waits.append(wait)
    return min(waits, default=FIRST_S)
