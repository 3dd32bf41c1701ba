"""Single writes measured on real servers: along the contract, each key by itself, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator.adapters import loading, write_load
from orchestrator.adapters.ddl import QuotedDdl, qualified
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.programs import Installation
from orchestrator.adapters.runbooks import load_contract
from orchestrator.app.performance import combine, measure
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.performance import Costs, Timing
from tests import servers
from tests.conftest import ENDS, MATRIX, NEWEST, ClusterUrl, server_of

CONTRACT = load_contract(Path(__file__).parents[2] / "runbooks" / "master_tables" / "foreign_keys.toml")
SECONDS = 1.0


def measured(url: str, contract: Contract = CONTRACT, *, clients: int = 2) -> Costs:
    """The costs as the database is now."""
    server = server_of(url)
    return measure(server, contract, DatabaseCatalog(server=server).catalog(), clients=clients, seconds=SECONDS)


def run(url: str, *statements: str) -> None:
    """Run statements as they stand."""
    with psycopg.connect(url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


def add_keys(url: str, contract: Contract = CONTRACT) -> tuple[str, ...]:
    """Add every promised key that does not stand; their names as they are told."""
    catalog = DatabaseCatalog(server=server_of(url)).catalog()
    new = [
        each
        for each in contract.promised
        if not any(each.same_link(key) for key in catalog.tables[each.table].foreign_keys)
    ]
    run(url, *(QuotedDdl().add(each, not_valid=False) for each in new))
    return tuple(f"{each.table}.{each.name}" for each in new)


def state(url: str, contract: Contract = CONTRACT) -> Mapping[str, Any]:
    """Rows and their content, by table, and where every sequence is."""
    with psycopg.connect(url) as connection:
        found = {
            str(name): connection.execute(
                sql.SQL("select count(*), coalesce(sum(hashtext(t::text)::bigint), 0) from {} t").format(
                    qualified(name)
                )
            ).fetchone()
            for name in contract.tables
        }
        sequences = connection.execute("select sequencename, last_value from pg_sequences order by 1").fetchall()
        return found | {"sequences": sequences}


def timing(costs: Costs, table: str, operation: str) -> Timing:
    """The timing of an operation."""
    (only,) = (each for each in costs.timings if (each.table, each.operation) == (table, operation))
    return only


def relation(table: str, columns: str, parent: str, keys: str = "id", **more: Any) -> Relation:
    """A relation in schema public; columns in one string."""
    return Relation(
        table=TableName(schema="public", name=table),
        columns=tuple(columns.split()),
        referenced=TableName(schema="public", name=parent),
        referenced_columns=tuple(keys.split()),
        name=more.pop("name", f"fk_{table}_{columns}"),
        **more,
    )


@pytest.mark.parametrize("master_on", NEWEST, indirect=True)
def test_every_new_key_of_the_master_tables_is_measured_on_both_sides(master_on: str) -> None:
    """Each fires for inserts and updates of its table and for deletes of the rows it refers to; all tables have both.

    Rows, their content and the sequences are as before.
    """
    loading.fill(server_of(master_on), CONTRACT, rows=3_000)
    untouched = state(master_on)
    before = measured(master_on)
    assert state(master_on) == untouched
    new = add_keys(master_on)
    event, findings = combine(before, measured(master_on))
    assert state(master_on) == untouched
    assert not [each.unknown for each in event.writes if each.unknown]
    assert not [each.unknown for each in event.loads if each.unknown]
    for operations in ({"insert"}, {"update"}, {"delete"}):
        assert {key for each in event.writes if each.operation in operations for key in each.new_keys} == set(new)
    assert {each.id for each in findings} == {f"performance.{name}" for name in CONTRACT.tables}
    assert {each.table for each in event.loads} == {str(name) for name in CONTRACT.tables}
    assert all(each.transactions for each in event.loads)
    assert event.method.startswith("pgbench")


def test_a_key_without_an_index_is_named_where_parents_are_deleted(master: str) -> None:
    """Its trigger reads the whole referencing table; the finding of the referenced one says which key and columns."""
    loading.fill(server_of(master), CONTRACT, rows=3_000)
    before = measured(master)
    add_keys(master)
    run(master, "drop index ix_workflow_stages_decided_by")
    after = measured(master)
    event, findings = combine(before, after)
    key = "public.workflow_stages.fk_workflow_stages_decided_by"
    assert after.unindexed[key] == "public.workflow_stages(decided_by)"
    assert key in timing(after, "public.users", "delete").triggers
    assert key in next(each for each in event.writes if each.table == "public.users").new_keys
    (found,) = (each for each in findings if each.id == "performance.public.users")
    assert f"no index for {key} on public.workflow_stages(decided_by)" in found.observed


ODD = """
create schema "Shop Data";
create table "Shop Data"."Tenant" ("Id" int generated always as identity primary key, name text unique);
create table "Shop Data"."Customer" (
    "TenantId" int not null, "No" smallint not null, boss smallint, note text, primary key ("TenantId", "No"));
create index on "Shop Data"."Customer" ("TenantId", boss);
create table bill (
    id bigserial primary key, "TenantId" int not null, "CustomerNo" smallint, parent bigint, qty int not null,
    double int generated always as (qty * 2) stored, mood text check (mood in ('good', 'bad')), at timestamptz);
create index on bill ("TenantId", "CustomerNo");
create index on bill (parent);
create table twin (bill_id bigint primary key, note varchar(3));
create table heap (bill_id bigint, note text);
create table parts (bill_id bigint not null, day date not null) partition by range (day);
create table parts_old partition of parts for values from ('2000-01-01') to ('2020-01-01');
create table parts_new partition of parts for values from ('2020-01-01') to ('2100-01-01');
create table nobody (id int primary key, bill_id bigint);
insert into "Shop Data"."Tenant" (name) select 'tenant ' || n from generate_series(1, 5) n;
insert into "Shop Data"."Customer"
select 1 + n % 5, n, null, E'it''s :client_id \\\\ \n "quoted" $1 100%' || n from generate_series(1, 50) n;
update "Shop Data"."Customer" c set boss = "No" where "No" % 3 = 0;
insert into bill ("TenantId", "CustomerNo", qty, mood, at)
select 1 + n % 5, 1 + n % 50 - 1 + 0, n, 'good', now() from generate_series(1, 400) n where n % 50 > 0;
update bill set parent = id where id % 2 = 0;
insert into twin select id, 'x' from bill where id % 3 = 0;
insert into heap select id, 'h' from bill;
insert into parts select id, date '2010-01-01' + (id % 2 * 5000)::int from bill;
analyze;
"""

ODD_CONTRACT = Contract(
    relations=(
        Relation(
            table=TableName(schema="Shop Data", name="Customer"),
            columns=("TenantId",),
            referenced=TableName(schema="Shop Data", name="Tenant"),
            referenced_columns=("Id",),
            name="of tenant",
            deferrable="initially deferred",
        ),
        Relation(
            table=TableName(schema="Shop Data", name="Customer"),
            columns=("TenantId", "boss"),
            referenced=TableName(schema="Shop Data", name="Customer"),
            referenced_columns=("TenantId", "No"),
            name="boss: of",
        ),
        Relation(
            table=TableName(schema="public", name="bill"),
            columns=("TenantId", "CustomerNo"),
            referenced=TableName(schema="Shop Data", name="Customer"),
            referenced_columns=("TenantId", "No"),
            on_delete="cascade",
            name="customer",
        ),
        relation("bill", "parent", "bill"),
        relation("twin", "bill_id", "bill", on_delete="restrict"),
        relation("heap", "bill_id", "bill"),
        relation("parts", "bill_id", "bill"),
        relation("nobody", "bill_id", "bill"),
        relation("absent", "bill_id", "bill"),
    )
)


@pytest.mark.parametrize("major", ENDS)
def test_odd_tables_are_measured_and_what_cannot_be_is_told(major: int, cluster_url: ClusterUrl) -> None:
    """An empty table, one that does not exist, and a new parent where each has its row already are unknown.

    Quoted names, texts that mean something to pgbench, composite, deferred and self-referencing keys, partitions,
    a key that is itself a reference and a table without one are not.
    """
    url = servers.fresh_database(cluster_url(major))
    try:
        run(url, ODD)
        there = Contract(relations=ODD_CONTRACT.relations[:-1])
        untouched = state(url, there)
        before = measured(url, ODD_CONTRACT)
        new = add_keys(url, there)
        event, findings = combine(before, measured(url, ODD_CONTRACT))
        assert state(url, there) == untouched
    finally:
        servers.drop_database(url)
    unknown = {(each.table, each.operation): each.unknown for each in event.writes if each.unknown}
    assert unknown == {
        ("public.nobody", "insert"): "the table has no rows (of up to 64 kB)",
        ("public.nobody", "update"): "the table has no rows (of up to 64 kB)",
        ("public.absent", "insert"): "the table does not exist",
        ("public.absent", "update"): "the table does not exist",
        ("public.twin", "update"): 'duplicate key value violates unique constraint "twin_pkey"',
    }
    assert {each.table: each.unknown for each in event.loads if each.unknown} == dict.fromkeys(
        ("public.nobody", "public.absent"), "no write of it could be made"
    )
    # The key of the empty table fires when what it refers to is deleted.
    assert {key for each in event.writes for key in each.new_keys} == set(new)
    words = {each.id: each.status for each in findings}
    assert words["performance.public.absent"] == words["performance.public.nobody"] == "unknown"
    methods = {each.method for each in event.writes if each.table == "public.twin"}
    assert "row that nothing refers to, inserted again" in methods


def test_without_pgbench_connections_of_our_own_write_at_the_same_time(
    master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The method says so, and every table has its latency."""
    loading.fill(server_of(master), CONTRACT, rows=1_000)
    untouched = state(master)
    monkeypatch.setattr(write_load, "bench_installation", lambda: None)
    costs = measured(master)
    assert "connections in threads" in costs.method
    assert {each.table for each in costs.latencies} == {str(name) for name in CONTRACT.tables}
    assert costs.idle_ms > 0
    assert state(master) == untouched


def test_a_pgbench_that_fails_leaves_the_tables_without_latency_and_says_why(
    master: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Single writes are measured all the same."""
    loading.fill(server_of(master), CONTRACT, rows=1_000)
    broken = tmp_path / "pgbench"
    broken.write_text("#!/bin/sh\necho 'pgbench: error: no luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    tools = Installation(major=18, bindir=tmp_path, source="system")
    monkeypatch.setattr(write_load, "bench_installation", lambda: tools)
    costs = measured(master)
    assert not costs.latencies
    assert set(costs.untried) == {str(name) for name in CONTRACT.tables}
    assert all("no luck" in reason for reason in costs.untried.values())
    assert all(each.ms is not None for each in costs.timings)
    event, findings = combine(costs, costs)
    assert {each.status for each in findings} == {"unknown"}
    assert all("no luck" in each.unknown for each in event.loads)


@MATRIX
def test_a_write_that_a_trigger_of_the_application_refuses_is_unknown_with_its_words(master: str) -> None:
    """Nobody is left to guess why a table has no number."""
    loading.fill(server_of(master), CONTRACT, rows=1_000)
    run(
        master,
        "create function no() returns trigger language plpgsql as $$ begin raise 'punchlists are closed'; end $$",
        "create trigger no before insert or update on punchlists for each row execute function no()",
    )
    costs = measured(master)
    for operation in ("insert", "update"):
        assert timing(costs, "public.punchlists", operation).unknown == "punchlists are closed"
