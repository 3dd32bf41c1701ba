"""The report in its three forms, and the plan as a script: nothing left out, names shown literally."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from orchestrator.adapters.charts import chart
from orchestrator.adapters.render import plan_script, report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.adapters.templates import render
from orchestrator.adapters.words import duration, literal, size
from orchestrator.core.fates import FATES
from orchestrator.core.summary import StepRow, Summary
from tests.journals import (
    BUDGET_MS,
    HOSTILE,
    fully_done,
    hostile_contract,
    refused,
    summary_of,
    the_plan,
    unfinished,
    walked_back,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.core.plan import Plan

PROJECT = Path(__file__).resolve().parents[2]
Format = Literal["html", "md", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "json")
RUNS = {"done": fully_done, "refused": refused, "walked back": walked_back, "unfinished": unfinished}


class Texts(HTMLParser):
    """What a browser would show and ask for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.cells: list[str] = []
        self.asked: list[str] = []
        self.tags: list[str] = []
        self._path: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag, what it asks for, and the cells."""
        self.tags.append(tag)
        self._path.append(tag)
        self.asked += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset", "data"}]
        if tag in {"td", "th", "dt", "dd"}:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave the tag, and those in it that have no end."""
        while self._path and self._path.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        if self._path and self._path[-1] not in {"style", "script"}:
            self.shown.append(data)
            if {"td", "th", "dt", "dd"} & set(self._path):
                self.cells[-1] += data


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan for the project's own contract."""
    return the_plan(load_contract(PROJECT / "runbooks" / "master_tables" / "foreign_keys.toml"))


@pytest.fixture(params=RUNS)
def summary(request: pytest.FixtureRequest, plan: Plan) -> Summary:
    """The view of each kind of run."""
    return summary_of(RUNS[request.param](plan))


@pytest.fixture
def hostile() -> Summary:
    """A run over hostile names."""
    return summary_of(refused(the_plan(hostile_contract())))


def told(summary: Summary, form: Format, samples: Mapping[str, list[Mapping[str, str | None]]] | None = None) -> str:
    """The report."""
    return report(summary, format=form, samples=samples or {}, budget_ms=BUDGET_MS)


def as_page(text: str, form: Format) -> Texts:
    """What a reader of the report sees; Markdown is rendered by a reader of its own."""
    return Texts(text if form == "html" else MarkdownIt("gfm-like", {"linkify": False}).render(text))


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_verdict_and_what_to_do_next_come_first(summary: Summary, form: Format) -> None:
    """Before any section: the verdict, the state, and what to type."""
    seen = " ".join(" ".join(as_page(told(summary, form), form).shown).split())
    opening, rest = seen.split("What to do next", 1)
    word = summary.verdict if summary.finished else summary.state
    assert word
    assert word in opening
    assert f"{summary.holding} of {summary.promised} promised relations stand" in opening
    for step in summary.next_steps:
        assert rest.index(step.split("invoke")[-1]) < rest.index("Findings")


@pytest.mark.parametrize("form", ["html", "md"])
def test_every_relation_of_the_contract_has_its_row(summary: Summary, plan: Plan, form: Format) -> None:
    """No relation is left out, and each is told with its fate and reason."""
    cells = " ".join(" ".join(as_page(told(summary, form), form).cells).split())
    assert len(summary.relations) == len(plan.relations)
    for row in summary.relations:
        assert f"{row.schema}.{row.table}({', '.join(row.columns)})" in cells
        assert row.name in cells
        assert row.reason in cells


def test_counts_in_the_page_are_those_of_the_summary(summary: Summary) -> None:
    """The tiles say what the summary counted, and the table has as many rows of each fate."""
    page = told(summary, "html")
    tiles = re.findall(r"<dt>([a-z ]+)</dt><dd>(\d+)</dd></div>", page)
    assert [int(count) for _, count in tiles] == [summary.counts[fate] for fate in FATES]
    for fate in FATES:
        assert page.count(f'data-fate="{fate}"') == summary.counts[fate]
    assert f"names {len(summary.relations)} relations: {summary.promised} promised" in page


def test_templates_hold_no_counts() -> None:
    """The sizes of the contract are in no template."""
    for path in (PROJECT / "templates").glob("report*.j2"):
        prose = re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"\b(11|44|45|56)\b", prose), path.name


@pytest.mark.parametrize("form", ["html", "md"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_literally(hostile: Summary, name: str, form: Format) -> None:
    """What means something to HTML, Markdown or Jinja is a name and nothing else."""
    page = as_page(told(hostile, form), form)
    assert any(f"public.{name}({name} id)" in cell for cell in page.cells)
    assert page.tags.count("script") == (1 if form == "html" else 0)
    assert "49" not in "".join(page.cells)


def test_hostile_names_stay_whole_in_json(hostile: Summary) -> None:
    """JSON keeps each name as it is."""
    rows = json.loads(told(hostile, "json"))["relation_rows"]
    assert [row["table"] for row in rows] == list(HOSTILE)


def test_the_page_asks_for_nothing_outside_itself(summary: Summary) -> None:
    """No address but those of its own sections, and a policy that forbids others."""
    page = told(summary, "html")
    assert all(each.startswith("#") or each == "data:," for each in Texts(page).asked)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page
    assert "'unsafe-inline'; script-src 'sha256-" in page


def test_the_page_has_heads_and_names_for_those_who_do_not_see_it(summary: Summary) -> None:
    """One first heading, a scope for each table header, and words for the chart."""
    page = told(summary, "html")
    assert Texts(page).tags.count("h1") == 1
    assert all('scope="' in head for head in re.findall(r"<th\b[^>]*>", page))
    chart_text = re.search(r'<desc id="chart-text">(.*?)</desc>', page)
    assert chart_text
    assert all(step.id in chart_text[1] for step in summary.steps if step.start_ms is not None)


def test_json_has_rows_statements_and_backup(summary: Summary) -> None:
    """The document that scripts read holds what the page tells."""
    document = json.loads(told(summary, "json"))
    assert document["relations"] == dict(summary.counts)
    assert len(document["relation_rows"]) == len(summary.relations)
    assert len(document["statements"]) == len(summary.statements)
    assert (document["backup"] is None) == (summary.backup is None)
    assert document["lock_budget_ms"] == BUDGET_MS


@pytest.mark.parametrize("form", ["html", "md"])
def test_orphans_come_with_query_and_the_keys_kept_here(plan: Plan, form: Format) -> None:
    """The count, the query and the sample; without a sample the report says so."""
    summary = summary_of(refused(plan))
    guilty = next(row for row in summary.relations if row.orphans)
    seen = as_page(told(summary, form, {guilty.id: [{"id": "k<1>", "parent": None}]}), form)
    assert guilty.query in " ".join(seen.shown)
    assert {"k<1>", "NULL"} <= {cell.strip() for cell in seen.cells}
    assert "No sample of keys is kept on this machine." in told(summary, form)


@pytest.mark.parametrize("form", ["html", "md"])
def test_differences_after_the_way_back_are_told_exactly(plan: Plan, form: Format) -> None:
    """What somebody else changed meanwhile is shown word by word."""
    summary = summary_of(walked_back(plan))
    seen = " ".join(as_page(told(summary, form), form).shown)
    assert "walked back with differences" in seen
    assert all(difference in seen for difference in summary.differences)
    assert f"Statements walked back: {summary.undone}" in seen


def test_a_statement_over_the_budget_is_told(plan: Plan) -> None:
    """The budget that was given decides."""
    summary = summary_of(fully_done(plan))
    over = sum(each.blocked_ms > 10 for each in summary.statements)
    assert report(summary, format="md", samples={}, budget_ms=10).count("| over |") == over > 0
    assert told(summary, "md").count("| over |") == 0


def test_the_script_quotes_locks_and_commits_each_statement(plan: Plan) -> None:
    """One transaction per statement, its locks first, its way back beside it."""
    script = plan_script(plan)
    first = plan.statements[0]
    assert script.count("BEGIN;") == script.count("COMMIT;") == len(plan.statements)
    assert f'LOCK TABLE ONLY "public"."{first.locks[0].table.name}" IN SHARE ROW EXCLUSIVE MODE;' in script
    assert "IN SHARE UPDATE EXCLUSIVE MODE" not in script
    assert plan.digest in script
    for each in plan.relations:
        assert each.status == "missing" or f"-- {each.status}: {each.relation.id}: {each.reason}" in script


def test_a_name_with_a_line_break_stays_a_comment_in_the_script() -> None:
    """Outside quoted names no line begins with a part of a name."""
    script = plan_script(the_plan(hostile_contract()))
    code = re.sub(r'"(?:[^"]|"")*"', '""', re.sub(r"^--.*$", "", script, flags=re.MULTILINE))
    assert "DROP" not in code
    assert '"say ""hi"""' in script


def test_a_template_that_misses_a_value_is_an_error() -> None:
    """Nothing is left blank in silence."""
    with pytest.raises(UndefinedError):
        render("plan.sql.j2")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 ms"),
        (4.26, "4.3 ms"),
        (340, "340 ms"),
        (999.7, "1.0 s"),
        (1234, "1.2 s"),
        (59_960, "1 min 00 s"),
        (12_000_000, "3 h 20 min"),
    ],
)
def test_durations_read_as_people_say_them(ms: float | None, text: str) -> None:
    """No step of the scale shows 1000 ms or 60.0 s."""
    assert duration(ms) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (12_897_485, "12.3 MiB")])
def test_sizes_read_as_people_say_them(count: int, text: str) -> None:
    """Binary units."""
    assert size(count) == text


def test_no_text_begins_a_list_or_heading_of_its_own() -> None:
    """Text at the beginning of a line is no markup."""
    texts = ("# a", "- a", "+ a", "1. a", "2026-03-03 22:00", "7.0 s", "fk_a_b")
    assert [literal(each) for each in texts] == ["\\# a", "\\- a", "\\+ a", "1\\. a", *texts[4:]]


def test_a_step_that_has_not_ended_is_marked_where_it_began() -> None:
    """The axis spans what is known."""
    steps = [
        StepRow(id=name, state="done", note="", remedy="", start_ms=start, duration_ms=took)
        for name, start, took in (("plan", 0.0, 500.0), ("apply", 1000.0, None), ("validate", None, None))
    ]
    assert [(bar.step.id, bar.left, bar.width) for bar in chart(steps).bars] == [("plan", 0, 50), ("apply", 100, 0)]
    assert not chart([]).bars
