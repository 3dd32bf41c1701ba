"""The outbox of a run: messages from entries, what is on record of them, and entries that were lost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.adapters import events
from orchestrator.adapters.outbox import WAITING, RunOutbox, waiting_folders, waits_again
from orchestrator.adapters.runs import JOURNAL, FileJournal, JournalCopy, RunFolder
from orchestrator.core.journal import (
    DeliveryGivenUp,
    Event,
    LedgerRewound,
    MessageDelivered,
    NotificationQueued,
    RunFinished,
    VerdictGiven,
)
from orchestrator.core.journal.messages import Part
from tests.journals import BEGAN, began

GATE = VerdictGiven(gate="preflight", word="GO")
HELD = RunFinished(state="held", reason="load")
DONE = RunFinished(state="done")


def journal(folder: RunFolder, *recorded: Event) -> FileJournal:
    """A journal on disk with these events."""
    made = FileJournal(folder=folder, actor="ayu", clock=lambda: BEGAN + timedelta(seconds=1))
    for each in recorded:
        made.record(each)
    return made


def outbox(folder: RunFolder) -> RunOutbox:
    """What another process reads of it."""
    made = RunOutbox(folder=folder)
    made.read()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run's folder."""
    return RunFolder(root=tmp_path, run="r1")


def parts(box: RunOutbox) -> list[tuple[Part, int]]:
    """What waits: which part, and the number of its entry."""
    return [(each.part, each.seq) for each in box.outbox.waiting]


def delivered(box: RunOutbox, count: int) -> Iterable[MessageDelivered]:
    """Put the first ones on record."""
    for number, each in enumerate(box.outbox.waiting[:count]):
        event = MessageDelivered(message=each.id, part=each.part, channel="C", ts=str(number))
        box.delivered(event)
        yield event


@pytest.mark.parametrize(
    ("last", "told"), [(HELD, ["line", "alert", "report"]), (DONE, ["line", "report"])], ids=["held", "done"]
)
def test_what_is_told_of_a_run(folder: RunFolder, last: Event, told: list[str]) -> None:
    """One message, a line per event that matters, an alert only where somebody has to act, a report."""
    queued = (NotificationQueued(topic="started", about="deploy"), NotificationQueued(topic="blocked", about="pid 7"))
    journal(folder, began(), queued[0], GATE, queued[1], last)
    assert parts(outbox(folder)) == [("run", 1), ("line", 3), ("line", 4), *((each, 5) for each in told)]


def test_what_is_on_record_is_not_told_again(folder: RunFolder) -> None:
    """By the file beside the journal, or by the chain alone, as on another machine."""
    made = journal(folder, began(), GATE, HELD)
    box = outbox(folder)
    kept = list(delivered(box, 2))
    assert parts(outbox(folder)) == [("line", 3), ("alert", 3), ("report", 3)]
    (folder.path / "slack.jsonl").unlink()
    assert len(parts(outbox(folder))) == 5
    for each in kept:
        made.record(each)
    again = outbox(folder)
    assert parts(again) == [("line", 3), ("alert", 3), ("report", 3)]
    assert again.outbox.place is not None
    assert again.outbox.place.ts == "0"


def test_what_waited_before_us_is_looked_up_first(folder: RunFolder) -> None:
    """A process that died may have sent it; what comes afterwards is ours alone."""
    made = journal(folder, began(), GATE)
    box = outbox(folder)
    assert box.outbox.uncertain == {each.id for each in box.outbox.waiting}
    made.record(DONE)
    box.take(made.entries[-1])
    assert {each.seq for each in box.outbox.waiting if each.id not in box.outbox.uncertain} == {3}


def test_a_message_that_was_refused_alone_is_passed_over(folder: RunFolder) -> None:
    """Also by the next process; a refusal of everything is tried again by it."""
    journal(folder, began(), GATE, DONE)
    box = outbox(folder)
    box.delivered(DeliveryGivenUp(reason="msg_too_long", message=box.outbox.waiting[1].id))
    box.delivered(DeliveryGivenUp(reason="invalid_auth"))
    assert parts(outbox(folder)) == [("run", 1), ("line", 3), ("report", 3)]


def test_of_several_reports_the_last_is_sent(folder: RunFolder) -> None:
    """A run that was held and went on has one that tells all."""
    journal(folder, began(), HELD, GATE, DONE)
    assert [each for each in parts(outbox(folder)) if each[0] == "report"] == [("report", 4)]


def test_lost_events_are_told_no_more(folder: RunFolder) -> None:
    """After a failover the copy is what the ledger says, and what was lost has not happened."""
    made = journal(folder, began(), GATE, NotificationQueued(topic="blocked", about="lost"))
    box = outbox(folder)
    box.delivered(next(iter(delivered(box, 1))))
    other = journal(
        RunFolder(root=folder.root / "other", run="r1"), began(), GATE, LedgerRewound(after=2, lost=("x",), reason="f")
    )
    assert [each.hash for each in other.entries[:2]] == [each.hash for each in made.entries[:2]]
    JournalCopy(folder=folder).rebuild(other.entries)
    box.take(other.entries[-1])
    assert parts(box) == [("line", 2), ("line", 3)]
    assert [each.topic for each in box.outbox.waiting] == ["gate", "rewound"]


def test_one_process_at_a_time_delivers(folder: RunFolder) -> None:
    """The mark stays until everything is told, and comes back when a run that was told of has something new."""
    journal(folder, began(), DONE)
    first, second = outbox(folder), outbox(folder)
    assert first.claim()
    assert not second.claim()
    first.release()
    assert second.claim()
    assert list(waiting_folders(folder.root)) == [folder]
    assert len(list(delivered(second, 3))) == 3
    second.changed = False
    second.release()
    assert not (folder.path / WAITING).exists()
    waits_again(folder)
    assert list(waiting_folders(folder.root)) == [folder]


def test_a_journal_that_a_crash_cut_short_is_read_as_far_as_it_goes(folder: RunFolder) -> None:
    """Neither half a line of the journal nor half a record of a delivery stops the rest."""
    journal(folder, began(), GATE)
    list(delivered(outbox(folder), 1))
    for name in (JOURNAL, "slack.jsonl"):
        with (folder.path / name).open("a", encoding="utf-8") as file:
            file.write('{"run": "r1", "se')
    assert parts(outbox(folder)) == [("line", 2)]


def test_the_events_of_deliveries_go_to_text_and_back() -> None:
    """As every event of the journal."""
    for event in (
        MessageDelivered(message="m", part="alert", channel="C", ts="1.2"),
        DeliveryGivenUp(reason="Slack: invalid_auth"),
    ):
        assert events.decode(*events.encode(event)) == event
