"""A watch as a run: it is at work for days, and most of that time nothing of it runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestrator.core.journal import Event, RunFinished, WatchBegan
from orchestrator.core.run import fold
from orchestrator.core.summary import summarize
from orchestrator.core.watch import AWAY, LOCK_WAITS, Sample
from orchestrator.core.watch_readings import reading
from tests.journals import BEGAN, began


def test_between_two_samples_a_watch_is_not_interrupted() -> None:
    """A timer takes one sample at a time: its message in Slack does not tell an interruption after each."""
    events: list[Event] = [began("monitor"), WatchBegan(of="r0", for_s=3600.0), RunFinished(state="done")]
    told = [(each, BEGAN + timedelta(minutes=number)) for number, each in enumerate(events)]
    assert summarize(fold("w1", told[:2]), alive=False).state == "running"
    assert summarize(fold("w1", told), alive=False).state == "done"
    assert summarize(fold("r1", [(began("deploy"), BEGAN)]), alive=False).state == "interrupted"


def test_a_wait_that_nobody_could_see_is_no_wait_of_nothing() -> None:
    """While the database is away, or does not say who waits, no number is told, and none enters the series."""
    seen = Sample(at=BEGAN, host="h", every_s=60, method="none", lock_wait_ms=7.0)
    told = [
        reading(None, each).lock_wait_ms
        for each in (seen, replace(seen, unknown={AWAY: "gone"}), replace(seen, unknown={LOCK_WAITS: "refused"}))
    ]
    assert told == [7.0, None, None]
