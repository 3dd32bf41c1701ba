"""Patience, workers and the way of a validation: pure decisions with the clock passed in."""

from __future__ import annotations

from random import Random

import pytest

from orchestrator.core.outcome import HeldBack
from orchestrator.core.patience import FIRST_DELAY_MS, LONGEST_DELAY_MS, Patience
from orchestrator.core.validation import Condition, Pace, choose
from orchestrator.core.workers import MOST, STEADY_S, Workers


def patience(*, give_up_after_s: float = 60.0) -> Patience:
    """Of one statement, begun at 0."""
    return Patience(statement="add:b.fk", began=0.0, random=Random(1), give_up_after_s=give_up_after_s)


def test_attempts_are_spaced_and_bounded() -> None:
    """Each delay is below a ceiling that doubles; after the time to give up the run is held."""
    one = patience()
    for number in range(12):
        ceiling = min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2**number) / 1000
        assert 0 <= one.refused(10.0, "lock timeout") - 10.0 <= ceiling
    with pytest.raises(HeldBack, match="no lock within 60 s"):
        one.refused(60.1, "lock timeout")
    with pytest.raises(HeldBack, match=r"in the way for 60 s: pid 7"):
        one.blocked(60.1, "7/1", "pid 7")


def test_a_blocker_is_told_once_and_rarely_again() -> None:
    """The first, the same one after many looks, another one that stays: a long wait must not fill the ledger."""
    one = patience(give_up_after_s=1e6)
    told = []
    for number in range(1, 300):
        one.blocked(1.0, "7/1", "pid 7")
        if one.tells:
            told.append(number)
    assert told == [1, 64, 128, 256]
    for number in range(300, 340):
        one.blocked(1.0, "8/1", "pid 8")
        if one.tells:
            told.append(number)
    assert told == [1, 64, 128, 256, 319]


def test_transactions_that_take_turns_are_told_as_such() -> None:
    """When the time is over nobody is blamed who has only come last, and few lines are told of many."""
    one = patience()
    told = 0
    for number in range(100):
        one.blocked(1.0, f"{number}/1", f"pid {number}")
        told += one.tells
    assert told == 2
    with pytest.raises(HeldBack, match="101 transactions took turns, the last was pid 7"):
        one.blocked(60.1, "7/9", "pid 7")


def test_time_in_which_nothing_could_be_tried_does_not_count() -> None:
    """A statement that had its locks for an hour has not waited for anybody."""
    one = patience()
    one.anew(3600.0)
    one.refused(3650.0, "cancelled")
    with pytest.raises(HeldBack):
        one.refused(3661.0, "cancelled")


def test_the_longest_wait_is_kept_over_attempts() -> None:
    """What others waited behind attempts that failed belongs to the statement."""
    one = patience()
    one.refused(1.0, "x", waited_ms=30.0)
    one.refused(1.0, "x", waited_ms=12.0)
    assert one.waited_ms == 30.0


def table(*, visible: float = 1.0, changed: float = 0.0, correlation: float = 0.0) -> Condition:
    """Two million rows, freshly vacuumed."""
    return Condition(rows=2e6, pages=30e3, index_pages=40e3, visible=visible, changed=changed, correlation=correlation)


PARENT = Condition(rows=2e5, pages=3e3, index_pages=1e3, visible=1.0, changed=0.0)


@pytest.mark.parametrize(
    ("child", "indexed", "keys", "way", "vacuum"),
    [
        (table(), True, 1, "steered", False),
        (table(), False, 1, "default", False),
        (table(changed=4e5), True, 1, "whole", False),
        (table(changed=4e5), True, 6, "whole", False),
        (table(changed=4e5), True, 20, "steered", True),
        (table(changed=2e4, correlation=1.0), True, 1, "steered", False),
        (table(visible=0.0), True, 1, "default", False),
        (table(changed=20), True, 1, "steered", False),
    ],
    ids=["vacuumed", "no index", "changed", "some keys", "many keys", "in order", "never vacuumed", "hardly changed"],
)
def test_the_way_of_a_validation(child: Condition, indexed: bool, keys: int, way: str, vacuum: bool) -> None:
    """Along the indexes where pages are all-visible, whole tables where they changed, a vacuum where many keys pay."""
    choice = choose(child, PARENT, indexed=indexed, keys=keys, may_vacuum=True)
    assert (choice.way, choice.vacuum) == (way, vacuum)


def test_no_second_vacuum() -> None:
    """Where the first did no good, as under an old snapshot, the planner's own way is taken."""
    choice = choose(table(changed=4e5), PARENT, indexed=True, keys=20, may_vacuum=False)
    assert (choice.way, choice.vacuum) == ("whole", False)


def test_the_pace_is_learned() -> None:
    """Predictions are scaled by what the server did so far; tiny statements say nothing."""
    pace = Pace()
    assert pace.factor == 1.0
    for actual in (200.0, 220.0, 900.0):
        pace.learn(100.0, actual)
    pace.learn(0.1, 50.0)
    assert pace.factor == 2.2


def test_workers_come_and_go() -> None:
    """One at first; one more when all are at work and the last change has shown; one fewer when others wait."""
    workers = Workers(wanted="auto")
    assert workers.count == 1
    assert not workers.asks(STEADY_S, 0)
    assert workers.asks(STEADY_S, 1)
    workers.more(STEADY_S)
    assert workers.count == 2
    assert not workers.asks(STEADY_S + 0.1, 2)
    assert workers.fewer(STEADY_S + 0.2)
    assert workers.count == 1
    assert not workers.fewer(STEADY_S + 0.3)
    for step in range(20):
        workers.more(float(step))
    assert workers.count == MOST


def test_a_fixed_number_of_workers_stays() -> None:
    """The policy's number is the policy's word."""
    workers = Workers(wanted=3)
    assert workers.count == 3
    assert not workers.asks(100.0, 3)
    assert not workers.fewer(100.0)
