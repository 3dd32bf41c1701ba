"""The report for CI: a case for each finding and each relation, and XML whatever a name holds."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from orchestrator.adapters.render import report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.plan import Plan
from orchestrator.core.summary import Summary
from tests.acceptance.desk import MASTER
from tests.journals import (
    BUDGET_MS,
    HOSTILE,
    finding,
    fully_done,
    hostile_contract,
    refused,
    summary_of,
    the_plan,
    walked_back,
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan for the project's own contract."""
    return the_plan(load_contract(MASTER / "foreign_keys.toml"))


def document(summary: Summary) -> ET.Element:
    """The document, read."""
    return ET.fromstring(report(summary, format="junit", samples={}, budget_ms=BUDGET_MS))


def cases(root: ET.Element, kind: str) -> dict[str, str]:
    """The cases of that kind with how they ended."""
    found = (each for each in root.iter("testcase") if each.get("classname") == kind)
    return {each.get("name") or "": each[0].tag if len(each) else "passed" for each in found}


def test_every_finding_and_relation_is_a_case(plan: Plan) -> None:
    """The counts are those of the summary."""
    summary = summary_of(fully_done(plan))
    root = document(summary)
    relations = cases(root, "relation")
    assert sorted(relations) == sorted(row.id for row in summary.relations)
    assert list(relations.values()).count("passed") == summary.holding
    assert list(relations.values()).count("skipped") == summary.counts["deferred"]
    assert len(cases(root, "finding")) == len(summary.findings)
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert root.get("tests") == str(len(summary.relations) + len(summary.findings))


def test_what_is_not_there_after_a_deployment_fails(plan: Plan) -> None:
    """Not there, orphans, and what failed; each with its reason. A dry run promises nothing."""
    summary = summary_of(refused(plan))
    root = document(summary)
    guilty = next(row for row in summary.relations if row.orphans)
    failed = [name for name, end in cases(root, "relation").items() if end == "failure"]
    assert len(failed) == summary.counts["missing"] + (guilty.fate != "missing")
    told = next(each for each in root.iter("testcase") if each.get("name") == guilty.id)
    assert guilty.query in (told[0].text or "")
    ends = set(cases(document(replace(summary_of(walked_back(plan)), dry_run=True)), "relation").values())
    assert ends == {"passed", "failure", "skipped"}


def test_findings_fail_as_they_count(plan: Plan) -> None:
    """Critical and unknown is an error, optional is only told."""
    bad = finding("a", "fail")
    found = (
        bad,
        replace(bad, id="b", status="unknown"),
        replace(bad, id="c", severity="optional"),
        finding("d", "pass"),
    )
    root = document(replace(summary_of(fully_done(plan)), findings=found))
    assert list(cases(root, "finding").values()) == ["failure", "error", "skipped", "passed"]


def test_hostile_names_and_control_characters_are_text() -> None:
    """Names come back as they were; what XML cannot hold is replaced."""
    summary = summary_of(refused(the_plan(hostile_contract())))
    named = [each.removeprefix("public.") for each in cases(document(summary), "relation")]
    assert all(any(each.startswith(name) for each in named) for name in HOSTILE)
    root = document(replace(summary, environment="a\x00b\x1f\ud800"))
    assert "a\N{REPLACEMENT CHARACTER}b" in (root.get("name") or "")
