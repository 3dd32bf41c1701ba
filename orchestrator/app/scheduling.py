"""After a deployment of audits instead of keys: who records the next audit, and what has to be put where."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.adapters.audit_history import AuditHistory
from orchestrator.adapters.schedule_files import CRON, SERVICE, TIMER, schedule_files
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS, Site
from orchestrator.core.inventory import Source
from orchestrator.core.outcome import EXIT_DONE, OrchestratorError


def tell_schedule(site: Site, answer: Answer) -> Answer:
    """Write the files of the schedule into the run's folder, and say so; the answer tells, too.

    Nothing of it makes a deployment fail that is done.
    """
    if not site.contract.road or answer.exit_code != EXIT_DONE:
        return answer
    try:
        cron = AuditHistory(server=site.server, contract=site.contract).scheduled()
        files = {name: str(site.run_folder.replace(name, text)) for name, text in _files(site).items()}
    except OrchestratorError as error:
        site.screen.line(f"the schedule of the audits could not be written: {error}", status="FAIL")
        return answer
    if cron:
        site.screen.line("pg_cron records an audit every hour; it tells nobody of new orphans, this does so:")
    else:
        site.screen.line("pg_cron is not installed here: nothing records audits until this is put to work")
    site.screen.line(f"  systemd: {files[SERVICE]} and {files[TIMER]}, then systemctl enable --now {TIMER}")
    site.screen.line(f"  cron: the line in {files[CRON]}")
    schedule = {"by": "pg_cron" if cron else "timer", "files": list(files.values())}
    return Answer(document={**answer.document, "schedule": schedule}, exit_code=answer.exit_code)


def _files(site: Site) -> dict[str, str]:
    return schedule_files(
        command(site.request),
        place=RUNBOOKS.parent,
        environment=site.environment.name,
        variables=tuple(dict.fromkeys(_variables(site))),
    )


def command(request: Request) -> tuple[str, ...]:
    """`invoke audit --record` as it works from anywhere: every folder by its whole path."""
    runbook = request.runbook if (RUNBOOKS / request.runbook).is_dir() else str(Path(request.runbook).absolute())
    places = {"runbook": runbook, "inventory": str(request.inventory.absolute()), "runs": str(request.runs.absolute())}
    told = (word for name, place in places.items() for word in (f"--{name}", place))
    return (sys.executable, "-m", "invoke", "audit", "--record", "--env", request.env or "", *told)


def _variables(site: Site) -> Iterator[str]:
    """The variables of the environment from which the inventory takes what the audit needs."""
    slack = site.environment.slack
    for source in (site.environment.database.url, slack.token if slack else None):
        if isinstance(source, Source) and source.env:
            yield source.env
