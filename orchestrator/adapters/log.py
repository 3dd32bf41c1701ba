"""The log of a run: one JSON line per event in `runs/<run>/log.jsonl`, with an allow-list of what may stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from io import StringIO

import structlog

from orchestrator.adapters.runs import RunFolder
from orchestrator.core.journal import Event, kind_of
from orchestrator.core.run import Run

LOG = "log.jsonl"

ALLOWED = frozenset(
    {
        "id", "task", "runbook", "environment", "step", "state", "note", "gate", "word", "relation", "orphans",
        "duration_ms", "blocked_ms", "attempts", "attempt", "statement", "table", "sqlstate", "blocker", "moment",
        "waited_ms", "predicted_ms", "way", "obstacle", "times", "workers", "application", "method",
        "fingerprint", "mode", "path", "bytes", "rows", "tables", "topic", "about", "of", "reason", "dry_run",
    }
)  # fmt: skip


class RunLog:
    """Listens to a journal. A field that is not allowed by name, or is no plain value, never reaches the file."""

    def __init__(self, folder: RunFolder) -> None:
        """Write into that run's folder."""
        self._folder = folder
        self._buffer = StringIO()
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(self._buffer),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        ).bind(run=folder.run)

    def listen(self, event: Event, _: Run) -> None:
        """One line for an event that is on record."""
        self._log.msg(kind_of(event), **plain_fields(event))
        self._folder.append(LOG, self._buffer.getvalue().rstrip("\n"), durable=False)
        self._buffer.seek(0)
        self._buffer.truncate()


def plain_fields(event: Event) -> Mapping[str, str | float | bool]:
    """The allowed fields of an event that hold plain values."""
    values = {field.name: getattr(event, field.name) for field in fields(event) if field.name in ALLOWED}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}
