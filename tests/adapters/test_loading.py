"""Seeding real tables: every row fits the contract, the keys and its tenant."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator.adapters.loading import apply_migrations, fill
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.outcome import OrchestratorError, Refused
from tests.conftest import MATRIX, server_of

RUNBOOK = Path(__file__).parents[2] / "runbooks/master_tables"
REAL_SCHEMAS = Path(__file__).parents[1] / "cases" / "real_schemas"
SHOP = "Shop Data"

ODD = """
create schema "Shop Data";
create type "Shop Data"."Mood" as enum ('good', 'it''s	tabbed', 'back\\slash');
create domain "Shop Data".percent as numeric(5,2) check (value >= 0 and value <= 100);
create domain "Shop Data".code as varchar(6) not null;
create table "Shop Data"."Tenant" (
    "Id" int generated always as identity primary key, "Name" varchar(20) unique, slug text);
create unique index on "Shop Data"."Tenant" (lower(slug));
create table "Shop Data"."Customer" (
    "TenantId" int not null, "No" smallint not null, mood "Shop Data"."Mood" not null, boss smallint,
    rate "Shop Data".percent, c "Shop Data".code, tags text[], moods "Shop Data"."Mood"[], ip inet, payload bytea,
    iv interval, t time, tz timestamptz, primary key ("TenantId", "No"));
create table "Order" (
    id bigserial primary key, "TenantId" int not null, "CustomerNo" smallint, parent bigint,
    kind char(1) not null check (kind in ('a', 'b')), qty int not null check (qty between 1 and 3),
    starts date not null, ends date not null check (ends > starts),
    total numeric(8,2) generated always as (qty * 2) stored, price real check (price > 0 and price < 1),
    u uuid default gen_random_uuid(), j jsonb not null, weird text default 'x1' check (weird ~ '^x[0-9]+$'),
    is_default boolean not null, unique ("TenantId", "CustomerNo", kind, qty));
create unique index on "Order" ("TenantId") where is_default;
create table pair (
    order_id bigint not null, other_id bigint not null check (other_id <> order_id), primary key (order_id, other_id));
create table one (
    order_id bigint primary key, note varchar(3) not null unique,
    day smallint unique check (day >= 1 and day <= 7));
create table only_id (id int generated always as identity primary key);
create table holds (only_id int, at date not null) partition by range (at);
create table holds_2022 partition of holds for values from ('2022-01-01') to ('2023-01-01');
"""


def relation(table: tuple[str, str], columns: list[str], parent: tuple[str, str], keys: list[str]) -> Relation:
    """A relation between columns, as the contract has it."""
    return Relation(
        table=TableName(schema=table[0], name=table[1]),
        columns=tuple(columns),
        referenced=TableName(schema=parent[0], name=parent[1]),
        referenced_columns=tuple(keys),
        name="fk",
    )


ODD_CONTRACT = Contract(
    relations=(
        relation((SHOP, "Customer"), ["TenantId"], (SHOP, "Tenant"), ["Id"]),
        relation((SHOP, "Customer"), ["TenantId", "boss"], (SHOP, "Customer"), ["TenantId", "No"]),
        relation(("public", "Order"), ["TenantId"], (SHOP, "Tenant"), ["Id"]),
        relation(("public", "Order"), ["TenantId", "CustomerNo"], (SHOP, "Customer"), ["TenantId", "No"]),
        relation(("public", "Order"), ["parent"], ("public", "Order"), ["id"]),
        relation(("public", "pair"), ["order_id"], ("public", "Order"), ["id"]),
        relation(("public", "pair"), ["other_id"], ("public", "Order"), ["id"]),
        relation(("public", "one"), ["order_id"], ("public", "Order"), ["id"]),
        relation(("public", "holds"), ["only_id"], ("public", "only_id"), ["id"]),
    )
)


def master_contract() -> Contract:
    """The runbook's own contract."""
    document = tomllib.loads((RUNBOOK / "foreign_keys.toml").read_text())
    return Contract(
        relations=tuple(
            Relation(
                table=TableName(schema="public", name=each["table"]),
                columns=tuple(each["columns"]),
                referenced=TableName(schema="public", name=each["references"]["table"]),
                referenced_columns=tuple(each["references"]["columns"]),
                name=each["name"],
                deferred=each.get("deferred"),
            )
            for each in document["foreign_key"]
        )
    )


def master_migrations() -> list[tuple[str, str]]:
    """The runbook's own migrations."""
    return [(path.parent.name, path.read_text()) for path in RUNBOOK.glob("migrations/*/migration.sql")]


def run(url: str, *statements: str | sql.Composed) -> None:
    """Run statements as they stand."""
    with psycopg.connect(url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode() if isinstance(each, str) else each)


def value(connection: psycopg.Connection[Any], query: str) -> Any:
    """The one value that a query returns."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def identifiers(names: tuple[str, ...]) -> sql.Composed:
    """Quoted names between commas."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def add_all(url: str, contract: Contract) -> None:
    """PostgreSQL itself says whether every relation holds."""
    for number, each in enumerate(contract.relations):
        command = sql.SQL("alter table {} add constraint {} foreign key ({}) references {} ({})").format(
            sql.Identifier(each.table.schema, each.table.name),
            sql.Identifier(f"proof_{number}"),
            identifiers(each.columns),
            sql.Identifier(each.referenced.schema, each.referenced.name),
            identifiers(each.referenced_columns),
        )
        run(url, command)


@pytest.fixture
def seeded(master: str) -> Iterator[psycopg.Connection[Any]]:
    """The master tables with 20 000 rows in the largest."""
    fill(server_of(master), master_contract(), rows=20_000)
    with psycopg.connect(master, autocommit=True) as connection:
        yield connection


def test_no_row_is_an_orphan_along_any_relation(master: str) -> None:
    """All 56 relations, promised and deferred, can be added as keys afterwards."""
    contract = master_contract()
    assert len(contract.relations) == 56
    loaded = fill(server_of(master), contract, rows=5_000)
    assert len(loaded) == 19
    assert max(each.rows for each in loaded) == 5_000
    add_all(master, contract)


def test_rows_stay_inside_one_tenant(seeded: psycopg.Connection[Any]) -> None:
    """Where child and parent both carry a reference of the same name, they carry the same one."""
    relations = master_contract().relations
    own: dict[str, dict[str, str]] = {}
    for each in relations:
        own.setdefault(each.table.name, {})[each.columns[0]] = each.referenced.name
    compared = 0
    for each in relations:
        table, parent, column = each.table.name, each.referenced.name, each.columns[0]
        for shared in own[table].items() & own.get(parent, {}).items():
            if table != parent:
                compared += 1
                pairs = f"from {table} c join {parent} p on p.id = c.{column} where c.{shared[0]} <> p.{shared[0]}"
                assert value(seeded, f"select count(*) {pairs}") == 0, (each.id, shared)
    assert compared > 20


def test_a_tenant_is_kept_over_tables_that_do_not_name_it(seeded: psycopg.Connection[Any]) -> None:
    """A stage has no workspace of its own; an override still refers to a stage of its workspace."""
    query = (
        "select count(*) from approver_overrides o join workflow_stages s on s.id = o.workflow_stage_id"
        " join workflow_instances w on w.id = s.workflow_instance_id where w.workspace_id <> o.workspace_id"
    )
    assert value(seeded, query) == 0


def test_nulls_and_skew_are_there(seeded: psycopg.Connection[Any]) -> None:
    """Nullable keys and columns are sometimes NULL, and few parents have many children."""
    for table, column in (
        ("approver_overrides", "workflow_stage_id"),
        ("atp_submissions", "workflow_instance_id"),
        ("approval_role_master", "workspace_id"),
        ("approval_policy_master", "parent_policy_id"),
        ("punchlists", "notes"),
    ):
        share = value(seeded, f"select avg(({column} is null)::int) from {table}")
        assert 0 < share < 1, (table, column)
    groups = "(select count(*) n from punchlist_items group by punchlist_id) g"
    assert value(seeded, f"select max(n) > 8 * avg(n) from {groups}")


def test_at_most_one_configuration_is_active(seeded: psycopg.Connection[Any]) -> None:
    """The partial unique index is respected, and not by leaving its value out."""
    assert value(seeded, "select count(*) from config_versions where status = 'ACTIVE'") > 0


@MATRIX
def test_the_same_seed_gives_the_same_rows(database: str, master: str) -> None:
    """Two databases seeded alike are alike; another seed is not."""
    contract, prints = master_contract(), []
    apply_migrations(server_of(database), master_migrations(), contract)
    digest = "select md5(string_agg(t::text, '|' order by id)) from workflow_stages t"
    # now() never stands in a filled column, so that whole rows can be compared.
    for url in (database, master):
        fill(server_of(url), contract, rows=2_000, seed=7)
        with psycopg.connect(url) as connection:
            prints.append(value(connection, digest))
    assert prints[0] == prints[1]
    tables = ", ".join(each.name for each in contract.tables)
    run(master, f"truncate {tables}, sites")
    fill(server_of(master), contract, rows=2_000, seed=8)
    with psycopg.connect(master) as connection:
        assert value(connection, digest) != prints[0]


def test_tables_with_rows_are_refused(master: str) -> None:
    """Invented rows are not mixed with others; nothing is changed."""
    run(master, "insert into sites (id, name) values ('s', 's')")
    with pytest.raises(Refused, match=r"public\.sites"):
        fill(server_of(master), master_contract(), rows=100)
    with psycopg.connect(master) as connection:
        assert value(connection, "select count(*) from users") == 0


def test_migrations_are_applied_once_and_never_in_part(database: str) -> None:
    """They are passed over where all tables exist, and refused where only some do."""
    contract, server = master_contract(), server_of(database)
    migrations = master_migrations()
    assert apply_migrations(server, migrations, contract) == tuple(sorted(name for name, _ in migrations))
    assert apply_migrations(server, migrations, contract) == ()
    run(database, "drop table punchlist_items")
    with pytest.raises(Refused, match=r"public\.punchlist_items"):
        apply_migrations(server, migrations, contract)


def test_a_broken_migration_is_named(database: str) -> None:
    """The one that fails leaves nothing behind."""
    with pytest.raises(OrchestratorError, match="migration m2"):
        apply_migrations(
            server_of(database),
            [("m1", "create table a (id int)"), ("m2", "create table b (id int); select nonsense")],
            master_contract(),
        )
    with psycopg.connect(database) as connection:
        assert value(connection, "select to_regclass('a') is not null and to_regclass('b') is null")


def test_an_odd_schema_is_filled(database: str) -> None:
    """Mixed case, composite keys, enums, domains, identity, self-references, partitions and small unique keys."""
    run(database, ODD)
    loaded = {each.table.name: each for each in fill(server_of(database), ODD_CONTRACT, rows=2_000)}
    add_all(database, ODD_CONTRACT)
    assert loaded["one"].rows == 7 < loaded["one"].wanted
    assert loaded["Order"].rows > 100
    run(database, 'insert into "Shop Data"."Tenant" ("Name", slug) values (\'next\', \'next\')')


def test_a_check_that_is_not_understood_is_named(database: str) -> None:
    """Without a default there is no value to be sure of; nothing is changed."""
    run(
        database,
        "create table p (id int primary key)",
        "create table c (p int, a text not null constraint only_x check (a ~ '^x'))",
    )
    contract = Contract(relations=(relation(("public", "c"), ["p"], ("public", "p"), ["id"]),))
    with pytest.raises(Refused, match="only_x"):
        fill(server_of(database), contract, rows=10)
    with psycopg.connect(database) as connection:
        assert value(connection, "select count(*) from p") == 0


def column_type(column: dict[str, Any]) -> str:
    """The type to build with: enums and extensions' types as text."""
    base: str = column["base_type"]
    known = not base.startswith('"') and base not in ("build_status", "volume_state", "container_state", "worker_state")
    return base if known else "text[]" if base.endswith("[]") else "text"


def build(tables: list[dict[str, Any]]) -> Iterator[sql.Composed]:
    """The statements that create the tables of a recorded schema."""
    for table in tables:
        columns = [
            sql.SQL("{} {} {}").format(
                sql.Identifier(each["name"]),
                sql.SQL(column_type(each)),
                sql.SQL("not null" if each["not_null"] else ""),
            )
            for each in table["columns"]
        ]
        keys = [table["primary_key"], *table["uniques"]]
        columns += [sql.SQL("unique ({})").format(identifiers(tuple(key))) for key in keys if key]
        yield sql.SQL("create schema if not exists {}").format(sql.Identifier(table["schema"]))
        place = sql.Identifier(table["schema"], table["table"])
        yield sql.SQL("create table {} ({})").format(place, sql.SQL(", ").join(columns))


@pytest.mark.parametrize("schema", ["concourse", "hoppscotch", "omop"])
def test_real_schemas_are_filled(database: str, schema: str) -> None:
    """Circles, wide graphs and composite self-references of strangers: every key of theirs holds afterwards."""
    document = json.loads((REAL_SCHEMAS / f"{schema}.json").read_text())
    run(database, *build(document["catalog"]))
    contract = Contract(
        relations=tuple(
            relation((x["schema"], x["table"]), x["columns"], (x["ref_schema"], x["ref_table"]), x["ref_columns"])
            for x in document["foreign_keys"]
        )
    )
    assert all(each.rows for each in fill(server_of(database), contract, rows=5_000))
    add_all(database, contract)
