"""What people said, in table `orchestrator.answer`: approvers go through functions, a run reads the table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedFunction, UndefinedTable

from orchestrator.adapters import events
from orchestrator.adapters.postgres import Connection, Server, plainly, statement
from orchestrator.core.approval import Said
from orchestrator.core.entry import Entry
from orchestrator.core.grants import APPROVER
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

SHOWN = ("runbook", "digest", "fingerprint", "subject", "person", "proof", "note", "os_user", "host")
"""What a client wrote and people read; what the server wrote, and the run, are compared as they are."""

TOLD = ("answer", "run", "runbook", "digest", "fingerprint", "subject", "reasons", "person", "proof", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAnswers:
    """The answers as a run reads them, each time anew: on a connection of their own, so that any step may ask."""

    server: Server

    def said(self, run: Run) -> tuple[Said, ...]:
        """What people said to a run, or before any run. Raises ConnectionLost, CannotConnect, Refused."""
        with self.server.session("approval", read_only=True) as connection, plainly("reading answers", reading=True):
            return answers_to(connection, run.id)

    def target(self) -> str:
        """What database answers belong to. Raises ConnectionLost, CannotConnect, Refused."""
        with self.server.session("approval", read_only=True) as connection, plainly("reading answers", reading=True):
            row = connection.execute("select orchestrator.target() as target").fetchone() or {}
        return str(row["target"])


def answers_to(connection: Connection, run: str) -> tuple[Said, ...]:
    """Answers to a run, and those before any run that no other run has used; oldest first. Raises psycopg.Error."""
    if not _kept(connection):
        return ()
    return tuple(said_in(row) for row in connection.execute(statement("answers"), {"run": run}))


def confirmations(connection: Connection, runbook: str) -> tuple[Said, ...]:
    """What was confirmed by hand for a runbook, oldest first: `subject` is the item. Raises Refused, ConnectionLost."""
    with plainly("reading confirmations", reading=True):
        if not _kept(connection):
            return ()
        rows = connection.execute(
            "select * from orchestrator.answer where answer = 'confirm' and runbook = %s order by id", (runbook,)
        )
        return tuple(said_in(row) for row in rows)


def _kept(connection: Connection) -> bool:
    """Whether the ledger has the table; version 4 brought it."""
    row = connection.execute("select to_regclass('orchestrator.answer') is not null as kept").fetchone()
    return bool(row and row["kept"])


def said_in(row: Mapping[str, object]) -> Said:
    """An answer as a row of the table has it; one of an older ledger has no click."""
    values: dict[str, Any] = dict(row)
    # What people wrote is shown on other people's terminals.
    clean = {key: _printable(values[key]) for key in SHOWN}
    return Said(**{**values, **clean, "reasons": _reasons(values["reasons"])})


def _printable(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _reasons(text: str) -> tuple[str, ...]:
    """The reasons of a HOLD; a row by hand may hold anything, and then accepts none."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, list):
            return tuple(str(each) for each in found)
    return ()


def open_runs(connection: Connection, environment: str) -> tuple[Run, ...]:
    """The runs that are not closed, as far as an approver may read them. Raises Refused, ConnectionLost."""
    found: dict[str, list[Entry]] = {}
    with _allowed(connection), plainly("reading the open runs", reading=True):
        for row in connection.execute("select * from orchestrator.open_events(%s)", (environment,)):
            found.setdefault(row["run"], []).append(Entry(**row))
    return tuple(events.fold_entries(run, entries) for run, entries in found.items())


def give(
    connection: Connection, *, os_user: str, host: str, reasons: Sequence[str] = (), **told: str
) -> Mapping[str, object]:
    """Write an answer; its number, actor, target and time are the server's. Raises Refused, ConnectionLost."""
    texts = {**told, "reasons": json.dumps(list(reasons), ensure_ascii=False)}
    values = [texts.get(key, "") for key in TOLD]
    with _allowed(connection), plainly("writing the answer", reading=True):
        query = "select * from orchestrator.give_answer(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        row = connection.execute(query, (*values, os_user, host)).fetchone() or {}
    return {**row, "at": _text(row["at"])}


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def _allowed(connection: Connection) -> Iterator[None]:
    """Say what is missing when there is nothing to answer to, or no right to."""
    try:
        yield
    except Refused as error:
        if isinstance(error.__cause__, InvalidSchemaName | UndefinedFunction | UndefinedTable):
            message = "this database has no ledger that takes answers: a run makes or upgrades it, so deploy first"
            raise Refused(message) from error
        if isinstance(error.__cause__, InsufficientPrivilege):
            row = connection.execute("select session_user as role").fetchone() or {}
            message = f"role {row['role']} may not answer: it needs {APPROVER}, as invoke preflight --grants prints"
            raise Refused(message) from error
        raise


def approver_exists(connection: Connection) -> bool:
    """Whether the role for approvers is there. Raises psycopg.Error."""
    return role_exists(connection, APPROVER)


def role_exists(connection: Connection, name: str) -> bool:
    """Whether a role is there. Raises psycopg.Error."""
    row = connection.execute("select to_regrole(%s) is not null as found", (name,)).fetchone()
    return bool(row and row["found"])
