"""The steps of a rehearsal's own run, as events: those of its walks stand in the journals of the walks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.adapters.journal import RunJournal
from orchestrator.core.journal import StepFinished, StepStarted
from orchestrator.core.outcome import OrchestratorError, StepState


@contextmanager
def taken(journal: RunJournal, name: str) -> Iterator[list[str]]:
    """A step of the rehearsal's own run: its notes, and how long it took. One that is taken twice is told twice."""
    journal.record(StepStarted(step=name))
    began, notes = time.perf_counter(), list[str]()
    state: StepState = "failed"
    try:
        yield notes
        state = "done"
    except OrchestratorError as error:
        notes.append(str(error))
        raise
    finally:
        elapsed = round((time.perf_counter() - began) * 1000, 3)
        journal.record(StepFinished(step=name, state=state, note="; ".join(notes), duration_ms=elapsed))


def skipped(journal: RunJournal, name: str, reason: str) -> None:
    """A step that is not taken, and why."""
    journal.record(StepStarted(step=name))
    journal.record(StepFinished(step=name, state="skipped", note=reason, duration_ms=0.0))
