"""A check is data plus a judge: what is asked, how grave a no is, and a pure function that reads the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Environment
from orchestrator.core.plan import Plan

Severity = Literal["critical", "important", "optional"]
FindingStatus = Literal["pass", "fail", "unknown"]

Row = Mapping[str, object]

NEEDS_KEYS = "not asked: it needs every key of the contract"
NOT_ON_THIS_ROAD = "not asked: on the road that was decided for the keys are not added"
"""Said in place of the other where that is so for good; a check that can never be asked leaves no part undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. `caused_by_data` marks orphans: a failure that is not ours."""

    id: str
    title: str
    severity: Severity
    status: FindingStatus
    observed: str
    expected: str
    remedy: str = ""
    caused_by_data: bool = False

    @property
    def counts_against(self) -> bool:
        """Whether the finding speaks against going on: a failure, or a critical matter that stays unknown."""
        return self.status == "fail" or (self.status == "unknown" and self.severity == "critical")

    @property
    def left_open(self) -> bool:
        """Whether it is still to be found out."""
        return self.status == "unknown" and self.observed != NOT_ON_THIS_ROAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a probe found: rows, or the reason why it could not find out."""

    rows: tuple[Row, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the checks of a preflight speak about."""

    environment: Environment
    contract: Contract
    catalog: Catalog
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge makes of an answer."""

    status: FindingStatus
    observed: str


def passed(observed: str) -> Judgement:
    """As expected."""
    return Judgement(status="pass", observed=observed)


def failed(observed: str) -> Judgement:
    """Not as expected."""
    return Judgement(status="fail", observed=observed)


def unknown(observed: str) -> Judgement:
    """Could not be found out; `observed` says why."""
    return Judgement(status="unknown", observed=observed)


def none_of(lines: Sequence[str], *, well: str, most: int = 5) -> Judgement:
    """Pass when there is no line; otherwise fail with the first few and how many more there are."""
    if not lines:
        return passed(well)
    rest = f" and {len(lines) - most} more" if len(lines) > most else ""
    return failed("; ".join(lines[:most]) + rest)


Judge = Callable[[Subject, tuple[Row, ...]], Judgement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One item of the preflight list.

    `probe` names the question that is put to the world; None where the catalog already knows.
    """

    id: str
    title: str
    severity: Severity
    expected: str
    remedy: str
    judge: Judge
    probe: str | None = None

    def find(self, subject: Subject, answer: Answer) -> Finding:
        """The finding for an answer; an answer that failed is unknown."""
        verdict = unknown(answer.problem) if answer.problem else self.judge(subject, answer.rows)
        return Finding(
            id=self.id,
            title=self.title,
            severity=self.severity,
            status=verdict.status,
            observed=verdict.observed,
            expected=self.expected,
            remedy="" if verdict.status == "pass" else self.remedy,
        )
