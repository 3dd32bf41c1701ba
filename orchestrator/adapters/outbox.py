"""The outbox of one run beside its journal: what was delivered, kept in the run's folder, and what is still to come.

The journal's chain keeps the same while it is open, so that another machine knows. A closed chain takes no more; then
the file `slack.jsonl` is the record, and the file `slack.waiting` says that there is something left to do.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from typing import Final

from orchestrator.adapters import events
from orchestrator.adapters.runs import RunFolder
from orchestrator.core.entry import GENESIS, Entry
from orchestrator.core.journal import DeliveryGivenUp, MessageDelivered
from orchestrator.core.messages import Message, Outbox
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

DELIVERED: Final = "slack.jsonl"
WAITING: Final = "slack.waiting"

Kept = MessageDelivered | DeliveryGivenUp


@dataclass(slots=True, kw_only=True, eq=False)
class RunOutbox:
    """The messages of a run, as the thread sees them that delivers them. Of one thread only.

    `changed` tells that the run's own message is not as the run is; `ended` that this process takes no more of the run.
    """

    folder: RunFolder
    alive: bool = False
    ended: bool = False
    changed: bool = True
    run: Run = field(init=False)
    outbox: Outbox = field(init=False)
    latest: Entry | None = field(init=False, default=None)
    _hashes: set[str] = field(init=False, default_factory=set)
    _lock: BufferedWriter | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.run, self.outbox = Run(self.folder.run), Outbox(self.folder.run)

    def read(self) -> None:
        """Take in what is on record on this machine; what waits of it may have been sent already."""
        # A journal that cannot be read tells nothing, and others are told all the same.
        with suppress(Refused, OSError):
            for entry in self.folder.entries():
                self.take(entry)
        for event in self._kept():
            if isinstance(event, MessageDelivered):
                self.outbox.note_delivered(event)
            else:
                self.outbox.note_given_up(event)
        self.outbox.suspect()

    def take(self, entry: Entry) -> None:
        """Take one entry in, once; after a rewind the run is what the copy says."""
        if entry.hash in self._hashes:
            return
        if entry.previous != (self.latest.hash if self.latest else GENESIS):
            # What was lost has not happened: its messages are told no more, and those that were stay where they stand.
            self.run, self.latest = Run(self.folder.run), None
            self._hashes.clear()
            self.outbox.messages.clear()
            for each in self.folder.entries():
                if each.seq < entry.seq:
                    self._follow(each)
        self._follow(entry)

    def _follow(self, entry: Entry) -> None:
        events.take(self.run, entry)
        self._hashes.add(entry.hash)
        self.latest = entry
        event = events.decode(entry.kind, entry.data)
        if event is not None:
            self.outbox.see(entry, event)
        if not isinstance(event, Kept):
            self.changed = True

    def delivered(self, event: Kept) -> None:
        """Keep what became of a message, on disk first. A full disk only makes it uncertain for the next process."""
        if isinstance(event, MessageDelivered):
            self.outbox.note_delivered(event)
        else:
            self.outbox.note_given_up(event)
        kind, data = events.encode(event)
        with suppress(Refused):
            self.folder.append(DELIVERED, json.dumps({"kind": kind, "data": data}, ensure_ascii=False))

    def _kept(self) -> Iterator[Kept]:
        path = self.folder.path / DELIVERED
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            # A line that a crash cut off is left out.
            with suppress(ValueError, KeyError, TypeError):
                document = json.loads(line)
                event = events.decode(document["kind"], document["data"])
                if isinstance(event, Kept):
                    yield event

    def end(self) -> None:
        """Take no more of the run; one that has no end was interrupted."""
        if not self.ended:
            self.ended = True
            if self.run.finished is None:
                self.alive, self.changed = False, True

    @property
    def next(self) -> Message | None:
        """What is to be told next; the report only when the run has been written down."""
        waiting = self.outbox.waiting
        first = waiting[0] if waiting else None
        return first if first is None or first.part != "report" or self.ended else None

    @property
    def done(self) -> bool:
        """Whether everything is told that there was to tell."""
        return not self.outbox.waiting and not (self.changed and self.outbox.head)

    def claim(self) -> bool:
        """Be the one process that delivers this run's messages; false when another is."""
        if self._lock is None:
            try:
                file = self.folder.file(WAITING).open("ab")
            except (OSError, Refused):
                return False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return False
            self._lock = file
        return True

    def release(self) -> None:
        """Let go; the mark that something waits goes when nothing does."""
        if self._lock is None:
            return
        if self.done and self.run.finished is not None:
            with suppress(OSError):
                (self.folder.path / WAITING).unlink()
        self._lock.close()
        self._lock = None


def waiting_folders(root: Path) -> Iterable[RunFolder]:
    """The runs on this machine that have something left to tell, oldest first."""
    for path in sorted(root.glob(f"*/{WAITING}")):
        yield RunFolder(root=root, run=path.parent.name)


def waits_again(folder: RunFolder) -> None:
    """A run that was told of before has something new to tell, such as its end by hand."""
    if (folder.path / DELIVERED).exists():
        with suppress(OSError):
            (folder.path / WAITING).touch()
