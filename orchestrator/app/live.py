"""The report while its run goes on: written again at each step that lasts, and a page that reloads itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Timer
from typing import Final

from jinja2 import TemplateError

from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.render import report
from orchestrator.adapters.runs import RunFolder
from orchestrator.app.site import Site
from orchestrator.core.journal import Event, RunFinished, StepStarted, WalkBackBegan
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.run import Run
from orchestrator.core.summary import Summary, summarize

MOMENTS: Final = (StepStarted, WalkBackBegan)
"""What ends a step begins the next, or ends the run: a page for either is enough."""

PAGE: Final = "report.html"
LASTS_S: Final = 0.5
"""A step that is over sooner gets no page of its own: nobody would see it, and writing it would cost the run."""
SHARE: Final = 0.02
"""Of the run's time that a page may take which is slow to write: a large plan's page is written less often."""
SLOW_S: Final = 1.0
GIVES_WAY_S: Final = 0.0002
"""How soon a page that is being made lets the run go on. With Python's 5 ms, ten answers of the server took 92 ms
instead of 4, measured beside a thread that computes: time in which a statement holds its locks."""


@dataclass(slots=True, kw_only=True)
class LiveReport:
    """Listens to a journal. `clock` tells seconds."""

    folder: RunFolder
    clock: Callable[[], float] = time.monotonic
    due: float = 0.0
    _alarm: Timer | None = None

    def listen(self, event: Event, run: Run) -> None:
        """Write the page once a step has been at work for a moment: what it shows is the run when the step began.

        The last page, which no longer reloads itself, is written by others when the run is over: none comes after it.
        """
        if not isinstance(event, (*MOMENTS, RunFinished)):
            return
        self._settle()
        if isinstance(event, MOMENTS) and self.clock() >= self.due:
            summary = summarize(run)
            alarm = timer(LASTS_S, lambda: self.keep(summary))
            # Where no thread can be had there is no page: that is no concern of the run either.
            with suppress(RuntimeError):
                alarm.start()
                self._alarm = alarm

    def _settle(self) -> None:
        """No page of an earlier step comes later than this."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm.join()
            self._alarm = None

    def keep(self, summary: Summary) -> None:
        """Write the page. What hinders that is no concern of the run, and is tried again at the next step."""
        began = self.clock()
        with giving_way(), suppress(OSError, OrchestratorError, TemplateError):
            text = report(
                summary,
                format="html",
                samples=self.folder.samples(),
                budget_ms=summary.lock_budget_ms,
                reload=True,
                written=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            )
            self.folder.replace(PAGE, text)
        took = self.clock() - began
        self.due = began + took / SHARE if took > SLOW_S else 0.0


@contextmanager
def giving_way() -> Iterator[None]:
    """Compute in this thread so that the others hardly wait for it."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(GIVES_WAY_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def timer(seconds: float, act: Callable[[], None]) -> Timer:
    """Do it after so many seconds, in a thread of its own."""
    made = Timer(seconds, act)
    # A process that ends does not wait for a page.
    made.daemon = True
    return made


def follow(site: Site, journal: RunJournal) -> RunJournal:
    """Keep a page of this run from now on."""
    journal.listeners.append(LiveReport(folder=site.run_folder).listen)
    return journal
