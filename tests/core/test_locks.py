"""The lock table is PostgreSQL's own, and the order of two locks is learned."""

from __future__ import annotations

from typing import get_args

import pytest

from orchestrator.core.catalog import TableName
from orchestrator.core.locks import CONFLICTS, WRITERS_BLOCKED_BY, Lock, LockOrder, Mode, conflict

MODES: tuple[Mode, ...] = get_args(Mode)

MANUAL = """
ACCESS SHARE           . . . . . . . X
ROW SHARE              . . . . . . X X
ROW EXCLUSIVE          . . . . X X X X
SHARE UPDATE EXCLUSIVE . . . X X X X X
SHARE                  . . X X . X X X
SHARE ROW EXCLUSIVE    . . X X X X X X
EXCLUSIVE              . X X X X X X X
ACCESS EXCLUSIVE       X X X X X X X X
"""
"""PostgreSQL's manual, table 13.2: conflicting lock modes, rows and columns from weakest to strongest."""

PARENT, CHILD = TableName(schema="public", name="p"), TableName(schema="public", name="c")


def test_the_conflicts_are_those_of_the_manual() -> None:
    """Every cell of the manual's table."""
    rows = [line.rsplit(maxsplit=len(MODES)) for line in MANUAL.strip().splitlines()]
    assert tuple(row[0] for row in rows) == MODES
    for row in rows:
        for mode, cell in zip(MODES, row[1:], strict=True):
            assert conflict(row[0], mode) == (cell == "X"), (row[0], mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("left", MODES)
@pytest.mark.parametrize("right", MODES)
def test_conflicts_go_both_ways(left: Mode, right: Mode) -> None:
    """Who comes first makes no difference to whether two modes exclude one another."""
    assert conflict(left, right) == conflict(right, left)


def test_a_stronger_mode_conflicts_with_no_less() -> None:
    """ACCESS EXCLUSIVE conflicts with all; each mode conflicts with it."""
    assert CONFLICTS["ACCESS EXCLUSIVE"] == frozenset(MODES)
    assert all("ACCESS EXCLUSIVE" in CONFLICTS[mode] for mode in MODES)


def test_writers_queue_behind_these_modes_only() -> None:
    """VALIDATE's lock lets writers pass; ADD's and DROP's do not."""
    assert frozenset({"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}) == WRITERS_BLOCKED_BY
    for mode in MODES:
        assert Lock(table=CHILD, mode=mode).blocks_writers == (mode in WRITERS_BLOCKED_BY)


def _locks(*tables: TableName) -> tuple[Lock, ...]:
    return tuple(Lock(table=table, mode="SHARE ROW EXCLUSIVE") for table in tables)


def test_an_unknown_pair_keeps_its_order() -> None:
    """Before anything went wrong the order is the plan's."""
    order = LockOrder()
    assert order.arrange(_locks(CHILD, PARENT)) == _locks(CHILD, PARENT)
    assert order.arrange(_locks(PARENT, CHILD)) == _locks(PARENT, CHILD)


def test_the_order_flips_and_is_remembered() -> None:
    """The table that was not granted second is asked for first from now on, whichever way the pair is named."""
    order = LockOrder()
    order.flip(_locks(CHILD, PARENT))
    assert order.arrange(_locks(CHILD, PARENT)) == _locks(PARENT, CHILD)
    assert order.arrange(_locks(PARENT, CHILD)) == _locks(PARENT, CHILD)


def test_the_order_flips_back() -> None:
    """A second failure, in the new order, brings the first order back."""
    order = LockOrder()
    order.flip(_locks(CHILD, PARENT))
    order.flip(order.arrange(_locks(CHILD, PARENT)))
    assert order.arrange(_locks(CHILD, PARENT)) == _locks(CHILD, PARENT)


def test_pairs_learn_apart() -> None:
    """What one pair of tables taught says nothing about another."""
    order, other = LockOrder(), TableName(schema="public", name="o")
    order.flip(_locks(CHILD, PARENT))
    assert order.arrange(_locks(CHILD, other)) == _locks(CHILD, other)


def test_one_table_has_no_order() -> None:
    """A self-reference locks one table: there is nothing to flip."""
    order = LockOrder()
    order.flip(_locks(CHILD))
    assert order.arrange(_locks(CHILD)) == _locks(CHILD)
