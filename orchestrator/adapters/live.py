"""The live view below the lines of a terminal: rewritten in place, gone when the run ends.

Plain ASCII marks and cut lines, so that it holds in 40 columns, without colour and in any locale.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.adapters.redaction import redacted
from orchestrator.adapters.words import duration
from orchestrator.core.glance import AT_WORK, Glance
from orchestrator.core.journal import (
    Event,
    LockAttemptFailed,
    RunFinished,
    StatementPostponed,
    StepFinished,
    StepStarted,
)
from orchestrator.core.nouns import counted
from orchestrator.core.run import Run

MARKS: Final = {"done": "+", "skipped": "-", "held": "=", "failed": "!", AT_WORK: ">", "pending": "."}
BAR: Final = 20
"""Characters of the bar of keys; it is left out where there is no room for it."""
PER_SECOND: Final = 4
AT_ONCE: Final = (StepStarted, StepFinished, LockAttemptFailed, StatementPostponed)
"""What is shown at once; statements can be thousands in a second."""


@dataclass(slots=True, kw_only=True)
class LiveView:
    """Shows a run while it goes on; begins with the first event that it sees and ends with the run."""

    console: Console
    glance: Glance = field(default_factory=Glance)
    _live: Live | None = None
    _since: float = field(default_factory=time.monotonic)

    def see(self, event: Event, run: Run) -> None:
        """Take in an event that is on record."""
        if isinstance(event, RunFinished):
            self.close()
            return
        if isinstance(event, StepStarted):
            self._since = time.monotonic()
        self.glance.see(event, run)
        if self._live is None and run.finished is None:
            self._begin()
        elif self._live and isinstance(event, AT_ONCE):
            self._live.refresh()

    def close(self) -> None:
        """Give the terminal back."""
        if self._live:
            # A terminal that is gone is no reason to stop.
            with suppress(OSError, ValueError):
                self._live.stop()
            self._live = None

    def _begin(self) -> None:
        self._live = Live(
            console=self.console,
            get_renderable=self._frame,
            refresh_per_second=PER_SECOND,
            transient=True,
            # Nothing else writes meanwhile; and stdout may belong to a document.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # A process that is killed cannot show it again.
        self.console.show_cursor()

    def _frame(self) -> Text:
        elapsed = 1000 * (time.monotonic() - self._since)
        # The last column stays free: some terminals begin a new line once it is written.
        width = max(10, self.console.width - 1)
        return Text("\n".join(self.lines(elapsed, width)))

    def lines(self, elapsed_ms: float, width: int) -> Iterator[str]:
        """What is shown when the step at work has been so for that long, in lines that fit."""
        for line in self._lines(elapsed_ms, width):
            yield fitted(printable(redacted(line), self.console.encoding), width)

    def _lines(self, elapsed_ms: float, width: int) -> Iterator[str]:
        now = self.glance
        steps = " ".join(f"{MARKS.get(state, '?')}{name}" for name, state in now.steps)
        yield from textwrap.wrap(steps, width, break_long_words=False, break_on_hyphens=False)
        if now.step:
            yield f"{now.step}: {timedelta(seconds=int(elapsed_ms / 1000))}{self._keys(width)}"
        if now.step == "apply" and now.statement:
            yield f"statement: {now.statement}"
        if now.blocker:
            yield f"blocked by: {now.blocker}"
        if now.longest_wait_ms:
            yield f"longest wait: {duration(now.longest_wait_ms)} of {duration(now.budget_ms)}"
        end = now.expected_end(elapsed_ms)
        if end:
            yield f"expected end: {end:%H:%M:%S} UTC"

    def _keys(self, width: int) -> str:
        now = self.glance
        if now.undone:
            return f", {now.undone} walked back"
        if now.step != "apply" or not now.keys:
            return ""
        full = BAR * now.keys_done // now.keys
        bar = f" [{'#' * full}{'.' * (BAR - full)}]" if width > 3 * BAR else ""
        return f", {now.keys_done} of {counted(now.keys, 'key')}{bar}"


def printable(text: str, encoding: str, *, keep: str = "") -> str:
    """The text as a terminal of that encoding can show it: escapes for what it lacks, and for control characters.

    A name may hold the very sequence that clears a screen.
    """
    plain = "".join(each if each in keep or each.isprintable() else _escape(each) for each in text)
    return plain.encode(encoding, "backslashreplace").decode(encoding)


def _escape(character: str) -> str:
    # No-break spaces and their like are not printable by Python's rule, and harmless.
    return " " if character.isspace() else character.encode("unicode-escape").decode("ascii")


def fitted(text: str, width: int) -> str:
    """The text in at most that many columns; three dots say that there is more."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 3) + "..."
