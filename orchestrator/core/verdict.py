"""Findings become GO, HOLD or NO-GO, by rule and never by whoever types the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.checks import Finding

Word = Literal["GO", "HOLD", "NO-GO"]

IMPORTANT_FOR_NO_GO = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The word and the reasons for it, one line each."""

    word: Word
    reasons: tuple[str, ...] = ()


def judge(findings: Iterable[Finding]) -> Verdict:
    """Any critical failure: NO-GO. Three or more important ones: NO-GO; one or two: HOLD. Otherwise GO."""
    against = [each for each in findings if each.counts_against]
    critical = [each for each in against if each.severity == "critical"]
    important = [each for each in against if each.severity == "important"]
    reasons = tuple(f"{each.id} ({each.severity}): {each.observed}" for each in (*critical, *important))
    if critical or len(important) >= IMPORTANT_FOR_NO_GO:
        return Verdict(word="NO-GO", reasons=reasons)
    if important:
        return Verdict(word="HOLD", reasons=reasons)
    return Verdict(word="GO")
