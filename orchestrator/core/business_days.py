"""Business days: a road of a runbook and a start become dates. Which days are business days, the caller says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Final

from orchestrator.core.outcome import Refused
from orchestrator.core.timeline import Item, PhaseName, Road

IsBusinessDay = Callable[[date], bool]

LONGEST_BREAK: Final = 366
"""Calendar days in a row without a business day after which a calendar is taken to have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An item with its business days as dates, in their order."""

    phase: PhaseName
    item: Item
    dates: tuple[date, ...]

    @property
    def first(self) -> date:
        """The date it begins."""
        return self.dates[0]

    @property
    def last(self) -> date:
        """The date it ends; still a day of work."""
        return self.dates[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """A road in dates. `asked` is the start as it was given, `start` the business day on which the work begins."""

    asked: date
    start: date
    items: tuple[Planned, ...]

    @property
    def end(self) -> date:
        """The last day of work."""
        return max(each.last for each in self.items)

    @property
    def moved(self) -> bool:
        """Whether the start that was asked for is no business day."""
        return self.asked != self.start


def timetable(road: Road, *, start: date, is_business_day: IsBusinessDay) -> Timetable:
    """Every item of a road with its dates; business day 1 is the start, or the next business day after it.

    Raises Refused where the calendar comes to no end.
    """
    most = max((item.days[1] for phase in road.phases for item in phase.items), default=1)
    days = tuple(islice(business_days(start, is_business_day), most))
    items = tuple(
        Planned(phase=phase.name, item=item, dates=days[item.days[0] - 1 : item.days[1]])
        for phase in road.phases
        for item in phase.items
    )
    return Timetable(asked=start, start=days[0], items=items)


def business_days(start: date, is_business_day: IsBusinessDay) -> Iterator[date]:
    """The business days from a date on, that date among them if it is one. Raises Refused after a year without any."""
    day, idle = start, 0
    while True:
        idle = 0 if is_business_day(day) else idle + 1
        if idle == 0:
            yield day
        if idle > LONGEST_BREAK or day == date.max:
            message = f"no business day within a year before {day}: choose another start, or another calendar"
            raise Refused(message)
        day += timedelta(days=1)


def days_late(planned: date, actual: date, is_business_day: IsBusinessDay) -> int:
    """Business days by which something came after the day it was planned for; less than 0 when it came before."""
    first, last = sorted((planned, actual))
    span = (first + timedelta(days=number) for number in range(1, (last - first).days + 1))
    count = sum(map(is_business_day, span))
    return count if actual >= planned else -count
