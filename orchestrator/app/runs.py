"""The tasks that carry a runbook out: deploy and the dry run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from orchestrator.adapters.identity import identify
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.target import Target
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.baseline import record_baseline
from orchestrator.app.beginning import begin, confirmed, refuse_open_run
from orchestrator.app.deserted import clear_deserted
from orchestrator.app.dispatching import dispatcher_of
from orchestrator.app.finishing import finish
from orchestrator.app.gating import gates_of
from orchestrator.app.host_work import host_commands
from orchestrator.app.live import follow
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.scheduling import tell_schedule
from orchestrator.app.site import Site
from orchestrator.app.telling import telling
from orchestrator.app.walking_back import walk_own
from orchestrator.core.outcome import (
    Refused,
)
from orchestrator.core.ports import Step
from orchestrator.engine.conductor import Conductor
from orchestrator.steps.apply import Apply
from orchestrator.steps.gates import Gates


def deploy(request: Request, *, yes: bool, until: str | None, confirm: Callable[[str], bool]) -> Answer:
    """Carry the runbook out, step by step. Raises OrchestratorError before a run has begun."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=request.dry_run)
        steps = site.folder.steps
        if until is not None and until not in steps:
            message = f"--until {until}: no such step; known: {', '.join(steps)}"
            raise Refused(message)
        if site.folder.script and not (request.accept_no_undo or request.dry_run):
            message = f"{site.folder.script.name} is run as it stands and has no way back: say --accept-no-undo"
            raise Refused(message)
        if request.dry_run:
            return _dry_run(site, steps[: steps.index(until) + 1] if until else steps, stack)
        confirmed(site, yes=yes, confirm=confirm)
        with telling(site) as attach, at_work(site, attach) as work:
            clear_deserted(work)
            refuse_open_run(site, work.connection)
            journal = follow(site, work.new_journal())
            begin(site, journal, work.connection, task="deploy", steps=steps, until=until)
            return carry_out(work, journal, steps, until=until, stack=stack)


Dress = Callable[[dict[str, Step]], dict[str, Step]]
"""Replaces steps by others: what a copy does differently from its original."""


def carry_out(
    work: AtWork,
    journal: RunJournal,
    names: tuple[str, ...],
    *,
    until: str | None,
    stack: ExitStack,
    dress: Dress | None = None,
) -> Answer:
    """Conduct the steps, from the first or from where the journal says that the run stands; a copy is `dress`ed."""
    gates = gates_of(work.site)
    steps = _steps(work.site, journal, work.target, stack, gates)

    def opened() -> None:
        if not journal.ledger:
            work.open_ledger(journal)
            if dress is None:
                record_baseline(work.site, journal)

    conductor = Conductor(
        steps=dress(steps) if dress else steps,
        recorder=journal,
        gatekeeper=gates,
        opened=opened,
        walk_back=lambda: walk_own(work, journal),
        auto_rollback=work.site.environment.policy.auto_rollback,
        hearing=work.site.hearing(),
        passes_hold=dress is not None,
    )
    conductor.conduct(names, until=until)
    answer = finish(work.site, journal)
    return answer if dress else tell_schedule(work.site, answer)


def _dry_run(site: Site, names: tuple[str, ...], stack: ExitStack) -> Answer:
    journal = follow(site, site.file_journal())
    with site.server.session("dry-run") as connection:
        begin(site, journal, connection, task="deploy", steps=names)
        target = Target(server=site.server, identity=identify(connection), within_s=0)
    conductor = Conductor(
        steps=_steps(site, journal, target, stack, gates_of(site)),
        recorder=journal,
        opened=lambda: None,
        walk_back=lambda: None,
        auto_rollback="never",
    )
    conductor.rehearse(names, site.screen.preview)
    return finish(site, journal)


def _steps(site: Site, journal: RunJournal, target: Target, stack: ExitStack, gates: Gates) -> dict[str, Step]:
    probes = stack.enter_context(site.probes())
    dispatch = dispatcher_of(site, journal, target)
    return {
        "preflight": site.preflight(probes),
        "plan": site.plan_step(),
        "audit": site.audit(),
        "gates": gates,
        "approval": site.approvals(),
        "backup": site.backup(),
        "apply": Apply(dispatch=dispatch, catalog=site.catalog("apply"), contract=site.contract),
        "hosts": host_commands(site),
        "validate": site.validate(dry=site.request.dry_run),
    }
