"""A timetable as an iCalendar file, by the library `icalendar`: one event of whole days for each item."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from orchestrator.core.business_days import Planned, Timetable
from orchestrator.core.checklist import Box, item_key

DOMAIN = "orchestrator"


def calendar_text(table: Timetable, *, name: str, key: str, made: datetime, done: Mapping[str, Box]) -> str:
    """The file. `done` has the boxes of the items by title, where runs were looked at.

    `key` tells timetables apart: an item keeps its UID when it is planned anew, so it moves and no second one appears.
    """
    # Only this format needs the library.
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", f"-//{DOMAIN}//timeline//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    for each in table.items:
        event = Event()
        event.add("uid", f"{item_key(f'{key} {each.phase} {each.item.title}')}@{DOMAIN}")
        event.add("dtstamp", made)
        event.add("summary", f"{name}: {each.item.title}")
        event.add("dtstart", each.first)
        # The end of an event of whole days is the day after its last one (RFC 5545, 3.6.1).
        event.add("dtend", each.last + timedelta(days=1))
        event.add("categories", [each.phase])
        event.add("description", _description(each, done.get(each.item.title)))
        calendar.add_component(event)
    return str(calendar.to_ical().decode("utf-8"))


def _description(each: Planned, box: Box | None) -> str:
    lines = ["Business days: " + ", ".join(f"{day:%Y-%m-%d}" for day in each.dates)]
    if box is not None:
        lines.append(f"{box.state}: {box.told}")
    return "\n".join(lines)
