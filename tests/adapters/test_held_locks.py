"""The look at pg_locks: one more select in the message of an attempt, in a rehearsal and nowhere else."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import dict_row

from orchestrator.adapters.attempt import Attempt
from orchestrator.core.catalog import TableName
from orchestrator.core.locks import Lock
from orchestrator.core.transaction import Transaction

RECORD = b"select 1 as recorded"


def attempt(url: str, *, looks: bool) -> Attempt:
    """Adding a column, on a connection of its own."""
    table = TableName(schema="public", name="child")
    work = Transaction(
        id="x",
        kind="add",
        relation="r",
        constraint="c",
        statements=("alter table child add column extra int",),
        locks=(Lock(table=table, mode="SHARE ROW EXCLUSIVE"),),
        lock_timeout_ms=1000,
        statement_timeout_ms=1000,
    )
    connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
    return Attempt(connection=connection, work=work, locks=work.locks, record=RECORD, looks=looks)


@pytest.mark.parametrize("looks", [False, True])
def test_the_look_comes_between_record_and_commit(database: str, looks: bool) -> None:
    """Without it the message is what it always was; with it the locks are those that the server tells."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table child (id int); create table parent (id int)")
    one = attempt(database, looks=looks)
    with one.connection:
        assert one.carry_out() == {"recorded": 1}
    sent = [text for text, _ in one._piece]
    assert (b"pg_locks" in b";".join(sent)) == looks
    assert sent.index(RECORD) == len(sent) - (3 if looks else 2)
    modes = {(lock.table.name, lock.mode) for lock in one.held}
    # Adding a column takes more than was asked for explicitly: it is seen, too.
    assert modes == ({("child", "SHARE ROW EXCLUSIVE"), ("child", "ACCESS EXCLUSIVE")} if looks else set())
