"""`invoke timeline`: a road in dates, and what runs made of it."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orchestrator.adapters.calendars import WorkCalendar, work_calendar
from orchestrator.adapters.ics import calendar_text
from orchestrator.adapters.json_text import json_text
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.templates import render
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.checklists import Checked, checked
from orchestrator.app.deciding import chosen_road
from orchestrator.app.opening import open_site
from orchestrator.app.own_templates import for_request
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.answers import Document
from orchestrator.core.business_days import Timetable, timetable
from orchestrator.core.checklist import box_document
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.progress import Row, compare
from orchestrator.core.timeline import Option, Road, Runbook

FORMATS = ("text", "md", "json", "ics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything that is told about a road in dates. `notes` are lines for people, `skipped` holidays with names."""

    runbook: Runbook
    option: Option
    road: Road
    table: Timetable
    rows: tuple[Row, ...]
    calendar: WorkCalendar
    notes: tuple[str, ...]
    skipped: tuple[tuple[date, str], ...]

    @property
    def title(self) -> str:
        """What it is the timeline of."""
        return f"{self.runbook.name}, option {self.option}: {self.road.title}"

    @property
    def length(self) -> int:
        """How many business days it takes."""
        return max(each.item.days[1] for each in self.table.items)

    @property
    def span(self) -> str:
        """From when to when, and what is skipped."""
        away = f"weekends and holidays of {self.calendar.code}" if self.calendar.code else "weekends"
        return f"{counted(self.length, 'business day')} from {self.table.start} to {self.table.end}; {away} are skipped"


def timeline(
    request: Request, *, option: str | None, start: str | None, holidays: str | None, form: str | None
) -> Answer:
    """Dates for each item of a road; with an environment also what its runs made of them. Raises Refused."""
    if form not in {None, *FORMATS} or (request.json and form not in {None, "json"}):
        message = f"--format {form}: {', '.join(FORMATS)}; --json means json"
        raise Refused(message)
    folder = load_runbook(request.runbook, root=RUNBOOKS, with_roads=True)
    if not folder.runbook.roads:
        message = f"{folder.runbook.name}: its contract has no foreign key, so there are no roads and no timeline"
        raise Refused(message)
    label, road = _road(folder, option)
    found = _timeline(request, folder, label, road, _day(folder, label, start), work_calendar(holidays))
    document = _document(found)
    if form == "json" and not request.json:
        print("".join(json_text(document)), end="")
    elif form == "ics":
        done = {each.planned.item.title: each.box for each in found.rows if each.box}
        key = f"{found.runbook.name} {label}"
        print(calendar_text(found.table, name=key, key=key, made=datetime.now(UTC), done=done), end="")
    elif form == "md":
        with for_request(request, folder):
            print(render("timeline.md.j2", timeline=found), end="")
    else:
        _show(Screen(json=request.json), found)
    return Answer(document=document, exit_code=EXIT_DONE)


def _road(folder: RunbookFolder, option: str | None) -> tuple[Option, Road]:
    if option is None and folder.decision is not None:
        return folder.decision.option, folder.runbook.roads[folder.decision.option]
    return chosen_road(folder.runbook, option)


def _day(folder: RunbookFolder, label: Option, start: str | None) -> date:
    """The start as it is given, or the day of the decision for this road. Raises Refused."""
    if start is None:
        if folder.decision and folder.decision.option == label:
            return folder.decision.at.astimezone(UTC).date()
        message = f"from which day? --start 2026-12-14 (option {label} is not decided for: then that day would count)"
        raise Refused(message)
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", start, re.ASCII):
            return date.fromisoformat(start)
    except ValueError as error:
        message = f"--start {start}: there is no such day ({error})"
        raise Refused(message) from error
    message = f"--start {start}: write the day as 2026-12-14"
    raise Refused(message)


def _timeline(
    request: Request, folder: RunbookFolder, label: Option, road: Road, start: date, calendar: WorkCalendar
) -> Timeline:
    table = timetable(road, start=start, is_business_day=calendar.is_business_day)
    moved = (f"{start} is {calendar.why_not(start)}: the work begins on {table.start}",) if table.moved else ()
    decided = folder.decision is not None and folder.decision.option == label
    found = _checked(request) if request.env else None
    aside = () if found is None or decided else (f"option {label} is not decided for: no run is compared with it",)
    phases = found.phases if found and decided else ()
    rows = compare(table, phases, today=datetime.now(UTC).date(), is_business_day=calendar.is_business_day)
    return Timeline(
        runbook=folder.runbook,
        option=label,
        road=road,
        table=table,
        rows=tuple(rows),
        calendar=calendar,
        notes=(*moved, *aside, *(found.unread if found else ())),
        skipped=tuple(_skipped(table, calendar)),
    )


def _checked(request: Request) -> Checked:
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        with site.server.session("timeline") as connection:
            return checked(site, connection)


def _skipped(table: Timetable, calendar: WorkCalendar) -> list[tuple[date, str]]:
    """The days on the way that are no business days for another reason than the weekend."""
    span = (table.start + timedelta(days=number) for number in range((table.end - table.start).days))
    off = ((day, calendar.why_not(day)) for day in span if not calendar.is_business_day(day))
    return [(day, why) for day, why in off if why != f"a {day:%A}"]


def _show(screen: Screen, found: Timeline) -> None:
    screen.line(found.title)
    screen.line(f"  {found.span}")
    for note in found.notes:
        screen.line(f"  note: {note}")
    for row in found.rows:
        each = row.planned
        screen.line(f"{each.first} to {each.last}  {each.item.planned:<13} {each.phase:<14} {each.item.title}")
        if row.box is not None:
            screen.line(f"  {'[x]' if row.box.ticked else '[ ]'} {row.told}")
    for day, why in found.skipped:
        screen.line(f"  skipped: {day} {why}")


def _document(found: Timeline) -> Document:
    return {
        "runbook": found.runbook.name,
        "option": found.option,
        "title": found.road.title,
        "risk": found.road.risk,
        "asked": str(found.table.asked),
        "start": str(found.table.start),
        "end": str(found.table.end),
        "business_days": found.length,
        "holidays": found.calendar.code or None,
        "notes": list(found.notes),
        "skipped": [{"date": str(day), "reason": why} for day, why in found.skipped],
        "items": [_row_document(each) for each in found.rows],
    }


def _row_document(row: Row) -> Document:
    planned = row.planned
    return {
        "phase": planned.phase,
        "title": planned.item.title,
        "step": planned.item.step,
        "days": list(planned.item.days),
        "first": str(planned.first),
        "last": str(planned.last),
        "dates": [str(day) for day in planned.dates],
        "actual": box_document(row.box) if row.box else None,
        "late": row.late,
    }
