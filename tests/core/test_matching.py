"""Contract against catalog without a server: statuses, reasons, and what is left out of one run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.core.catalog import Catalog, Column, ForeignKey, Index, Table, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.matching import differing_types, match, match_all, narrowed

INT, TEXT, MOOD, INT_OPS, ENUM_OPS = 23, 25, 90001, 1978, 3522
CHILD, PARENT = TableName(schema="public", name="c"), TableName(schema="public", name="p")


def column(name: str, base_type: int = INT, **more: object) -> Column:
    """A column; its type is called by its number."""
    return replace(Column(name=name, type_name=f"type {base_type}", base_type=base_type), **more)  # type: ignore[arg-type]


def unique(*columns: str, operator_class: int = INT_OPS, **more: object) -> Index:
    """A unique index."""
    plain = Index(
        name="i", columns=columns, operator_classes=(operator_class,) * len(columns), definition="", unique=True
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def catalog(*tables: Table, version: int = 160000) -> Catalog:
    """A catalog of these tables, in which integers can be compared, and an enum with itself."""
    return Catalog(
        server_version=version,
        tables={table.name: table for table in tables},
        comparable=frozenset({(INT_OPS, INT), (ENUM_OPS, MOOD), (ENUM_OPS, MOOD + 1)}),
        polymorphic={ENUM_OPS: "enum"},
    )


def child(*columns: Column, **more: object) -> Table:
    """The referencing table."""
    return replace(Table(name=CHILD, columns=columns or (column("p_id"),)), **more)  # type: ignore[arg-type]


def parent(*columns: Column, **more: object) -> Table:
    """The referenced table."""
    plain = Table(name=PARENT, columns=columns or (column("id"),), indexes=(unique("id", primary=True),))
    return replace(plain, **more)  # type: ignore[arg-type]


def relation(**changes: object) -> Relation:
    """c(p_id) to p(id)."""
    plain = Relation(table=CHILD, columns=("p_id",), referenced=PARENT, referenced_columns=("id",), name="k")
    return replace(plain, **changes)  # type: ignore[arg-type]


def key(**changes: object) -> ForeignKey:
    """The key that keeps it."""
    plain = ForeignKey(name="k", columns=("p_id",), referenced=PARENT, referenced_columns=("id",))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_deferred_line_is_not_looked_at() -> None:
    """Its tables need not exist; the reason is the contract's."""
    found = match(relation(deferred="later"), catalog())
    assert (found.status, found.reason) == ("deferred", "later")


def test_a_line_that_nothing_stands_against_is_missing() -> None:
    """Both tables, their columns, a unique key, comparable types."""
    assert match(relation(), catalog(child(), parent())).status == "missing"


def test_everything_that_is_absent_is_told_at_once() -> None:
    """A person wants the whole list, not the first item."""
    found = match(relation(columns=("x",), referenced_columns=("y",)), catalog(child(), parent()))
    assert found.status == "impossible"
    assert found.reason == "column public.c.x does not exist; column public.p.y does not exist"
    assert {each.matter for each in found.obstacles} == {"missing"}


@pytest.mark.parametrize("kind", ["view", "materialized view", "foreign"])
@pytest.mark.parametrize("side", ["child", "parent"])
def test_only_tables_have_keys(kind: str, side: str) -> None:
    """A view or a foreign table on either side makes it impossible."""
    tables = (
        child(kind=kind) if side == "child" else child(),
        parent(kind=kind) if side == "parent" else parent(),
    )
    found = match(relation(), catalog(*tables))
    assert found.status == "impossible"
    assert [each.matter for each in found.obstacles] == ["kind"]


@pytest.mark.parametrize(
    "index",
    [
        unique("id", unique=False),
        unique("id", partial=True),
        unique("id", valid=False),
        unique("id", immediate=False),
        unique("id", exclusion=True),
        unique("id", "more"),
        replace(unique("id"), columns=(None,)),
    ],
    ids=["not unique", "partial", "invalid", "deferrable", "exclusion", "wider", "expression"],
)
def test_only_some_indexes_can_be_referred_to(index: Index) -> None:
    """Valid, immediate, whole, over exactly these columns."""
    found = match(relation(), catalog(child(), parent(indexes=(index,))))
    assert found.status == "impossible"
    assert [each.matter for each in found.obstacles] == ["unique"]


def test_each_column_is_compared_with_the_class_of_its_own_key_column() -> None:
    """The index may have the columns in another order than the contract."""
    two = (column("a"), column("b", MOOD))
    index = replace(unique("b", "a"), operator_classes=(ENUM_OPS, INT_OPS))
    found = catalog(child(column("x", MOOD), column("y")), parent(*two, indexes=(index,)))
    good = relation(columns=("y", "x"), referenced_columns=("a", "b"))
    assert match(good, found).status == "missing"
    swapped = match(replace(good, columns=("x", "y")), found)
    assert (swapped.status, len(swapped.obstacles)) == ("impossible", 2)


def test_a_polymorphic_class_compares_a_type_with_itself_only() -> None:
    """Two enums share anyenum's operator class, and are no closer for it."""
    enums = parent(column("id", MOOD), indexes=(unique("id", operator_class=ENUM_OPS),))
    assert match(relation(), catalog(child(column("p_id", MOOD)), enums)).status == "missing"
    other = match(relation(), catalog(child(column("p_id", MOOD + 1)), enums))
    assert other.status == "impossible"
    assert other.reason.startswith("types cannot be compared: p_id is type 90002")


@pytest.mark.parametrize(
    ("mine", "theirs", "status"),
    [
        ("permanent", "permanent", "missing"),
        ("permanent", "unlogged", "impossible"),
        ("permanent", "temporary", "impossible"),
        ("unlogged", "permanent", "missing"),
        ("unlogged", "unlogged", "missing"),
        ("unlogged", "temporary", "impossible"),
    ],
)
def test_a_table_refers_to_nothing_shorter_lived(mine: str, theirs: str, status: str) -> None:
    """What survives a crash cannot refer to what does not."""
    tables = (child(persistence=mine), parent(persistence=theirs))
    assert match(relation(), catalog(*tables)).status == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "missing"),
        ({"on_delete": "cascade"}, "missing"),
        ({"on_delete": "restrict", "on_update": "restrict"}, "missing"),
        ({"on_delete": "set null"}, "impossible"),
        ({"on_delete": "set default"}, "impossible"),
        ({"on_update": "cascade"}, "impossible"),
        ({"on_update": "set null"}, "impossible"),
    ],
)
def test_a_generated_column_cannot_be_written(changes: dict[str, object], status: str) -> None:
    """Actions that would write a stored generated column are refused; the others are not."""
    tables = (child(column("p_id", generated="stored")), parent())
    assert match(relation(**changes), catalog(*tables)).status == status


def test_some_columns_set_null_only_since_15() -> None:
    """The server of before does not know the list."""
    wanted = relation(on_delete="set null", on_delete_columns=("p_id",))
    assert match(wanted, catalog(child(), parent(), version=150000)).status == "missing"
    old = match(wanted, catalog(child(), parent(), version=140000))
    assert [each.matter for each in old.obstacles] == ["version"]


def test_nondeterministic_collations_clash_unless_they_are_one() -> None:
    """Which strings are equal must not depend on the side that is asked."""
    odd: dict[str, Any] = {"collation": "public.ci", "deterministic": False}
    usual = parent(column("id", collation="pg_catalog.default"))
    assert match(relation(), catalog(child(column("p_id", **odd)), usual)).status == "impossible"
    both = catalog(child(column("p_id", **odd)), parent(column("id", **odd)))
    assert match(relation(), both).status == "missing"
    harmless = catalog(child(column("p_id", collation="pg_catalog.C")), usual)
    assert match(relation(), harmless).status == "missing"


def test_a_standing_key_is_judged_by_its_whole_definition() -> None:
    """Present under any name, different in any part, missing while NOT VALID."""

    def judged(*keys: ForeignKey) -> tuple[str, str]:
        found = match(relation(), catalog(child(foreign_keys=keys), parent()))
        return found.status, found.reason

    assert judged(key()) == ("present", "")
    assert judged(key(name="other")) == ("present", "stands as other")
    assert judged(key(validated=False)) == ("missing", "stands NOT VALID as k")
    assert judged(key(on_delete="cascade")) == ("different", "on delete is cascade, not no action")
    assert judged(key(enforced=False)) == ("different", "it stands NOT ENFORCED")
    assert judged(key(triggers_enabled=False)) == ("different", "its triggers are disabled")
    assert judged(key(name="o", match="full")) == ("different", "stands as o; match is full, not simple")


def test_of_several_standing_keys_a_contradicting_one_counts() -> None:
    """One that keeps the promise is enough, unless another contradicts it; a valid one comes before one that is not."""
    keys = (key(name="a", on_delete="cascade"), key(name="b", validated=False), key(name="z"))
    assert match(relation(), catalog(child(foreign_keys=keys), parent())).status == "different"
    found = match(relation(), catalog(child(foreign_keys=keys[1:]), parent()))
    assert (found.status, found.reason) == ("present", "stands as z")
    assert match(relation(), catalog(child(foreign_keys=keys[1:2]), parent())).reason == "stands NOT VALID as b"


def test_a_name_that_is_taken_by_another_link_is_different() -> None:
    """The same name on the same table cannot be given twice."""
    two = child(column("p_id"), column("q_id"), foreign_keys=(key(columns=("q_id",)),))
    found = match(relation(), catalog(two, parent()))
    assert (found.status, found.reason) == ("different", "the name k is taken by another constraint of public.c")


def test_a_partition_can_stand_in_the_way() -> None:
    """What would be refused on a partition is told for the whole, and names the partition."""
    part = Table(
        name=TableName(schema="public", name="c_1"),
        columns=(column("p_id"),),
        partition_of=CHILD,
        foreign_keys=(key(name="mine", on_delete="cascade"),),
    )
    found = match(relation(), catalog(child(kind="partitioned"), part, parent()))
    assert found.status == "different"
    assert found.reason == "partition public.c_1: stands as mine; on delete is cascade, not no action"
    assert found.standing is None


def test_every_line_has_a_status_in_the_order_of_the_contract() -> None:
    """Nothing is left out."""
    lines = (relation(name="a"), relation(name="b", deferred="later"), relation(name="c", columns=("x",)))
    found = match_all(Contract(relations=lines), catalog(child(), parent()))
    assert [(each.relation.name, each.status) for each in found] == [
        ("a", "missing"),
        ("b", "deferred"),
        ("c", "impossible"),
    ]


def test_differing_types_are_told_even_when_they_compare() -> None:
    """Not an obstacle, but a person should know."""
    wide = catalog(child(), parent(column("id", type_name="bigint")))
    assert list(differing_types(relation(), wide)) == ["public.c.p_id is type 23, public.p(id) is bigint"]
    assert list(differing_types(relation(), catalog(child(), parent()))) == []


def contract() -> Contract:
    """A critical line, another, and one that is deferred anyway."""
    other = TableName(schema="s", name="o")
    return Contract(
        relations=(
            relation(name="a", priority="critical"),
            relation(name="b", table=other),
            relation(name="c", table=other, priority="critical", deferred="later"),
        )
    )


@pytest.mark.parametrize(
    ("only", "kept"),
    [
        ((), ["a", "b"]),
        (("critical",), ["a"]),
        (("o",), ["b"]),
        (("s.o",), ["b"]),
        (("public.o",), []),
        (("critical", "o"), ["a", "b"]),
    ],
)
def test_only_leaves_out_the_rest(only: tuple[str, ...], kept: list[str]) -> None:
    """Priorities and tables, with or without their schema; what is deferred stays so."""
    found = narrowed(contract(), only)
    assert [each.name for each in found.promised] == kept
    assert len(found.relations) == 3
    assert found.relations[2].deferred == "later"
    reasons = {each.deferred for each in found.relations[:2] if each.deferred}
    assert reasons <= {"not in this run (--only)"}
