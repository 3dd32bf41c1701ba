"""The days of the facts as dates: over a weekend, over a holiday, from a start that is no business day."""

from __future__ import annotations

from datetime import date

import pytest

from orchestrator.adapters.runbooks import load_runbook
from orchestrator.core.business_days import Timetable, days_late, timetable
from orchestrator.core.outcome import Refused
from orchestrator.core.timeline import Road
from tests.conftest import ROOT

ROADS = load_runbook("master_tables", root=ROOT / "runbooks", with_decision=False).runbook.roads
CHRISTMAS = date(2026, 12, 25)


def working(day: date) -> bool:
    """Monday to Friday, but not Christmas Day."""
    return day.weekday() < 5 and day != CHRISTMAS


def days(road: Road, start: date) -> dict[str, tuple[str, str]]:
    """First and last day of each item, without the year."""
    table = timetable(road, start=start, is_business_day=working)
    return {each.item.title: (f"{each.first:%m-%d}", f"{each.last:%m-%d}") for each in table.items}


def numbers(table: Timetable) -> set[date]:
    """Every day of work."""
    return {day for each in table.items for day in each.dates}


def test_road_a_from_a_friday() -> None:
    """10 business days; the weekend is between its first day and its second."""
    assert days(ROADS["A"], date(2026, 12, 4)) == {
        "Decide for a road and record why": ("12-04", "12-04"),
        "Write the foreign-key migration and try it in staging": ("12-04", "12-07"),
        "Full validation, C3 to C6": ("12-08", "12-08"),
        "Performance": ("12-09", "12-10"),
        "Prepare production": ("12-11", "12-11"),
        "Deploy to production": ("12-14", "12-14"),
        "Monitor": ("12-15", "12-17"),
    }


def test_road_a_over_a_holiday() -> None:
    """Christmas Day is a Friday: day 10 is the Monday after it."""
    table = timetable(ROADS["A"], start=date(2026, 12, 14), is_business_day=working)
    assert len(numbers(table)) == 10
    assert table.end == date(2026, 12, 28)
    later = days(ROADS["A"], date(2026, 12, 18))
    assert later["Prepare production"] == ("12-28", "12-28")
    assert later["Deploy to production"] == ("12-29", "12-29")
    assert later["Monitor"] == ("12-30", "01-01")


def test_road_b_from_a_friday_over_a_holiday() -> None:
    """15 business days."""
    assert days(ROADS["B"], date(2026, 12, 11)) == {
        "Record the strategy": ("12-11", "12-11"),
        "Validation in the application": ("12-14", "12-16"),
        "Tests of that validation": ("12-17", "12-17"),
        "Orphan audits": ("12-18", "12-21"),
        "Full validation": ("12-22", "12-22"),
        "Performance": ("12-23", "12-24"),
        "Prepare production": ("12-28", "12-28"),
        "Deploy to production": ("12-29", "12-29"),
        "Monitor": ("12-30", "01-01"),
    }


@pytest.mark.parametrize(("label", "length"), [("A", 10), ("B", 15)])
def test_every_day_of_a_road_has_work(label: str, length: int) -> None:
    """Business days 1 to 10 and 1 to 15, none left out, none a weekend."""
    table = timetable(ROADS[label], start=date(2026, 12, 14), is_business_day=working)  # type: ignore[index]
    assert len(numbers(table)) == length
    assert all(map(working, numbers(table)))
    assert not table.moved


@pytest.mark.parametrize(
    ("asked", "start"),
    [
        (date(2026, 12, 12), date(2026, 12, 14)),
        (date(2026, 12, 13), date(2026, 12, 14)),
        (CHRISTMAS, date(2026, 12, 28)),
    ],
)
def test_a_start_that_is_no_business_day_moves(asked: date, start: date) -> None:
    """To the next one, and it says so."""
    table = timetable(ROADS["A"], start=asked, is_business_day=working)
    assert (table.asked, table.start, table.moved) == (asked, start, True)
    assert table.items[0].first == start


def test_a_calendar_without_business_days_comes_to_an_end() -> None:
    """So does the calendar of Python."""
    with pytest.raises(Refused, match="no business day within a year"):
        timetable(ROADS["A"], start=date(2026, 12, 14), is_business_day=lambda _: False)
    with pytest.raises(Refused, match="no business day within a year"):
        timetable(ROADS["A"], start=date(9999, 12, 30), is_business_day=working)


@pytest.mark.parametrize(
    ("planned", "actual", "late"),
    [
        (date(2026, 12, 14), date(2026, 12, 14), 0),
        (date(2026, 12, 11), date(2026, 12, 13), 0),
        (date(2026, 12, 11), date(2026, 12, 14), 1),
        (date(2026, 12, 24), date(2026, 12, 28), 1),
        (date(2026, 12, 15), date(2026, 12, 14), -1),
        (date(2026, 12, 14), date(2026, 12, 11), -1),
    ],
)
def test_lateness_is_in_business_days(planned: date, actual: date, late: int) -> None:
    """A weekend in between makes nothing later."""
    assert days_late(planned, actual, working) == late
