"""The published JSON Schema is what the code says, and every report in JSON keeps it, key by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator.adapters.render import report
from orchestrator.adapters.report_schema import report_schema, schema_text
from orchestrator.core.checklist import Box, CheckedPhase
from orchestrator.core.journal import AnswerHeard
from orchestrator.core.prediction import compare, predict
from orchestrator.core.summary import Summary
from orchestrator.core.timeline import Item
from tests.acceptance.desk import ROOT
from tests.adapters.test_evidence import sample
from tests.adapters.test_report_performance import measured
from tests.journals import (
    BEGAN,
    BUDGET_MS,
    fully_done,
    hostile_contract,
    refused,
    summary_of,
    the_plan,
    unfinished,
    walked_back,
)

PUBLISHED = ROOT / "docs" / "reference" / "report.schema.json"


def strict(part: Any) -> Any:
    """The schema where an object may have no other keys than those that it names."""
    if isinstance(part, dict):
        closed = {"additionalProperties": False} if isinstance(part.get("properties"), dict) else {}
        return {key: strict(value) for key, value in part.items()} | closed
    return [strict(each) for each in part] if isinstance(part, list) else part


def whole() -> Summary:
    """A run of which everything is told that can be."""
    done = summary_of(fully_done(the_plan(hostile_contract())))
    evidence = sample(steps={each.id: 12.5 for each in done.steps})
    actual = {each.id: each.duration_ms for each in done.steps}
    return replace(
        done,
        answers=(AnswerHeard(answer="deny", person="Ayu", proof="", actor="ayu", os_user="ayu", note="no"),),
        performance=measured(),
        evidence=evidence,
        comparison=compare(predict(evidence, {}).steps, evidence.steps, actual),
    )


@pytest.fixture(params=["whole", "refused", "walked back", "unfinished"])
def summary(request: pytest.FixtureRequest) -> Summary:
    """A run of each kind."""
    runs = {"refused": refused, "walked back": walked_back, "unfinished": unfinished}
    return summary_of(runs[request.param](the_plan(hostile_contract()))) if request.param in runs else whole()


def test_the_published_schema_is_what_the_code_says() -> None:
    """`python -m orchestrator.adapters.report_schema > docs/reference/report.schema.json` writes it."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json.loads(schema_text())
    Draft202012Validator.check_schema(report_schema())


def test_every_report_keeps_it_key_by_key(summary: Summary) -> None:
    """No key is missing, and none is there that the schema does not tell of."""
    samples: Mapping[str, list[Mapping[str, str | None]]] = {
        row.id: [{"id": "1", "parent": None}] for row in summary.relations if row.orphans
    }
    boxes = (Box(item=Item(title="Decide", days=(1, 1)), at=BEGAN), Box(item=Item(title="Apply", days=(2, 3))))
    told = (CheckedPhase(name="decision", boxes=boxes),)
    document = json.loads(report(summary, format="json", samples=samples, budget_ms=BUDGET_MS, checklist=told))
    assert [each.message for each in Draft202012Validator(strict(report_schema())).iter_errors(document)] == []
    assert set(report_schema()["required"]) == set(document)


def test_a_wrong_word_is_found(summary: Summary) -> None:
    """The words of states and fates are in the schema."""
    document = json.loads(report(summary, format="json", samples={}, budget_ms=BUDGET_MS))
    document["state"] = "fine"
    assert not Draft202012Validator(report_schema()).is_valid(document)
