"""Measured times become expected ones: by rows where rows are read, with the spread as the interval."""

from __future__ import annotations

import pytest

from orchestrator.core.evidence import Evidence, Measured, WayBack
from orchestrator.core.prediction import compare, predict
from tests.adapters.test_evidence import sample

TIMES = {"preflight": (90.0, 100.0, 110.0), "audit": (200.0,), "apply": (40.0, 50.0, 70.0), "validate": (300.0, 300.0)}


def rehearsed(**changes: object) -> Evidence:
    """A rehearsal: adding took 10 ms, validating the child's 1000 rows 40 ms."""
    add = Measured(id="add", relation="r", sql="", locks=(), duration_ms=10, blocked_ms=10)
    validate = Measured(
        id="validate", relation="r", sql="", locks=(), duration_ms=40, blocked_ms=0, table="public.child"
    )
    facts: dict[str, object] = {
        "statements": (add, validate),
        "rows": {"public.child": 1000, "public.parent": 1000},
        "steps": {"preflight": 100.0, "apply": 50.0, "audit": 200.0, "validate": 300.0},
        "step_times": TIMES,
        "ways_back": (
            WayBack(boundary="plan", before="a", after="a", duration_ms=0),
            WayBack(boundary="apply", before="a", after="a", duration_ms=30, statements=2),
            WayBack(boundary="validate", before="a", after="a", duration_ms=20, statements=2),
        ),
    }
    return sample(**{**facts, **changes})


def test_the_same_rows_take_the_same_time() -> None:
    """The median, between the least and the most that was seen, and the spread once more on either side."""
    found = predict(rehearsed(), {"public.child": 1000, "public.parent": 1000})
    assert list(found.steps) == ["preflight", "audit", "apply", "validate"]
    apply = found.steps["apply"]
    assert (apply.ms, apply.least_ms, apply.most_ms) == (50, 10, 100)
    assert (found.way_back.ms, found.way_back.least_ms, found.way_back.most_ms) == (30, 5, 45)
    assert found.total.ms == 650


def test_what_reads_rows_grows_with_them() -> None:
    """Three times the child's rows: its validation takes three times as long, adding what it took."""
    found = predict(rehearsed(), {"public.child": 3000, "public.parent": 1000})
    assert found.steps["apply"].ms == pytest.approx(10 + 3 * 40)
    assert found.steps["audit"].ms == pytest.approx(2 * 200)
    assert found.steps["preflight"].ms == 100
    assert found.way_back.ms == 30


def test_fewer_rows_are_no_promise() -> None:
    """What does not depend on rows is not known: only the least counts on fewer."""
    audit = predict(rehearsed(), {"public.child": 100, "public.parent": 100}).steps["audit"]
    assert (audit.ms, audit.most_ms) == (200, 300)
    assert audit.least_ms == pytest.approx(10)


def test_a_table_that_was_empty_grows_with_the_others() -> None:
    """Nothing can be divided by no rows."""
    found = predict(
        rehearsed(rows={"public.child": 0, "public.parent": 1000}), {"public.child": 5, "public.parent": 2000}
    )
    assert found.steps["apply"].ms == pytest.approx(10 + 2.005 * 40)


def test_nothing_measured_nothing_expected() -> None:
    """An empty plan has a prediction, too."""
    found = predict(rehearsed(statements=(), steps={}, ways_back=()), {})
    assert (found.total.ms, found.way_back.ms) == (0, 0)


def test_what_is_left_from_a_step_on() -> None:
    """Before each step the rest has to fit before the window ends."""
    found = predict(rehearsed(), {})
    assert found.from_step("apply").ms == 350
    assert found.from_step("validate").ms == 300


def test_planned_rehearsed_and_actual() -> None:
    """Side by side; a step that was not rehearsed has only its actual time."""
    evidence = rehearsed()
    told = {
        each.step: each
        for each in compare(predict(evidence, {}).steps, evidence.steps, {"apply": 99.0, "audit": 500.0, "odd": 1.0})
    }
    assert (told["apply"].rehearsed_ms, told["apply"].within, told["audit"].within) == (50, True, False)
    assert (told["odd"].planned, told["odd"].rehearsed_ms, told["odd"].within) == (None, None, None)
