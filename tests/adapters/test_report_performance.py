"""The cost of the keys in the report: every table, write and load, and nothing when it was not measured."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from orchestrator.adapters.events import decode, encode
from orchestrator.adapters.render import report
from orchestrator.core.journal import Event, PerformanceMeasured
from orchestrator.core.performance import Costs, Latency, Timing, compare
from orchestrator.core.summary import Summary
from tests.journals import BUDGET_MS, began, fully_done, hostile_contract, step, summary_of, the_plan

HOSTILE = "public.<script>a|b`c"
KEY = f"{HOSTILE}.fk{{{{ 7*7 }}}}"


def costs(ms: float, **triggers: float) -> Costs:
    """One side: an insert, a delete that could not be made, and a load."""
    insert = Timing(table=HOSTILE, operation="insert", ms=ms, triggers=triggers, rows=12, method="copy of a row")
    delete = Timing(table="public.empty", operation="delete", unknown="the table has no rows")
    latency = Latency(table=HOSTILE, average_ms=2.0, p95_ms=ms * 3, transactions=12_345)
    return Costs(
        timings=(insert, delete),
        latencies=(latency,),
        method="pgbench 18, 4 clients, 3 s",
        untried={"public.empty": "no write of it could be made"},
        unindexed={KEY: f"{HOSTILE}(parent)"},
    )


def measured() -> PerformanceMeasured:
    """An event with a slow key on a hostile table, and an empty table."""
    found = compare(costs(1.0), costs(34.5, **{KEY: 33.25}))
    return PerformanceMeasured(
        writes=found.writes,
        loads=found.loads,
        overheads=found.overheads,
        clients=4,
        method="pgbench 18, 4 clients, 3 s",
    )


def summary(*events: Event) -> Summary:
    """A run that recorded these."""
    return summary_of(iter((began("rehearse"), *step("rehearse", 10, *events))))


def told(form: Literal["html", "md", "json"], seen: Summary) -> str:
    """The report."""
    return report(seen, format=form, samples={}, budget_ms=BUDGET_MS)


def test_the_event_comes_back_as_it_went() -> None:
    """Through the ledger's text."""
    assert decode(*encode(measured())) == measured()


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_report_tells_judgement_times_keys_and_what_is_unknown(form: Literal["html", "md"]) -> None:
    """Each number as it was measured, and each reason."""
    text = told(form, summary(measured()))
    for words in ("roll back", "33.50 ms", "33.25 ms", "34.50 ms", "103.50 ms", "the table has no rows"):
        assert words in text, words
    assert "pgbench 18, 4 clients, 3 s" in text
    assert "<script>a" not in text
    assert "49" not in text


@pytest.mark.parametrize("form", ["html", "md"])
def test_a_run_that_measured_nothing_has_no_such_section(form: Literal["html", "md"]) -> None:
    """Deployments do not measure it."""
    assert "Cost of the keys" not in told(form, summary_of(fully_done(the_plan(hostile_contract()))))


def test_scripts_read_it_with_the_word_of_each_table() -> None:
    """`report --format json`; null where it was not measured."""
    document = json.loads(told("json", summary(measured())))["performance"]
    assert {each["table"]: each["word"] for each in document["overheads"]} == {
        HOSTILE: "roll back",
        "public.empty": "unknown",
    }
    assert document["writes"][0]["triggers"] == {KEY: 33.25}
    assert json.loads(told("json", summary()))["performance"] is None
