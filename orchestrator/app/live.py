"""The report while its run goes on: written again at each step, and a page that reloads itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jinja2 import TemplateError

from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.render import report
from orchestrator.adapters.runs import RunFolder
from orchestrator.app.site import Site
from orchestrator.core.journal import Event, StepStarted, WalkBackBegan
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.run import Run
from orchestrator.core.summary import summarize

MOMENTS: Final = (StepStarted, WalkBackBegan)
"""What ends a step begins the next, or ends the run: a page for either is enough."""

PAGE: Final = "report.html"
SHARE: Final = 0.02
"""Of the run's time that a page may take which is slow to write: a large plan's page is written less often."""
SLOW_S: Final = 1.0


@dataclass(slots=True, kw_only=True)
class LiveReport:
    """Listens to a journal. `clock` tells seconds."""

    folder: RunFolder
    clock: Callable[[], float] = time.monotonic
    due: float = 0.0

    def listen(self, event: Event, run: Run) -> None:
        """Write the page when a step begins. What hinders that is no concern of the run, and is tried again.

        The last page, which no longer reloads itself, is written when the run is over.
        """
        began = self.clock()
        if not isinstance(event, MOMENTS) or began < self.due:
            return
        with suppress(OSError, OrchestratorError, TemplateError):
            self.write(run)
        took = self.clock() - began
        self.due = began + took / SHARE if took > SLOW_S else 0.0

    def write(self, run: Run) -> None:
        """The page as it is now. Raises OrchestratorError, TemplateError."""
        summary = summarize(run)
        text = report(
            summary,
            format="html",
            samples=self.folder.samples(),
            budget_ms=summary.lock_budget_ms,
            reload=run.finished is None,
        )
        self.folder.replace(PAGE, text)


def follow(site: Site, journal: RunJournal) -> RunJournal:
    """Keep a page of this run from now on."""
    journal.listeners.append(LiveReport(folder=site.run_folder).listen)
    return journal
