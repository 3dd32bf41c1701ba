"""Orphans are counted exactly, as the key itself would judge them, and the printed query shows those very rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.orphans import SAMPLE, OrphanQueries, TenantQueries
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.ports import Orphans
from tests import servers
from tests.conftest import ENDS, server_of

ClusterUrl = Callable[[int], str]


@pytest.fixture(params=ENDS)
def anywhere(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[str]:
    """The URL of a fresh database on each version in turn."""
    url = servers.fresh_database(cluster_url(request.param))
    yield url
    servers.drop_database(url)


def relation(
    *columns: str, to: tuple[str, ...] = ("id",), child: str = "c", parent: str = "p", **more: Any
) -> Relation:
    """A relation between two tables of schema public."""
    plain = Relation(
        table=TableName(schema="public", name=child),
        columns=columns or ("p_id",),
        referenced=TableName(schema="public", name=parent),
        referenced_columns=to,
        name="k",
    )
    return replace(plain, **more)


def filled(url: str, script: str) -> Catalog:
    """Run a script; the catalog after it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())
    return DatabaseCatalog(server=server_of(url)).catalog()


def counted(url: str, script: str, wanted: Relation) -> Orphans:
    """The count for one relation, once the printed query and the server itself were asked for the same."""
    catalog = filled(url, script)
    (found,) = OrphanQueries(server=server_of(url)).count([wanted], catalog)
    with psycopg.connect(url) as connection:
        rows = connection.execute(found.query.encode()).fetchall()
    assert len(rows) == found.count
    assert len(found.sample) == min(found.count, SAMPLE)
    shown = {tuple(map(_shown, row)) for row in rows}
    assert {tuple(row.values()) for row in found.sample} <= shown
    assert _server_refuses(url, wanted) == bool(found.count)
    return found


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)


def _server_refuses(url: str, wanted: Relation) -> bool:
    """Whether the key cannot be added because of these rows; nothing is kept."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(QuotedDdl().add(wanted, not_valid=False).encode())
        except psycopg.errors.ForeignKeyViolation:
            return True
        finally:
            connection.rollback()
    return False


PARENT = "create table p (id int primary key); insert into p select generate_series(1, 100);"


def test_a_single_column(anywhere: str) -> None:
    """NULL refers to nothing and is no orphan; each other row without its parent is one."""
    script = (
        PARENT + "create table c (id serial primary key, p_id int); insert into c (p_id) values (1), (null), (0), (0)"
    )
    found = counted(anywhere, script, relation())
    assert found.count == 2
    assert found.sample == ({"id": "3", "p_id": "0"}, {"id": "4", "p_id": "0"})


def test_no_orphans_need_no_sample(anywhere: str) -> None:
    """Zero is a count too."""
    found = counted(anywhere, PARENT + "create table c (p_id int); insert into c values (7), (null)", relation())
    assert (found.count, found.sample) == (0, ())


def test_the_count_is_exact_and_the_sample_short(anywhere: str) -> None:
    """The sample stops at 20 keys, the count does not."""
    script = PARENT + "create table c (p_id bigint); insert into c select g from generate_series(1, 1234) g"
    found = counted(anywhere, script, relation())
    assert (found.count, len(found.sample)) == (1134, 20)


COMPOSITE = """
create table p (a int, b text, unique (a, b));
insert into p values (1, 'x'), (2, 'y'), (3, null);
create table c (id int primary key, x text, y int);
insert into c values (1, 'x', 1), (2, 'y', 1), (3, null, 9), (4, 'q', null), (5, null, null), (6, 'x', 3);
"""


def test_a_composite_key_passes_when_any_part_is_null(anywhere: str) -> None:
    """MATCH SIMPLE, in another order than the index; a NULL in the parent's key matches nothing."""
    found = counted(anywhere, COMPOSITE, relation("x", "y", to=("b", "a")))
    assert found.sample == ({"id": "2", "x": "y", "y": "1"}, {"id": "6", "x": "x", "y": "3"})


def test_match_full_refuses_what_is_null_in_part(anywhere: str) -> None:
    """All NULL passes, some NULL does not."""
    found = counted(anywhere, COMPOSITE, relation("x", "y", to=("b", "a"), match="full"))
    assert sorted(str(row["id"]) for row in found.sample) == ["2", "3", "4", "6"]
    assert {row["x"] for row in found.sample} >= {None}


def test_match_full_of_one_column_is_simple(anywhere: str) -> None:
    """There is no part to be NULL."""
    script = PARENT + "create table c (p_id int); insert into c values (null), (0)"
    assert counted(anywhere, script, relation(match="full")).count == 1


def test_a_self_reference(anywhere: str) -> None:
    """A row may refer to itself; the two roles of the table are kept apart."""
    script = "create table p (id int primary key, p_id int); insert into p values (1, 1), (2, 1), (3, 4), (5, null)"
    found = counted(anywhere, script, relation(child="p"))
    assert found.sample == ({"id": "3", "p_id": "4"},)


def test_names_that_mean_something_to_sql(anywhere: str) -> None:
    """Columns that are called like the aliases, percent signs, quotes, mixed case."""
    script = """
        create table "par%s""ent" ("parent" int primary key); insert into "par%s""ent" values (1);
        create table "child" ("child" int, "Id %" int primary key); insert into "child" values (1, 1), (2, 2);
    """
    wanted = relation("child", to=("parent",), child="child", parent='par%s"ent')
    assert counted(anywhere, script, wanted).sample == ({"Id %": "2", "child": "2"},)


@pytest.mark.parametrize(
    ("key", "referencing"),
    [
        ("text", "varchar(9)"),
        ("varchar(9)", "text"),
        ('text collate "C"', "text"),
        ("text", 'text collate "C"'),
        ('text collate "C"', 'text collate "POSIX"'),
        ('text collate "C"', "name"),
        ("name", 'text collate "POSIX"'),
        ("text", "word"),
        ('text collate "POSIX"', "word"),
        ("word", 'text collate "POSIX"'),
        ("word", "word"),
    ],
)
def test_types_and_collations_may_differ(anywhere: str, key: str, referencing: str) -> None:
    """The comparison is the one that the key would make, also where two collations leave open which one."""
    script = f"""
        create domain word as text collate "C";
        create table p (id {key} primary key); insert into p values ('x'), ('y');
        create table c (p_id {referencing}); insert into c values ('x'), ('X'), (null);
    """
    catalog = filled(anywhere, script)
    (found,) = OrphanQueries(server=server_of(anywhere)).count([relation()], catalog)
    assert found.sample == ({"p_id": "X"},)
    with psycopg.connect(anywhere) as connection:
        assert connection.execute(found.query.encode()).fetchall() == [("X",)]


def test_a_column_that_has_no_collation(cluster_url: ClusterUrl) -> None:
    """Before 18 "char" may refer to text; it must not be given a collation."""
    url = servers.fresh_database(cluster_url(16))
    script = """
        create table p (id text collate "C" primary key); insert into p values ('x');
        create table c (p_id "char"); insert into c values ('x'), ('y');
    """
    assert counted(url, script, relation()).sample == ({"p_id": "y"},)
    servers.drop_database(url)


def test_an_equality_that_ignores_case(cluster_url: ClusterUrl) -> None:
    """A nondeterministic collation finds the parent that a plain comparison would miss (ICU: Debian's 15 only)."""
    url = servers.fresh_database(cluster_url(15))
    script = """
        create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        create table p (id text collate ci primary key); insert into p values ('Abc');
        create table c (p_id text collate ci); insert into c values ('aBC'), ('abd');
    """
    assert counted(url, script, relation()).sample == ({"p_id": "abd"},)
    servers.drop_database(url)


@pytest.mark.parametrize(
    ("key", "referencing", "good", "bad"),
    [
        ("bigint", "smallint", "1", "2"),
        ("numeric", "int", "1", "2"),
        ("uuid", "uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
        ("int[]", "int[]", "'{1}'", "'{1,2}'"),
        ("char(5)", "char(3)", "'ab'", "'ac'"),
        ("timestamptz", "timestamptz", "'2026-01-01 00:00+00'", "'2026-01-01 00:00+07'"),
        ("bytea", "bytea", "'\\x00'", "'\\x01'"),
        ("mood", "mood", "'good'", "'bad'"),
        ("whole", "int", "1", "2"),
        ("int4range", "int4range", "'[1,2)'", "'[1,3)'"),
    ],
)
def test_any_type_of_key(anywhere: str, key: str, referencing: str, good: str, bad: str) -> None:
    """Whatever can be a key can be counted, and shown as text."""
    script = f"""
        create type mood as enum ('good', 'bad'); create domain whole as int;
        create table p (id {key} primary key); insert into p values ({good});
        create table c (p_id {referencing}); insert into c values ({good}), ({bad}), (null);
    """
    catalog = filled(anywhere, script)
    (found,) = OrphanQueries(server=server_of(anywhere)).count([relation()], catalog)
    assert found.count == 1
    assert _server_refuses(anywhere, relation())


PARTITIONED = """
create table p (id int primary key) partition by range (id);
create table p_1 partition of p for values from (0) to (10);
create table p_2 partition of p for values from (10) to (20);
insert into p values (1), (11);
create table c (p_id int, day int) partition by list (day);
create table c_1 partition of c for values in (1);
create table c_rest partition of c default partition by list (day);
create table c_2 partition of c_rest for values in (2);
insert into c values (1, 1), (11, 2), (12, 1), (13, 2), (null, 2);
"""


def test_rows_of_every_partition_count(anywhere: str) -> None:
    """On both sides, at any depth."""
    found = counted(anywhere, PARTITIONED, relation())
    assert sorted(str(row["p_id"]) for row in found.sample) == ["12", "13"]


def test_one_partition_is_a_table(anywhere: str) -> None:
    """A key to or from one partition sees that partition only."""
    assert counted(anywhere, PARTITIONED, relation(child="c_1", parent="p_2")).count == 2


INHERITED = """
create table p (id int primary key); insert into p values (1);
create table p_heir () inherits (p); insert into p_heir values (2);
create table c (p_id int); insert into c values (1), (2), (3);
create table c_heir () inherits (c); insert into c_heir values (4);
"""


def test_heirs_are_not_looked_at(anywhere: str) -> None:
    """Rows of an inheriting parent are no parents, rows of an inheriting child are not kept by the key."""
    found = counted(anywhere, INHERITED, relation())
    assert sorted(str(row["p_id"]) for row in found.sample) == ["2", "3"]


def test_results_come_one_per_relation_in_order(database: str) -> None:
    """Each with its time."""
    script = PARENT + "create table c (a int, b int); insert into c values (1, 0), (0, 0), (1, 0)"
    catalog = filled(database, script)
    wanted = [relation("b"), relation("a")]
    found = list(OrphanQueries(server=server_of(database)).count(wanted, catalog))
    assert [(each.relation, each.count) for each in found] == [(wanted[0], 3), (wanted[1], 1)]
    assert all(each.duration_ms > 0 for each in found)


def test_what_cannot_be_read_is_one_line(database: str) -> None:
    """A policy that would hide rows is an error and never a smaller count."""
    script = (
        PARENT
        + """
        create table c (p_id int); insert into c values (0);
        alter table c enable row level security; alter table c force row level security;
        create role blind; grant select on c, p to blind; grant blind to current_user;
    """
    )
    catalog = filled(database, script)
    hidden = replace(server_of(database), role="blind")
    try:
        with pytest.raises(OrchestratorError, match=r"counting orphans of public.c.*row-level security"):
            list(OrphanQueries(server=hidden).count([relation()], catalog))
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("drop owned by blind; drop role blind")


def test_the_connection_only_reads(database: str) -> None:
    """Counting changes nothing, not even a sequence: every connection is read-only."""
    catalog = filled(database, PARENT + "create table c (p_id int); insert into c values (0)")
    counter = OrphanQueries(server=replace(server_of(database), read_only=True))
    assert [each.count for each in counter.count([relation()], catalog)] == [1]


def test_rows_of_another_tenant_are_counted(anywhere: str) -> None:
    """NULL on either side is global; only rows that lead across count."""
    script = """
        create table p (id int primary key, workspace_id int); insert into p values (1, 1), (2, 2), (3, null);
        create table c (p_id int, workspace_id int);
        insert into c values (1, 1), (2, 1), (3, 1), (1, null), (null, 1), (1, 2);
    """
    catalog = filled(anywhere, script)
    tenants = TenantQueries(server=server_of(anywhere), column="workspace_id")
    assert [count for _, count in tenants.crossing([relation()], catalog)] == [2]
