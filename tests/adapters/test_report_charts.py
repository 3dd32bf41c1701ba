"""The charts of the report: each has its numbers in words, and hostile names are names."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from orchestrator.adapters.charts import chart
from orchestrator.adapters.key_picture import path
from orchestrator.adapters.lock_chart import MOST_SHOWN, lock_chart
from orchestrator.adapters.render import report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.journal import AnswerHeard
from orchestrator.core.prediction import Comparison, Expected
from orchestrator.core.summary import StepRow, Summary
from tests.acceptance.desk import MASTER
from tests.journals import BUDGET_MS, fully_done, hostile_contract, refused, summary_of, the_plan


@pytest.fixture(scope="module")
def summary() -> Summary:
    """A deployment that was done."""
    return summary_of(fully_done(the_plan(load_contract(MASTER / "foreign_keys.toml"))))


def page(summary: Summary) -> str:
    """Its HTML report."""
    return report(summary, format="html", samples={}, budget_ms=BUDGET_MS)


def test_planned_rehearsed_and_actual_bars_share_an_axis() -> None:
    """Planned and rehearsed steps follow each other; one that has not begun is there, too."""
    steps = [
        StepRow(id=name, state="done", note="", remedy="", start_ms=start, duration_ms=took)
        for name, start, took in (("plan", 0.0, 500.0), ("apply", None, None))
    ]
    compared = [
        Comparison(step=name, planned=Expected(ms=ms, least_ms=ms, most_ms=ms), rehearsed_ms=ms * 2, actual_ms=None)
        for name, ms in (("plan", 100.0), ("apply", 400.0))
    ]
    first, second = chart(steps, compared).bars
    assert (first.left, first.width) == (0, 50)
    assert second.left is None
    assert second.planned
    assert second.rehearsed
    assert (second.planned.left, second.planned.width) == (10, 40)
    assert (second.rehearsed.left, second.rehearsed.width) == (20, 80)


def test_the_page_draws_all_three_and_says_them(summary: Summary) -> None:
    """Bars for the eye, words for those who do not see them."""
    planned = Expected(ms=4000.0, least_ms=1, most_ms=9000)
    compared = replace(
        summary, comparison=(Comparison(step="apply", planned=planned, rehearsed_ms=2500.0, actual_ms=3100.0),)
    )
    text = page(compared)
    assert 'class="bar planned"' in text
    assert 'class="bar rehearsed"' in text
    assert "took 3.1 s, planned 4.0 s, rehearsed 2.5 s." in text
    assert 'class="bar planned"' not in page(summary)


def test_the_longest_locks_are_drawn_against_the_budget(summary: Summary) -> None:
    """The longest first, what goes over is marked, and how many are left out is counted."""
    found = lock_chart(summary.statements, 10)
    holding = [each for each in summary.statements if each.blocked_ms]
    assert len(found.bars) == MOST_SHOWN
    assert found.left_out == len(holding) - MOST_SHOWN
    assert found.bars[0].held == 100
    assert found.bars[0].over
    assert found.budget < 100
    assert lock_chart(summary.statements, 1e6).budget == 100
    assert not lock_chart((), 100).bars
    assert 'id="lock-chart"' in page(summary)


def test_every_key_is_a_line_with_its_name(summary: Summary) -> None:
    """In the picture, and below it in words."""
    text = page(summary)
    svg = re.search(r'<svg class="graph".*?</svg>', text, re.DOTALL)
    assert svg
    drawn = ET.fromstring(svg[0])
    titles = [each.findtext("title") or "" for each in drawn.iter("path")]
    assert sorted(title.rsplit(": ", 1)[0] for title in titles) == sorted(row.id for row in summary.relations)
    words = text.split("The same in words", 1)[1].split("</details>", 1)[0]
    assert sum(words.count(f"({fate})") for fate in ("added", "already there", "deferred")) == len(summary.relations)


def test_hostile_names_stay_names_in_the_picture() -> None:
    """The picture is well-formed, whatever a table is called."""
    text = page(summary_of(refused(the_plan(hostile_contract()))))
    svg = re.search(r'<svg class="graph".*?</svg>', text, re.DOTALL)
    assert svg
    names = {each.text for each in ET.fromstring(svg[0]).iter("text")}
    assert "<script>alert(1)</script>" in names or any("<script>" in (name or "") for name in names)


def test_a_curve_to_its_own_table_dips() -> None:
    """A line between two points of one height would be hidden by the box."""
    assert path(((0, 10), (20, 10))) == "M0 10 C0 41 20 41 20 10"
    assert path(((0, 10), (20, 30))) == "M0 10 C0 20 20 20 20 30"


def test_who_answered_and_what_was_overridden_is_told(summary: Summary) -> None:
    """With how the person is known, and the words that were given."""
    answer = AnswerHeard(
        answer="approve", person="Ayu <b>", proof="role ayu", actor="ayu", os_user="ayu", note="seen & good", at="22:00"
    )
    told = page(replace(summary, answers=(answer,), overridden=("window by Budi: an outage",)))
    section = told.split('id="approvals"', 1)[1].split("</section>", 1)[0]
    for words in ("Ayu &lt;b&gt;", "role ayu", "seen &amp; good", "approved", "window by Budi: an outage"):
        assert words in section
    assert "No gate was overridden" in page(summary)
