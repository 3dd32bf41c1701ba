"""What killed rehearsals left: an open run that nobody will go on with, scratch databases, dumps."""

from __future__ import annotations

import tempfile
from pathlib import Path

from orchestrator.adapters import events, ledger
from orchestrator.adapters.copying import sweep_dumps
from orchestrator.adapters.leftovers import any_scratch, drop_leftovers, sweep
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.scratch import EmbeddedScratch
from orchestrator.app.at_work import AtWork
from orchestrator.core.outcome import OrchestratorError

REPEATED = "a rehearsal is repeated, not resumed"


def clear_deserted(work: AtWork) -> None:
    """Close rehearsals that were killed, and remove their copies. Nobody else is at work. Raises OrchestratorError."""
    with plainly("looking for rehearsals that were killed", reading=True):
        left = tuple(_rehearsals(work))
        found = any_scratch(work.connection)
    for run in left:
        work.abandon(run, REPEATED)
    if left or found:
        try:
            clear_scratch(work)
        except OrchestratorError as error:
            # Somebody else's leftovers are no reason not to deploy.
            work.site.screen.line(f"a killed rehearsal's copy could not be removed: {error}", status="  note")


def clear_scratch(work: AtWork) -> None:
    """Remove the scratch databases and dumps of processes that are dead."""
    scratch = work.site.scratch()
    if isinstance(scratch, EmbeddedScratch):
        sweep(Path(tempfile.gettempdir()))
    else:
        drop_leftovers(scratch.server)
    sweep_dumps(work.site.request.runs)


def _rehearsals(work: AtWork) -> tuple[str, ...]:
    """The open runs of the environment that are rehearsals."""
    connection = work.connection
    return tuple(
        run for run in ledger.open_runs(connection, work.site.environment.name) if _is_rehearsal(connection, run)
    )


def _is_rehearsal(connection: Connection, run: str) -> bool:
    started = events.fold_entries(run, ledger.entries(connection, run)).started
    return started is not None and started.task == "rehearse"
