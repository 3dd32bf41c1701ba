"""A migration that is run as it stands (`deploy --migration FILE --as-is`): one statement, with no way back.

Effect and record are one transaction, as with every statement. What it locks nobody knows before: each wait for a lock
is bounded, what it holds is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from orchestrator.core.catalog import TableName
from orchestrator.core.plan import Plan, Proof, Statement, plan_digest

NO_WAY_BACK = "it ran as it stands, and has no way back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The file, by name and text."""

    name: str
    text: str

    @property
    def id(self) -> str:
        """How journal and plan call it: by its name and its digest."""
        return f"script:{self.name}.{sha256(self.text.encode()).hexdigest()}"


def with_script(plan: Plan, script: Script, *, ran: bool, lock_timeout_ms: int) -> Plan:
    """The plan with the script before all else, unless it `ran` in this database already."""
    if ran:
        return plan
    statement = Statement(
        id=script.id,
        kind="script",
        relation="",
        # A comment at its end must not swallow what is sent after it.
        sql=script.text.rstrip() + "\n",
        undo=(),
        restore=(),
        proof=Proof(table=TableName(schema="", name=script.name), constraint=script.name, state="valid"),
        locks=(),
        undo_locks=(),
        lock_timeout_ms=lock_timeout_ms,
        statement_timeout_ms=0,
        hazards=(
            f"waits up to {lock_timeout_ms} ms for each lock, and holds all of them until its end",
            "has no way back",
        ),
    )
    statements = (statement, *plan.statements)
    return replace(plan, statements=statements, digest=plan_digest(plan.relations, statements))
