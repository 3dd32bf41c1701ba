"""How a run ends: reports, last words, answer."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import TemplateError

from orchestrator.adapters import points
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.overrides import in_force
from orchestrator.adapters.render import report
from orchestrator.adapters.runs import RunFolder
from orchestrator.app.answer import Answer
from orchestrator.app.checklists import checked_here
from orchestrator.app.site import Site
from orchestrator.core.answers import run_document
from orchestrator.core.checklist import CheckedPhase
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import (
    EXIT_CODES,
    OrchestratorError,
)
from orchestrator.core.summary import Summary, summarize

REPORTS = {"html": "report.html", "md": "report.md", "json": "report.json", "junit": "report.xml"}


def write_reports(
    folder: RunFolder,
    summary: Summary,
    checklist: Sequence[CheckedPhase] = (),
) -> str:
    """All formats of the report into the run's folder; the path of the HTML one."""
    samples = folder.samples()
    for form, name in REPORTS.items():
        text = report(
            summary,
            format=form,  # type: ignore[arg-type]
            samples=samples,
            budget_ms=summary.lock_budget_ms,
            checklist=checklist,
        )
        folder.replace(name, text)
        points.reached(f"file:{name}")
    return str(folder.path / REPORTS["html"])


def finish(site: Site, journal: RunJournal) -> Answer:
    """Reports, last words, answer."""
    summary = summarize(journal.run)
    path = None
    try:
        path = write_reports(site.run_folder, summary, checked_here(site, journal.run).phases)
    except (OSError, OrchestratorError, TemplateError) as error:
        # The run is over and on record: a report can be rendered at any time.
        site.screen.line(f"the report could not be written: {error}; invoke report --run {summary.run}", status="FAIL")
    site.screen.ending(summary, path)
    if journal.ledger and journal.ledger.copy.behind:
        behind = counted(journal.ledger.copy.behind, "event")
        told = f"{behind} could not be copied to {site.run_folder.path}: make room there;"
        site.screen.line(f"{told} the database has them, and the next run completes the copy", status="FAIL")
    document = run_document(summary, report=path, samples=site.run_folder.samples())
    return Answer(
        document=document | {"template_errors": in_force().told},
        exit_code=EXIT_CODES[summary.state],
    )
