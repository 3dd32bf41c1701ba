"""The history that another tool keeps, as a site sees it: its checks, its part of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.derived import tried_on
from orchestrator.adapters.history_table import QuotedHistory, TableState, read_state
from orchestrator.adapters.postgres import Connection, Server, plainly
from orchestrator.adapters.runbooks import RunbookFolder
from orchestrator.core.checks import Check, Row, Subject
from orchestrator.core.contract import Relation, index_name
from orchestrator.core.history import History, with_history
from orchestrator.core.migration import changes_of_plan, plain_index
from orchestrator.core.plan import Plan
from orchestrator.core.preflight.history import history_checks


def checks_of(folder: RunbookFolder, environment: str) -> tuple[Check, ...]:
    """What preflight asks besides; nothing for a runbook without a history.

    A migration that was run on a copy of another environment may do more here: its text is compared then.
    """
    history = folder.history
    if history is None:
        return ()
    history = replace(history, tried=history.tried and tried_on(folder.path, environment))

    def others(subject: Subject) -> Iterator[str]:
        for change in changes_of_plan(subject.plan, QuotedDdl()):
            yield from change.up
        # Only what stands: an index that neither stands nor is built would be missing behind a recorded migration.
        for each in folder.contract.promised:
            name = index_name(each.table.name, each.columns)
            table = subject.catalog.tables.get(each.table)
            if table and any(index.name == name and index.plain_over(each.columns) for index in table.indexes):
                yield plain_index(QuotedDdl().index(each.table, name, each.columns))

    return history_checks(history, folder.contract, writes=_writes, others=others)


def recorded_last(plan: Plan, history: History, server: Server, *, budget_ms: int) -> Plan:
    """The plan with the migration's row as its last statement, where it is not recorded yet. Raises Refused."""
    rows = state_of(history, server).rows
    return with_history(plan, history, rows, writer=QuotedHistory(), writes=_writes, budget_ms=budget_ms)


def state_of(history: History, server: Server) -> TableState:
    """What the tool has applied. Raises Refused, ConnectionLost."""
    doing = f"reading {history.table}"
    with plainly(doing, reading=True), server.session("history", read_only=True) as connection:
        return read_state(connection, history)


def probe_of(folder: RunbookFolder) -> Callable[[Connection], Iterable[Row]] | None:
    """The question of preflight: what keeps us from writing first, then the rows."""
    history = folder.history
    if history is None:
        return None

    def ask(connection: Connection) -> Iterable[Row]:
        state = read_state(connection, history)
        return ({"problem": state.problem}, *({"applied": each} for each in state.rows))

    return ask


def _writes(relation: Relation) -> str:
    return QuotedDdl().add(relation, not_valid=False)
