"""Words from templates: the report of a run in four forms, and the plan as a script.

Templates get a Summary or a Plan and add no number of their own. Names come from databases and are shown
literally.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final, Literal

from orchestrator.adapters.charts import chart
from orchestrator.adapters.junit import junit
from orchestrator.adapters.key_picture import picture
from orchestrator.adapters.lock_chart import lock_chart
from orchestrator.adapters.mermaid import key_chart, key_legend, step_chart
from orchestrator.adapters.templates import render
from orchestrator.adapters.terminal import safety
from orchestrator.core.answers import report_document
from orchestrator.core.checklist import CheckedPhase, checklist_document
from orchestrator.core.plan import Plan
from orchestrator.core.summary import Summary

Samples = Mapping[str, list[Mapping[str, str | None]]]


HEADLINES: Final[Mapping[str, str]] = {
    "done": "Done",
    "failed": "Failed after work began",
    "refused": "Refused before the first change",
    "held": "Held: it can go on later",
    "running": "Not finished",
    "interrupted": "Interrupted before its end",
    "abandoned": "Abandoned before its end",
}

ATTENTION: Final = ("failed", "missing", "added", "present", "deferred")
"""Relations that need somebody are told first; within a fate the contract's order stays."""


def report(
    summary: Summary,
    *,
    format: Literal["html", "md", "json", "junit"],  # noqa: A002  the flag's own name
    samples: Samples,
    budget_ms: int,
    checklist: Sequence[CheckedPhase] = (),
    reload: bool = False,
    written: str = "",
) -> str:
    """The report of a run; `samples` are the orphan keys per relation that are kept on this machine.

    A page that will be written again while the run goes on is to `reload` itself, and says when it was `written`.
    """
    if format == "json":
        more = {"lock_budget_ms": budget_ms, "checklist": checklist_document(checklist)}
        document = report_document(summary, samples) | more
        document |= {"comparison": [asdict(each) for each in summary.comparison]}
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if format == "junit":
        return junit(summary)
    return render(
        f"report.{format}.j2",
        summary=summary,
        badge=badge(summary),
        headline=headline(summary),
        safety=sentence(safety(summary)),
        relations=sorted(summary.relations, key=lambda row: (not row.orphans, ATTENTION.index(row.fate))),
        orphaned=[row for row in summary.relations if row.orphans],
        counted=sum(row.orphans is not None for row in summary.relations),
        passes=[each for each in summary.findings if each.status == "pass"],
        samples=samples,
        budget_ms=budget_ms,
        chart=chart(summary.steps, summary.comparison),
        locks=lock_chart(summary.statements, budget_ms),
        picture=picture(summary.relations),
        mermaid={"keys": key_chart(summary.relations), "steps": step_chart(summary)},
        legend=key_legend(summary.relations),
        reload=reload,
        written=written,
        checklist=checklist,
    )


def plan_script(plan: Plan) -> str:
    """`plan --format sql`: a script that psql can run, one transaction per statement, its locks first."""
    return render("plan.sql.j2", plan=plan)


def badge(summary: Summary) -> str:
    """The verdict; the state where a GO on the way would tell more than the end keeps."""
    ended_well = summary.state == "done"
    return summary.verdict if summary.verdict and (ended_well or summary.verdict != "GO") else summary.state


def headline(summary: Summary) -> str:
    """How the run ended, in a few words."""
    ending = " with differences" if summary.differences else ""
    if summary.rolled_back:
        return f"Failed, and walked back{ending}"
    if summary.task == "rollback" and summary.state == "done":
        return f"Walked back{ending}"
    if summary.dry_run and summary.state == "done":
        return "Dry run: nothing was changed"
    if summary.task == "rehearse" and summary.state == "done":
        return "Rehearsed on a copy, which is gone"
    return HEADLINES[summary.state]


def sentence(text: str) -> str:
    """Words that stood within a line, as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."
