"""Clicks in the ledger: a listener writes through one function and reads through two, and has no other right."""

from __future__ import annotations

import json
from collections.abc import Mapping

from psycopg.errors import InsufficientPrivilege

from orchestrator.adapters.ledger_answers import said_in
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.core.approval import Said, touched
from orchestrator.core.clicks import Click, Counts
from orchestrator.core.grants import LISTENER
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

NOTES: Mapping[str, str] = {"approve": "Approve", "deny": "Deny"}

ADMITTED = """
select session_user as role, to_regprocedure('orchestrator.run_answers(text)') is not null as kept,
    to_regrole(%(listener)s) is not null and pg_has_role(session_user, to_regrole(%(listener)s)::oid, 'usage')
        and not (select rolsuper from pg_roles where rolname = session_user) as listener
"""


def listening_role(connection: Connection) -> str:
    """The role that clicks are written under. Raises Refused when it may not, or there is nothing to write to."""
    with plainly("asking for the rights of a listener", reading=True):
        try:
            row = connection.execute(ADMITTED.encode(), {"listener": LISTENER}).fetchone() or {}
        except InsufficientPrivilege:
            # Without USAGE on the schema even the look for a function is refused.
            row = connection.execute("select session_user as role").fetchone() or {}
            row |= {"kept": True, "listener": False}
    if not row["listener"]:
        message = f"role {row['role']} may not write clicks: it needs {LISTENER}, as invoke preflight --grants prints"
        raise Refused(f"{message}, and no superuser has it")
    if not row["kept"]:
        message = "this database has no ledger that takes clicks: a run makes or upgrades it, so deploy first"
        raise Refused(message)
    return str(row["role"])


def answers_so_far(connection: Connection, run: str) -> tuple[Said, ...]:
    """What was said to a run, oldest first. Raises Refused, ConnectionLost."""
    with plainly("reading the answers to a run", reading=True):
        return tuple(said_in(row) for row in connection.execute("select * from orchestrator.run_answers(%s)", (run,)))


def give_click(connection: Connection, click: Click, counts: Counts, run: Run, *, runbook: str, host: str) -> bool:
    """Journal a click; false when it was there already. Raises Refused, ConnectionLost."""
    asked = counts.asked
    values = (
        asked.answer,
        run.id,
        runbook,
        run.plan.digest if run.plan else "",
        touched(run),
        asked.subject,
        json.dumps(list(asked.reasons), ensure_ascii=False),
        counts.person,
        f"clicked {NOTES[click.pressed]} in Slack (channel {click.channel}, message {click.message})",
        host,
        click.slack,
        click.key,
    )
    query = "select * from orchestrator.give_click(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    with plainly("writing the click", reading=True):
        row = connection.execute(query, values).fetchone() or {}
    return bool(row["fresh"])
