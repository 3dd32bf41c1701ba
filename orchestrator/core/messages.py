"""What people are told of a run: derived from its journal, so that whoever reads the same events tells the same.

A run has one message, which changes; under it a line for each event that matters; beside it an alert when somebody has
to act, because a changed message notifies nobody; and its report. A message is named after the entry behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from orchestrator.core.entry import Entry
from orchestrator.core.journal import (
    AnswerHeard,
    AuditRecorded,
    ConnectionRestored,
    DeliveryGivenUp,
    Event,
    GatesOverridden,
    HoldAsked,
    LedgerRewound,
    MessageDelivered,
    NotificationQueued,
    RunFinished,
    RunResumed,
    RunStarted,
    StatementFailed,
    VerdictGiven,
    WalkedBack,
    WatchEnded,
    WatchJudged,
)
from orchestrator.core.journal.messages import Part
from orchestrator.core.run import Run

Topic = Literal[
    "run",
    "gate",
    "blocked",
    "orphans",
    "rollback",
    "walked back",
    "answer",
    "overridden",
    "resumed",
    "hold",
    "failed",
    "restored",
    "rewound",
    "finished",
    "judged",
    "watched",
    "audit",
]

NEEDS_SOMEBODY: Final = frozenset({"failed", "held"})
"""Ends of a run that somebody has to act upon."""

TOPICS: Final[tuple[tuple[type[Event], Topic], ...]] = (
    (VerdictGiven, "gate"),
    (WalkedBack, "walked back"),
    (AnswerHeard, "answer"),
    (GatesOverridden, "overridden"),
    (RunResumed, "resumed"),
    (HoldAsked, "hold"),
    (StatementFailed, "failed"),
    (ConnectionRestored, "restored"),
    (LedgerRewound, "rewound"),
)
"""Events that are a line of the thread by themselves; what was queued says its own topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to be told, once. `seq` is the number of the entry that it tells."""

    id: str
    part: Part
    topic: Topic
    event: Event
    at: datetime
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a message stands: Slack's channel and the message's time, which is its name there."""

    channel: str
    ts: str


@dataclass(slots=True)
class Outbox:
    """The messages of one run in their order, and what became of each.

    A scheduled audit is `quiet`: it has no message of its own, and calls somebody only for what is new. What is
    `uncertain` may have been sent by a process that died before it could say so, or without an answer.
    """

    run: str
    messages: dict[str, Message] = field(default_factory=dict)
    delivered: dict[str, Place] = field(default_factory=dict)
    given_up: dict[str, str] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    quiet: bool = False

    def see(self, entry: Entry, event: Event) -> None:
        """Take one entry in."""
        match event:
            case MessageDelivered():
                self.note_delivered(event)
            case DeliveryGivenUp():
                self.note_given_up(event)
            case RunStarted(task="audit"):
                self.quiet = True
            case _ if self.quiet and not isinstance(event, AuditRecorded):
                return
            case _:
                for message in _messages(entry, event):
                    self.messages.setdefault(message.id, message)

    def note_delivered(self, event: MessageDelivered) -> None:
        """It stands there."""
        self.delivered[event.message] = Place(channel=event.channel, ts=event.ts)
        self.uncertain.discard(event.message)

    def note_given_up(self, event: DeliveryGivenUp) -> None:
        """It will not be delivered by the process that said so; another one tries what was refused as a whole."""
        if event.message:
            self.given_up[event.message] = event.reason

    def suspect(self) -> None:
        """Whatever waits may stand in Slack already: it was there before this process, or its answer was lost."""
        self.uncertain |= {each.id for each in self.waiting}

    @property
    def waiting(self) -> tuple[Message, ...]:
        """What has still to be told, in order. Of several reports the last tells all."""
        left = [each for each in self.messages.values() if each.id not in self.delivered | self.given_up]
        reports = [each for each in left if each.part == "report"]
        return tuple(each for each in left if each.part != "report" or each is reports[-1])

    @property
    def head(self) -> Message | None:
        """The run's own message, under which the others stand."""
        return next((each for each in self.messages.values() if each.part == "run"), None)

    @property
    def place(self) -> Place | None:
        """Where the run's own message stands."""
        return self.delivered.get(self.head.id) if self.head else None


def _messages(entry: Entry, event: Event) -> Iterator[Message]:
    """What one entry has to be told for."""
    for part, topic in _told(event):
        name = f"{entry.run}/{entry.seq}/{entry.hash[:12]}/{part}"
        yield Message(id=name, part=part, topic=topic, event=event, at=entry.at, seq=entry.seq)


def _told(event: Event) -> Iterator[tuple[Part, Topic]]:
    match event:
        case RunStarted():
            yield "run", "run"
        case WatchJudged():
            yield "line", "judged"
            yield from ((("alert", "judged"),) if event.worse else ())
        case WatchEnded():
            yield "line", "watched"
        case AuditRecorded():
            yield from ((("alert", "audit"),) if event.calls else ())
        case NotificationQueued(topic="blocked" | "orphans" | "rollback" as topic):
            yield "line", topic
        case RunFinished():
            yield "line", "finished"
            if event.state in NEEDS_SOMEBODY:
                yield "alert", "finished"
            yield "report", "finished"
        case _:
            yield from (("line", topic) for kind, topic in TOPICS if isinstance(event, kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a run has come, for its message. Times are in ms; what was not predicted is None."""

    step: str
    statements: int
    total: int
    elapsed_ms: float
    expected_ms: float | None
    ended: bool


def standing(run: Run, latest: datetime) -> Standing:
    """How far a run has come at the time of its latest event."""
    began = run.started_at or latest
    until = run.finished_at or latest
    planned = run.predicted.planned if run.predicted else {}
    return Standing(
        step=next((name for name, step in run.steps.items() if step.started and step.duration_ms is None), ""),
        statements=len(run.done),
        total=len(run.plan.statements) if run.plan else 0,
        elapsed_ms=(until - began).total_seconds() * 1000,
        expected_ms=sum(each.ms for each in planned.values()) if planned else None,
        ended=run.finished is not None,
    )


def lines_of(texts: Iterable[str], *, most: int) -> tuple[str, ...]:
    """At most so many lines; what is left out is counted, never dropped in silence."""
    found = tuple(texts)
    if len(found) <= most:
        return found
    return (*found[: most - 1], f"and {len(found) - most + 1} more, in the report")
