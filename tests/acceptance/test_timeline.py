"""`invoke timeline`: a road in dates, as text, Markdown, JSON and a calendar file; and what runs made of it."""

from __future__ import annotations

import json
import shutil
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from icalendar import Calendar
from markdown_it import MarkdownIt

from tests.acceptance.desk import MASTER, Desk

if TYPE_CHECKING:
    from pathlib import Path

BARE = '[[foreign_key]]\ntable = "a"\ncolumns = ["b"]\nreferences = { table = "c", columns = ["id"] }\n'


@pytest.fixture
def runbook(desk: Desk) -> Path:
    """A copy of the shipped runbook, undecided."""
    return shutil.copytree(MASTER, desk.folder / "master")


def decide(desk: Desk, runbook: Path) -> None:
    """Decide for road A."""
    words = ("--option", "A", "--rationale", "keys are cheap", "--by", "Ayu")
    assert desk.typed("decide", "--runbook", str(runbook), *words).returncode == 0


def told(desk: Desk, *words: str) -> dict[str, Any]:
    """`invoke timeline --json`."""
    said = desk.typed("timeline", "--json", *words)
    assert said.returncode == 0, said.stderr
    return dict(json.loads(said.stdout))


def spans(document: dict[str, Any]) -> list[tuple[str, str]]:
    """First and last day of each item."""
    return [(each["first"], each["last"]) for each in document["items"]]


def test_road_a_over_a_holiday(desk: Desk) -> None:
    """10 business days; Christmas Day is skipped and named."""
    found = told(desk, "--option", "A", "--start", "2026-12-14", "--holidays", "ID")
    assert (found["business_days"], found["end"]) == (10, "2026-12-28")
    assert spans(found) == [
        ("2026-12-14", "2026-12-14"),
        ("2026-12-14", "2026-12-15"),
        ("2026-12-16", "2026-12-16"),
        ("2026-12-17", "2026-12-18"),
        ("2026-12-21", "2026-12-21"),
        ("2026-12-22", "2026-12-22"),
        ("2026-12-23", "2026-12-28"),
    ]
    assert found["skipped"] == [{"date": "2026-12-25", "reason": "Christmas Day"}]


def test_road_b_from_a_friday_over_two_holidays(desk: Desk) -> None:
    """15 business days."""
    found = told(desk, "--option", "B", "--start", "2026-12-11", "--holidays", "US")
    assert (found["business_days"], found["end"]) == (15, "2027-01-04")
    assert spans(found)[-3:] == [
        ("2026-12-28", "2026-12-28"),
        ("2026-12-29", "2026-12-29"),
        ("2026-12-30", "2027-01-04"),
    ]


@pytest.mark.parametrize(
    ("start", "country", "note"),
    [
        ("2026-12-12", (), "2026-12-12 is a Saturday: the work begins on 2026-12-14"),
        ("2026-12-25", ("--holidays", "us-ca"), "2026-12-25 is Christmas Day: the work begins on 2026-12-28"),
    ],
)
def test_a_start_that_is_no_business_day(desk: Desk, start: str, country: tuple[str, ...], note: str) -> None:
    """It moves, and says so."""
    assert told(desk, "--option", "A", "--start", start, *country)["notes"] == [note]
    assert note in desk.typed("timeline", "--option", "A", "--start", start, *country).stdout


def test_the_calendar_file_reads_back(desk: Desk) -> None:
    """One event of whole days per item, under the name it had before."""
    words = ("timeline", "--option", "A", "--start", "2026-12-18", "--holidays", "US", "--format", "ics")
    said = desk.typed(*words)
    events = Calendar.from_ical(said.stdout).walk("VEVENT")
    dates = [(each.decoded("dtstart"), each.decoded("dtend")) for each in events]
    assert dates[:2] == [(date(2026, 12, 18), date(2026, 12, 19)), (date(2026, 12, 18), date(2026, 12, 22))]
    assert dates[-1] == (date(2026, 12, 30), date(2027, 1, 5))
    assert len({str(each["uid"]) for each in events}) == len(events) == 7
    assert "master_tables A: Full validation, C3 to C6" in [str(each["summary"]) for each in events]
    again = Calendar.from_ical(desk.typed(*words[:4], "2027-02-01", *words[5:]).stdout).walk("VEVENT")
    assert [str(each["uid"]) for each in again] == [str(each["uid"]) for each in events]


def test_the_other_forms_say_the_same(desk: Desk) -> None:
    """JSON, a table in Markdown, lines of text."""
    words = ("--option", "A", "--start", "2026-12-14")
    document = told(desk, *words)
    assert json.loads(desk.typed("timeline", *words, "--format", "json").stdout) == document
    page = MarkdownIt("gfm-like", {"linkify": False}).render(desk.typed("timeline", *words, "--format", "md").stdout)
    text = desk.typed("timeline", *words).stdout
    for each in document["items"]:
        assert f"<td>{each['first']}</td>\n<td>{each['last']}</td>" in page
        assert f"{each['first']} to {each['last']}  " in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--start", "2026-02-30"), "--start 2026-02-30: there is no such day"),
        (("--start", "14.12.2026"), "--start 14.12.2026: write the day as 2026-12-14"),
        (("--start", "20261214"), "--start 20261214: write the day as 2026-12-14"),
        (("--start", "9999-12-30"), "no business day within a year"),
        (("--start", "2026-12-14", "--holidays", "XX"), "--holidays XX: no such country"),
        (("--start", "2026-12-14", "--holidays", "US-ZZ"), "--holidays US-ZZ: US has no part ZZ; known: AK, "),
        (("--start", "2150-01-01", "--holidays", "US"), "holidays are known for 1777 to 2100, not for 2150-01-01"),
        (("--start", "2026-12-14", "--format", "xml"), "--format xml: text, md, json, ics"),
        ((), "from which day? --start 2026-12-14"),
    ],
)
def test_what_cannot_be_planned(desk: Desk, words: tuple[str, ...], says: str) -> None:
    """Exit 2 and one line."""
    said = desk.typed("timeline", "--option", "A", *words)
    assert (said.returncode, said.stderr.count("\n"), said.stdout) == (2, 1, "")
    assert says in said.stderr


def test_which_road(desk: Desk, runbook: Path) -> None:
    """The decided one from the day of the decision; without a decision it is asked for, of one file too."""
    place = ("--runbook", str(runbook))
    undecided = desk.typed("timeline", *place, "--start", "2026-12-14")
    assert (undecided.returncode, undecided.stderr.split(" (")[0]) == (2, "error: which road? --option A")
    bare = desk.typed("timeline", "--runbook", desk.runbook(BARE, "shop"), "--start", "2026-12-14")
    assert (bare.returncode, bare.stderr.split(" (")[0]) == (2, "error: which road? --option A")
    decide(desk, runbook)
    found = told(desk, *place)
    assert (found["option"], found["business_days"]) == ("A", 10)
    assert told(desk, *place, "--option", "B", "--start", "2026-12-14")["option"] == "B"


def test_runs_fill_the_timeline(desk: Desk, runbook: Path, staging: str) -> None:
    """Planned against actual, the checklist in status and reports; a way back unticks."""
    place = ("--env", "staging", "--runbook", str(runbook))
    assert [each["phase"] for each in told_status(desk, place)["checklist"]] == ["decision"]
    decide(desk, runbook)
    answer = desk.deploy(runbook=str(runbook))
    run = answer.document["run"]
    status = told_status(desk, place)
    assert status["risk"] == "low"
    boxes = {box["item"]: box for phase in status["checklist"] for box in phase["items"]}
    by = {name: box["run"] for name, box in boxes.items() if box["state"] == "done" and box["run"]}
    assert by == {"write-the-foreign-key-migration-and-try-it-in-staging": run, "full-validation-c3-to-c6": run}
    assert boxes["deploy-to-production"]["missing"] == "apply on production"

    found = told(desk, *place, "--start", "2020-01-06")
    row = found["items"][1]
    assert (row["actual"]["run"], row["late"] > 0) == (run, True)
    assert "business days late" in desk.typed("timeline", *place, "--start", "2020-01-06").stdout
    other = told(desk, *place, "--option", "B", "--start", "2020-01-06")
    assert other["notes"] == ["option B is not decided for: no run is compared with it"]

    assert f"[x] Full validation, C3 to C6 (day 3): run {run} on staging" in desk.typed("status", *place).stdout
    assert f"| done | Full validation, C3 to C6 | day 3 | run {run} on staging" in desk.file(answer, "report.md")
    assert '<section id="checklist"' in desk.file(answer, "report.html")
    assert desk.report(answer)["checklist"][1]["items"][0]["run"] == run

    confirmed = desk.typed("approve", *place, "--item", "monitor", "--by", "Ayu", "--note", "a quiet week")
    assert confirmed.returncode == 0, confirmed.stderr
    assert "[x] Monitor (days 8 to 10): confirmed by Ayu" in desk.typed("status", *place).stdout

    desk.rollback(runbook=str(runbook))
    after = {box["item"]: box["state"] for phase in told_status(desk, place)["checklist"] for box in phase["items"]}
    assert after["full-validation-c3-to-c6"] == "open"


def told_status(desk: Desk, place: tuple[str, ...]) -> dict[str, Any]:
    """`invoke status --json`."""
    said = desk.typed("status", "--json", *place)
    assert said.returncode == 0, said.stderr
    return dict(json.loads(said.stdout))


def test_a_bare_contract_has_no_checklist(desk: Desk, database: str) -> None:
    """The key is there, and empty; nothing is told to people."""
    desk.environment("staging", database)
    place = ("--env", "staging", "--runbook", desk.runbook(BARE, "shop"))
    assert (told_status(desk, place)["checklist"], told_status(desk, place)["risk"]) == ([], "")
    assert "checklist" not in desk.typed("status", *place).stdout


def test_production_sees_what_staging_did(desk: Desk, runbook: Path, staging: str, database: str) -> None:
    """From the ledger of evidence_from, also on a machine that has no copy; what cannot be read is told."""
    desk.environment("prod", database, kind="production", backup='mode = "dump"')
    text = (desk.inventory / "prod.toml").read_text("utf-8")
    (desk.inventory / "prod.toml").write_text(
        text.replace('kind = "production"', 'kind = "production"\nevidence_from = "staging"'), "utf-8"
    )
    decide(desk, runbook)
    run = desk.deploy(runbook=str(runbook)).document["run"]
    shutil.rmtree(desk.runs)
    place = ("--env", "prod", "--runbook", str(runbook))
    found = told_status(desk, place)
    assert found["checklist"][2]["items"][0]["run"] == run
    assert found["unread"] == []
    desk.variable("STAGING_URL", None)
    blind = told_status(desk, place)
    assert blind["checklist"][2]["items"][0]["state"] == "open"
    assert blind["unread"][0].startswith("the journal of staging was not read: ")
