"""Indexes on referencing columns: which are planned, once each, under which name; and when they may be built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.core.catalog import Catalog, Index, Table
from orchestrator.core.contract import Relation, index_name
from orchestrator.core.indexes import is_ours, with_indexes
from orchestrator.core.locks import Lock
from orchestrator.core.plan import Plan
from orchestrator.core.schedule import Schedule
from orchestrator.core.transaction import Transaction, doing, undoing
from tests.core.test_plan import INT_OPS, LINES, TABLES, catalog, name, plan, relation, table


def index(called: str, *columns: str, **more: object) -> Index:
    """An index as the catalog has it."""
    definition = f"CREATE INDEX {called} ON public.c USING btree ({', '.join(columns)})"
    plain = Index(name=called, columns=columns, operator_classes=(), definition=definition)
    return replace(plain, **more)  # type: ignore[arg-type]


def planned(*lines: Relation, on: Catalog | None = None) -> Plan:
    """The plan with the indexes that are lacking."""
    known = on or catalog(*TABLES)
    return with_indexes(plan(*lines, on=known), known, QuotedDdl())


def ids(made: Plan) -> list[str]:
    """The indexes of a plan."""
    return [each.id for each in made.statements if each.kind == "index"]


def with_index(*indexes: Index) -> Catalog:
    """The catalog with more indexes on c."""
    first, *others = TABLES
    return catalog(replace(first, indexes=(*first.indexes, *indexes)), *others)


def test_each_lacking_index_is_planned_before_the_keys() -> None:
    """Its own way back, one lock that blocks no writer, hazards in words; the key's hazard is gone."""
    made = planned()
    assert [each.kind for each in made.statements] == ["index"] * 3 + ["add"] * 3 + ["validate"] * 3
    first = made.statements[0]
    assert first.sql == 'CREATE INDEX CONCURRENTLY "ix_c_p_id" ON "public"."c" ("p_id")'
    assert first.undo == ('DROP INDEX CONCURRENTLY "public"."ix_c_p_id"',)
    assert first.locks == first.undo_locks == (Lock(table=name("c"), mode="SHARE UPDATE EXCLUSIVE"),)
    assert first.hazards
    assert not any("no index" in hazard for each in made.statements for hazard in each.hazards)
    assert made.digest != plan().digest


def test_an_index_that_leads_with_the_columns_is_enough() -> None:
    """A usable one in any order of columns; not a partial, an invalid one or one that leads with another column."""
    able = (index("i", "p_id", "q_id"),)
    unable = (index("a", "p_id", partial=True), index("b", "p_id", valid=False), index("c", "q_id", "p_id"))
    assert ids(planned(LINES[0], on=with_index(*able))) == []
    assert ids(planned(LINES[0], on=with_index(*unable))) == ["index:public.c.ix_c_p_id"]


def test_one_index_serves_several_relations() -> None:
    """The same columns twice, and a wider index that leads with them: built once."""
    again = relation("c", "p_id", "q", name="again")
    assert ids(planned(LINES[0], again)) == ["index:public.c.ix_c_p_id"]
    key = Index(
        name="both",
        columns=("id", "w"),
        operator_classes=(INT_OPS, INT_OPS),
        definition="",
        unique=True,
        immediate=True,
    )
    parent = table("p", "w")
    known = catalog(TABLES[0], replace(parent, indexes=(*parent.indexes, key)))
    wide = replace(LINES[0], name="wide", columns=("p_id", "q_id"), referenced_columns=("id", "w"))
    assert ids(planned(LINES[0], wide, on=known)) == ["index:public.c.ix_c_p_id_q_id"]


def test_what_is_deferred_or_different_gets_none() -> None:
    """Only what is part of the release, and only when it can be had."""
    deferred = replace(LINES[0], deferred="later")
    impossible = relation("c", "nowhere", "p")
    assert ids(planned(deferred, impossible)) == []


def test_a_present_relation_gets_its_index() -> None:
    """Deleting a referenced row is as slow whoever added the key."""
    before = plan(LINES[0])
    present = replace(before, relations=(replace(before.relations[0], status="present"),), statements=())
    made = with_indexes(present, catalog(*TABLES), QuotedDdl())
    assert ids(made) == ["index:public.c.ix_c_p_id"]


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (table("ix_c_p_id"), "ix_c_p_id is the name of a table"),
        (replace(table("x"), indexes=(index("ix_c_p_id", "id"),)), "ix_c_p_id is the name of an index of public.x"),
        (replace(table("ix_c_p_id"), kind="view", indexes=()), "ix_c_p_id is the name of a view"),
    ],
    ids=["table", "index", "view"],
)
def test_a_taken_name_is_told(thing: Table, told: str) -> None:
    """Tables and indexes share their names in a schema: none is planned, and the key says why."""
    made = planned(LINES[0], on=catalog(*TABLES, thing))
    assert ids(made) == []
    assert f"no index is built: {told}" in made.statements[0].hazards


def test_an_invalid_leftover_of_ours_does_not_take_the_name() -> None:
    """With our definition it is built again; with another one the name is taken."""
    left = index("ix_c_p_id", "p_id", valid=False)
    other = index("ix_c_p_id", "q_id", valid=False)
    assert ids(planned(LINES[0], on=with_index(left))) == ["index:public.c.ix_c_p_id"]
    assert ids(planned(LINES[0], on=with_index(other))) == []


def test_two_tables_whose_names_run_together() -> None:
    """ix_a_b_c may stand for two things: the first has the name, the second says so."""
    known = catalog(table("a", "b_c"), table("a_b", "c"), table("p"))
    made = planned(relation("a", "b_c", "p"), relation("a_b", "c", "p"), on=known)
    assert ids(made) == ["index:public.a.ix_a_b_c"]
    told = "no index is built: ix_a_b_c is the name of an index planned on public.a"
    assert [told in each.hazards for each in made.statements if each.kind == "add"] == [False, True]


@pytest.mark.parametrize("version", [160000, 180000])
def test_each_partition_gets_its_own(version: int) -> None:
    """Never the partitioned table; a partition that has one is left alone; the index precedes the ADD it serves."""
    head = replace(table("c", "p_id", "q_id"), kind="partitioned")
    left = replace(table("c1", "p_id", "q_id"), partition_of=name("c"))
    right = replace(table("c2", "p_id", "q_id"), partition_of=name("c"), indexes=(index("own", "p_id"),))
    made = planned(LINES[0], on=catalog(head, left, right, table("p"), version=version))
    assert ids(made) == ["index:public.c1.ix_c1_p_id"]
    adds = [each for each in doing(made.statements) if each.kind in {"add", "adopt"}]
    assert any("index:public.c1.ix_c1_p_id" in each.after for each in adds)
    assert not any("no index" in hazard for each in made.statements for hazard in each.hazards)


def test_long_names_are_cut_like_those_of_keys() -> None:
    """63 bytes at most, and still another name for other columns."""
    long = index_name("t" * 40, ["c" * 40])
    assert len(long.encode()) == 63
    assert long != index_name("t" * 40, ["c" * 39 + "d"])
    assert long.startswith("ix_ttt")


@pytest.mark.parametrize(
    ("definition", "ours"),
    [
        ("CREATE INDEX i ON public.c USING btree (p_id)", True),
        ('CREATE INDEX i ON public."C ON D" USING btree ("p_id")', True),
        ("CREATE UNIQUE INDEX i ON public.c USING btree (p_id)", False),
        ("CREATE INDEX i ON public.c USING hash (p_id)", False),
        ("CREATE INDEX i ON public.c USING btree (p_id DESC)", False),
        ("CREATE INDEX i ON public.c USING btree (p_id) WHERE (p_id > 0)", False),
        ("CREATE INDEX i ON public.c USING btree (p_id) INCLUDE (q_id)", False),
        ("CREATE INDEX i ON public.c USING btree (p_id, q_id)", False),
        ("", False),
    ],
)
def test_the_definition_tells_whose_it_is(definition: str, ours: bool) -> None:
    """Plain, btree, exactly these columns: as pg_get_indexdef prints it."""
    assert is_ours(definition, ("p_id",)) == ours


def test_a_build_takes_no_place_of_a_validation() -> None:
    """One at a time, beside what one worker validates on other tables, and before the ADD that it serves."""
    works = doing(planned().statements)
    named = {each.id: each for each in works}
    schedule = Schedule(transactions=works)

    def begins(running: tuple[Transaction, ...], *done: str) -> str | None:
        found = schedule.next(settled=set(done), running=running, workers=1, now=0.0)
        return found.id if found else None

    build = named["index:public.c.ix_c_p_id"]
    assert begins(()) == build.id
    assert begins((build,)) is None
    rest = ("index:public.d.ix_d_p_id", "add:public.d.d_p_id")
    assert begins((build,), rest[0]) == "add:public.d.d_p_id"
    assert begins((build,), *rest) == "validate:public.d.d_p_id"
    assert begins((build, named["validate:public.d.d_p_id"]), *rest) is None


def test_the_way_back_is_concurrent_too() -> None:
    """One transaction that is none, short for nobody."""
    statement = planned().statements[0]
    (back,) = undoing(statement, of="run", budget_ms=100)
    assert (back.kind, back.concurrent, back.short) == ("drop index", True, False)
    assert back.statements == statement.undo
