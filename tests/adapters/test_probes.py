"""The preflight list on real servers: for each item an example that passes and one that does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.identity import Others
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.preparation import PRISMA_LOCK
from orchestrator.adapters.probes import Probes
from orchestrator.adapters.programs import ProgramsMissing, dump_installation, server_installation
from orchestrator.core.catalog import TableName
from orchestrator.core.checks import Answer, Check, Finding, FindingStatus, Subject
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.inventory import Backup, Database, Environment, EnvironmentHead, Kind, Policy, Secret
from orchestrator.core.outcome import ConnectionLost
from orchestrator.core.plan_making import make_plan
from orchestrator.core.preflight import CHECKS
from tests import servers
from tests.conftest import ENDS, ClusterUrl, server_of
from tests.waiting import pause

BY_ID: Mapping[str, Check] = {check.id: check for check in CHECKS}

TABLES = """
create table parent (id int primary key);
create table child (id int primary key, parent_id int);
create index child_parent on child (parent_id);
insert into parent select generate_series(1, 10);
insert into child select i, i from generate_series(1, 10) i;
"""
KEY = "alter table child add constraint fk_child_parent_id foreign key (parent_id) references parent (id)"
RELATION = Relation(
    table=TableName(schema="public", name="child"),
    columns=("parent_id",),
    referenced=TableName(schema="public", name="parent"),
    referenced_columns=("id",),
    name="fk_child_parent_id",
)
CONTRACT = Contract(relations=(RELATION,))


def tools(major: int) -> str:
    """The programs that a backup of that version would use."""
    return f"pg_dump {dump_installation(server_major=major, restore_major=major).major}"


def look(
    url: str | Server,
    *checks: str,
    contract: Contract = CONTRACT,
    kind: Kind = "staging",
    policy: Policy | None = None,
    backup: Backup | None = None,
    others: Mapping[str, Callable[[], Server]] | None = None,
    check_tools: Callable[[int], str] = tools,
) -> tuple[Finding, ...]:
    """What these checks find, asked and judged as preflight does; without names, all of them."""
    server = server_of(url) if isinstance(url, str) else url
    catalog = DatabaseCatalog(server=server).catalog()
    plan = make_plan(
        runbook="r", environment="staging", contract=contract, catalog=catalog, writer=QuotedDdl(), lock_budget_ms=100
    )
    environment = Environment(
        environment=EnvironmentHead(name="staging", kind=kind),
        database=Database(url="postgresql://db/app"),
        policy=policy or Policy(),
    )
    subject = Subject(environment=environment, contract=contract, catalog=catalog, plan=plan)
    prober = Probes(
        server=server,
        contract=contract,
        others=Others(servers=others or {}),
        backup=backup or Backup(directory="/var/tmp"),
        check_tools=check_tools,
    )
    with prober:
        wanted = [BY_ID[name] for name in checks or BY_ID]
        return tuple(each.find(subject, prober.ask(each.probe) if each.probe else Answer()) for each in wanted)


def found(url: str | Server, check: str, **options: object) -> Finding:
    """What one check finds."""
    return look(url, check, **options)[0]  # type: ignore[arg-type]


def execute(url: str, *statements: str) -> None:
    """Run statements, each on its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


@contextmanager
def session(url: str, first: str, **options: str) -> Iterator[psycopg.Connection]:
    """A session with an open transaction that began with a statement; rolled back at the end."""
    with psycopg.connect(url, **options) as connection:  # type: ignore[arg-type]
        connection.execute(first.encode())
        yield connection
        if connection.info.transaction_status == TransactionStatus.ACTIVE:
            connection.cancel_safe()
            while connection.pgconn.get_result():
                pass
        connection.rollback()


def until(url: str, question: str) -> None:
    """Ask until the answer is yes; the suite's own time limit ends a wait that never does."""
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(question.encode()).fetchone() != (True,):
            pause()


@contextmanager
def role(url: str, *rights: str, attributes: str = "") -> Iterator[str]:
    """The database as an ordinary role reaches it; `{}` in a right is its name."""
    name = f"role_{servers.database_name(url)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login password 'rolesecret' {}").format(identifier, sql.SQL(attributes))
        )
        try:
            for each in rights:
                connection.execute(each.format(f'"{name}"').encode())
            yield make_conninfo(url, user=name, password="rolesecret")
        finally:
            connection.execute(sql.SQL("reassign owned by {} to current_user").format(identifier))
            connection.execute(sql.SQL("drop owned by {}").format(identifier))
            connection.execute(sql.SQL("drop role {}").format(identifier))


OWNER = ("alter table child owner to {}", "alter table parent owner to {}")


def create_on(url: str) -> str:
    """The right that the ledger needs."""
    return f'grant create on database "{servers.database_name(url)}" to {{}}'


@pytest.fixture
def tables(database: str) -> str:
    """A parent, a child and an index on PostgreSQL 16."""
    execute(database, TABLES)
    return database


@pytest.fixture(params=ENDS)
def tables_on(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[str]:
    """The same, on each version in turn."""
    url = servers.fresh_database(cluster_url(request.param))
    execute(url, TABLES)
    yield url
    servers.drop_database(url)


@pytest.fixture
def eighteen(cluster_url: ClusterUrl) -> Iterator[str]:
    """The same, on PostgreSQL 18."""
    url = servers.fresh_database(cluster_url(18))
    execute(url, TABLES)
    yield url
    servers.drop_database(url)


@pytest.fixture(scope="module")
def special_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL 16 that allows prepared transactions and logical replication, and freezes early."""
    cluster = Cluster(
        directory=tmp_path_factory.mktemp("special") / "cluster",
        installation=server_installation(16),
        settings={
            "max_prepared_transactions": "5",
            "wal_level": "logical",
            "autovacuum": "off",
            "autovacuum_freeze_max_age": "100000",
        },
    )
    with cluster:
        yield cluster
    cluster.discard()


@pytest.fixture
def special(special_cluster: Cluster) -> Iterator[str]:
    """The tables on that server."""
    url = servers.fresh_database(special_cluster.url())
    execute(url, TABLES)
    yield url
    servers.drop_database(url)


def test_all_is_well_on_a_plain_database(tables_on: str) -> None:
    """The passing example of every check that a superuser can have, on each version."""
    assert [(each.id, each.observed) for each in look(tables_on) if each.status != "pass"] == []


def test_an_ordinary_owner_gets_an_answer_to_everything(tables_on: str) -> None:
    """Ownership and CREATE on the database are enough for all of it."""
    with role(tables_on, *OWNER, create_on(tables_on)) as url:
        assert [(each.id, each.observed) for each in look(url) if each.status != "pass"] == []


def test_a_stranger_gets_an_answer_or_the_reason(tables_on: str) -> None:
    """A role that was granted nothing: no question raises, and what is missing is named."""
    with role(tables_on) as url:
        findings = {each.id: each for each in look(url)}
    assert findings["rights"].status == "fail"
    assert [each.id for each in findings.values() if not each.observed] == []
    assert {each.id for each in findings.values() if each.status != "pass"} == {"rights"}


def test_a_question_that_cannot_be_asked_is_unknown(tables: str) -> None:
    """A probe that may not read what it needs says so; the next one is asked all the same."""
    execute(tables, "revoke select on pg_event_trigger from public")
    with role(tables, *OWNER) as url:
        refused, asked = look(url, "event-triggers", "deadlock-timeout")
    assert (refused.status, asked.status) == ("unknown", "pass")
    assert refused.observed == "could not be found out: permission denied for table pg_event_trigger"


def test_a_session_that_was_ended_is_told_and_begun_anew(tables: str) -> None:
    """A question on a dead connection is no answer about the target; the next try connects again."""
    prober = Probes(
        server=server_of(tables), contract=CONTRACT, others=Others(servers={}), backup=Backup(), check_tools=tools
    )
    with prober:
        assert prober.ask("prepared").problem is None
        execute(
            tables, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%preflight'"
        )
        with pytest.raises(ConnectionLost):
            prober.ask("prepared")
        assert prober.ask("prepared").problem is None


# --- 6 to 14: what contract and catalog answer between them -----------------------------------------------------------

TWO = "alter table child drop column parent_id; alter table child add column parent_id"
BARE = "drop table parent; create table parent (id int not null, other int)"

FAILING = (
    ("tables-and-columns", "drop table parent", "table public.parent does not exist"),
    ("tables-and-columns", "drop table child", "table public.child does not exist"),
    ("tables-and-columns", "alter table child drop column parent_id", "column public.child.parent_id does not exist"),
    ("tables-and-columns", "alter table parent rename id to key", "column public.parent.id does not exist"),
    ("comparable-types", f"{TWO} uuid", "parent_id is uuid, id is integer"),
    ("comparable-types", f"{TWO} text", "parent_id is text, id is integer"),
    ("comparable-types", f"{TWO} numeric", "parent_id is numeric, id is integer"),
    ("same-types", f"{TWO} bigint", "public.child.parent_id is bigint, public.parent(id) is integer"),
    ("referenced-unique", BARE, "public.parent(id) is no unique key"),
    ("referenced-unique", f"{BARE}; create unique index on parent (id) where other > 0", "is no unique key"),
    ("referenced-unique", f"{BARE}; create unique index on parent ((id + 0))", "is no unique key"),
    ("referenced-unique", f"{BARE}; create unique index on parent (id, other)", "is no unique key"),
    ("referenced-unique", f"{BARE}; create index on parent (id)", "is no unique key"),
    ("referenced-unique", f"{BARE}; alter table parent add unique (id) deferrable", "is no unique key"),
    ("supporting-index", "drop index child_parent", "public.child(parent_id)"),
    ("supporting-index", "drop index child_parent; create index on child (parent_id) where id > 5", "child(parent_id)"),
    ("supporting-index", "drop index child_parent; create index on child (id, parent_id)", "child(parent_id)"),
    ("supporting-index", "drop index child_parent; create index on child ((parent_id + 0))", "child(parent_id)"),
    ("supporting-index", "drop index child_parent; create index on child using brin (parent_id)", "child(parent_id)"),
    ("different-keys", f"{KEY} on delete cascade", "on delete is cascade, not no action"),
    ("different-keys", f"{KEY.replace('fk_', 'x_')} deferrable", "stands as x_child_parent_id"),
    (
        "names",
        "alter table child add constraint fk_child_parent_id check (id > 0)",
        "fk_child_parent_id on public.child",
    ),
    ("names", KEY.replace("(parent_id)", "(id)"), "fk_child_parent_id on public.child"),
    (
        "enforced",
        f"{KEY}; alter table child disable trigger all",
        "fk_child_parent_id on public.child: triggers disabled",
    ),
    ("enforced", f"{KEY}; alter table parent disable trigger all", "triggers disabled"),
    ("partitions", "drop table child; create view child as select 1 as parent_id", "is a view"),
    (
        "partitions",
        "drop table child; create materialized view child as select 1 as parent_id",
        "public.child is a materialized view",
    ),
    (
        "partitions",
        "drop table child; create foreign data wrapper w; create server s foreign data wrapper w;"
        " create foreign table child (parent_id int) server s",
        "public.child is a foreign table",
    ),
    ("partitions", "alter table parent set unlogged", "a permanent table cannot refer to the unlogged table"),
    (
        "unspoken-columns",
        "alter table child add column owner_id int",
        "public.child.owner_id",
    ),
)


@pytest.mark.parametrize(("check", "setup", "told"), FAILING, ids=[f"{case[0]} {case[1][:60]}" for case in FAILING])
def test_what_the_catalog_shows(tables: str, check: str, setup: str, told: str) -> None:
    """Each is made on the server, found, and told with its name; without it the check passes."""
    assert found(tables, check).status == "pass"
    execute(tables, *setup.split("; "))
    finding = found(tables, check)
    assert finding.status == "fail"
    assert told in finding.observed
    assert finding.remedy


TOLD = (
    ("comparable-types", f"{TWO} bigint", "all pairs of columns can be compared"),
    ("comparable-types", f"{TWO} smallint", "all pairs of columns can be compared"),
    ("same-types", f"{TWO} uuid", "parent_id is uuid"),
    ("referenced-unique", f"{BARE}; create unique index on parent (id)", "every referenced key is unique"),
    (
        "referenced-unique",
        f"{BARE}; create unique index on parent (id) include (other)",
        "every referenced key is unique",
    ),
    ("supporting-index", "drop index child_parent; create index on child (parent_id, id)", "leads an index"),
    ("supporting-index", "drop index child_parent; create index on child using hash (parent_id)", "leads an index"),
    ("different-keys", KEY, "no key stands with another definition"),
    ("names", KEY.replace("fk_", "x_"), "stands as x_child_parent_id"),
    ("names", KEY, "all names are free"),
    ("names", f"{KEY} not valid", "all names are free"),
    ("enforced", KEY, "all keys of these tables are enforced"),
    (
        "partitions",
        "drop table child; create table child (parent_id int) partition by list (parent_id);"
        " create table child_1 partition of child for values in (1)",
        "partitioned: public.child",
    ),
    ("partitions", "create table heir () inherits (child)", "public.heir inherits from public.child"),
    ("unspoken-columns", "alter table child add column owner_id int references parent (id)", "is spoken of"),
)


@pytest.mark.parametrize(("check", "setup", "told"), TOLD, ids=[f"{case[0]} {case[1][:60]}" for case in TOLD])
def test_what_the_catalog_shows_and_what_is_well(tables: str, check: str, setup: str, told: str) -> None:
    """Near to a failure and none: it passes, and what is unusual is told."""
    execute(tables, *setup.split("; "))
    finding = found(tables, check)
    assert finding.status == ("pass" if check != "same-types" else "fail")
    assert told in finding.observed


def test_special_keys_are_told(tables: str) -> None:
    """MATCH FULL and deferrable keys pass and are named."""
    full = Contract(relations=(replace(RELATION, match="full"),))
    late = Contract(relations=(replace(RELATION, deferrable="initially deferred"),))
    assert found(tables, "collations", contract=full).observed == f"{RELATION.id} is MATCH FULL"
    assert found(tables, "collations", contract=late).observed == f"{RELATION.id} is DEFERRABLE"


def test_collations_that_call_different_strings_equal(tables_on: str) -> None:
    """A nondeterministic collation against another fails; the same on both sides passes."""
    try:
        execute(tables_on, "create collation ci (provider = icu, locale = 'und', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    execute(
        tables_on,
        "drop table parent, child",
        "create table parent (id text collate ci primary key)",
        "create table child (id int primary key, parent_id text)",
    )
    collation, partitions = look(tables_on, "collations", "partitions")
    assert (collation.status, partitions.status) == ("fail", "fail")
    assert "collations cannot be compared" in collation.observed
    execute(tables_on, "alter table child alter parent_id type text collate ci")
    assert [each.status for each in look(tables_on, "collations", "partitions")] == ["pass", "pass"]


def test_an_invalid_index(tables: str) -> None:
    """A CREATE UNIQUE INDEX CONCURRENTLY that failed on duplicates leaves one; REINDEX after the repair heals it."""
    execute(tables, "update child set parent_id = 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(tables, "create unique index concurrently broken on child (parent_id)")
    finding = found(tables, "invalid-indexes")
    assert (finding.status, finding.observed) == ("fail", "broken on public.child")
    execute(tables, "update child set parent_id = id", "reindex index concurrently broken")
    assert found(tables, "invalid-indexes").status == "pass"


def test_an_invalid_index_supports_nothing(tables: str) -> None:
    """Neither the child's lookups nor a key to the parent can rely on it."""
    execute(tables, "drop index child_parent", "update child set parent_id = 1", *BARE.split("; "))
    execute(tables, "insert into parent values (1), (1)")
    for table, column in (("child", "parent_id"), ("parent", "id")):
        with pytest.raises(psycopg.errors.UniqueViolation):
            execute(tables, f"create unique index concurrently on {table} ({column})")
    assert [each.status for each in look(tables, "supporting-index", "referenced-unique")] == ["fail", "fail"]


def test_a_key_that_is_not_enforced(eighteen: str) -> None:
    """PostgreSQL 18 has keys that look like keys; both checks see it."""
    execute(eighteen, f"{KEY} not enforced")
    enforced, different = look(eighteen, "enforced", "different-keys")
    assert (enforced.status, different.status) == ("fail", "fail")
    assert enforced.observed == "fk_child_parent_id on public.child: NOT ENFORCED"


def test_the_name_of_a_not_null_constraint_is_taken(eighteen: str) -> None:
    """PostgreSQL 18 names them, and a key cannot have that name."""
    execute(eighteen, "alter table child add constraint fk_child_parent_id not null parent_id")
    assert found(eighteen, "names").status == "fail"


def test_a_virtual_column(eighteen: str) -> None:
    """A column that is computed on reading cannot refer."""
    execute(
        eighteen,
        "alter table child drop column parent_id",
        "alter table child add column parent_id int generated always as (id) virtual",
    )
    finding = found(eighteen, "partitions")
    assert (finding.status, finding.observed) == ("fail", f"{RELATION.id}: parent_id is a virtual generated column")


@pytest.mark.parametrize("scope", ["role {role}", "database {database}", "role {role} in database {database}"])
def test_a_replica_role(tables: str, scope: str) -> None:
    """Whoever connects so bypasses every key: role, database or both."""
    database = servers.database_name(tables)
    with role(tables):
        where = scope.format(role=f"role_{database}", database=database)
        execute(tables, f"alter {where} set session_replication_role = replica")
        finding = found(tables, "enforced")
        execute(tables, f"alter {where} set session_replication_role = origin")
        after = found(tables, "enforced")
    assert (finding.status, after.status) == ("fail", "pass")
    assert "session_replication_role = replica for " in finding.observed


def test_the_replica_role_of_another_database_is_not_ours(tables: str, cluster_url: ClusterUrl) -> None:
    """Only settings that reach this database count."""
    other = servers.fresh_database(cluster_url(16))
    execute(tables, f'alter database "{servers.database_name(other)}" set session_replication_role = replica')
    assert found(tables, "enforced").status == "pass"
    servers.drop_database(other)


# --- 4 and 5: rows and rights ----------------------------------------------------------------------------------------

POLICY = ("alter table child enable row level security", "create policy few on child using (id < 5)")
FORCE = "alter table child force row level security"


@pytest.mark.parametrize(
    ("statements", "attributes", "status"),
    [
        (POLICY, "", "pass"),
        ((*POLICY, FORCE), "", "fail"),
        ((*POLICY, FORCE), "bypassrls", "pass"),
        (("alter table child force row level security",), "", "pass"),
    ],
)
def test_rows_that_a_policy_hides(
    tables_on: str, statements: tuple[str, ...], attributes: str, status: FindingStatus
) -> None:
    """From the owner only where it is forced; never from BYPASSRLS."""
    execute(tables_on, *statements)
    with role(tables_on, *OWNER, attributes=attributes) as url:
        finding = found(url, "row-security")
    assert finding.status == status
    assert ("hides rows of public.child" in finding.observed) == (status == "fail")


def test_rows_that_are_hidden_from_a_reader(tables: str) -> None:
    """Who does not own the table is under its policies in any case."""
    execute(tables, *POLICY)
    with role(tables, "grant select on child, parent to {}") as url:
        assert found(url, "row-security").status == "fail"
    assert found(tables, "row-security").status == "pass"


RIGHTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((*OWNER, "CREATE"), ()),
    (OWNER, ("CREATE (for the journal) on database ",)),
    (("alter table child owner to {}", "grant select, references, update on parent to {}", "CREATE"), ()),
    (("alter table child owner to {}", "grant select, references, delete on parent to {}", "CREATE"), ()),
    (
        ("alter table child owner to {}", "grant select, references on parent to {}", "CREATE"),
        ("UPDATE (to lock it) on public.parent",),
    ),
    (
        ("alter table child owner to {}", "grant select, update on parent to {}", "CREATE"),
        ("REFERENCES on public.parent",),
    ),
    (
        ("alter table child owner to {}", "grant references, update on parent to {}", "CREATE"),
        ("SELECT on public.parent",),
    ),
    (
        ("grant all on child, parent to {}", "CREATE"),
        ("ownership on public.child",),
    ),
    (
        (*OWNER, "revoke all on schema public from public", "CREATE"),
        ("USAGE of the schema on public.child", "USAGE of the schema on public.parent"),
    ),
    (
        (*OWNER, "CREATE", "create schema orchestrator"),
        ("schema orchestrator",),
    ),
)


@pytest.mark.parametrize(("rights", "lacking"), RIGHTS)
def test_rights(tables: str, rights: tuple[str, ...], lacking: tuple[str, ...]) -> None:
    """What is lacking is named right by right; nothing else is."""
    granted = [create_on(tables) if each == "CREATE" else each for each in rights]
    with role(tables, *granted) as url:
        finding = found(url, "rights")
    assert finding.status == ("fail" if lacking else "pass")
    assert all(each in finding.observed for each in lacking)
    assert len(finding.observed.split("; ")) == max(len(lacking), 1)


def test_rights_that_a_group_has(tables: str) -> None:
    """Membership in the owning role is ownership."""
    database = servers.database_name(tables)
    group = f"group_{database}"
    execute(
        tables,
        f"create role {group}",
        f"alter table child owner to {group}",
        f"alter table parent owner to {group}",
        f'grant create on database "{database}" to {group}',
    )
    with role(tables, f"grant {group} to {{}}") as url:
        finding = found(url, "rights")
    execute(tables, f"reassign owned by {group} to current_user", f"drop owned by {group}", f"drop role {group}")
    assert finding.status == "pass"


def test_the_rights_are_those_of_the_role_that_is_taken(tables: str) -> None:
    """With SET ROLE it is the other role's rights that count."""
    with role(tables):
        name = f"role_{servers.database_name(tables)}"
        assert found(replace(server_of(tables), role=name), "rights").status == "fail"
    assert found(tables, "rights").status == "pass"


# --- 1, 2, 3, 22: what goes on at this moment ------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["parent", "child"])
def test_a_transaction_that_wrote(tables: str, table: str) -> None:
    """Idle with its lock: who, in which program, on what; gone with the transaction."""
    with session(tables, f"update {table} set id = id", application_name="forgotten") as writer:
        finding = found(tables, "open-transactions")
        assert finding.status == "fail"
        assert f"pid {writer.info.backend_pid} (postgres, forgotten) idle in transaction" in finding.observed
        assert f"holds {table}" in finding.observed
    assert found(tables, "open-transactions").status == "pass"


def test_a_transaction_that_writes_now(tables: str) -> None:
    """Busy is no better than idle."""
    with session(tables, "update child set id = id") as writer:
        writer.pgconn.send_query(b"select pg_sleep(600)")
        pid = writer.info.backend_pid
        until(tables, f"select state = 'active' from pg_stat_activity where pid = {pid}")
        assert "active" in found(tables, "open-transactions").observed


@pytest.mark.parametrize("statement", ["select * from child", "select * from child for update", "select 1"])
def test_a_transaction_that_is_not_in_the_way(tables: str, statement: str) -> None:
    """Readers, and readers that lock rows, do not conflict with ADD FOREIGN KEY."""
    with session(tables, statement):
        assert found(tables, "open-transactions").status == "pass"


def test_a_transaction_of_somebody_else_is_seen_by_an_ordinary_role(tables_on: str) -> None:
    """A role without pg_monitor learns neither state nor age, but never that nobody is there."""
    with role(tables_on, *OWNER) as url, session(tables_on, "update child set id = id", application_name="app"):
        finding = found(url, "open-transactions")
        assert finding.status == "fail"
        assert "(postgres, app)" in finding.observed
        assert "None" not in finding.observed


def test_a_prepared_transaction(special: str) -> None:
    """It has no process; its name, owner and time are told."""
    assert found(special, "prepared-transactions").status == "pass"
    execute(special, "begin; update child set id = id; prepare transaction 'left behind'")
    finding = found(special, "prepared-transactions")
    execute(special, "rollback prepared 'left behind'")
    assert finding.status == "fail"
    assert re.fullmatch(r"left behind of postgres since \d{4}-\d\d-\d\d \d\d:\d\d", finding.observed)


def test_a_prepared_transaction_of_another_database(special: str, special_cluster: Cluster) -> None:
    """It holds no lock of ours."""
    other = servers.fresh_database(special_cluster.url())
    execute(other, "begin; create table t (a int); prepare transaction 'elsewhere'")
    finding = found(special, "prepared-transactions")
    execute(other, "rollback prepared 'elsewhere'")
    servers.drop_database(other)
    assert finding.status == "pass"


@contextmanager
def vacuuming(url: str) -> Iterator[None]:
    """A vacuum of `child` that does not come to an end by itself."""
    execute(url, "insert into child select i, 1 from generate_series(11, 20000) i", "delete from child where id > 10")
    slow = "-c vacuum_cost_delay=100 -c vacuum_cost_limit=1"
    with session(url, "select 1", options=slow) as worker:
        worker.rollback()
        worker.autocommit = True
        worker.pgconn.send_query(b"vacuum child")
        until(url, "select exists (select from pg_stat_progress_vacuum where relid = 'child'::regclass)")
        yield


def test_a_vacuum_that_runs(tables: str) -> None:
    """Named while it runs."""
    assert found(tables, "vacuum").status == "pass"
    with vacuuming(tables):
        finding = found(tables, "vacuum")
    assert (finding.status, finding.observed) == ("fail", "public.child: being vacuumed")


def test_a_vacuum_of_somebody_else_is_seen_by_an_ordinary_role(tables_on: str) -> None:
    """The progress of others is hidden from it; their locks are not."""
    with vacuuming(tables_on), role(tables_on, "grant select on child, parent to {}") as url:
        finding = found(url, "vacuum")
    assert (finding.status, finding.observed) == ("fail", "public.child: being vacuumed")


def test_another_holder_of_the_same_lock_is_no_vacuum(tables: str) -> None:
    """ANALYZE, VALIDATE and CREATE INDEX CONCURRENTLY hold that mode, too: they are holders, not vacuums."""
    with session(tables, "lock table child in share update exclusive mode"):
        transactions, vacuum = look(tables, "open-transactions", "vacuum")
    assert (transactions.status, vacuum.status) == ("fail", "pass")


def test_a_table_near_its_freeze_age(special: str) -> None:
    """From 90 % of autovacuum_freeze_max_age on; VACUUM (FREEZE) takes it away."""
    assert found(special, "vacuum").status == "pass"
    execute(special, "do $$ begin for i in 1..91000 loop perform pg_current_xact_id(); commit; end loop; end $$")
    finding = found(special, "vacuum")
    assert finding.status == "fail"
    assert re.fullmatch(
        r"public\.child: 9\d % of the freeze age; public\.parent: 9\d % of the freeze age", finding.observed
    )
    execute(special, "vacuum (freeze) parent", "vacuum (freeze) child")
    assert found(special, "vacuum").status == "pass"


def test_another_runner(tables: str, cluster_url: ClusterUrl) -> None:
    """Prisma's lock in this database is told with its holder; in another database it is not ours."""
    lock = f"select pg_advisory_lock({PRISMA_LOCK})"
    assert PRISMA_LOCK == 72707369
    with psycopg.connect(cluster_url(16)) as elsewhere:
        elsewhere.execute(lock.encode())
        assert found(tables, "other-runners").status == "pass"
    with psycopg.connect(tables, application_name="prisma") as runner:
        runner.execute(lock.encode())
        finding = found(tables, "other-runners")
        pid = runner.info.backend_pid
    assert finding.status == "fail"
    assert finding.observed == f"Prisma's advisory lock 72707369 is held by pid {pid} (prisma)"


# --- 15 to 21, 23 to 26: the server and the way to it -----------------------------------------------------------------


def test_no_pooler(tables: str) -> None:
    """Each connection has a process of its own; a real pooler is met in the acceptance tests."""
    assert found(tables, "pooler").observed == "each connection has a session of its own"


def test_timeouts_of_role_and_database(tables: str) -> None:
    """Told with their scope, for the role that logs in, whichever role it then takes."""
    database = servers.database_name(tables)
    with role(tables, *OWNER, "alter role {} set statement_timeout = '1s'") as url:
        execute(tables, f'alter database "{database}" set lock_timeout = 7000')
        execute(tables, f'alter database "{database}" set work_mem = 7000')
        finding = found(url, "timeouts")
        assert finding.status == "pass"
        assert f"statement_timeout=1s for role role_{database}" in finding.observed
        assert f"lock_timeout=7000 for all roles in database {database}" in finding.observed
        assert "work_mem" not in finding.observed
        execute(tables, f"grant pg_monitor to role_{database}")
        assert "statement_timeout=1s" in found(replace(server_of(url), role="pg_monitor"), "timeouts").observed
    assert "statement_timeout" not in found(tables, "timeouts").observed


def test_no_replica(tables: str) -> None:
    """Nobody follows this server; lag is judged without one."""
    assert found(tables, "replica-lag").observed == "0 replicas within 30 s"


def test_a_published_table(special: str) -> None:
    """Published and read through a slot: told; published to nobody: not."""
    execute(special, "create publication everything for table child")
    assert found(special, "logical-replication").status == "pass"
    execute(special, "select pg_create_logical_replication_slot('reader', 'pgoutput')")
    finding = found(special, "logical-replication")
    execute(special, "drop publication everything", "create publication everything for all tables")
    every = found(special, "logical-replication")
    execute(special, "drop publication everything", "create publication everything for table parent (id)")
    some = found(special, "logical-replication")
    execute(special, "select pg_drop_replication_slot('reader')")
    assert (finding.status, finding.observed) == ("fail", "public.child is published by everything")
    assert every.observed.count("is published by") == 2
    assert some.observed == "public.parent is published by everything"


def test_a_table_that_is_fed_by_a_subscription(special: str, special_cluster: Cluster) -> None:
    """Rows that arrive so are not checked by keys."""
    publisher = servers.fresh_database(special_cluster.url())
    execute(publisher, TABLES, "create publication child_rows for table child")
    execute(
        special,
        f"create subscription feed connection '{publisher}' publication child_rows"
        " with (create_slot = false, slot_name = 'feed', enabled = false, copy_data = false)",
    )
    finding = found(special, "logical-replication")
    with role(special, *OWNER) as url:
        assert found(url, "logical-replication") == finding
    execute(special, "alter subscription feed set (slot_name = none)", "drop subscription feed")
    servers.drop_database(publisher)
    assert (finding.status, finding.observed) == ("fail", "public.child is fed by a subscription")


def test_an_event_trigger(tables: str) -> None:
    """On DDL and enabled: told; disabled: not."""
    execute(
        tables,
        "create function noted() returns event_trigger language plpgsql as $$ begin end $$",
        "create event trigger note on ddl_command_end execute function noted()",
    )
    assert found(tables, "event-triggers").observed == "note on ddl_command_end"
    execute(tables, "alter event trigger note disable")
    assert found(tables, "event-triggers").status == "pass"


def test_the_numbers_of_the_lock_table(tables: str) -> None:
    """Three connections of pg_dump, two tables; 64 locks for each of 50 connections."""
    before = found(tables, "lock-table")
    assert before.observed == "6 locks needed, room for 3200"
    execute(tables, "create table part (a int) partition by list (a)", "create table part_1 partition of part default")
    assert found(tables, "lock-table").observed == "12 locks needed, room for 3200"


def test_the_backup_tools_and_the_disk(tables: str) -> None:
    """Real programs, and a folder that does not exist yet."""
    finding = found(tables, "backup-tools", backup=Backup(directory="/var/tmp/none/yet"))
    assert finding.status == "pass"
    assert re.fullmatch(r"\d+ MiB free in /var/tmp/none/yet, database \d+ MiB; pg_dump \d+", finding.observed)


def test_tools_that_are_missing(tables: str) -> None:
    """The refusal of the tools is the observation."""

    def missing(major: int) -> str:
        message = f"no pg_dump for PostgreSQL {major}"
        raise ProgramsMissing(message)

    finding = found(tables, "backup-tools", check_tools=missing)
    assert (finding.status, finding.observed) == ("fail", "no pg_dump for PostgreSQL 16")


def test_a_disk_that_is_full(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less room than the database has bytes."""
    usage = type("usage", (), {"free": 2**20})
    monkeypatch.setattr("orchestrator.adapters.probes.shutil.disk_usage", lambda _: usage)
    finding = found(tables, "backup-tools")
    assert finding.status == "fail"
    assert finding.observed.startswith("not enough room: 1 MiB free in /var/tmp, database ")


def test_a_backup_folder_in_the_home_of_nobody(tables: str) -> None:
    """A `~user` that does not exist is told and does not end the preflight."""
    finding = found(tables, "backup-tools", backup=Backup(directory="~no_such_user_here/backups"))
    assert finding.status in {"fail", "unknown"}


def test_a_backup_folder_that_may_not_be_looked_into(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent folder without the right to enter it is told, too."""

    def forbidden(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", forbidden)
    finding = found(tables, "backup-tools", backup=Backup(directory=str(tmp_path / "x")))
    assert finding.status in {"fail", "unknown"}
    assert "Permission denied" in finding.observed


@pytest.mark.parametrize("backup", [Backup(mode="none"), Backup(mode="external", command="take --key hunter2")])
def test_other_backups_need_no_tools(tables: str, backup: Backup) -> None:
    """No dump, no program and no room to look for; a command is the user's own and is not shown."""

    def never(_: int) -> str:
        raise AssertionError

    finding = found(tables, "backup-tools", backup=backup, check_tools=never)
    assert finding.status == "pass"
    assert "hunter2" not in finding.observed


def test_the_budget_against_deadlock_timeout(tables: str) -> None:
    """The server's own setting, also where the database has another one."""
    database = servers.database_name(tables)
    assert found(tables, "deadlock-timeout").observed == "budget 100 ms, deadlock_timeout 1000 ms"
    execute(tables, f"alter database \"{database}\" set deadlock_timeout = '50ms'")
    finding = found(tables, "deadlock-timeout")
    assert (finding.status, finding.observed) == ("fail", "budget 100 ms, deadlock_timeout 50 ms")


SPELLINGS = ({"host": "localhost"}, {"host": "prod.example", "hostaddr": "127.0.0.1"})


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling["host"])
def test_one_database_under_two_names(tables: str, spelling: dict[str, str]) -> None:
    """Refused: production and staging are proved to be one."""
    other = server_of(make_conninfo(tables, **spelling))
    finding = found(tables, "identity", others={"prod": lambda: other})
    assert (finding.status, finding.severity) == ("fail", "critical")
    assert "staging and prod are one database" in finding.observed


def test_databases_that_differ(tables: str, special: str, cluster_url: ClusterUrl) -> None:
    """Another database of this server, and another server: told apart, and said so."""
    others = {"here": lambda: server_of(cluster_url(16)), "there": lambda: server_of(special)}
    identity, compared = look(tables, "identity", "identity-compared", others=others)
    assert identity.observed == "here is another database of this server; there is different"
    assert (identity.status, compared.status) == ("pass", "pass")


def test_an_environment_that_cannot_be_reached(tables: str) -> None:
    """Identity passes on what is known; what is not is unknown, with its reason and without a password."""
    absent = make_conninfo(tables, dbname="no_such_database", password="hunter2")
    identity, compared = look(tables, "identity", "identity-compared", others={"prod": lambda: server_of(absent)})
    assert (identity.status, compared.status) == ("pass", "unknown")
    assert compared.observed.startswith("prod: ")
    assert "hunter2" not in compared.observed


def test_hot_parents(tables: str) -> None:
    """Writes of the parents since the statistics began; the children's do not count."""
    execute(tables, "select pg_stat_reset()")
    calm = found(tables, "hot-parents")
    assert calm.status == "pass"
    assert "(public.parent)" in calm.observed


def test_the_synchronous_standbys(special: str) -> None:
    """None, or the setting as it stands."""
    assert found(special, "synchronous-standbys").observed == "no synchronous standby"
    loaded = "select current_setting('synchronous_standby_names') = '{}'"
    execute(special, "set synchronous_commit = local", "alter system set synchronous_standby_names = 'a'")
    execute(special, "select pg_reload_conf()")
    until(special, loaded.format("a"))
    finding = found(special, "synchronous-standbys")
    execute(special, "alter system reset synchronous_standby_names", "select pg_reload_conf()")
    until(special, loaded.format(""))
    assert (finding.status, finding.observed) == ("pass", "synchronous_standby_names = a")


ENCRYPTION: tuple[tuple[Kind, dict[str, str], FindingStatus], ...] = (
    ("production", {}, "pass"),
    ("production", {"host": "localhost"}, "pass"),
    ("production", {"host": "db.example", "hostaddr": "127.0.0.1"}, "fail"),
    ("staging", {"host": "db.example", "hostaddr": "127.0.0.1"}, "pass"),
)


@pytest.mark.parametrize(("kind", "spelling", "status"), ENCRYPTION)
def test_encryption_in_production(tables: str, kind: Kind, spelling: dict[str, str], status: FindingStatus) -> None:
    """Off loopback a production server has to prove who it is; the mode is libpq's default when none is set."""
    finding = found(make_conninfo(tables, **spelling), "encryption", kind=kind)
    assert finding.status == status
    assert finding.observed == f"sslmode=prefer to {spelling.get('host', '127.0.0.1')}"


def test_encryption_of_a_service(tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service file says counts: its host is not the local socket."""
    known = server_of(tables).parameters()
    lines = [f"{key}={value}" for key, value in {**known, "host": "db.example", "hostaddr": "127.0.0.1"}.items()]
    (tmp_path / "services").write_text("\n".join(["[prod]", *lines]), encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    server = replace(server_of(tables), url=Secret("service=prod"))
    finding = found(server, "encryption", kind="production")
    assert (finding.status, finding.observed) == ("fail", "sslmode=prefer to db.example")
    with (tmp_path / "services").open("a", encoding="utf-8") as file:
        file.write("\nsslmode=disable\n")
    assert found(server, "encryption", kind="production").observed == "sslmode=disable to db.example"


def test_a_service_goes_before_the_environment(tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGHOST=localhost does not make the host of a service file a local one."""
    known = {**server_of(tables).parameters(), "host": "db.example", "hostaddr": "127.0.0.1"}
    lines = [f"{key}={value}" for key, value in known.items()]
    (tmp_path / "services").write_text("\n".join(["[prod]", *lines]), encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGHOST", "localhost")
    server = replace(server_of(tables), url=Secret("service=prod"))
    assert found(server, "encryption", kind="production").observed == "sslmode=prefer to db.example"


def test_encryption_by_the_environment(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGSSLMODE and PGHOST count where the URL says nothing."""
    known = {**server_of(tables).parameters(), "hostaddr": "127.0.0.1"}
    del known["host"]
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGSSLMODE", "disable")
    finding = found(make_conninfo("", **known), "encryption", kind="production")
    assert (finding.status, finding.observed) == ("fail", "sslmode=disable to db.example")
