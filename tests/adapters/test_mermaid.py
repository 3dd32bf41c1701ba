"""Mermaid charts in the Markdown report: every key and step is in them, and no name breaks out of its label."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from orchestrator.adapters.mermaid import escaped, key_chart, step_chart
from orchestrator.adapters.render import report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.prediction import Comparison, Expected
from orchestrator.core.summary import Summary
from tests.acceptance.desk import MASTER
from tests.core.test_key_graph import rows
from tests.journals import BUDGET_MS, fully_done, hostile_contract, refused, summary_of, the_plan, walked_back

LABEL = re.compile(r'^    t\d+\["[\w.\- #;]*"\]$')
EDGE = re.compile(r"^    t\d+ (-->|-\.->|-\.->\|not there\||==>\|failed\|) t\d+$")


@pytest.fixture(scope="module")
def summary() -> Summary:
    """A run that failed at its last key and walked back."""
    return summary_of(walked_back(the_plan(load_contract(MASTER / "foreign_keys.toml"))))


def charts(summary: Summary) -> list[str]:
    """The charts that a reader of the Markdown report draws."""
    text = report(summary, format="md", samples={}, budget_ms=BUDGET_MS)
    return [each.content for each in MarkdownIt("commonmark").parse(text) if each.info == "mermaid"]


def test_every_key_is_an_edge_and_every_step_that_began_a_bar(summary: Summary) -> None:
    """Coloured by fate: each edge has its colour once."""
    keys, steps = charts(summary)
    edges = [line for line in keys.splitlines() if EDGE.match(line)]
    assert len(edges) == len(summary.relations)
    styled = [int(n) for found in re.findall(r"linkStyle ([\d,]+) ", keys) for n in found.split(",")]
    assert sorted(styled) == list(range(len(edges)))
    assert sum("==>|failed|" in each for each in edges) == summary.counts["failed"]
    began = [each for each in summary.steps if each.start_ms is not None]
    assert steps.count("    actual ") == len(began) > 0
    assert "planned" not in steps


@pytest.mark.parametrize("run", [refused, fully_done])
def test_no_name_breaks_out_of_its_label(run: object) -> None:
    """Each line is what we write; a name is letters and numbers of characters."""
    keys = charts(summary_of(run(the_plan(hostile_contract()))))[0]  # type: ignore[operator]
    own = re.compile(r"^(flowchart BT|    (linkStyle [\d,]+|classDef \w+) stroke:[\w#,:-]+|    class [t\d,]+ \w+)$")
    assert all(LABEL.match(line) or EDGE.match(line) or own.match(line) for line in keys.splitlines())


def test_labels_are_letters_and_numbers_of_characters() -> None:
    """Quotes, hashes, backticks, ends of lines."""
    assert escaped('a"]; click t0 "x') == "a#34;#93;#59; click t0 #34;x"
    assert escaped("a#35;b`\nc") == "a#35;35#59;b#96; c"
    assert escaped("größe") == "größe"
    assert escaped("x" * 63) == f"{'x' * 19}#8230;{'x' * 19}"


def test_planned_and_rehearsed_stand_one_after_the_other(summary: Summary) -> None:
    """From the beginning of the run, in ms since the epoch."""
    compared = tuple(
        Comparison(step=name, planned=Expected(ms=ms, least_ms=0, most_ms=9e9), rehearsed_ms=ms / 2, actual_ms=None)
        for name, ms in (("preflight", 1000.0), ("plan", 500.0))
    )
    text = step_chart(replace(summary, comparison=compared))
    bars = [[int(n) for n in line.rsplit(":", 1)[1].split(", ")[-2:]] for line in text.splitlines() if " :" in line]
    planned, rehearsed = bars[0], bars[1]
    assert planned[1] - planned[0] == 1000
    assert rehearsed[1] - rehearsed[0] == 500
    assert bars[3][0] == planned[1]


def test_too_many_are_not_drawn() -> None:
    """Neither tables nor keys that Mermaid would refuse."""
    assert not key_chart(rows(*((f"t{number}", "hub") for number in range(60))))
    assert not key_chart(())
