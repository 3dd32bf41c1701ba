"""Planned against actual: the items of a timetable beside the boxes that runs and people ticked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from orchestrator.core.business_days import IsBusinessDay, Planned, Timetable, days_late
from orchestrator.core.checklist import Box, CheckedPhase, boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An item as planned and, where runs were looked at, as it came. `late` is in business days, less than 0 early.

    An item that is not done is late once its last day has passed; until then `late` is None.
    """

    planned: Planned
    box: Box | None = None
    late: int | None = None

    @property
    def told(self) -> str:
        """What came of it: `run … on staging, 2026-12-16 09:00 UTC; 1 business day late`."""
        if self.box is None:
            return ""
        return f"{self.box.told}; {self.pace}" if self.pace else self.box.told

    @property
    def pace(self) -> str:
        """Whether it is on time, in words; empty while there is time left."""
        if self.late is None:
            return ""
        count = f"{abs(self.late)} business day" + ("s" if abs(self.late) != 1 else "")
        return f"{count} late" if self.late > 0 else f"{count} early" if self.late < 0 else "on time"


def compare(
    table: Timetable, phases: Iterable[CheckedPhase], *, today: date, is_business_day: IsBusinessDay
) -> Iterator[Row]:
    """The rows of a timetable; without phases there is only the plan."""
    found = {(phase, box.item.title): box for phase, box in boxes(phases)}
    for planned in table.items:
        box = found.get((planned.phase, planned.item.title))
        yield Row(planned=planned, box=box, late=_late(planned, box, today, is_business_day))


def _late(planned: Planned, box: Box | None, today: date, is_business_day: IsBusinessDay) -> int | None:
    if box is None:
        return None
    if box.at is not None:
        return days_late(planned.last, box.at.date(), is_business_day)
    return days_late(planned.last, today, is_business_day) or None if today > planned.last else None
