"""Walking back: what a run added is taken away, as a run of its own or within the run that failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from orchestrator.adapters.journal import RunJournal
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import begin, confirmed, refuse_open_run
from orchestrator.app.deserted import clear_deserted
from orchestrator.app.dispatching import dispatcher_of
from orchestrator.app.finishing import finish
from orchestrator.app.host_work import hosts_back
from orchestrator.app.live import follow
from orchestrator.app.opening import open_site
from orchestrator.app.remediating import is_remediation, put_back, run_to_put_back
from orchestrator.app.request import Request
from orchestrator.app.telling import telling
from orchestrator.app.work import Work, find_work
from orchestrator.core.journal import (
    NotificationQueued,
    PlanRecorded,
    StepFinished,
    StepStarted,
    VerdictGiven,
)
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import (
    CannotConnect,
    ConnectionLost,
    Done,
    Failed,
    Held,
    HeldBack,
    JournalLost,
    OrchestratorError,
    RunState,
    StepState,
)
from orchestrator.core.run import Run
from orchestrator.core.verdict import Word
from orchestrator.engine.conductor import ATTEMPTS
from orchestrator.engine.walk_back import WalkBack

ENDINGS: Mapping[StepState, tuple[Word, RunState]] = {
    "done": ("GO", "done"),
    "held": ("HOLD", "held"),
    "failed": ("NO-GO", "failed"),
}


def rollback(request: Request, *, run: str | None, yes: bool, confirm: Callable[[str], bool]) -> Answer:
    """Walk back what a run added, as a run of its own. Raises OrchestratorError before it has begun."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        confirmed(site, yes=yes, confirm=confirm)
        with telling(site) as attach, at_work(site, attach) as work:
            clear_deserted(work)
            if run is not None and is_remediation(work.connection, run):
                refuse_open_run(site, work.connection, but=run)
                return put_back(work, run_to_put_back(work.connection, run, site.environment.name))
            found = find_work(work.connection, run, site.environment.name)
            refuse_open_run(site, work.connection, but=found.run.id)
            return walk_back(work, found, live=True)[1]


def walk_back(work: AtWork, found: Work, *, live: bool = False) -> tuple[Run, Answer]:
    """The way back of a run, as a run of its own from its first event to its last; `live` with a page meanwhile."""
    site, journal = work.site, work.new_journal()
    if live:
        follow(site, journal)
    begin(site, journal, work.connection, task="rollback", steps=("rollback",), rolls_back=found.run.id)
    work.open_ledger(journal)
    if not found.run.closed:
        work.abandon(found.run.id, f"walked back by run {site.run}")
    if found.run.plan:
        journal.record(PlanRecorded(plan=found.run.plan))
    answer = walk(work, journal, found)
    return journal.run, answer


def _walk_back(work: AtWork, journal: RunJournal) -> WalkBack:
    return WalkBack(
        dispatch=dispatcher_of(work.site, journal, work.target),
        catalog=work.site.catalog("rollback"),
        contract=work.site.contract,
        recorder=journal,
    )


def walk_own(work: AtWork, journal: RunJournal) -> None:
    """The way back of a run that failed, within the run: hosts first, as they came last."""
    hosts_back(work.site, journal, journal.run)
    if not _in_database(journal.run):
        return
    _walk_back(work, journal).walk(journal.run)


def walk(work: AtWork, journal: RunJournal, found: Work) -> Answer:
    """The one step of a rollback run, and its verdict."""
    journal.record(StepStarted(step="rollback"))
    began = time.perf_counter()
    outcome = _walked(work, journal, found)
    elapsed = round((time.perf_counter() - began) * 1000, 3)
    journal.record(StepFinished(step="rollback", state=outcome.state, note=outcome.note, duration_ms=elapsed))
    word, state = ENDINGS[outcome.state]
    reason = "" if isinstance(outcome, Done) else outcome.note
    journal.record(VerdictGiven(gate="rollback", word=word, reasons=(reason,) if reason else ()))
    journal.record(NotificationQueued(topic="finished", about=state))
    journal.close(state, reason)
    return finish(work.site, journal)


def _walked(work: AtWork, journal: RunJournal, found: Work) -> Done | Held | Failed:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _walk_once(work, journal, found)
        except JournalLost:
            raise
        except (ConnectionLost, CannotConnect) as error:
            stop = journal.stopping()
            if stop or attempt == ATTEMPTS:
                return Held(note=stop or str(error))
            journal.recover(str(error))
        except HeldBack as error:
            return Held(note=str(error))
        except OrchestratorError as error:
            stop = journal.stopping()
            return Held(note=stop) if stop else Failed(note=str(error))
    raise AssertionError  # the last attempt returns


def _walk_once(work: AtWork, journal: RunJournal, found: Work) -> Done | Failed:
    left = hosts_back(work.site, journal, found.run, found)
    hosts = f", {counted(len(journal.run.hosts.undone), 'command')} on hosts" if journal.run.hosts.undone else ""
    if not _in_database(found.run):
        note = f"0 statements walked back{hosts}"
        return Failed(note=f"{note}; {'; '.join(left)}") if left else Done(note=note)
    walked = _walk_back(work, journal).walk(found.run, undone=found.undone, again=found.again)
    # What stands is told by the catalog of now, not by the plan of then.
    journal.record(PlanRecorded(plan=work.site.make_plan(work.site.catalog("rollback").catalog())))
    count = len(journal.run.undone)
    if walked.differences:
        return Failed(
            note=f"{counted(count, 'statement')} walked back, but the catalog differs from before run {walked.of}"
        )
    stands = [each for each in journal.run.passed_over if each.stands and each.id not in journal.run.undone]
    if stands:
        # A row of another tool's is in no catalog: that it stands has to be said here.
        return Failed(note=f"{counted(count, 'statement')} walked back, but not {stands[0].id}: {stands[0].reason}")
    told = f"{counted(count, 'statement')} walked back{hosts}"
    return Failed(note=f"{told}; {'; '.join(left)}") if left else Done(note=told)


def _in_database(run: Run) -> bool:
    """Whether a run did anything there; one that only gave commands to hosts recorded no catalog to compare with."""
    return bool(run.done or run.intended) or not run.hosts.touched
