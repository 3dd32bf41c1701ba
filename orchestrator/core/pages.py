"""Which documents there are, who reads them in which order, and how long that takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestrator.core.timeline import Option

WORDS_A_MINUTE: Final = 200
"""How quickly people read what they have to act upon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A document of the set. `option` is the road that it belongs to; None for all."""

    key: str
    file: str
    title: str
    purpose: str
    option: Option | None = None


PAGES: Final = (
    Page(key="start", file="START_HERE.md", title="Start page", purpose="where it stands, and who reads what"),
    Page(
        key="actions",
        file="POST_STAGING_ACTION_ITEMS.md",
        title="Action items",
        purpose="what is done, what is left, and the command for it",
    ),
    Page(
        key="strategy",
        file="FK_STRATEGY_ANALYSIS.md",
        title="Strategy analysis",
        purpose="the decision, its options and what they rest on",
    ),
    Page(
        key="report",
        file="STAGING_DEPLOYMENT_FINAL_REPORT.md",
        title="Staging report",
        purpose="every relation, table and check on staging",
    ),
    Page(
        key="summary",
        file="STAGING_DEPLOYMENT_SUCCESS.md",
        title="Staging summary",
        purpose="how staging ended, on one page",
    ),
    Page(
        key="validation",
        file="APP_LEVEL_VALIDATION.md",
        title="Application-level validation",
        purpose="what the application has to check instead of the database",
        option="B",
    ),
    Page(
        key="audits",
        file="ORPHAN_CHECK_AUDITS.md",
        title="Orphan audits",
        purpose="the queries that find what the application let through",
        option="B",
    ),
    Page(
        key="index",
        file="MASTER_TABLES_DEPLOYMENT_INDEX.md",
        title="Index of documents",
        purpose="all documents with their length, and the records behind them",
    ),
    Page(
        key="runbook",
        file="README_RUNBOOK.md",
        title="Migration runbook",
        purpose="the steps, their commands, and the way back",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """A role with what it needs to know, and the documents in the order in which it reads them."""

    role: str
    goal: str
    reads: tuple[str, ...]


GUIDES: Final = (
    Guide(
        role="Project lead",
        goal="Decide for a road, and know what stands between now and production.",
        reads=("start", "actions", "strategy", "report"),
    ),
    Guide(
        role="Developer",
        goal="Know what changes for the code that writes these tables.",
        reads=("start", "strategy", "validation", "actions", "report"),
    ),
    Guide(
        role="DBA",
        goal="Judge relations, locks and the way back.",
        reads=("start", "report", "strategy", "runbook", "audits"),
    ),
    Guide(
        role="SRE",
        goal="Run it, watch it, and know when to walk back.",
        reads=("start", "summary", "runbook", "actions", "audits"),
    ),
)


def word_count(text: str) -> int:
    """Words of a document: what stands between blanks and has a letter or a digit; a grouped number is one."""
    return sum(re.search(r"\w", each) is not None for each in re.findall(r"[^ \t\r\n]+", text))


def minutes(words: int) -> int:
    """How long reading takes, in whole minutes, at least one."""
    return max(1, -(-words // WORDS_A_MINUTE))
