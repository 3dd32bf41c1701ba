"""Runs the checks of a runbook's folder: each in a transaction of its own that is always rolled back."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from orchestrator.adapters.postgres import Connection, Server, is_lost, plain_line
from orchestrator.adapters.runbooks import SuiteCheck
from orchestrator.core.checks import NEEDS_KEYS, Finding
from orchestrator.core.outcome import ConnectionLost

CHECK_TIMEOUT_MS = 300_000

WRAPPED = sql.SQL(
    "declare answer record; begin execute {} into strict answer;"
    " perform pg_catalog.set_config('orchestrator.answer', pg_catalog.to_jsonb(answer)::text, true); end"
)
"""PL/pgSQL runs the check, because it refuses COMMIT and ROLLBACK: either one, sent as it is, could make rows stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSuite:
    """The SQL checks of one runbook. `lock_timeout_ms` bounds what a check that writes may wait for."""

    server: Server
    checks: tuple[SuiteCheck, ...]
    lock_timeout_ms: int

    def run(self, *, behavioural: bool, all_keys: bool) -> tuple[Finding, ...]:
        """One finding per check. `behavioural` allows checks that write; `all_keys` says that every key stands."""
        found: list[Finding] = []
        with (
            self.server.session("validate", read_only=True) as reading,
            self.server.session("validate", read_only=True) as writing,
        ):
            for check in self.checks:
                if check.kind == "behavioural" and not behavioural:
                    found.append(_left_out(check, "not asked: the environment does not allow it"))
                elif check.needs_keys and not all_keys:
                    found.append(_left_out(check, NEEDS_KEYS))
                else:
                    found.append(self._ask(check, reading if check.kind == "structural" else writing))
        return tuple(found)

    def _ask(self, check: SuiteCheck, connection: Connection) -> Finding:
        """One check. What it writes is rolled back; it cannot end its transaction itself."""
        settings = f"set local lock_timeout = {self.lock_timeout_ms}; set local statement_timeout = {CHECK_TIMEOUT_MS}"
        try:
            with connection.transaction(force_rollback=True):
                if check.kind == "behavioural":
                    connection.execute("set transaction read write")
                connection.execute(settings.encode())
                body = WRAPPED.format(sql.Literal(check.sql)).as_string(connection)
                connection.execute(sql.SQL("do {}").format(sql.Literal(body)))
                row = connection.execute("select current_setting('orchestrator.answer')::jsonb as answer").fetchone()
        except psycopg.Error as error:
            if is_lost(error):
                message = f"check {check.id}: {plain_line(error)}"
                raise ConnectionLost(message) from error
            return _finding(check, "unknown", f"could not be found out: {plain_line(error)}")
        return _judged(check, row["answer"] if row else {})


def _judged(check: SuiteCheck, answer: dict[str, object]) -> Finding:
    """A finding only from an answer of the right shape: anything else would be a pass or a fail by accident."""
    if not {"passed", "observed"} <= answer.keys():
        return _finding(check, "unknown", "the check does not end with one row (passed, observed)")
    if not isinstance(answer["passed"], bool):
        return _finding(check, "unknown", "passed is neither true nor false")
    return _finding(check, "pass" if answer["passed"] else "fail", str(answer["observed"]))


def _finding(check: SuiteCheck, status: str, observed: str) -> Finding:
    return Finding(
        id=check.id,
        title=check.title,
        severity=check.severity,
        status=status,  # type: ignore[arg-type]
        observed=observed,
        expected=check.expected,
        remedy="" if status == "pass" else check.remedy,
        caused_by_data=check.blames_data and status == "fail",
    )


def _left_out(check: SuiteCheck, why: str) -> Finding:
    """A check that was not asked: told, and without weight, because leaving it out was decided elsewhere."""
    return Finding(
        id=check.id,
        title=check.title,
        severity="optional",
        status="unknown",
        observed=why,
        expected=check.expected,
    )
