"""The report as JUnit XML for CI: one test case per finding and per relation of the contract.

Failures are what counts against the run. What could not be found out and is critical is an error. What somebody should
know and nothing fails for is skipped, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal
from xml.etree import ElementTree as ET

from orchestrator.core.checks import Finding
from orchestrator.core.fates import RelationRow
from orchestrator.core.summary import Summary

NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any form (its section 2.2); a name in PostgreSQL can have them."""

Result = Literal["failure", "error", "skipped"]


def junit(summary: Summary) -> str:
    """The whole document."""
    root = ET.Element("testsuites", name=_text(f"{summary.task} {summary.runbook} on {summary.environment}"))
    _suite(root, summary, "findings", (_finding(each) for each in summary.findings))
    _suite(root, summary, "relations", (_relation(each, summary) for each in summary.relations))
    cases = list(root.iter("testcase"))
    root.set("tests", str(len(cases)))
    root.set("failures", str(_count(cases, "failure")))
    root.set("errors", str(_count(cases, "error")))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, summary: Summary, name: str, cases: Iterable[ET.Element]) -> None:
    suite = ET.SubElement(root, "testsuite", name=_text(f"{summary.runbook}.{name}"))
    suite.set("hostname", _text(summary.host))
    suite.set("timestamp", summary.started.removesuffix(" UTC").replace(" ", "T"))
    properties = ET.SubElement(suite, "properties")
    for key, value in (
        ("run", summary.run),
        ("environment", summary.environment),
        ("state", summary.state),
        ("verdict", summary.verdict or ""),
        ("digest", summary.digest),
        ("head", summary.head),
    ):
        ET.SubElement(properties, "property", name=key, value=_text(value))
    found = list(cases)
    suite.extend(found)
    suite.set("tests", str(len(found)))
    for attribute, result in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(_count(found, result)))
    suite.set("time", f"{sum(float(each.get('time') or 0) for each in found):.3f}")


def _count(cases: Iterable[ET.Element], result: str) -> int:
    return sum(each.find(result) is not None for each in cases)


def _finding(finding: Finding) -> ET.Element:
    case = _case("finding", f"{finding.id}: {finding.title}", 0.0)
    if finding.status != "pass":
        result: Result = "skipped"
        if finding.counts_against and finding.severity != "optional":
            result = "error" if finding.status == "unknown" else "failure"
        message = f"{finding.severity}, {finding.status}: {finding.observed}"
        _told(case, result, message, f"expected: {finding.expected}\nremedy: {finding.remedy}")
    return case


def _relation(row: RelationRow, summary: Summary) -> ET.Element:
    """A relation that is not there fails a deployment that was to add it and did not come to its end."""
    case = _case("relation", row.id, (row.duration_ms or 0.0) / 1000)
    wanted = summary.task == "deploy" and not summary.dry_run and summary.state not in {"done", "running"}
    details = f"{row.name}: {row.reason}"
    if row.orphans:
        _told(case, "failure", f"{row.fate}; rows that refer to nothing: {row.orphans}", f"{details}\n{row.query}")
    elif row.fate == "failed" or (row.fate == "missing" and wanted):
        _told(case, "failure", f"{row.fate}: {row.reason}", details)
    elif row.fate in {"missing", "deferred"}:
        _told(case, "skipped", f"{row.fate}: {row.reason}", details)
    return case


def _case(kind: str, name: str, seconds: float) -> ET.Element:
    return ET.Element("testcase", classname=kind, name=_text(name), time=f"{seconds:.3f}")


def _told(case: ET.Element, result: Result, message: str, details: str) -> None:
    told = ET.SubElement(case, result, message=_text(message))
    told.text = _text(details)


def _text(text: str) -> str:
    """What XML can hold; the rest is shown as not to be shown."""
    return NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
