"""The method of counting follows from what is known; what is not known leads to the one that always works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.catalog import Catalog, Column, Table, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.counting import ColumnStatistics, TableStatistics, choose, decide

CHILD, PARENT = TableName(schema="public", name="c"), TableName(schema="public", name="p")
INT4, INT8, TEXT, NUMERIC = 23, 20, 25, 1700

RELATION = Relation(table=CHILD, columns=("p_id",), referenced=PARENT, referenced_columns=("id",), name="k")
MANY = TableStatistics(
    counted_rows=1_000_000,
    pages=10_000,
    all_visible=10_000,
    columns={"p_id": ColumnStatistics(distinct=500)},
    orders=frozenset({("p_id", "day")}),
)
FEW = TableStatistics(counted_rows=1000, pages=10, all_visible=10, orders=frozenset({("id",)}))


def catalog(*, child: int = INT8, kind: str = "table", collation: str | None = None) -> Catalog:
    """Two tables with one column each."""
    columns = (Column(name="p_id", type_name="x", base_type=child, collation=collation),)
    keys = (Column(name="id", type_name="x", base_type=INT8),)
    tables = (Table(name=CHILD, columns=columns, kind=kind), Table(name=PARENT, columns=keys))  # type: ignore[arg-type]
    return Catalog(server_version=160000, tables={each.name: each for each in tables})


def chosen(child: TableStatistics = MANY, parent: TableStatistics = FEW, known: Catalog | None = None) -> str:
    """The name of the method."""
    return choose(RELATION, known or catalog(), {CHILD: child, PARENT: parent}).method


def test_few_values_in_many_rows_are_walked() -> None:
    """And the walk is bounded, because the number of values is an estimate."""
    found = choose(RELATION, catalog(child=INT4), {CHILD: MANY, PARENT: FEW})
    assert found.method == "loose index scan"
    assert found.reason == "about 500 values in 1000000 rows"
    assert 10_000 < found.jumps < 20_000


@pytest.mark.parametrize("distinct", [100_000, -0.5])
def test_many_values_are_merged(distinct: float) -> None:
    """A number of values, or a share of the rows."""
    columns = {"p_id": ColumnStatistics(distinct=distinct)}
    assert chosen(replace(MANY, columns=columns)) == "merge anti-join"


@pytest.mark.parametrize("change", [{"changed": 200_000}, {"all_visible": 0}, {"inserted": 500_000}])
def test_what_is_not_all_visible_is_hashed(change: dict[str, int]) -> None:
    """An index alone does not tell whether its rows are there; walking still pays where there are few values."""
    spoiled = replace(MANY, **change)  # type: ignore[arg-type]
    assert chosen(spoiled) == "loose index scan"
    assert chosen(replace(spoiled, columns={"p_id": ColumnStatistics(distinct=-0.5)})) == "hash anti-join"


def test_a_table_in_the_order_of_its_index_is_merged_all_the_same() -> None:
    """Looking at the rows' pages costs little when each page is looked at once."""
    columns = {"p_id": ColumnStatistics(distinct=-0.5, correlation=1)}
    assert chosen(replace(MANY, changed=1000, columns=columns)) == "merge anti-join"


def test_few_rows_against_many_are_hashed() -> None:
    """Both indexes from their beginning to their end would be the whole parent; the server may look each row up."""
    assert chosen(replace(FEW, orders=MANY.orders), replace(MANY, orders=FEW.orders)) == "hash anti-join"


@pytest.mark.parametrize(
    ("child", "parent", "known", "reason"),
    [
        (TableStatistics(), FEW, catalog(), "no usable index"),
        (replace(MANY, orders=frozenset({("day", "p_id")})), FEW, catalog(), "no usable index"),
        (MANY, TableStatistics(), catalog(), "the referenced table"),
        (TableStatistics(orders=MANY.orders), FEW, catalog(), "nothing is known"),
        (MANY, FEW, catalog(kind="partitioned"), "partitioned"),
        (MANY, FEW, catalog(child=NUMERIC), "types or collations"),
        (MANY, FEW, catalog(child=TEXT, collation="pg_catalog.C"), "types or collations"),
    ],
)
def test_what_stands_in_the_way_is_told(
    child: TableStatistics, parent: TableStatistics, known: Catalog, reason: str
) -> None:
    """Then it is the hash join, which needs nothing."""
    found = choose(RELATION, known, {CHILD: child, PARENT: parent})
    assert found.method == "hash anti-join"
    assert reason in found.reason


def test_who_would_come_last_and_alone_may_have_workers() -> None:
    """Of relations alike none may; nor do those of which something is known wait for one of which nothing is."""
    statistics = {CHILD: replace(MANY, columns={}), PARENT: FEW}
    back = replace(RELATION, table=PARENT, columns=("id",), referenced=CHILD, referenced_columns=("p_id",))
    assert [each.parallel for each in decide([RELATION], catalog(), statistics)] == [True]
    assert [each.parallel for each in decide([RELATION, RELATION], catalog(), statistics)] == [False, False]
    assert [each.parallel for each in decide([RELATION, back], catalog(), statistics)] == [True, False]
    assert [each.parallel for each in decide([RELATION, RELATION], catalog(), {})] == [True, True]


def test_the_order_of_two_columns_must_be_one() -> None:
    """The index of the child may have them either way, as long as the parent's has them the same way."""
    pair = replace(RELATION, columns=("a", "b"), referenced_columns=("x", "y"))
    sides = {CHILD: ("a", "b"), PARENT: ("x", "y")}
    tables = {
        name: Table(name=name, columns=tuple(Column(name=each, type_name="x", base_type=INT8) for each in columns))
        for name, columns in sides.items()
    }
    known = Catalog(server_version=160000, tables=tables)
    child = replace(MANY, columns={}, orders=frozenset({("b", "a", "c")}))
    for order, method in ((("y", "x"), "merge anti-join"), (("x", "y"), "hash anti-join")):
        statistics = {CHILD: child, PARENT: replace(FEW, orders=frozenset({order}))}
        assert choose(pair, known, statistics).method == method
