"""Whether a run's chain of events is whole, and whether the ledger and the copy tell the same story."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.core.entry import GENESIS, Entry, Head, entry_hash
from orchestrator.core.nouns import counted

Word = Literal["whole", "rewound", "forged", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What an examination found. `first` is the number of the first event that is not as it was recorded."""

    run: str
    state: Word
    problem: str = ""
    first: int | None = None
    events: int = 0
    copied: int = 0
    rewound: int = 0
    closed: bool = False
    acknowledged: bool = False

    @property
    def missing_in_copy(self) -> int:
        """Events that only the ledger has."""
        return max(0, self.events - self.copied)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """The first thing that is wrong with a chain."""

    seq: int
    problem: str


def examine(
    run: str, *, ledger: Sequence[Entry], head: Head | None, copy: Sequence[Entry] | None, lost: Sequence[Entry] = ()
) -> Examined:
    """Compare the ledger's chain with itself, with its head, and with the copy; None where there is no copy."""
    flaw = chain_flaw(run, ledger) or head_flaw(ledger, head)
    told = _Teller(run=run, ledger=ledger, copy=copy, closed=has_ended(ledger))
    if copy is not None:
        parting = _parting(ledger, copy)
        if parting is not None and flaw is None and both_whole(run, ledger, copy):
            gone = len(copy) - parting + 1
            problem = (
                f"ledger and copy are whole in themselves and part ways at event {parting}: the database was set back"
                f" and the run went on without this copy ({counted(gone, 'event is', 'events are')} lost there),"
                " or the ledger was written anew"
            )
            return told.says("rewound", problem, first=parting, rewound=gone)
        if parting is not None:
            return told.forged(_named(parting, ledger, copy, flaw))
    if flaw is not None and not _only_tail_is_gone(flaw, ledger, head, copy):
        return told.forged(flaw)
    if copy is None:
        return told.says(
            "unknown", "there is no copy here to compare with: the chain in the database is whole in itself"
        )
    if len(copy) > len(ledger):
        problem = (
            f"the database was set back: its ledger ends at event {len(ledger)}, the copy holds {len(copy)};"
            f" {counted(len(copy) - len(ledger), 'event is', 'events are')} lost there"
        )
        return told.says("rewound", problem, first=len(ledger) + 1, rewound=len(copy) - len(ledger))
    return _agreeing(told, ledger, copy, lost)


def common(ledger: Sequence[Entry], copy: Sequence[Entry]) -> int:
    """How many events both have from the beginning."""
    parting = _parting(ledger, copy)
    return min(len(ledger), len(copy)) if parting is None else parting - 1


def both_whole(run: str, ledger: Sequence[Entry], copy: Sequence[Entry]) -> bool:
    """Whether each is whole in itself, and neither is the end of a run: then one was set back and went on."""
    sealed = has_ended(copy)
    return not sealed and chain_flaw(run, ledger) is None and chain_flaw(run, copy) is None


def unexplained(ledger: Sequence[Entry], lost: Sequence[Entry]) -> tuple[Entry, ...]:
    """Events that this machine kept when the ledger lost them, and that no event of the ledger tells of, nor has."""
    named = {each for hashes in _rewinds(ledger) for each in hashes} | {each.hash for each in ledger}
    return tuple(each for each in lost if each.hash not in named)


def _agreeing(told: _Teller, ledger: Sequence[Entry], copy: Sequence[Entry], lost: Sequence[Entry]) -> Examined:
    """What is said when nothing contradicts: the copy is the ledger, or its beginning."""
    rewinds = list(_rewinds(ledger))
    untold = unexplained(ledger, lost)
    if untold:
        events = counted(len(untold), "event is", "events are")
        problem = f"the database was set back: {events} lost there, and no event tells of it yet"
        return told.says("rewound", problem, first=untold[0].seq, rewound=len(untold))
    if rewinds:
        gone = [each for hashes in rewinds for each in hashes]
        events = counted(len(gone), "event was", "events were")
        problem = f"{events} lost in a failover or a restore; the run recorded it and went on"
        return told.says("rewound", problem, rewound=len(gone), acknowledged=True)
    behind = len(ledger) - len(copy)
    if behind and told.closed:
        return told.says("unknown", f"the run is closed, and {behind} of its events are only in the database")
    return told.says("whole", f"{counted(behind, 'event is', 'events are')} not copied yet" if behind else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Teller:
    """Fills in what every answer says."""

    run: str
    ledger: Sequence[Entry]
    copy: Sequence[Entry] | None
    closed: bool

    def says(
        self, state: Word, problem: str, *, first: int | None = None, rewound: int = 0, acknowledged: bool = False
    ) -> Examined:
        return Examined(
            run=self.run,
            state=state,
            problem=problem,
            first=first,
            events=len(self.ledger),
            copied=len(self.copy or ()),
            rewound=rewound,
            closed=self.closed,
            acknowledged=acknowledged,
        )

    def forged(self, flaw: Flaw) -> Examined:
        return self.says("forged", flaw.problem, first=flaw.seq)


def chain_flaw(run: str, entries: Sequence[Entry]) -> Flaw | None:
    """The first event that does not follow from the one before."""
    previous = GENESIS
    for number, each in enumerate(entries, start=1):
        if each.seq != number:
            return _misnumbered(number, each)
        if each.run != run:
            return Flaw(seq=number, problem=f"event {number} belongs to run {each.run}")
        if each.previous != previous:
            return Flaw(seq=number, problem=f"event {number} ({each.kind}) does not follow from the one before")
        if each.hash != _hash(each):
            return Flaw(seq=number, problem=f"event {number} ({each.kind}) was changed: its hash is another")
        previous = each.hash
        if _closes(each):
            return _seal_flaw(each, entries)
    return None


def _misnumbered(number: int, each: Entry) -> Flaw:
    """What another number than the next one means; a run begins with event 1."""
    if each.seq < 1:
        return Flaw(seq=each.seq, problem=f"event {each.seq} ({each.kind}) was inserted in front of the first")
    return Flaw(seq=number, problem=f"event {number} was removed, or numbered anew: {each.seq} stands there")


def _seal_flaw(last: Entry, entries: Sequence[Entry]) -> Flaw | None:
    """The closing event holds count and head, since version 2 of the ledger; nothing follows it."""
    data = _data(last)
    sealed = data.keys() & {"events", "head"}
    if sealed and (data.get("events"), data.get("head")) != (last.seq - 1, last.previous):
        return Flaw(seq=last.seq, problem=f"the closing event {last.seq} counts {data.get('events')} events before it")
    if last.seq < len(entries):
        return Flaw(seq=last.seq + 1, problem=f"event {last.seq + 1} was inserted after the closing event")
    return None


def head_flaw(entries: Sequence[Entry], head: Head | None) -> Flaw | None:
    """Whether the ledger's own note of the chain's end is right."""
    if head is None:
        return Flaw(seq=1, problem="the ledger has no line for this run") if entries else None
    last = entries[-1] if entries else None
    if (head.seq, head.hash) != ((last.seq, last.hash) if last else (0, GENESIS)):
        end = last.seq if last else 0
        return Flaw(seq=min(end, head.seq) + 1, problem=f"the ledger notes {head.seq} events and {end} stand there")
    if head.closed != has_ended(entries):
        word = "closed" if head.closed else "open"
        return Flaw(seq=end_of(entries), problem=f"the ledger notes the run as {word}, its events say otherwise")
    if entries and _data(entries[0]).get("environment") != head.environment:
        return Flaw(seq=1, problem=f"the ledger notes environment {head.environment}, the first event another")
    return None


def end_of(entries: Sequence[Entry]) -> int:
    """The number of the last event."""
    return entries[-1].seq if entries else 0


def _only_tail_is_gone(flaw: Flaw, ledger: Sequence[Entry], head: Head | None, copy: Sequence[Entry] | None) -> bool:
    """A run of which the database knows nothing at all was lost with it, not forged, when a copy is there."""
    return bool(copy) and not ledger and head is None and flaw is not None


def _parting(ledger: Sequence[Entry], copy: Sequence[Entry]) -> int | None:
    """The number of the first event on which ledger and copy disagree."""
    for number, (theirs, mine) in enumerate(zip(ledger, copy, strict=False), start=1):
        if theirs != mine:
            return number
    return None


def _named(number: int, ledger: Sequence[Entry], copy: Sequence[Entry], flaw: Flaw | None) -> Flaw:
    """What happened there: the side whose chain breaks is the one that was touched."""
    if flaw is not None and flaw.seq < 1:
        return flaw
    theirs, mine = ledger[number - 1], copy[number - 1]
    own = chain_flaw(mine.run, copy)
    if own is not None and flaw is None:
        return Flaw(seq=own.seq, problem=f"the copy was touched: {own.problem}")
    following = {each.hash for each in copy[number:]}
    if theirs.hash in following:
        return Flaw(seq=number, problem=f"event {number} ({mine.kind}) was removed from the ledger")
    if any(each.hash == mine.hash for each in ledger[number:]):
        return Flaw(seq=number, problem=f"event {number} ({theirs.kind}) was inserted into the ledger")
    if flaw is None:
        problem = f"the ledger is whole in itself and was written anew from event {number}: the run was closed before"
        return Flaw(seq=number, problem=problem)
    return Flaw(seq=number, problem=f"event {number} ({mine.kind}) was changed in the ledger")


def _rewinds(entries: Sequence[Entry]) -> Iterator[tuple[str, ...]]:
    """The hashes that each rewind of this very run has lost."""
    for each in entries:
        data = _data(each) if each.kind == "ledger_rewound" else {}
        if data and data.get("run", "") in {"", each.run}:
            yield tuple(data.get("lost", ()))


def _hash(each: Entry) -> str:
    return entry_hash(
        previous=each.previous,
        run=each.run,
        seq=each.seq,
        at=each.at,
        actor=each.actor,
        kind=each.kind,
        data=each.data,
    )


def has_ended(entries: Sequence[Entry]) -> bool:
    """Whether a run's last word was said."""
    return any(_closes(each) for each in entries)


def _closes(each: Entry) -> bool:
    return each.kind == "run_finished" and _data(each).get("state") != "held"


def _data(each: Entry) -> dict[str, Any]:
    """An event's data; one that cannot be read says nothing."""
    try:
        data = json.loads(each.data)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
