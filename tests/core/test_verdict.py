"""The rule that turns findings into GO, HOLD or NO-GO, row by row."""

from __future__ import annotations

from typing import get_args

import pytest

from orchestrator.core.checks import Finding, FindingStatus, Severity
from orchestrator.core.verdict import Word, judge


def finding(severity: Severity, status: FindingStatus, name: str = "x") -> Finding:
    """A finding of that weight."""
    return Finding(id=name, title="?", severity=severity, status=status, observed="this", expected="that")


CASES: tuple[tuple[str, Word], ...] = (
    ("", "GO"),
    ("critical pass, important pass, optional pass", "GO"),
    ("critical fail", "NO-GO"),
    ("critical unknown", "NO-GO"),
    ("critical fail, important pass, optional pass", "NO-GO"),
    ("critical unknown, important fail", "NO-GO"),
    ("important fail", "HOLD"),
    ("important fail, important fail", "HOLD"),
    ("important fail, important fail, important fail", "NO-GO"),
    ("important fail, important fail, important fail, important fail", "NO-GO"),
    ("important unknown", "GO"),
    ("important unknown, important unknown, important unknown", "GO"),
    ("important fail, important fail, important unknown", "HOLD"),
    ("important fail, important fail, optional fail", "HOLD"),
    ("optional fail", "GO"),
    ("optional fail, optional fail, optional fail, optional fail", "GO"),
    ("optional unknown", "GO"),
)


def findings(text: str) -> list[Finding]:
    """The findings of a case, named by their place."""
    found = []
    for number, part in enumerate(filter(None, text.split(", "))):
        severity, status = part.split()
        assert severity in get_args(Severity)
        assert status in get_args(FindingStatus)
        found.append(finding(severity, status, f"f{number}"))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(("text", "word"), CASES)
def test_the_rule(text: str, word: Word) -> None:
    """A critical no: NO-GO; one or two important: HOLD; three: NO-GO; optional never; unknown counts when critical."""
    assert judge(findings(text)).word == word


@pytest.mark.parametrize(("text", "word"), CASES)
def test_the_order_of_findings_does_not_matter(text: str, word: Word) -> None:
    """Whoever was asked first, the word is the same."""
    assert judge(reversed(findings(text))).word == word


@pytest.mark.parametrize("severity", get_args(Severity))
@pytest.mark.parametrize("status", get_args(FindingStatus))
def test_what_counts_against(severity: Severity, status: FindingStatus) -> None:
    """A failure always counts; what stays unknown only where it is critical; a pass never."""
    expected = status == "fail" or (status == "unknown" and severity == "critical")
    assert finding(severity, status).counts_against is expected


def test_reasons_are_told_critical_first() -> None:
    """One line for each finding that decided, the gravest first; optional ones give no reason."""
    verdict = judge(
        [
            finding("optional", "fail", "o"),
            finding("important", "fail", "i"),
            finding("important", "unknown", "u"),
            finding("critical", "unknown", "c"),
        ]
    )
    assert verdict.reasons == ("c (critical): this", "i (important): this")


def test_go_needs_no_reason() -> None:
    """Optional failures are told as findings, not as reasons."""
    assert judge([finding("optional", "fail")]).reasons == ()
