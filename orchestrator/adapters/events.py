"""Events as text and back: the ledger, the copy on disk and the reports read the same lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.core.entry import Entry, timestamp
from orchestrator.core.journal import EVENT_TYPES, Event, kind_of
from orchestrator.core.run import Run


@cache
def _adapter(kind: str) -> TypeAdapter[Event]:
    return TypeAdapter(EVENT_TYPES[kind])


def encode(event: Event) -> tuple[str, str]:
    """The event's kind and its data as canonical JSON: sorted keys, no spaces, nothing escaped that need not be."""
    kind = kind_of(event)
    data = _adapter(kind).dump_python(event, mode="json")
    # A NUL cannot be kept by PostgreSQL's json; it never occurs in its own answers.
    return kind, json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode(kind: str, data: str) -> Event | None:
    """The event, or None when a newer version wrote a kind or a shape that this one does not know."""
    if kind not in EVENT_TYPES:
        return None
    try:
        return _adapter(kind).validate_json(data)
    except ValidationError:
        return None


def to_line(entry: Entry) -> str:
    """An entry as one line of `journal.jsonl`; `data` stays text, because its hash was taken over that text."""
    document = {
        "run": entry.run,
        "seq": entry.seq,
        "at": timestamp(entry.at),
        "actor": entry.actor,
        "kind": entry.kind,
        "data": entry.data,
        "previous": entry.previous,
        "hash": entry.hash,
    }
    return json.dumps(document, ensure_ascii=False)


def from_line(line: str) -> Entry:
    """The entry of a line. Raises ValueError, KeyError for a line that is none."""
    document: dict[str, Any] = json.loads(line)
    at = datetime.strptime(document.pop("at"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return Entry(at=at, **document)


def fold_entries(run: str, entries: Iterable[Entry]) -> Run:
    """The run that these entries add up to; what a newer version wrote is passed over."""
    total = Run(run)
    for entry in entries:
        take(total, entry)
    return total


def take(run: Run, entry: Entry) -> None:
    """Take one entry into a run."""
    event = decode(entry.kind, entry.data)
    if event is not None:
        run.see(event, entry.at)
    run.head, run.count = entry.hash, run.count + 1


def read_lines(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of a journal file; a last line that was cut off by a crash is left out."""
    for line in lines:
        if line.endswith("\n"):
            yield from_line(line)
