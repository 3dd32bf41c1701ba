"""Which days are business days: weekends, and the holidays of a country as the library `holidays` knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from orchestrator.core.outcome import Refused

if TYPE_CHECKING:
    from holidays import HolidayBase

SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkCalendar:
    """A country's business days; without a country every Monday to Friday is one."""

    code: str = ""
    days: HolidayBase | None = None

    def is_business_day(self, day: date) -> bool:
        """Whether people work on that day. Raises Refused for a year whose holidays nobody knows."""
        if self.days is None:
            return day.weekday() < SATURDAY
        if not self.days.start_year <= day.year <= self.days.end_year:
            span = f"{self.days.start_year} to {self.days.end_year}"
            message = f"--holidays {self.code}: holidays are known for {span}, not for {day}"
            raise Refused(message)
        return bool(self.days.is_working_day(day))

    def why_not(self, day: date) -> str:
        """Why a day is no business day: `Christmas Day`, `a Saturday`."""
        name = self.days.get(day) if self.days is not None else None
        return str(name) if name else f"a {day:%A}"


def work_calendar(code: str | None) -> WorkCalendar:
    """The calendar of a country, or of a part of one: `ID`, `US`, `US-CA`. Raises Refused for one that is not known."""
    if code is None:
        return WorkCalendar()
    # Half a second to import: only who asks for holidays waits for it.
    import holidays

    country, _, part = code.strip().upper().partition("-")
    if country not in holidays.list_supported_countries():
        message = f"--holidays {code}: no such country; a code of two letters, such as ID or US (US-CA for a part)"
        raise Refused(message)
    try:
        found = holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError as error:
        known = ", ".join(holidays.list_supported_countries()[country]) or "none"
        message = f"--holidays {code}: {country} has no part {part}; known: {known}"
        raise Refused(message) from error
    if "en_US" in found.supported_languages:
        found = holidays.country_holidays(country, subdiv=part or None, language="en_US")
    return WorkCalendar(code=code.strip().upper(), days=found)
