"""What reports tell of a rehearsal: its own evidence, and a deployment beside what was expected of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.adapters.render import report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.prediction import compare, predict
from orchestrator.core.summary import Summary
from tests.acceptance.desk import MASTER
from tests.adapters.test_evidence import sample
from tests.journals import fully_done, summary_of, the_plan


@pytest.fixture
def summary() -> Summary:
    """A deployment that was done."""
    return summary_of(fully_done(the_plan(load_contract(MASTER / "foreign_keys.toml"))))


def told(summary: Summary, form: str) -> str:
    """The report in that format."""
    return report(summary, format=form, samples={}, budget_ms=100)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["md", "html"])
def test_without_a_rehearsal_nothing_is_said_of_one(summary: Summary, form: str) -> None:
    """Neither a comparison nor evidence."""
    text = told(summary, form)
    assert "Planned, rehearsed, actual" not in text
    assert "Rehearsed</h2>" not in text
    assert "## Rehearsed" not in text


@pytest.mark.parametrize("form", ["md", "html"])
def test_planned_rehearsed_and_actual_stand_side_by_side(summary: Summary, form: str) -> None:
    """Per step, and whether it took longer than was to be expected at most."""
    evidence = sample(steps={"apply": 0.5, "audit": 99_000.0})
    actual = {each.id: each.duration_ms for each in summary.steps}
    compared = replace(summary, comparison=compare(predict(evidence, {}).steps, evidence.steps, actual))
    text = told(compared, form)
    assert "Planned, rehearsed, actual" in text
    assert "1 min 39 s" in text
    assert "longer" in text
    document = json.loads(told(compared, "json"))
    found = {each["step"]: each for each in document["comparison"]}
    assert found["audit"]["planned"]["ms"] == found["audit"]["rehearsed_ms"] == 99_000
    assert found["plan"]["planned"] is None


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_rehearsal_tells_its_ways_back_and_its_locks(summary: Summary, form: str) -> None:
    """Every boundary with its proof, every statement with what it really held."""
    way = sample().ways_back[0]
    evidence = sample(like="prod & co", ways_back=(way, replace(way, boundary="validate", after="b")))
    text = told(replace(summary, evidence=evidence), form)
    assert "SHARE ROW EXCLUSIVE" in text
    assert "as it was" in text
    assert "differs" in text.lower()
    assert "prod &amp; co" in text
