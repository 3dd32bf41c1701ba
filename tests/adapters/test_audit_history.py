"""The recorder of option B on a real server: new and old orphans, health, what cannot be counted, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator.adapters.audit_history import AuditHistory
from orchestrator.adapters.audit_sql import AuditSql
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.sql_templates import render_sql
from orchestrator.core.audit_objects import by_piece
from orchestrator.core.audit_plan import RECORDER
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Priority, Relation
from orchestrator.core.outcome import OrchestratorError
from tests import servers
from tests.conftest import ClusterUrl, server_of

TABLES = """
create table parent (id int primary key);
create table child (id int primary key, a int, b int);
insert into parent values (1);
insert into child values (1, 1, 1);
"""


def relation(column: str, priority: Priority) -> Relation:
    """From the child's column to the parent."""
    table, parent = (TableName(schema="public", name=name) for name in ("child", "parent"))
    return Relation(
        table=table, columns=(column,), referenced=parent, referenced_columns=("id",), name=column, priority=priority
    )


CONTRACT = Contract(relations=(relation("a", "critical"), relation("b", "low")), road="option B")


def install(url: str) -> psycopg.Connection[Any]:
    """Everything that a plan would install, without a plan."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(TABLES)
    catalog = DatabaseCatalog(server=server_of(url)).catalog()
    writer = AuditSql()
    pieces = (writer.relation(each, f"child_{each.columns[0]}", catalog) for each in CONTRACT.relations)
    for piece in (writer.history(), writer.recorder(), *pieces):
        connection.execute(piece.sql.encode())
    return connection


@pytest.fixture
def installed(database: str) -> Iterator[psycopg.Connection[Any]]:
    """The tables with option B, on 16."""
    with install(database) as connection:
        yield connection


def history(url: str) -> AuditHistory:
    """The adapter."""
    return AuditHistory(server=server_of(url), contract=CONTRACT)


def test_new_orphans_are_told_apart_from_old_ones(installed: psycopg.Connection[Any], database: str) -> None:
    """By their keys, not by the count: one that came while another was repaired is new."""
    told = history(database)
    assert told.record(keeps_keys=False, shows_keys=True).differs
    assert not told.record(keeps_keys=False, shows_keys=True).differs
    installed.execute("insert into child values (2, 7, null), (3, 7, null)")
    first = told.record(keeps_keys=False, shows_keys=True)
    assert (first.event.orphans, first.event.fresh, first.event.health) == (2, 2, "alert")
    assert first.event.alerts == (("public.child(a) -> public.parent(id)", 2),)
    assert first.counts[0].sample == ({"id": "2", "a": "7"}, {"id": "3", "a": "7"})
    told.told(first.event.audit)
    installed.execute("update child set a = 1 where id = 2")
    installed.execute("insert into child values (4, 8, null)")
    second = told.record(keeps_keys=True, shows_keys=False)
    assert (second.event.orphans, second.event.fresh) == (2, 1)
    assert second.event.alerts == (("public.child(a) -> public.parent(id)", 1),)
    assert second.counts[0].sample == ()
    kept = installed.execute("select sample from orphan_audit.finding where orphans > 0 order by audit").fetchall()
    assert kept == [([],), ([{"a": 7, "id": 3}, {"a": 8, "id": 4}],)]
    third = told.record(keeps_keys=False, shows_keys=False)
    assert (third.event.fresh, third.differs, third.event.health) == (0, False, "alert")
    # What nobody was told of stays to be told, as after an audit by pg_cron.
    assert third.event.alerts == second.event.alerts


def test_more_than_one_new_an_hour_is_to_be_investigated(installed: psycopg.Connection[Any], database: str) -> None:
    """The threshold of the facts; one is only an orphan. Audits within the hour count together."""
    told = history(database)
    told.record(keeps_keys=False, shows_keys=False)
    seen = []
    for number in (2, 3):
        installed.execute("insert into child values (%s, null, %s)", (number, 70 + number))
        event = told.record(keeps_keys=False, shows_keys=False).event
        seen.append((event.health, event.fresh, event.alerts))
    assert seen == [("orphans", 1, ()), ("investigate", 1, ())]
    # Two in an audit that comes three hours after the one before are less than one an hour.
    installed.execute("update orphan_audit.audit_run set began = began - interval '3 hours'")
    installed.execute("insert into child values (8, null, 80), (9, null, 90)")
    assert told.record(keeps_keys=False, shows_keys=False).event.health == "orphans"


def test_what_cannot_be_counted_hides_nothing(installed: psycopg.Connection[Any], database: str) -> None:
    """A view that fails is unknown, and so is the whole; the other relation is counted all the same."""
    installed.execute("insert into child values (2, null, 7)")
    installed.execute(
        "create or replace view orphan_audit.child_a as select id, a from child where (1 / (a - a)) is not null"
    )
    found = history(database).record(keeps_keys=False, shows_keys=False)
    assert (found.event.health, found.event.orphans) == ("unknown", 1)
    assert [(each.health, each.problem) for each in found.event.found] == [
        ("orphans", ""),
        ("unknown", "division by zero"),
    ]
    assert [each.relation.columns for each in found.counts] == [("b",)]
    # Whoever recorded it, somebody is called: once, until the reason is another.
    why = ("public.child(a) -> public.parent(id)", "division by zero")
    assert (found.event.alerts, found.event.uncounted, found.event.calls) == ((), (why,), True)
    installed.execute("call orphan_audit.record_audit()")
    assert history(database).record(keeps_keys=False, shows_keys=False).event.uncounted == (why,)
    assert installed.execute("select alert from orphan_audit.audit_run order by id").fetchall() == [
        (True,),
        (False,),
        (False,),
    ]
    history(database).told(3)
    assert not history(database).record(keeps_keys=False, shows_keys=False).event.calls
    installed.execute(
        "create or replace view orphan_audit.child_a as select id, a from child where b::text::date > now()"
    )
    assert (
        history(database).record(keeps_keys=False, shows_keys=False).event.uncounted[0][1].startswith("invalid input")
    )


def test_many_orphans_are_compared_by_their_count(installed: psycopg.Connection[Any]) -> None:
    """Above the bound no key is kept; below it again, what was there is not taken for new."""

    def recorded() -> list[Any]:
        (number,) = installed.execute("call orphan_audit.record_audit(0, '1 day', 2)").fetchone() or (0,)
        query = "select fresh, exact from orphan_audit.finding where audit = %s and relation like '%%(b)%%'"
        return list(installed.execute(query, (number,)).fetchone() or ())

    installed.execute("insert into child select n, null, n from generate_series(10, 14) n")
    assert recorded() == [5, False]
    installed.execute("insert into child values (15, null, 15)")
    assert recorded() == [1, False]
    assert installed.execute("select count(*) from orphan_audit.known").fetchone() == (0,)
    installed.execute("delete from child where id > 11")
    assert recorded() == [0, True]
    installed.execute("update child set b = 99 where id = 10")
    assert recorded() == [1, True]


def test_history_is_kept_for_so_long(installed: psycopg.Connection[Any]) -> None:
    """An audit that is older goes with its findings."""
    installed.execute("call orphan_audit.record_audit()")
    installed.execute("update orphan_audit.audit_run set began = began - interval '91 days'")
    installed.execute("call orphan_audit.record_audit()")
    assert installed.execute("select count(*), min(id) from orphan_audit.audit_run").fetchone() == (1, 2)
    assert installed.execute("select count(distinct audit) from orphan_audit.finding").fetchone() == (1,)


def test_a_recorder_of_an_older_version_is_called_as_it_was(installed: psycopg.Connection[Any], database: str) -> None:
    """It was a function, and stands until the next deployment."""
    installed.execute("drop procedure orphan_audit.record_audit")
    installed.execute(
        "create function orphan_audit.record_audit(sample_rows integer) returns bigint language sql as"
        " 'insert into orphan_audit.audit_run (began, recorded_by, application, duration_ms, health)"
        " values (now(), current_user, $$$$, 1, $$ok$$) returning id'"
    )
    older = AuditHistory(server=server_of(database), contract=CONTRACT, older=True)
    event = older.record(keeps_keys=False, shows_keys=False).event
    assert (event.audit, event.health) == (1, "ok")


AT_WORK = "select pid, backend_xid is null from pg_stat_activity where wait_event = 'advisory' and pid <> all (%s)"
TABLES_LOCKED = """
select c.relname::text from pg_locks l join pg_class c on c.oid = l.relation
where l.pid = %s and c.relkind = 'r' and c.relnamespace <> 'pg_catalog'::regnamespace order by 1
"""


def until(installed: psycopg.Connection[Any], query: str, *values: object) -> tuple[Any, ...]:
    """The first row that a query has; the suite's own time limit ends a wait that never does."""
    while (row := installed.execute(query.encode(), values).fetchone()) is None:
        pass
    return tuple(row)


def test_a_count_holds_its_own_relation_and_no_transaction_id(
    installed: psycopg.Connection[Any], database: str
) -> None:
    """Seen from outside while it is at work; a second one is kept out, and one that was cut short is gone on with."""
    installed.execute("insert into child values (2, 7, null), (3, null, 8)")
    before = [row[0] for row in installed.execute("select pid from pg_stat_activity")]
    installed.execute(
        "create or replace view orphan_audit.child_b as select id, b from child"
        " where b = 8 and pg_advisory_xact_lock_shared(7) is not null"
    )
    installed.execute("select pg_advisory_lock(7)")
    with ThreadPoolExecutor(2) as threads:
        recording = threads.submit(history(database).record, keeps_keys=False, shows_keys=False)
        pid, without_id = until(installed, AT_WORK, before)
        assert without_id
        # The parent was read for the relation before this one.
        assert [row[0] for row in installed.execute(TABLES_LOCKED, (pid,))] == ["child"]
        assert installed.execute("select relation, fresh from orphan_audit.finding").fetchall() == [
            ("public.child(a) -> public.parent(id)", 1)
        ]
        with pytest.raises(OrchestratorError, match=rf"another audit is being recorded \(pid {pid}\)"):
            replace(history(database), patience_s=0).record(keeps_keys=False, shows_keys=False)
        waiting = threads.submit(history(database).record, keeps_keys=False, shows_keys=False)
        assert not waiting.done()
        installed.execute("select pg_terminate_backend(%s, 5000)", (pid,))
        assert recording.exception() is not None
        unfinished = "select duration_ms, health from orphan_audit.audit_run"
        assert installed.execute(unfinished).fetchall() == [(None, "unknown")]
        installed.execute("select pg_advisory_unlock(7)")
        event = waiting.result().event
    assert (event.audit, event.relations, event.orphans, event.fresh) == (1, 2, 2, 2)
    assert event.alerts == (("public.child(a) -> public.parent(id)", 1),)
    assert len(event.trend) == 1


CRON = """
create schema cron;
create table cron.job (jobname text, schedule text, command text, username text);
create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql as
    'insert into cron.job values ($1, $2, $3, current_user); select 1::bigint';
create function cron.unschedule(job_name text) returns boolean language sql as
    'delete from cron.job where jobname = $1; select true';
"""


CONTROL = "default_version = '1.6'\nrelocatable = false\nschema = pg_catalog\n"


def as_server(connection: psycopg.Connection[Any], path: str, text: str) -> None:
    """Write a file as the server's own user: ours may not share a folder with it."""
    lines = sql.SQL("copy (select unnest({}::text[])) to program {}")
    connection.execute(lines.format(sql.Literal(text.splitlines()), sql.Literal(f"cat > '{path}'")))


def test_pg_cron_is_used_where_it_is_installed(cluster_url: ClusterUrl) -> None:
    """An extension of that name with its functions: the job is made with the recorder and goes with it."""
    url = servers.fresh_database(cluster_url(18))
    with psycopg.connect(url, autocommit=True) as connection:
        (data,) = connection.execute("select current_setting('data_directory')").fetchone() or ("",)
        place = f"{data}/pg_cron_for_a_test"
        connection.execute(sql.SQL("copy (select) to program {}").format(sql.Literal(f"mkdir -p '{place}/extension'")))
        as_server(connection, f"{place}/extension/pg_cron.control", CONTROL)
        as_server(connection, f"{place}/extension/pg_cron--1.6.sql", CRON)
        # Since PostgreSQL 18 an extension may lie anywhere.
        connection.execute(sql.SQL("set extension_control_path = {}").format(sql.Literal(f"{place}:$system")))
        connection.execute("create extension pg_cron")
    with install(url) as connection:
        jobs = connection.execute("select jobname, schedule, command from cron.job").fetchall()
        assert jobs == [("orphan_audit", "17 * * * *", 'CALL "orphan_audit".record_audit()')]
        assert history(url).scheduled()
        connection.execute(jobs[0][2].encode())
        recorder = by_piece(DatabaseCatalog(server=server_of(url)).catalog().audit_objects)[RECORDER]
        for text in AuditSql().drop(recorder):
            connection.execute(text.encode())
        assert connection.execute("select count(*) from cron.job").fetchone() == (0,)
        # As the way back of a newer recorder brings it back.
        for text in AuditSql().recreate(recorder):
            connection.execute(text.encode())
        assert connection.execute("select jobname, schedule, command from cron.job").fetchall() == jobs
    servers.drop_database(url)


def test_a_template_prints_nothing_that_is_not_quoted() -> None:
    """A plain string is refused, whatever it holds."""
    with pytest.raises(TypeError, match="would print str"):
        render_sql("audit_history.sql.j2", schema="orphan_audit")  # type: ignore[arg-type]
    assert '"a""b"' in render_sql("audit_history.sql.j2", schema=sql.Identifier('a"b'))
