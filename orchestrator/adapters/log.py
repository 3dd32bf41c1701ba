"""The log of a run: one JSON line per event in `runs/<run>/log.jsonl`, with an allow-list of what may stand in it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from io import StringIO
from typing import Any, Final

from orchestrator.adapters.redaction import STARS, redacted
from orchestrator.adapters.runs import RunFolder
from orchestrator.core.inventory import Secret
from orchestrator.core.journal import Event, StepFinished, StepStarted, kind_of
from orchestrator.core.run import Run

LOG = "log.jsonl"

_EFFECT: Final = ("id", "relation", "attempts", "duration_ms", "blocked_ms", "waited_ms")

ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "run_started": ("task", "runbook", "environment", "kind", "version", "dry_run", "rolls_back", "lock_budget_ms"),
    "ledger_opened": ("version",),
    "run_resumed": ("version", "after"),
    "hold_asked": ("reason",),
    "connection_restored": ("reason", "after_ms", "attempts"),
    "ledger_rewound": ("after", "reason"),
    "step_started": ("step",),
    "step_finished": ("step", "state", "note", "duration_ms"),
    "findings_recorded": ("step",),
    "verdict_given": ("gate", "word"),
    "catalog_recorded": ("moment", "fingerprint"),
    "orphans_counted": ("relation", "orphans", "duration_ms", "moment", "method"),
    "audit_recorded": ("audit", "relations", "orphans", "fresh", "health", "duration_ms"),
    "backup_proved": ("mode", "path", "bytes", "tables", "rows", "dump_ms", "restore_ms", "compare_ms", "tool"),
    "performance_measured": ("clients", "method"),
    "lock_attempt_failed": ("statement", "attempt", "table", "sqlstate", "blocker", "waited_ms"),
    "statement_postponed": ("statement", "obstacle", "blocker", "times"),
    "blocker_terminated": ("statement", "application", "blocker"),
    "table_vacuumed": ("table", "duration_ms"),
    "workers_changed": ("workers", "reason"),
    "statement_intended": ("id", "relation", "of"),
    "statement_done": (*_EFFECT, "way", "predicted_ms"),
    "statement_failed": ("id", "relation", "sqlstate", "because_of_orphans"),
    "statement_undone": (*_EFFECT, "of"),
    "key_restored": ("id", "relation", "of", "duration_ms"),
    "undo_passed_over": ("id", "relation", "of", "reason", "stands"),
    "walk_back_began": ("of", "state", "reason"),
    "walked_back": ("of", "before", "after"),
    "times_predicted": ("rehearsal",),
    "gates_overridden": ("reason",),
    "answer_heard": ("answer", "subject"),
    "notification_queued": ("topic", "about"),
    "message_delivered": ("message", "part"),
    "delivery_given_up": ("message", "reason"),
    "hosts_seen": ("moment", "clock"),
    "host_command_intended": ("item", "host", "way_back", "of"),
    "host_command_done": ("item", "host", "duration_ms", "found", "of"),
    "host_command_failed": ("item", "host", "code", "duration_ms", "begun", "cut", "of"),
    "host_settled": ("item", "host", "of"),
    "host_undo_passed_over": ("item", "host", "of", "reason"),
    "run_finished": ("state", "reason", "events", "head"),
}
"""What may be logged of each kind of event; of a kind that is not here, only that it happened.

Left out on purpose: the server's message on a refused statement and sampled keys (both hold data), people and machines
(the journal has them), and SQL.
"""


class RunLog:
    """Listens to a journal. A field that is not allowed, or is no plain value, never reaches the file."""

    def __init__(self, folder: RunFolder) -> None:
        """Write into that run's folder."""
        self._folder = folder
        self._buffer = StringIO()
        # It brings the tracebacks of rich along: only what makes a log pays for that.
        import structlog

        self._log = structlog.wrap_logger(
            structlog.PrintLogger(self._buffer),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                without_secrets,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        ).bind(run=folder.run)

    def listen(self, event: Event, _: Run) -> None:
        """One line for an event that is on record, with the run and the step that it happened in."""
        if isinstance(event, StepStarted):
            self._log = self._log.bind(step=event.step)
        self._log.msg(kind_of(event), **plain_fields(event))
        if isinstance(event, StepFinished):
            self._log = self._log.try_unbind("step")
        self._folder.append(LOG, self._buffer.getvalue().rstrip("\n"), durable=False)
        self._buffer.seek(0)
        self._buffer.truncate()


def without_secrets(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last step before the file: a Secret is stars by its type, a text loses every secret in use.

    Before JSON is made of it, because a quoted text would no longer be found.
    """
    for key, value in line.items():
        if isinstance(value, Secret):
            line[key] = STARS
        elif isinstance(value, str):
            line[key] = redacted(value)
    return line


def plain_fields(event: Event) -> Mapping[str, str | float | bool | Secret]:
    """The allowed fields of an event that hold plain values."""
    values = ((name, getattr(event, name)) for name in ALLOWED.get(kind_of(event), ()))
    return {name: value for name, value in values if isinstance(value, str | int | float | Secret)}
