"""Holders of locks: who is in the way, for whom it is no use to queue, and what may be told of a query."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.catalog import TableName
from orchestrator.core.holders import Holder, blanked, in_the_way, lasting
from orchestrator.core.locks import Lock, LockOrder

A, B = TableName(schema="public", name="a"), TableName(schema="public", name="b")
LOCKS = (Lock(table=A, mode="SHARE ROW EXCLUSIVE"), Lock(table=B, mode="SHARE ROW EXCLUSIVE"))


def holder(**more: Any) -> Holder:
    """A session that has written to table a a moment ago."""
    given: dict[str, Any] = {
        "table": A,
        "mode": "ROW EXCLUSIVE",
        "pid": 7,
        "role": "app",
        "application": "web",
        "state": "active",
        "backend": "client backend",
        "age_ms": 5.0,
        "query": "update a set x = 1",
    }
    return Holder(**{**given, **more})


def test_only_conflicting_locks_on_these_tables_are_in_the_way() -> None:
    """A reader is not, a writer elsewhere is not; the oldest comes first."""
    young, old = holder(), holder(pid=8, age_ms=900.0)
    reader, elsewhere = (
        holder(mode="ACCESS SHARE"),
        holder(table=TableName(schema="public", name="c")),
    )
    assert list(in_the_way(LOCKS, [young, reader, elsewhere, old])) == [old, young]


@pytest.mark.parametrize(
    ("found", "waits"),
    [
        (holder(), False),
        (holder(age_ms=101.0), True),
        (holder(age_ms=None), False),
        (holder(pid=None, state="prepared", age_ms=1.0, query="tx1"), True),
        (holder(mode="SHARE UPDATE EXCLUSIVE", backend="autovacuum worker", age_ms=9000.0), False),
        (
            holder(
                mode="SHARE UPDATE EXCLUSIVE",
                backend="autovacuum worker",
                query="autovacuum: VACUUM public.a (to prevent wraparound)",
            ),
            True,
        ),
        (holder(mode="SHARE UPDATE EXCLUSIVE", backend="", age_ms=None), False),
    ],
    ids=["young", "old", "hidden", "prepared", "autovacuum", "wraparound", "hidden vacuum"],
)
def test_for_whom_it_is_no_use_to_queue(found: Holder, waits: bool) -> None:
    """Old or prepared transactions, and a vacuum that never gives way; any other vacuum is asked patiently."""
    assert (lasting(LOCKS, [found], budget_ms=100) is not None) == waits


def test_where_the_age_is_hidden_what_we_saw_ourselves_counts() -> None:
    """A role without pg_monitor sees no age: for how long a transaction has been seen is one."""
    hidden = holder(age_ms=None, transaction="3/14")
    assert lasting(LOCKS, [hidden], budget_ms=100, known_ms={"7/3/14": 50.0}) is None
    assert lasting(LOCKS, [hidden], budget_ms=100, known_ms={"7/3/14": 150.0}) == hidden
    assert lasting(LOCKS, [hidden], budget_ms=100, known_ms={"7/3/15": 150.0}) is None


def test_a_holder_in_words() -> None:
    """Who, since when, doing what, without anybody's data."""
    told = holder(age_ms=1234.0, query="update a set name = 'Ayu' where id = 42").told()
    assert told == "pid 7 (app, web, active, 1.2 s old): update a set name = ? where id = ?"
    assert holder(pid=None, query="tx1", state="prepared", application="").told().startswith("prepared transaction tx1")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select 'it''s', 1.5e3, $1, t1.c2", "select ?, ?, $1, t1.c2"),
        ("select E'a\\'b', 'c'", "select ?"),
        ("select 'a\\', 'secret'", "select ?"),
        ("insert into t values ('cut off in the mid", "insert into t values (?"),
        ("select $tag$ secret 'x' $tag$, 1", "select ?, ?"),
        ('select 1 -- secret\n, 2 /* secret */ from "we\'ird 5"', 'select ? , ? from "we\'ird 5"'),
        ("select U&'d\\0061t', B'101', x'ff'", "select ?, ?, ?"),
    ],
)
def test_no_literal_is_told(query: str, told: str) -> None:
    """Strings of every kind, numbers and comments are somebody's data; in doubt the rest of the query goes, too."""
    assert blanked(query) == told
    assert "secret" not in blanked(query)


def test_the_order_of_locks_is_seeded_by_what_writers_hold() -> None:
    """Transactions that have locked one of two tables have begun there; what was learned is not overwritten."""
    order = LockOrder()
    order.seed(LOCKS, [frozenset({B}), frozenset({B}), frozenset({A}), frozenset({A, B})])
    assert [each.table for each in order.arrange(LOCKS)] == [B, A]
    order.flip(order.arrange(LOCKS))
    assert [each.table for each in order.arrange(LOCKS)] == [A, B]
    order.seed(LOCKS, [frozenset({B})])
    assert [each.table for each in order.arrange(LOCKS)] == [A, B]
