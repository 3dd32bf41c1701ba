"""What a rehearsal makes of its walks: locks beyond the plan, making a copy alike, and the gravest verdict."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.core.catalog import Catalog, Column, ForeignKey, Index, Table, TableName
from orchestrator.core.checks import Finding
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.journal import VerdictGiven
from orchestrator.core.likeness import alike, plan_differences
from orchestrator.core.locks import Lock, Mode, unplanned
from orchestrator.core.plan import Plan
from orchestrator.core.plan_making import make_plan
from orchestrator.core.rehearsal import not_measured, verdict_of
from orchestrator.core.run import Run

CHILD, PARENT = (TableName(schema="public", name=name) for name in ("child", "parent"))
RELATION = Relation(table=CHILD, columns=("parent_id",), referenced=PARENT, referenced_columns=("id",), name="fk_child")
KEY = ForeignKey(name="fk_child", columns=("parent_id",), referenced=PARENT, referenced_columns=("id",))
INTEGER, OPERATORS = 23, 1978


def lock(mode: Mode, table: TableName = CHILD) -> Lock:
    """A lock, on the child unless said."""
    return Lock(table=table, mode=mode)


def test_weaker_locks_beside_the_planned_one_are_no_surprise() -> None:
    """VALIDATE reads both tables besides: whom that blocks, the planned locks block already."""
    planned = (lock("SHARE UPDATE EXCLUSIVE"), lock("ROW SHARE", PARENT))
    held = (*planned, lock("ACCESS SHARE"), lock("ACCESS SHARE", PARENT), lock("ROW SHARE"))
    assert unplanned(held, planned) == ()


def test_a_stronger_lock_and_another_table_are_told() -> None:
    """They block somebody whom the plan did not speak of; reading a further table blocks nobody."""
    planned = (lock("SHARE ROW EXCLUSIVE"),)
    other = TableName(schema="public", name="other")
    assert unplanned((*planned, lock("ACCESS EXCLUSIVE")), planned) == (lock("ACCESS EXCLUSIVE"),)
    assert unplanned((*planned, lock("SHARE", other)), planned) == (lock("SHARE", other),)
    assert unplanned((*planned, lock("ACCESS SHARE", other)), planned) == ()


def catalog(*keys: ForeignKey, partitions: tuple[tuple[str, tuple[ForeignKey, ...]], ...] = ()) -> Catalog:
    """A child with these keys, or with partitions that have keys of their own, and its parent, on PostgreSQL 16."""
    column = Column(name="parent_id", type_name="integer", base_type=INTEGER)
    key = Index(
        name="parent_pkey", columns=("id",), operator_classes=(OPERATORS,), definition="", unique=True, primary=True
    )
    tables = [
        Table(name=CHILD, columns=(column,), foreign_keys=keys, kind="partitioned" if partitions else "table"),
        Table(name=PARENT, columns=(replace(column, name="id"),), indexes=(key,)),
    ]
    for name, own in partitions:
        part = TableName(schema="public", name=name)
        tables.append(Table(name=part, columns=(column,), foreign_keys=own, partition_of=CHILD))
    named = {table.name: table for table in tables}
    return Catalog(server_version=160003, tables=named, comparable=frozenset({(OPERATORS, INTEGER)}))


def statements(copy: Catalog, other: Catalog) -> list[str]:
    """What makes the copy alike."""
    contract = Contract(relations=(RELATION, replace(RELATION, columns=("gone",), deferred="later", name="fk_gone")))
    return list(alike(contract, copy=copy, other=other, writer=QuotedDdl()))


DROP = 'ALTER TABLE "public"."child" DROP CONSTRAINT "fk_child"'


def test_a_key_that_the_other_lacks_is_dropped() -> None:
    """Under whatever name it stands on the copy; one that it has stays."""
    assert statements(catalog(KEY), catalog()) == [DROP]
    assert statements(catalog(replace(KEY, name="odd")), catalog()) == [DROP.replace("fk_child", "odd")]
    assert statements(catalog(KEY), catalog(KEY)) == []
    assert statements(catalog(), catalog()) == []


def test_a_key_that_is_not_valid_there_is_not_valid_here() -> None:
    """The plan there only validates it."""
    found = statements(catalog(KEY), catalog(replace(KEY, name="by_hand", validated=False)))
    assert found[0] == DROP
    assert found[1].startswith('ALTER TABLE "public"."child" ADD CONSTRAINT "by_hand"')
    assert found[1].endswith(" NOT VALID")


def test_a_key_of_a_partition_stays_as_it_is_there() -> None:
    """On the copy it went with the partitioned table's key; there it is the partition's own."""
    inherited = replace(KEY, inherited=True)
    copy = catalog(KEY, partitions=(("part", (inherited,)),))
    found = statements(copy, catalog(partitions=(("part", (replace(KEY, name="own"),)),)))
    assert found[0] == DROP
    assert [each.split(" FOREIGN")[0] for each in found[1:]] == ['ALTER TABLE "public"."part" ADD CONSTRAINT "own"']


def made(found: Catalog) -> Plan:
    """The plan for the one relation."""
    contract = Contract(relations=(RELATION,))
    return make_plan(
        runbook="r", environment="e", contract=contract, catalog=found, writer=QuotedDdl(), lock_budget_ms=100
    )


def test_the_difference_between_two_plans_is_told() -> None:
    """By relation and by statement; plans with one digest have none."""
    told = list(plan_differences(made(catalog(KEY)), made(catalog())))
    assert told[0] == f"{RELATION.id} is present on the copy, missing there"
    assert told[1:] == [f"{kind}:public.child.fk_child is planned there only" for kind in ("add", "validate")]
    assert list(plan_differences(made(catalog()), made(catalog()))) == []


def finding(severity: str, status: str) -> Finding:
    """A finding of the rehearsal."""
    return Finding(id="f", title="", severity=severity, status=status, observed="o", expected="")  # type: ignore[arg-type]


def test_the_gravest_verdict_counts() -> None:
    """Of the rehearsal's own findings and the gates of the last walk, with the reasons of both."""
    walk = Run("w", verdicts=[VerdictGiven(gate="validate", word="HOLD", reasons=("slow",))])
    assert verdict_of((finding("critical", "pass"),), None).word == "GO"
    assert verdict_of((finding("critical", "pass"),), walk).word == "HOLD"
    grave = verdict_of((finding("critical", "fail"),), walk)
    assert (grave.word, grave.reasons) == ("NO-GO", ("f (critical): o", "slow"))


def test_what_was_not_measured_is_a_reason_beside_any_word() -> None:
    """It closes nothing, and nobody has to look for it among the findings."""
    left_out = not_measured("left out")
    said = "performance (optional): not measured: left out"
    assert verdict_of((finding("critical", "pass"), left_out), None).reasons == (said,)
    assert verdict_of((finding("critical", "pass"), left_out), None).word == "GO"
    assert verdict_of((finding("critical", "fail"), left_out), None).reasons == ("f (critical): o", said)
