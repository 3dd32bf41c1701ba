"""One record, many readers: whatever is rendered from a journal says the same numbers, and follows when one changes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from orchestrator.adapters.document_set import documents
from orchestrator.adapters.junit import junit
from orchestrator.adapters.render import report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.adapters.slack_words import run_message
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.documents import document_set
from orchestrator.core.journal import Event, PlanRecorded, RunFinished, StatementDone
from orchestrator.core.journal.documents import SchemaDescribed
from orchestrator.core.messages import standing
from orchestrator.core.plan import Plan
from orchestrator.core.run import fold
from orchestrator.core.summary import summarize
from tests.acceptance.desk import MASTER
from tests.adapters.test_document_set import RUNBOOK, run_of
from tests.journals import BEGAN, BUDGET_MS, began, catalog, fully_done, the_plan

STANDING: Final = re.compile(r"([\d,]+) of ([\d,]+) promised (?:relations|keys) (?:stand\b|stood at its end)")

Counts = tuple[int, int]
"""How many promised relations hold, and how many are promised."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The plan of the runbook that comes with the project."""
    return the_plan(load_contract(MASTER / "foreign_keys.toml"))


def everywhere(events: Iterable[Event], plan: Plan) -> Mapping[str, set[Counts]]:
    """Every output that a deployment's journal has, with the counts that it tells."""
    told = list(events)
    run = fold("r1", ((event, BEGAN + timedelta(seconds=n / 2)) for n, event in enumerate(told)))
    summary = summarize(run)
    pages = {form: report(summary, format=form, samples={}, budget_ms=BUDGET_MS) for form in ("html", "md")}
    message = run_message(summary, standing(run, BEGAN), report="")
    schema = SchemaDescribed(tables=(), absent=(), orphan_queries={}, checks=())
    events_of = (began("docs"), catalog("before", "b"), PlanRecorded(plan=plan), schema, RunFinished(state="done"))
    books = documents(document_set(run_of("r0", events_of), RUNBOOK, deployments=[(run, None)]))
    texts = {**pages, "slack": message.text, **{each.page.file: each.text for each in books}}
    found = {name: _sentences(text) for name, text in texts.items()}
    found["slack blocks"] = _sentences(json.dumps([each.to_dict() for each in message.blocks]))
    found["json"] = {_document(report(summary, format="json", samples={}, budget_ms=BUDGET_MS))}
    found["junit"] = {_cases(junit(summary), plan)}
    return found


def _sentences(text: str) -> set[Counts]:
    return {(int(one.replace(",", "")), int(other.replace(",", ""))) for one, other in STANDING.findall(text)}


def _document(text: str) -> Counts:
    relations = json.loads(text)["relations"]
    numbers = {fate: len(each) if isinstance(each, list) else each for fate, each in relations.items()}
    holding = numbers["added"] + numbers["present"]
    return holding, sum(numbers.values()) - numbers["deferred"]


def _cases(text: str, plan: Plan) -> Counts:
    """Those that stand have no result of their own; what is deferred is skipped."""
    deferred = {each.relation.id for each in plan.relations if each.status == "deferred"}
    cases = [each for each in ET.fromstring(text).iter("testcase") if each.get("classname") == "relation"]
    promised = [each for each in cases if each.get("name") not in deferred]
    return sum(len(each) == 0 for each in promised), len(promised)


def test_all_outputs_say_the_same_and_follow_one_event(plan: Plan) -> None:
    """Pages, documents, Slack, JSON and JUnit: with the last validation out of the journal each says one key less."""
    whole = list(fully_done(plan))
    promised = sum(each.status != "deferred" for each in plan.relations)
    before = everywhere(whole, plan)
    last = max(n for n, each in enumerate(whole) if isinstance(each, StatementDone))
    after = everywhere((each for n, each in enumerate(whole) if n != last), plan)
    telling = {name for name, counts in before.items() if counts}
    assert {"html", "md", "slack", "slack blocks", "json", "junit", "START_HERE.md"} <= telling
    for name in telling:
        assert before[name] == {(promised, promised)}, name
        assert after[name] == {(promised - 1, promised)}, name


def test_a_contract_with_one_relation_less_is_one_less_everywhere(plan: Plan) -> None:
    """The second number comes from the journal, too."""
    smaller = the_plan(Contract(relations=_without_last(plan)))
    promised = sum(each.status != "deferred" for each in smaller.relations)
    for name, counts in everywhere(fully_done(smaller), smaller).items():
        assert counts in ({(promised, promised)}, set()), name


def _without_last(plan: Plan) -> tuple[Relation, ...]:
    relations = [each.relation for each in plan.relations]
    gone = max(n for n, each in enumerate(relations) if each.deferred is None)
    return tuple(each for n, each in enumerate(relations) if n != gone)
