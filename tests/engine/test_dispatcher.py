"""The dispatcher on a real server: it waits for nobody while there is other work, and lets nobody wait for us."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.identity import identify
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.programs import server_installation
from orchestrator.adapters.runs import FileJournal, RunFolder
from orchestrator.adapters.target import Target
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.journal import BlockerTerminated, Event, LockAttemptFailed, StatementDone, StatementPostponed
from orchestrator.core.outcome import HeldBack
from orchestrator.core.plan import Statement
from orchestrator.core.plan_making import make_plan
from orchestrator.core.run import Run
from orchestrator.engine.dispatcher import Dispatcher
from tests import servers
from tests.adapters.test_ledger import RUN, open_ledger, started
from tests.chaos.proxy import Proxy
from tests.chaos.sections import with_port
from tests.conftest import server_of
from tests.waiting import until

TABLES = """
create table a (id int primary key);
create table b (id int primary key, a_id int);
create table c (id int primary key, a_id int, b_id int);
create index on b (a_id);
create index on c (a_id);
create index on c (b_id);
insert into a select generate_series(1, 100);
insert into b select i, i from generate_series(1, 100) i;
insert into c select i, i, i from generate_series(1, 100) i;
"""
Dispatching = tuple[Dispatcher, RunJournal, tuple[Statement, ...]]
KEYS = (("b", "a_id", "a"), ("c", "a_id", "a"), ("c", "b_id", "b"))
STATES = "select conname, convalidated from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace"


@pytest.fixture
def tables(database: str) -> str:
    """Three tables, and three keys to be added."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    return database


def relation(child: str, column: str, parent: str) -> Relation:
    """A key to the id of another table."""
    return Relation(
        table=TableName(schema="public", name=child),
        columns=(column,),
        referenced=TableName(schema="public", name=parent),
        referenced_columns=("id",),
        name=f"fk_{child}_{column}",
    )


@contextmanager
def dispatching(
    url: str, folder: Path, **policy: Any
) -> Iterator[tuple[Dispatcher, RunJournal, tuple[Statement, ...]]]:
    """A dispatcher with an open ledger, its journal, and the statements of the three keys."""
    server = server_of(url, run=RUN)
    plan = make_plan(
        runbook="r",
        environment="staging",
        contract=Contract(relations=tuple(relation(*each) for each in KEYS)),
        catalog=DatabaseCatalog(server=server).catalog(),
        writer=QuotedDdl(),
        lock_budget_ms=100,
    )
    runs = RunFolder(root=folder / "runs", run=RUN)
    journal = RunJournal(file=FileJournal(folder=runs, actor="ayu", clock=lambda: datetime.now(UTC)))
    journal.record(started())
    with server.session("journal") as connection:
        keeper = open_ledger(journal, server, connection)
        target = Target(server=server, identity=identify(connection), within_s=10)
        executor = OnlineExecutor(target=target, journal=journal, budget_ms=100, give_up_after_s=30)
        given: dict[str, Any] = {"budget_ms": 100, "give_up_after_s": 30, "workers": 2, **policy}
        try:
            with executor.opened("apply"):
                yield Dispatcher(executor=executor, recorder=journal, **given), journal, plan.statements
        finally:
            keeper.end()


def carry_out(dispatcher: Dispatcher, statements: tuple[Statement, ...], *, rows: float = 0.0) -> None:
    """All of them, as if each had to read so many rows; a refusal fails the test."""
    expected = {each.id: rows for each in statements}
    assert dispatcher.carry_out(statements, expected=expected, hopeless=lambda _: False) is None


def when(journal: RunJournal, wanted: type[Event], act: Callable[[Run], object]) -> None:
    """Do something when the journal tells of an event of that kind."""

    def hear(event: Event, run: Run) -> None:
        if isinstance(event, wanted):
            act(run)

    journal.listeners.append(hear)


def states(url: str) -> dict[str, bool]:
    """Every key outside of the ledger, and whether it is valid."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute(STATES).fetchall())


ALL_VALID = {"fk_b_a_id": True, "fk_c_a_id": True, "fk_c_b_id": True}


def test_other_keys_are_done_while_one_table_is_blocked(tables: str, tmp_path: Path) -> None:
    """An open transaction on a keeps two keys waiting: the third is added and validated, and no lock is queued for."""
    with psycopg.connect(tables, application_name="forgotten") as writer, psycopg.connect(tables) as look:
        writer.execute("update a set id = id where id = 1")
        old = "select now() - xact_start > '200 ms' from pg_stat_activity where application_name = 'forgotten'"
        while look.execute(old).fetchone() != (True,):
            look.rollback()
        queued: list[int] = []

        def free(run: Run) -> None:
            row = look.execute(
                "select count(*) from pg_locks where not granted and relation = 'a'::regclass"
            ).fetchone()
            look.rollback()
            queued.append(row[0] if row else 0)
            if "validate:public.c.fk_c_b_id" in run.done:
                writer.rollback()

        with dispatching(tables, tmp_path) as (dispatcher, journal, statements):
            when(journal, StatementDone, free)
            carry_out(dispatcher, statements)
    run = journal.run
    assert states(tables) == ALL_VALID
    assert list(run.done)[:2] == ["add:public.c.fk_c_b_id", "validate:public.c.fk_c_b_id"]
    # One look postpones everything that the same transaction keeps waiting, and tells it once.
    assert [each.statement for each in run.postponed] == ["add:public.b.fk_b_a_id"]
    assert "forgotten" in run.postponed[0].blocker
    assert "update a set id = id where id = ?" in run.postponed[0].blocker
    assert run.lock_failures == []
    assert set(queued) == {0}


@pytest.mark.parametrize(("named", "gone"), [({"forgotten"}, True), ({"another"}, False)], ids=["named", "not named"])
def test_only_named_applications_are_ended(tables: str, tmp_path: Path, named: set[str], gone: bool) -> None:
    """A blocker is ended when the policy names its application and nothing else is left to do, and then it is told."""
    with psycopg.connect(tables, application_name="forgotten") as writer:
        writer.execute("update a set id = id where id = 1")
        with dispatching(tables, tmp_path, terminates=frozenset(named), give_up_after_s=1) as (
            dispatcher,
            journal,
            statements,
        ):
            if gone:
                carry_out(dispatcher, statements)
                assert states(tables) == ALL_VALID
            else:
                with pytest.raises(HeldBack, match="in the way for 1 s"):
                    carry_out(dispatcher, statements)
        ended = journal.run.terminated
        assert [each.application for each in ended] == (["forgotten"] if gone else [])
        assert is_alive(writer) != gone


def test_what_waits_for_the_same_is_given_up_together(tables: str, tmp_path: Path) -> None:
    """Two keys behind one transaction: when the time is over for the first, the second has no time of its own left."""
    with psycopg.connect(tables) as writer:
        writer.execute("update a set id = id where id = 1")
        with dispatching(tables, tmp_path, give_up_after_s=1) as (dispatcher, _, statements):
            with pytest.raises(HeldBack, match="in the way for 1 s"):
                carry_out(dispatcher, statements)
            given_up = set(dispatcher._waiting._aside)
            began = {each.statement: each.began for each in dispatcher._waiting._patience.values()}
    assert states(tables) == {"fk_c_b_id": True}
    assert given_up == {"add:public.b.fk_b_a_id", "add:public.c.fk_c_a_id"}
    # The second's time began with the first's, and not when the first was given up.
    assert began["add:public.c.fk_c_a_id"] < began["add:public.b.fk_b_a_id"] + 1


def is_alive(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Whether the server still answers on it."""
    with suppress(psycopg.OperationalError):
        connection.execute("select 1")
        return True
    return False


def test_a_slow_link_keeps_the_budget(tables: str, tmp_path: Path) -> None:
    """80 ms there and back, a budget of 100 ms: locks are held while the server works, not while packets travel."""
    with (
        Proxy(urlsplit(tables).port or 0) as proxy,
        dispatching(with_port(tables, proxy.port), tmp_path) as (dispatcher, journal, statements),
    ):
        proxy.delay_s = 0.04
        carry_out(dispatcher, statements)
        proxy.delay_s = 0.0
    assert states(tables) == ALL_VALID
    assert journal.run.lock_failures == []
    assert all(each.attempts == 1 and each.blocked_ms < 100 for each in journal.run.done.values())


DAWDLE = """
create sequence validations;
create function dawdle() returns event_trigger language plpgsql as $$ begin
    -- Only the first time, and nextval is not rolled back.
    if current_query() like '%VALIDATE CONSTRAINT%' and nextval('validations') = 1 then
        perform pg_sleep(60);
    end if; end $$;
create event trigger dawdle on ddl_command_end when tag in ('ALTER TABLE') execute function dawdle();
"""


SLEEPING = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
VALIDATED = """
select relation::regclass::text from pg_locks
where mode = %s and granted and locktype = 'relation'
  and database = (select oid from pg_database where datname = current_database())
"""


@pytest.mark.parametrize("mode", ["ShareUpdateExclusiveLock", "RowShareLock"], ids=["referencing", "referenced"])
def test_a_validation_gives_way_to_whom_it_keeps_waiting(tables: str, tmp_path: Path, mode: str) -> None:
    """Somebody asks for a stronger lock, and a writer queues behind him: VALIDATE is cancelled, and comes back."""
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute(DAWDLE.encode())

    def queue() -> None:
        with psycopg.connect(tables, autocommit=True) as look:
            sleeping = (
                "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
            )
            until(lambda: look.execute(sleeping).fetchone() == (1,))
            (locked,) = look.execute(VALIDATED, (mode,)).fetchone() or ("",)
        stronger = threading.Thread(target=lambda: execute(tables, f"begin; lock table {locked}; commit"))
        stronger.start()
        with psycopg.connect(tables, autocommit=True) as look:
            until(lambda: look.execute("select count(*) from pg_locks where not granted").fetchone() != (0,))
        execute(tables, f"update {locked} set id = id where id = 1")
        stronger.join()

    others = threading.Thread(target=queue)
    others.start()
    with dispatching(tables, tmp_path, workers=1) as (dispatcher, journal, statements):
        carry_out(dispatcher, statements)
    others.join()
    assert states(tables) == ALL_VALID
    (failed,) = journal.run.lock_failures
    assert (failed.sqlstate, failed.statement[:9]) == ("57014", "validate:")
    assert failed.waited_ms >= 100
    assert journal.run.done[failed.statement].attempts == 2


def execute(url: str, text: str) -> None:
    """Statements as one query."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())


def test_an_autovacuum_gives_way(tmp_path: Path) -> None:
    """A real one is at work on c: it is asked patiently in a mode behind which no writer waits, and stops for us."""
    settings = {"autovacuum_naptime": "1s", "autovacuum_vacuum_cost_limit": "1", "deadlock_timeout": "300ms"}
    with Cluster(directory=tmp_path / "cluster", installation=server_installation(16), settings=settings) as cluster:
        url = servers.fresh_database(cluster.url())
        execute(url, TABLES)
        execute(
            url,
            "alter table c set (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_insert_threshold = -1)",
        )
        execute(url, "insert into c select i, 1, 1 from generate_series(101, 50000) i; delete from c where id > 200")
        with psycopg.connect(url, autocommit=True) as look:
            while look.execute("select count(*) from pg_stat_progress_vacuum").fetchone() != (1,):
                look.execute("select pg_stat_clear_snapshot()")
        with dispatching(url, tmp_path) as (dispatcher, journal, statements):
            carry_out(dispatcher, statements)
        assert states(url) == ALL_VALID
        assert journal.run.lock_failures == []
        cluster.discard()


def test_a_prepared_transaction_is_named(tmp_path: Path) -> None:
    """It has no pid, only a name: that is told, and nobody queues behind it."""
    settings = {"max_prepared_transactions": "2"}
    with Cluster(directory=tmp_path / "cluster", installation=server_installation(16), settings=settings) as cluster:
        url = servers.fresh_database(cluster.url())
        execute(url, TABLES)
        with psycopg.connect(url) as other:
            other.execute("update a set id = id where id = 1")
            other.execute("prepare transaction 'half done'")
        with dispatching(url, tmp_path) as (dispatcher, journal, statements):
            when(journal, StatementPostponed, lambda _: execute(url, "rollback prepared 'half done'"))
            carry_out(dispatcher, statements)
        assert states(url) == ALL_VALID
        assert "half done" in journal.run.postponed[0].blocker
        cluster.discard()


def test_with_nobody_in_the_way(tables: str, tmp_path: Path) -> None:
    """With nobody in the way every statement takes one attempt, and nothing but that is told."""
    with dispatching(tables, tmp_path) as (dispatcher, journal, statements):
        told: list[Event] = []
        when(journal, LockAttemptFailed, told.append)  # type: ignore[arg-type]
        when(journal, BlockerTerminated, told.append)  # type: ignore[arg-type]
        carry_out(dispatcher, statements, rows=1e6)
    assert told == []
    assert {each.attempts for each in journal.run.done.values()} == {1}
    assert all(each.waited_ms == 0 for each in journal.run.done.values() if each.id.startswith("add:"))
    ways = {each.way for each in journal.run.done.values() if each.id.startswith("validate:")}
    assert ways <= {"default", "steered", "whole"}
    assert ways


def test_a_validation_that_is_never_granted_its_lock_is_given_up(tables: str, tmp_path: Path) -> None:
    """Somebody keeps SHARE UPDATE EXCLUSIVE on a table: the other keys become valid, and then the run is held."""
    opened = dispatching(tables, tmp_path, give_up_after_s=1)
    with psycopg.connect(tables) as other, opened as (dispatcher, _, statements):
        carry_out(dispatcher, tuple(each for each in statements if each.kind == "add"))
        other.execute("lock table b in share update exclusive mode")
        with pytest.raises(HeldBack, match=r"validate:public\.b\.fk_b_a_id: no lock within 1 s"):
            carry_out(dispatcher, statements)
    assert states(tables) == ALL_VALID | {"fk_b_a_id": False}
