"""`invoke audit --record`: an audit that is kept. Under option B in the target's history, and told when it is news."""

from __future__ import annotations

from contextlib import ExitStack

from orchestrator.adapters.audit_history import AuditHistory, Recorded
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.runs import Samples
from orchestrator.app.answer import Answer
from orchestrator.app.beginning import begin
from orchestrator.app.finishing import finish
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.app.telling import Attach, telling
from orchestrator.core.answers import audit_document
from orchestrator.core.audit import after_audit, orphan_finding
from orchestrator.core.audit_objects import by_piece
from orchestrator.core.audit_plan import RECORD, RECORDER
from orchestrator.core.catalog import Catalog
from orchestrator.core.journal import FindingsRecorded, StepFinished, StepStarted
from orchestrator.core.matching import match_all
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused

STEP = "audit"


def record(request: Request, *, on: str | None = None) -> Answer:
    """Record one audit; a run of its own when there is news, so that a quiet hour leaves a row and nothing else.

    Raises Refused where option B was not decided for or is not installed, and for a copy, which cannot be written to.
    """
    if on is not None:
        message = f"--record --on {on}: the history is written where it was installed; leave out one of the two"
        raise Refused(message)
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        catalog = site.catalog(STEP).catalog()
        older = _installed(site, catalog)
        history = AuditHistory(server=site.server, contract=site.contract, older=older)
        policy = site.environment.policy.show_samples
        recorded = history.record(keeps_keys=policy == "everywhere", shows_keys=policy != "nowhere")
        event = recorded.event
        site.screen.line(
            f"audit {event.audit}: {counted(event.orphans, 'orphan')} in {counted(event.relations, 'relation')},"
            f" {event.fresh} of them new",
            status=event.health,
        )
        for each in event.found:
            told = each.problem or f"{counted(each.orphans, 'orphan')}, {each.fresh} new"
            site.screen.line(f"  {each.relation}: {told}", status=each.health)
        with telling(site) as attach:
            # Also in a quiet hour: what could not be delivered before is tried again.
            run = _told(site, history, recorded, attach) if recorded.differs or event.calls else None
        for each_step in after_audit(event, f"--env {site.environment.name}{site.server.where}") if run is None else ():
            site.screen.line(f"  next: {each_step}")
        hopeless = [each for each in match_all(site.contract, catalog) if each.status == "impossible"]
        for lost in hopeless:
            # A view keeps up with a renamed column, the contract does not: the exit code needs its reason.
            site.screen.line(f"{lost.relation.id} is not as the contract says: {lost.reason}", status="FAIL")
        if hopeless:
            site.screen.line(f"  next: put contract or table right, then: {site.server.command('deploy')}")
    document = audit_document(
        recorded.counts, hopeless, show_samples=policy != "nowhere", where={"on": site.environment.name}
    )
    document |= {"audit": event.audit, "health": event.health, "fresh": event.fresh, "run": run}
    sound = event.health == "ok" and not hopeless
    return Answer(document=document, exit_code=EXIT_DONE if sound else EXIT_FAILED)


def _installed(site: Site, catalog: Catalog) -> bool:
    """Whether what is installed is an older version. Raises Refused where nothing is."""
    if not site.contract.road:
        message = (
            f"{site.folder.runbook.name}: --record writes the history that option B installs, and it was not decided"
            " for: invoke audit counts without it"
        )
        raise Refused(message)
    there = by_piece(catalog.audit_objects).get(RECORDER)
    if there is None:
        message = f"{site.environment.name}: the audits are not installed: {site.server.command('deploy')}"
        raise Refused(message)
    older = not any(each.kind == "procedure" and each.name == RECORD for each in there)
    if older:
        said = "the recorder is of an older version, which holds its locks from the first relation to the last"
        site.screen.line(f"{said}; to replace it: {site.server.command('deploy')}", status="note")
    return older


def _told(site: Site, history: AuditHistory, recorded: Recorded, attach: Attach) -> str:
    """A run with its report; who has to be called is called once: the history notes that it was told."""
    journal = site.file_journal()
    if recorded.event.calls:
        attach(journal)
    with site.server.session(STEP, read_only=True) as connection:
        begin(site, journal, connection, task="audit", steps=(STEP,))
    _keep(site, journal, recorded)
    if recorded.event.calls:
        # The alert is on disk by now, and is delivered later where Slack does not answer.
        history.told(recorded.event.audit)
    finish(site, journal)
    return site.run


def _keep(site: Site, journal: RunJournal, recorded: Recorded) -> None:
    """The audit as a run of one step."""
    samples = Samples(folder=site.run_folder, policy=site.environment.policy.show_samples)
    journal.record(StepStarted(step=STEP))
    for each in recorded.counts:
        journal.record(each.event("audit", samples.keep(each)))
        if each.count:
            site.show_orphans(each)
    journal.record(recorded.event)
    journal.record(FindingsRecorded(step=STEP, findings=(orphan_finding(recorded.counts, journal.run, refuse=True),)))
    event = recorded.event
    orphans, relations = counted(event.orphans, "orphan"), counted(event.relations, "relation")
    note = f"{orphans} in {relations}, {event.fresh} new: {event.health}"
    journal.record(StepFinished(step=STEP, state="done", note=note, duration_ms=event.duration_ms))
    journal.close("done", "")
