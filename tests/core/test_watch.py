"""A watch as a run: it is at work for days, and most of that time nothing of it runs."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.core.journal import Event, RunFinished, WatchBegan
from orchestrator.core.run import fold
from orchestrator.core.summary import summarize
from tests.journals import BEGAN, began


def test_between_two_samples_a_watch_is_not_interrupted() -> None:
    """A timer takes one sample at a time: its message in Slack does not tell an interruption after each."""
    events: list[Event] = [began("monitor"), WatchBegan(of="r0", for_s=3600.0), RunFinished(state="done")]
    told = [(each, BEGAN + timedelta(minutes=number)) for number, each in enumerate(events)]
    assert summarize(fold("w1", told[:2]), alive=False).state == "running"
    assert summarize(fold("w1", told), alive=False).state == "done"
    assert summarize(fold("r1", [(began("deploy"), BEGAN)]), alive=False).state == "interrupted"
