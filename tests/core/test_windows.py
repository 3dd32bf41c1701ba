"""Windows that cross midnight, days on which the clock changes, and freezes that cut windows short."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestrator.core.inventory import Freeze, Window
from orchestrator.core.windows import frozen_at, opening

JAKARTA, BERLIN, APIA = ZoneInfo("Asia/Jakarta"), ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")
NIGHT = Window(days=("Tue", "Wed"), start="22:00", end="02:00", timezone="Asia/Jakarta")


def at(text: str, zone: ZoneInfo = JAKARTA) -> datetime:
    """A moment by the clock on the wall of a zone, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "ends", "begins"),
    [
        ("2026-12-15 21:59:59", None, "2026-12-15 22:00"),
        ("2026-12-15 22:00", "2026-12-16 02:00", None),
        ("2026-12-16 00:00", "2026-12-16 02:00", None),
        ("2026-12-16 01:59:59", "2026-12-16 02:00", None),
        ("2026-12-16 02:00", None, "2026-12-16 22:00"),
        ("2026-12-16 23:00", "2026-12-17 02:00", None),
        ("2026-12-17 01:00", "2026-12-17 02:00", None),
        ("2026-12-17 22:30", None, "2026-12-22 22:00"),
        ("2026-12-15 01:00", None, "2026-12-15 22:00"),
    ],
)
def test_a_window_that_crosses_midnight(now: str, ends: str | None, begins: str | None) -> None:
    """The days are those on which it begins; the early hours belong to the day before."""
    found = opening(NIGHT, (), zone=JAKARTA, now=at(now))
    assert (found.open, found.ends, found.next) == (ends is not None, ends and at(ends), begins and at(begins))


def test_the_zone_of_the_machine_does_not_matter() -> None:
    """The same moment in another zone gives the same answer."""
    moment = at("2026-12-16 01:00")
    there = moment.astimezone(ZoneInfo("America/New_York"))
    assert opening(NIGHT, (), zone=JAKARTA, now=there) == opening(NIGHT, (), zone=JAKARTA, now=moment)


def test_a_window_within_a_day_and_one_of_a_whole_day() -> None:
    """Equal times mean until the next day."""
    noon = Window(days=("Sat",), start="11:00", end="13:00", timezone="Europe/Berlin")
    assert opening(noon, (), zone=BERLIN, now=at("2026-12-19 12:59", BERLIN)).ends == at("2026-12-19 13:00", BERLIN)
    assert opening(noon, (), zone=BERLIN, now=at("2026-12-19 13:00", BERLIN)).next == at("2026-12-26 11:00", BERLIN)
    whole = Window(days=("Sat",), start="06:00", end="06:00", timezone="Europe/Berlin")
    assert opening(whole, (), zone=BERLIN, now=at("2026-12-20 05:59", BERLIN)).ends == at("2026-12-20 06:00", BERLIN)


@pytest.mark.parametrize(
    ("start", "end", "begins", "ends"),
    [
        # On 29 March 2026 Berlin's clock leaps from 02:00 to 03:00, which is 01:00 in UTC.
        ("22:00", "06:00", "2026-03-28 21:00", "2026-03-29 04:00"),
        ("22:00", "02:30", "2026-03-28 21:00", "2026-03-29 01:00"),
        ("23:30", "03:15", "2026-03-28 22:30", "2026-03-29 01:15"),
    ],
)
def test_the_night_in_which_the_clock_goes_forward(start: str, end: str, begins: str, ends: str) -> None:
    """An hour is missing; an end within it is the moment of the leap."""
    window = Window(days=("Sat",), start=start, end=end, timezone="Europe/Berlin")
    begin = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    found = opening(window, (), zone=BERLIN, now=begin)
    assert found.ends == datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert not opening(window, (), zone=BERLIN, now=begin - timedelta(seconds=1)).open


def test_a_window_within_the_hour_that_is_missing() -> None:
    """Nothing is left of it on that day; the next one is a week later."""
    window = Window(days=("Sun",), start="02:15", end="02:45", timezone="Europe/Berlin")
    found = opening(window, (), zone=BERLIN, now=at("2026-03-29 01:00", BERLIN))
    assert (found.open, found.next) == (False, at("2026-04-05 02:15", BERLIN))


def test_the_night_in_which_the_clock_goes_back() -> None:
    """On 25 October 2026 the hour from 02:00 is there twice: a window ends when the clock first shows its end."""
    window = Window(days=("Sat",), start="22:00", end="02:30", timezone="Europe/Berlin")
    found = opening(window, (), zone=BERLIN, now=datetime(2026, 10, 24, 20, 0, tzinfo=UTC))
    assert found.ends == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    long = Window(days=("Sat",), start="22:00", end="06:00", timezone="Europe/Berlin")
    later = opening(long, (), zone=BERLIN, now=datetime(2026, 10, 24, 20, 0, tzinfo=UTC))
    assert later.ends is not None
    assert later.ends - datetime(2026, 10, 24, 20, 0, tzinfo=UTC) == timedelta(hours=9)


def test_a_day_that_a_zone_left_out() -> None:
    """Apia had no 30 December 2011: a window of that day has no length."""
    window = Window(days=("Fri",), start="10:00", end="12:00", timezone="Pacific/Apia")
    found = opening(window, (), zone=APIA, now=datetime(2011, 12, 30, 9, 0, tzinfo=UTC))
    assert found.next == at("2012-01-06 10:00", APIA)


YEAR_END = Freeze(start=date(2026, 12, 16), end=date(2026, 12, 22), reason="year end")


def test_a_freeze_cuts_a_window_short() -> None:
    """It begins at midnight of the zone, in the middle of the window."""
    found = opening(NIGHT, (YEAR_END,), zone=JAKARTA, now=at("2026-12-15 23:00"))
    assert (found.open, found.ends, found.ends_by) == (True, at("2026-12-16 00:00"), YEAR_END)


def test_inside_the_window_and_frozen() -> None:
    """The next opening is after the freeze, in a window: here in the middle of the night in which the freeze ends."""
    found = opening(NIGHT, (YEAR_END,), zone=JAKARTA, now=at("2026-12-16 01:00"))
    assert (found.open, found.inside, found.frozen, found.next) == (False, True, YEAR_END, at("2026-12-23 00:00"))


def test_both_ends_of_a_freeze_are_frozen() -> None:
    """From the first midnight on, until the last day is over."""
    moments = ("2026-12-15 23:59", "2026-12-16 00:00", "2026-12-22 23:59", "2026-12-23 00:00")
    found = [frozen_at((YEAR_END,), zone=JAKARTA, now=at(each)) is not None for each in moments]
    assert found == [False, True, True, False]


def test_freezes_without_a_window() -> None:
    """Open until the next one begins; closed until those that follow each other are over."""
    second = Freeze(start=date(2026, 12, 23), end=date(2027, 1, 3), reason="holidays")
    early = opening(None, (second, YEAR_END), zone=UTC, now=datetime(2026, 12, 15, tzinfo=UTC))
    assert (early.open, early.ends) == (True, datetime(2026, 12, 16, tzinfo=UTC))
    frozen = opening(None, (second, YEAR_END), zone=UTC, now=datetime(2026, 12, 16, tzinfo=UTC))
    assert (frozen.open, frozen.next) == (False, datetime(2027, 1, 4, tzinfo=UTC))
    assert opening(None, (), zone=UTC, now=datetime(2026, 12, 16, tzinfo=UTC)).ends is None


def test_a_freeze_for_ever_has_no_next() -> None:
    """Nothing opens that anybody waits for."""
    freeze = Freeze(start=date(2026, 1, 1), end=date(2099, 1, 1), reason="retired")
    assert opening(NIGHT, (freeze,), zone=JAKARTA, now=at("2026-12-15 23:00")).next is None
