"""The history of orphan audits in the target: an audit is recorded by the procedure there, and read back from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql
from psycopg.errors import LockNotAvailable

from orchestrator.adapters.audit_sql import SAMPLE_AT_MOST
from orchestrator.adapters.postgres import Connection, Server, plainly, statement
from orchestrator.core.audit_objects import SCHEMA
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.journal.audits import AuditedRelation, AuditPoint, AuditRecorded
from orchestrator.core.ports import Orphans

METHOD: Final = "recorder of option B"
TREND: Final = 200
"""Audits whose totals are read back: with one an hour, more than a week."""

PATIENCE_S: Final = 600.0
LOOK_EVERY_S: Final = 0.5
RECORD: Final = "call orphan_audit.record_audit(%s)"
OLDER: Final = "select orphan_audit.record_audit(%s) as audit"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An audit as it is told: the event, the count of every relation, and whether it differs from the one before."""

    event: AuditRecorded
    counts: tuple[Orphans, ...]
    differs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHistory:
    """The history of one target, whose routines belong to the role that deployed. An `older` recorder is a function."""

    server: Server
    contract: Contract
    older: bool = False
    patience_s: float = PATIENCE_S

    def record(self, *, keeps_keys: bool, shows_keys: bool) -> Recorded:
        """Record an audit. Orphans' keys enter the history only where the policy `keeps_keys` in the database.

        Another one that is being recorded is waited for: pg_cron and a timer may come in the same minute. Raises
        OrchestratorError when the server refuses it.
        """
        doing = f"recording an audit in schema {SCHEMA}"
        with self.server.session("audit") as connection, plainly(doing):
            sample = SAMPLE_AT_MOST if keeps_keys else 0
            number = self._number(connection, sample)
            found = connection.execute(statement("audit_findings"), {"audit": number}).fetchall()
            points = connection.execute(statement("audit_trend"), {"most": TREND, "audit": number}).fetchall()
            untold = connection.execute(statement("audit_untold"), {"audit": number}).fetchall()
            trend = tuple(AuditPoint(**each) for each in points)
            return Recorded(
                event=_event(trend, found, untold),
                counts=tuple(self._counts(connection, found, shows_keys=shows_keys)),
                differs=_differs(trend),
            )

    def told(self, audit: int) -> None:
        """Nobody has to be called any more for what was found until this audit."""
        with self.server.session("audit") as connection, plainly(f"writing in schema {SCHEMA}"):
            connection.execute(
                "update orphan_audit.audit_run set told = true where id <= %s and alert and not told", (audit,)
            )

    def scheduled(self) -> bool:
        """Whether pg_cron records audits here."""
        with self.server.session("audit", read_only=True) as connection, plainly("asking for pg_cron", reading=True):
            row = connection.execute("select orphan_audit.scheduled() = 'pg_cron' as scheduled").fetchone()
        return bool(row and row["scheduled"])

    def _number(self, connection: Connection, sample: int) -> int:
        """The number of the audit that is recorded now. Raises psycopg.Error."""
        until = time.monotonic() + self.patience_s
        while True:
            try:
                row = connection.execute(OLDER if self.older else RECORD, (sample,)).fetchone()
                return int(row["audit"]) if row else 0
            except LockNotAvailable:
                # Waited for here and not in the server, where the wait would hold a snapshot.
                if time.monotonic() > until or self.server.interruption.reason is not None:
                    raise
                self.server.interruption.wait(LOOK_EVERY_S)

    def _counts(self, connection: Connection, found: Sequence[Row], *, shows_keys: bool) -> Iterator[Orphans]:
        """In the contract's order; of what could not be counted there is none."""
        known = {each["relation"]: each for each in found if not each["problem"]}
        for relation in self.contract.promised:
            row = known.get(relation.id)
            if row is not None:
                yield self._orphans(connection, relation, row, shows_keys=shows_keys)

    def _orphans(self, connection: Connection, relation: Relation, row: Row, *, shows_keys: bool) -> Orphans:
        view = sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA, row["view"]))
        sample: tuple[Mapping[str, str | None], ...] = ()
        if row["orphans"] and shows_keys:
            few = sql.SQL("{} LIMIT {}").format(view, sql.Literal(SAMPLE_AT_MOST))
            sample = tuple(map(_as_text, connection.execute(few)))
        return Orphans(
            relation=relation,
            count=row["orphans"],
            query=view.as_string(None),
            sample=sample,
            duration_ms=round(row["duration_ms"], 3),
            method=METHOD,
            reason="by the view of its orphans",
        )


def _event(trend: tuple[AuditPoint, ...], found: Sequence[Row], untold: Sequence[Row]) -> AuditRecorded:
    last = trend[-1]
    shown = ("relation", "priority", "orphans", "fresh", "exact", "health", "duration_ms", "problem")
    return AuditRecorded(
        audit=last.audit,
        at=last.at,
        relations=len(found),
        orphans=last.orphans,
        fresh=last.fresh,
        health=last.health,
        duration_ms=last.duration_ms,
        found=tuple(AuditedRelation(**{key: each[key] for key in shown}) for each in found if each["health"] != "ok"),
        alerts=tuple((each["relation"], each["fresh"]) for each in untold if each["fresh"]),
        uncounted=tuple((each["relation"], each["problem"]) for each in untold if each["problem"]),
        trend=trend,
    )


def _differs(trend: tuple[AuditPoint, ...]) -> bool:
    """Whether it is the first, or tells something that the one before did not."""
    last, before = trend[-1], trend[-2] if len(trend) > 1 else None
    return before is None or bool(last.fresh) or (last.orphans, last.health) != (before.orphans, before.health)


def _as_text(row: Row) -> Mapping[str, str | None]:
    return {name: None if value is None else str(value) for name, value in row.items()}
