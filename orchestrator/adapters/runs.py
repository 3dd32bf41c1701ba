"""The folder `runs/`: a copy of each run's journal, what must not leave this machine, and the reports."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from orchestrator.adapters import events, points
from orchestrator.core.entry import Entry, entry_hash
from orchestrator.core.journal import Event, RunFinished
from orchestrator.core.outcome import Refused, RunState
from orchestrator.core.ports import Orphans
from orchestrator.core.run import Run

JOURNAL = "journal.jsonl"
LOST = "lost.jsonl"
SAMPLES = "samples.jsonl"

LAST = "run_finished"
SYNC_S = 0.1
"""How often the copy is forced to the disk while many events come; a disk takes about 1 ms for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """The folder of one run below `runs/`; made when something is first written, readable by its owner only."""

    root: Path
    run: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.root / self.run

    def file(self, name: str) -> Path:
        """A file in it, its folder made. Raises Refused when the folder cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            message = f"{self.path}: cannot be written ({error.strerror}); choose another folder with --runs"
            raise Refused(message) from error
        return self.path / name

    def append(self, name: str, line: str, *, durable: bool = True) -> None:
        """Append a line, to disk where it is a record. Raises Refused when the folder or its disk does not allow it."""
        path = self.file(name)
        whole = 0
        try:
            with path.open("ab") as file:
                whole = file.tell()
                file.write((line + "\n").encode())
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        except OSError as error:
            # Half a line would take the next one with it.
            with suppress(OSError):
                os.truncate(path, whole)
            message = f"{self.path / name}: cannot be written ({error.strerror})"
            raise Refused(message) from error
        points.reached(f"file:{name}")

    def replace(self, name: str, text: str) -> Path:
        """Write a file so that a reader sees the old text or the new one, never half of it. Raises Refused."""
        path = self.file(name)
        new = path.with_name(f".{name}.new")
        try:
            # Beside it: only within one file system is a rename one step (rename(2)).
            new.write_text(text, encoding="utf-8", errors="replace")
            new.replace(path)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            message = f"{path}: cannot be written ({error.strerror})"
            raise Refused(message) from error
        return path

    def entries(self) -> Iterator[Entry]:
        """The copy of the journal, as far as it was written."""
        yield from self._read(JOURNAL)

    def lost(self) -> Iterator[Entry]:
        """Events that the ledger no longer had when it was found rewound; this machine kept them."""
        yield from self._read(LOST)

    def _read(self, name: str) -> Iterator[Entry]:
        path = self.path / name
        if path.exists():
            try:
                with path.open("rb") as file:
                    yield from events.read_lines(line.decode() for line in file if line.endswith(b"\n"))
            except (ValueError, KeyError, TypeError) as error:
                message = f"{path} is no journal ({error}); move it away, or restore it"
                raise Refused(message) from error

    def samples(self) -> Mapping[str, list[Mapping[str, str | None]]]:
        """The sampled orphan keys per relation that are kept on this machine only; the latest count of each."""
        path = self.path / SAMPLES
        found: dict[str, list[Mapping[str, str | None]]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                # A line that a crash cut off is left out.
                with suppress(ValueError, KeyError, TypeError):
                    document = json.loads(line)
                    found[document["relation"]] = document["sample"]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Keeps sampled keys as the policy says: on this machine, in the ledger too, or nowhere."""

    folder: RunFolder
    policy: str

    def keep(self, found: Orphans) -> tuple[Mapping[str, str | None], ...]:
        """Keep a sample; what may enter the ledger comes back."""
        if found.sample and self.policy != "nowhere":
            document = {"relation": found.relation.id, "sample": found.sample}
            # A sample that cannot be kept is no reason to stop: the query shows the rows at any time.
            with suppress(Refused):
                self.folder.append(SAMPLES, json.dumps(document, ensure_ascii=False))
        return found.sample if self.policy == "everywhere" else ()


@dataclass(slots=True, kw_only=True)
class JournalCopy:
    """The copy of a ledger's journal on this machine; what cannot be written now waits for the next entry.

    It survives the end of our process at once, and that of the machine at most `SYNC_S` later: the ledger has the rest.
    """

    folder: RunFolder
    _waiting: list[str] = field(init=False, default_factory=list)
    _synced: float = field(init=False, default=float("-inf"))

    def add(self, entry: Entry) -> None:
        """Copy a committed entry. The ledger has it, so a full disk here does not stop the work."""
        self._waiting.append(events.to_line(entry))
        now = time.monotonic()
        durable = now - self._synced > SYNC_S or entry.kind == LAST
        with suppress(Refused):
            while self._waiting:
                self.folder.append(JOURNAL, self._waiting[0], durable=durable)
                self._waiting.pop(0)
            self._synced = now if durable else self._synced

    @property
    def behind(self) -> int:
        """How many entries could not be copied."""
        return len(self._waiting)

    def rebuild(self, entries: Iterable[Entry], lost: Iterable[Entry] = ()) -> None:
        """Make the copy anew from the ledger, in one step; events that the ledger lost are kept beside it.

        Raises Refused when the folder cannot be written.
        """
        for entry in lost:
            self.folder.append(LOST, events.to_line(entry))
        path = self.folder.file(JOURNAL)
        fresh = path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.writelines(events.to_line(entry) + "\n" for entry in entries)
                file.flush()
                os.fsync(file.fileno())
            points.reached("copy:rebuilt")
            fresh.rename(path)
        except OSError as error:
            message = f"{path}: cannot be written ({error.strerror})"
            raise Refused(message) from error
        points.reached("copy:replaced")
        self._waiting.clear()


@dataclass(slots=True, kw_only=True)
class FileJournal:
    """The journal of a run that has no ledger: refused before the first change, a dry run, or a task that reads."""

    folder: RunFolder
    actor: str
    clock: Callable[[], datetime]
    run: Run = field(init=False)
    entries: list[Entry] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.run = Run(self.folder.run)

    def record(self, event: Event) -> None:
        """Append one event to the file."""
        kind, data = events.encode(event)
        at, seq, previous = self.clock(), self.run.count + 1, self.run.head
        digest = entry_hash(previous=previous, run=self.run.id, seq=seq, at=at, actor=self.actor, kind=kind, data=data)
        entry = Entry(
            run=self.run.id,
            seq=seq,
            at=at,
            actor=self.actor,
            kind=kind,
            data=data,
            previous=previous,
            hash=digest,
        )
        self.folder.append(JOURNAL, events.to_line(entry))
        self.entries.append(entry)
        events.take(self.run, entry)

    def take_up(self) -> None:
        """Go on with a journal that an earlier process wrote; what it had only half written is cut off.

        Raises Refused when the file is no journal.
        """
        path = self.folder.file(JOURNAL)
        with path.open("rb+") as file:
            text = file.read()
            file.truncate(text.rfind(b"\n") + 1)
        for entry in self.folder.entries():
            self.entries.append(entry)
            events.take(self.run, entry)

    def close(self, state: RunState, reason: str) -> RunFinished:
        """Append the last event, which seals the chain."""
        last = RunFinished(state=state, reason=reason, events=self.run.count, head=self.run.head)
        self.record(last)
        return last


def all_runs(root: Path) -> Iterator[RunFolder]:
    """Every run that left a journal below a folder, oldest first: a run's id begins with its time."""
    for path in sorted(root.glob(f"*/{JOURNAL}")):
        yield RunFolder(root=root, run=path.parent.name)
