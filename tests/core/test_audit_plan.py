"""Option B as a plan: what is deferred, what is installed once, and what goes when the keys come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.adapters.audit_sql import AuditSql
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.core.audit_objects import AuditObject, comment_of
from orchestrator.core.audit_plan import Piece, piece_names, with_audits
from orchestrator.core.catalog import Catalog, Column, ForeignKey, Index, Table, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.matching import match_all
from orchestrator.core.outcome import Refused
from orchestrator.core.plan import Plan
from orchestrator.core.plan_making import make_plan
from orchestrator.core.resumption import definition
from orchestrator.core.transaction import doing

PARENT, CHILD = (TableName(schema="public", name=name) for name in ("customers", "orders"))
ID = Column(name="id", type_name="bigint", base_type=20)
KEY = Index(name="pk", columns=("id",), operator_classes=(1,), definition="", unique=True, primary=True)


def relation(column: str, table: TableName = CHILD, *, deferred: str | None = None) -> Relation:
    """A line of the contract."""
    return Relation(
        table=table,
        columns=(column,),
        referenced=PARENT,
        referenced_columns=("id",),
        name=f"fk_{column}",
        deferred=deferred,
    )


CONTRACT = Contract(relations=(relation("a"), relation("b"), relation("c", deferred="later")), road="option B")
STANDING = ForeignKey(name="fk_a", columns=("a",), referenced=PARENT, referenced_columns=("id",))


def catalog(*audits: AuditObject, keys: tuple[ForeignKey, ...] = (STANDING,)) -> Catalog:
    """Two tables, the first relation's key, and what stands in schema orphan_audit."""
    columns = (ID, *(replace(ID, name=name) for name in "abc"))
    tables = (
        Table(name=PARENT, columns=(ID,), indexes=(KEY,)),
        Table(name=CHILD, columns=columns, indexes=(KEY,), foreign_keys=keys),
    )
    return Catalog(
        server_version=160000,
        tables={each.name: each for each in tables},
        comparable=frozenset({(1, 20)}),
        audit_objects=audits,
    )


def planned(found: Catalog, contract: Contract = CONTRACT) -> Plan:
    """The whole plan, as a site makes it."""
    made = make_plan(
        runbook="r", environment="e", contract=contract, catalog=found, writer=QuotedDdl(), lock_budget_ms=100
    )
    return with_audits(made, catalog=found, whole=contract, writer=AuditSql(), wanted=bool(contract.road))


def installed(plan: Plan) -> tuple[AuditObject, ...]:
    """The objects that a plan would leave, as the catalog reads them back."""
    found = catalog()
    pieces: Sequence[Piece] = (
        AuditSql().history(),
        AuditSql().recorder(),
        *(AuditSql().relation(each, f"orders_{each.columns[0]}", found) for each in CONTRACT.promised),
    )
    wanted = {each.proof.constraint for each in plan.statements}
    return tuple(
        AuditObject(kind=kind, name=name, comment=comment_of(piece.name, piece.digest), definition="select 1")  # type: ignore[arg-type]
        for piece in pieces
        if piece.name in wanted
        for kind, name in sorted(piece.objects)
    )


def ids(plan: Plan) -> list[str]:
    """The statements, in order."""
    return [each.id.replace(":orphan_audit.", " ") for each in plan.statements]


def test_a_missing_key_is_deferred_and_a_standing_one_stays_present() -> None:
    """The contract's own deferral keeps its own reason."""
    found = match_all(CONTRACT, catalog())
    assert [(each.status, each.reason) for each in found] == [
        ("present", ""),
        ("deferred", "option B"),
        ("deferred", "later"),
    ]
    not_valid = replace(STANDING, validated=False)
    (first, *_) = match_all(CONTRACT, catalog(keys=(not_valid,)))
    assert (first.status, first.reason) == ("deferred", "option B; stands NOT VALID as fk_a")


def test_everything_is_installed_and_a_second_plan_is_empty() -> None:
    """History and recorder first, then what each promised relation needs; none for what the contract defers."""
    plan = planned(catalog())
    assert ids(plan) == ["install history", "install recorder", "install orders_a", "install orders_b"]
    first, *rest = doing(plan.statements)
    assert first.after == frozenset()
    assert all(each.after == {first.id} and not each.short for each in rest)
    assert planned(catalog(*installed(plan))).statements == ()


def test_another_text_takes_the_place_of_the_older_one_and_brings_it_back() -> None:
    """What stands of the piece is dropped by name, without CASCADE; the way back has the server's own text."""
    there = installed(planned(catalog()))
    older = tuple(
        replace(each, comment=comment_of("orders_b", "old")) if each.piece == "orders_b" else each for each in there
    )
    (only,) = planned(catalog(*older)).statements
    assert only.sql.startswith('DROP FUNCTION "orphan_audit"."check_orders_b"')
    assert "CASCADE" not in only.sql
    assert 'CREATE VIEW "orphan_audit"."orders_b" AS select 1' in only.undo
    assert any('"digest": "old"' in text for text in only.undo)


def test_the_keys_come_first_and_the_history_goes_last() -> None:
    """Each removal waits for the one before it, the first for every key."""
    road_a = replace(CONTRACT, road="")
    there = installed(planned(catalog()))
    plan = planned(catalog(*there), road_a)
    assert ids(plan)[:2] == ["add:public.orders.fk_b", "validate:public.orders.fk_b"]
    removals = ["remove orders_a", "remove orders_b", "remove recorder", "remove history"]
    assert ids(plan)[2:] == removals
    after = [each.after for each in doing(plan.statements)]
    assert after[2] == {each.id for each in plan.statements[:2]}
    assert after[3:] == [{each.id} for each in plan.statements[2:-1]]
    assert plan.statements[2].undo == (AuditSql().relation(CONTRACT.relations[0], "orders_a", catalog()).sql,)


def test_what_only_leaves_without_its_key_keeps_its_audit() -> None:
    """And so the recorder and the history stay, too."""
    there = installed(planned(catalog()))
    whole = replace(CONTRACT, road="")
    narrowed = replace(whole, relations=(whole.relations[0], relation("b", deferred="not in this run (--only)")))
    made = make_plan(
        runbook="r", environment="e", contract=narrowed, catalog=catalog(), writer=QuotedDdl(), lock_budget_ms=100
    )
    plan = with_audits(made, catalog=catalog(*there), whole=whole, writer=AuditSql(), wanted=False)
    assert ids(plan) == ["remove orders_a"]


def test_another_road_without_audits_is_the_plan_it_was() -> None:
    """Nothing of ours stands, so nothing is added; a schema of that name that is not ours is let alone."""
    foreign = AuditObject(kind="schema", name="orphan_audit")
    road_a = replace(CONTRACT, road="")
    assert ids(planned(catalog(foreign), road_a)) == ["add:public.orders.fk_b", "validate:public.orders.fk_b"]
    with pytest.raises(Refused, match="schema orphan_audit is there and was not made by this program"):
        planned(catalog(foreign))


def test_names_are_unique_and_fit() -> None:
    """The same table and column in two schemas, joins that agree, names of the history, and names too long."""
    other = TableName(schema="app", name="orders")
    long = TableName(schema="public", name="ö" * 40)
    relations = (
        relation("a"),
        relation("a", other),
        relation("b_c"),
        relation("c", TableName(schema="public", name="orders_b")),
        relation("run", TableName(schema="public", name="audit")),
        relation("x", long),
        relation("plain"),
    )
    names = piece_names(relations)
    assert len(set(names.values())) == len(relations)
    assert names[relations[-1].id] == "orders_plain"
    assert all(len(f"require_{each}".encode()) <= 63 for each in names.values())
    assert "audit_run" not in names.values()


def test_a_run_that_began_on_another_road_is_not_gone_on_with() -> None:
    """The road is part of what a run carries out."""
    lines = [definition((), each, ()) for each in (CONTRACT, replace(CONTRACT, road=""))]
    assert set(lines[0]) - set(lines[1]) == {"relation keys that are missing are not added (option B)"}
