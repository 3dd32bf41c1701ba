"""`invoke docs`: a snapshot of the catalog on record, and the document set made from what the journals tell."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from orchestrator.adapters.document_set import Document, DocumentFolder, described, documents
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.overrides import in_force
from orchestrator.adapters.postgres import Connection
from orchestrator.app.answer import Answer
from orchestrator.app.beginning import begin
from orchestrator.app.checklists import checked
from orchestrator.app.known_runs import known_runs, unchanged_since
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core.documents import DocumentSet, document_set
from orchestrator.core.journal import PlanRecorded
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.snapshot import recorded


def docs(request: Request, *, out: str | None) -> Answer:
    """Record what the catalog has, below `runs/` only, and write the documents. Raises OrchestratorError."""
    if not out:
        message = "where to? --out DIR: the folder for the documents"
        raise Refused(message)
    folder = DocumentFolder(path=Path(out).expanduser())
    folder.check()
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        with site.server.session("docs") as connection:
            view = _view(site, connection)
        made, errors = documents(view), in_force().told
    paths, gone = folder.write(made)
    for path, each in zip(paths, made, strict=True):
        site.screen.line(f"{path}: {each.page.title}, {counted(each.words, 'word')}, {each.minutes} min")
    for path in gone:
        site.screen.line(f"{path}: taken away, it belongs to another decision", status="note")
    if folder.others:
        site.screen.line(f"{counted(len(folder.others), 'other file')} in {folder.path}: left as found", status="note")
    site.screen.line(f"{counted(len(made), 'document')} in {folder.path}", status="done")
    return Answer(document=_document(site, paths, made) | {"template_errors": errors}, exit_code=EXIT_DONE)


def _view(site: Site, connection: Connection) -> DocumentSet:
    journal = _snapshot(site, connection)
    runs, boxes = known_runs(site, connection), checked(site, connection)
    return document_set(
        unchanged_since(site, journal.run),
        site.folder.runbook,
        rehearsal=runs.rehearsal,
        deployments=runs.deployments,
        watches=runs.watches,
        phases=boxes.phases,
        unread=boxes.unread,
        where=site.request.where,
    )


def _snapshot(site: Site, connection: Connection) -> RunJournal:
    """A run of its own that has the catalog, the plan that follows from it, and what the documents say of tables."""
    journal = site.file_journal(connection)
    begin(site, journal, connection, task="docs", steps=())
    catalog = site.catalog("docs").catalog()
    plan = site.make_plan(catalog)
    journal.record(recorded(catalog, "before", site.contract))
    journal.record(PlanRecorded(plan=plan))
    journal.record(described(site.contract, catalog, plan, site.folder.checks))
    journal.close("done", "")
    return journal


def _document(site: Site, paths: tuple[Path, ...], made: tuple[Document, ...]) -> dict[str, object]:
    return {
        "run": site.run,
        "environment": site.environment.name,
        "option": site.folder.decision.option if site.folder.decision else None,
        "documents": [
            {"path": str(path), "title": each.page.title, "words": each.words, "minutes": each.minutes}
            for path, each in zip(paths, made, strict=True)
        ],
    }
