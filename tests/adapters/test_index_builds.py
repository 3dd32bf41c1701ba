"""Indexes outside of a transaction: an intent before, a probe after, and whatever lies between is put right."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.identity import identify
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.runs import FileJournal, RunFolder
from orchestrator.adapters.target import Target
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.indexes import with_indexes
from orchestrator.core.journal import Event, StatementPostponed
from orchestrator.core.outcome import HeldBack, LeaseLost, StatementRejected
from orchestrator.core.plan import Plan, Statement
from orchestrator.core.plan_making import make_plan
from orchestrator.core.run import Run
from orchestrator.core.transaction import doing
from orchestrator.engine.dispatcher import Dispatcher
from tests import servers
from tests.adapters.test_ledger import RUN, open_ledger, started
from tests.conftest import NEWEST, ClusterUrl, server_of

TABLES = """
create table parent (id int primary key);
create table child (id int primary key, parent_id int, other_id int);
create index on child (other_id);
insert into parent select generate_series(1, 10);
insert into child select i, i, i from generate_series(1, 10) i;
"""
INDEX = "index:public.child.ix_child_parent_id"
PARENT, CHILD = TableName(schema="public", name="parent"), TableName(schema="public", name="child")
INDEXES = """
select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = 'child'::regclass and c.relname like 'ix%' order by 1
"""


def key(column: str) -> Relation:
    """A key of the child."""
    return Relation(
        table=CHILD, columns=(column,), referenced=PARENT, referenced_columns=("id",), name=f"fk_child_{column}"
    )


@pytest.fixture(params=NEWEST)
def tables(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[str]:
    """A parent and a child, on each version in turn; an index for one of two keys."""
    url = servers.fresh_database(cluster_url(request.param))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
    yield url
    servers.drop_database(url)


def planned(url: str, *lines: Relation) -> Plan:
    """The plan for both keys, or for these, with the indexes that are lacking."""
    catalog = DatabaseCatalog(server=server_of(url, run=RUN)).catalog()
    made = make_plan(
        runbook="r",
        environment="staging",
        contract=Contract(relations=lines or (key("parent_id"), key("other_id"))),
        catalog=catalog,
        writer=QuotedDdl(),
        lock_budget_ms=100,
    )
    return with_indexes(made, catalog, QuotedDdl())


Opened = tuple[Dispatcher, RunJournal]


@contextmanager
def dispatching(url: str, folder: Path, step: str = "apply", **policy: Any) -> Iterator[Opened]:
    """A dispatcher with an open ledger, and its journal."""
    server = server_of(url, run=RUN)
    runs = RunFolder(root=folder / "runs", run=RUN)
    journal = RunJournal(file=FileJournal(folder=runs, actor="ayu", clock=lambda: datetime.now(UTC)))
    journal.interruption = server.interruption
    journal.record(started())
    given: dict[str, Any] = {"budget_ms": 100, "give_up_after_s": 30, **policy}
    # Not a session: what is asked on the journal's connection is never cancelled.
    with server.connect("journal") as connection:
        keeper = open_ledger(journal, server, connection)
        target = Target(server=server, identity=identify(connection), within_s=10)
        executor = OnlineExecutor(
            target=target, journal=journal, budget_ms=100, give_up_after_s=given["give_up_after_s"]
        )
        try:
            with executor.opened(step):
                yield Dispatcher(executor=executor, recorder=journal, **given), journal
        finally:
            keeper.end()


def carry_out(dispatcher: Dispatcher, statements: tuple[Statement, ...]) -> None:
    """All of them; a refusal fails the test."""
    assert dispatcher.carry_out(statements, expected={}, hopeless=lambda _: False) is None


def indexes(url: str) -> list[tuple[str, bool]]:
    """The child's indexes that bear a name of ours, and whether they are valid."""
    with psycopg.connect(url) as connection:
        return [(row[0], row[1]) for row in connection.execute(INDEXES).fetchall()]


def invalid_leftover(url: str, columns: str = "parent_id") -> None:
    """What a cancelled build leaves."""
    with psycopg.connect(url) as old, psycopg.connect(url, autocommit=True) as builder:
        old.execute("update child set id = id where id = 1")
        builder.execute("set lock_timeout = '1ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute(f"create index concurrently ix_child_parent_id on child ({columns})".encode())
    assert indexes(url) == [("ix_child_parent_id", False)]


def fingerprint(url: str) -> str:
    """Of the whole catalog."""
    return DatabaseCatalog(server=server_of(url)).catalog().fingerprint


def when(journal: RunJournal, wanted: type[Event], act: Any) -> None:
    """Do something when the journal tells of an event of that kind."""

    def hear(event: Event, run: Run) -> None:
        if isinstance(event, wanted):
            act(run)

    journal.listeners.append(hear)


def test_forward_back_and_forward_again(tables: str, tmp_path: Path) -> None:
    """The index comes before its key, goes after it, and the catalog is what it was before."""
    before, plan = fingerprint(tables), planned(tables)
    assert [each.kind for each in plan.statements] == ["index", "add", "add", "validate", "validate"]
    with dispatching(tables, tmp_path / "there") as (dispatcher, journal):
        carry_out(dispatcher, plan.statements)
        done = list(journal.run.done)
        assert done.index(INDEX) < done.index("add:public.child.fk_child_parent_id")
        assert journal.run.intended.keys() == {INDEX}
        assert journal.run.leftovers == ()
        assert indexes(tables) == [("ix_child_parent_id", True)]
        for statement in reversed(plan.statements):
            if statement.kind != "validate":
                dispatcher.walk_back(statement, of=RUN)
        assert journal.run.dropping.keys() == {INDEX}
        assert INDEX in journal.run.undone
    assert (indexes(tables), fingerprint(tables)) == ([], before)
    again = planned(tables)
    assert again.digest == plan.digest


def test_an_invalid_leftover_is_dropped_and_built_again(tables: str, tmp_path: Path) -> None:
    """What a cancelled build left under our name and with our definition does not stay, nor is it taken for done."""
    invalid_leftover(tables)
    with dispatching(tables, tmp_path) as (dispatcher, journal):
        carry_out(dispatcher, planned(tables).statements)
        assert INDEX in journal.run.done
    assert indexes(tables) == [("ix_child_parent_id", True)]


def test_an_old_transaction_is_waited_for_and_told(tables: str, tmp_path: Path) -> None:
    """The build waits, other keys are done meanwhile, writers write, and who is in the way stands in the journal."""
    with psycopg.connect(tables, application_name="forgotten") as old, dispatching(tables, tmp_path) as opened:
        dispatcher, journal = opened
        old.execute("set transaction isolation level repeatable read")
        old.execute("select count(*) from parent")
        seen: list[set[str]] = []

        def free(run: Run) -> None:
            with psycopg.connect(tables, autocommit=True) as writer:
                writer.execute("set statement_timeout = '5s'")
                writer.execute("update child set id = id where id = 2")
                writer.execute("insert into child values (99, 1, 1)")
            seen.append(set(run.done))
            old.rollback()

        when(journal, StatementPostponed, free)
        carry_out(dispatcher, planned(tables).statements)
    (postponed,) = journal.run.postponed
    assert (postponed.statement, "forgotten" in postponed.blocker) == (INDEX, True)
    assert seen == [{"add:public.child.fk_child_other_id"}]
    assert indexes(tables) == [("ix_child_parent_id", True)]


def test_a_run_that_is_interrupted_while_it_waits_is_held_and_goes_on(tables: str, tmp_path: Path) -> None:
    """Ctrl-C ends the wait at once; what the build left is cleared away by the next try, with one intent on record."""
    plan = planned(tables)
    with psycopg.connect(tables) as old, dispatching(tables, tmp_path) as (dispatcher, journal):
        old.execute("update child set id = id where id = 1")
        when(journal, StatementPostponed, lambda _: journal.interruption.ask("interrupted by a test"))
        with pytest.raises(HeldBack, match="interrupted by a test; what it left is cleared away on resume"):
            carry_out(dispatcher, plan.statements[:1])
        journal.recover("the test looks")
        assert [each.id for each in journal.run.leftovers] == [INDEX]
        assert indexes(tables) == [("ix_child_parent_id", False)]
        old.rollback()
        journal.interruption.reason, journal.interruption.cancels = None, False
        carry_out(dispatcher, plan.statements)
        assert journal.run.leftovers == ()
    assert indexes(tables) == [("ix_child_parent_id", True)]


def test_after_the_time_to_give_up_the_rest_is_done(tables: str, tmp_path: Path) -> None:
    """The wait for an old transaction is bounded: the other key is done, then the run is held, and says for whom."""
    with psycopg.connect(tables, application_name="forgotten") as old:
        old.execute("set transaction isolation level repeatable read")
        old.execute("select 1 from parent")
        with dispatching(tables, tmp_path, give_up_after_s=1.5) as (dispatcher, journal):
            with pytest.raises(HeldBack, match=r"no lock within 1.5 s.*forgotten.*end what is in the way"):
                carry_out(dispatcher, planned(tables).statements)
            assert "validate:public.child.fk_child_other_id" in journal.run.done


@pytest.mark.parametrize("made", ["index", "sequence"])
def test_what_is_somebody_elses_stays(tables: str, tmp_path: Path, made: str) -> None:
    """A valid index that came between, or another thing of that name, is neither used nor dropped: it is refused."""
    plan = planned(tables)
    with psycopg.connect(tables, autocommit=True) as connection:
        text = {"index": "create index ix_child_parent_id on child (parent_id)"}
        connection.execute(text.get(made, "create sequence ix_child_parent_id").encode())
    with dispatching(tables, tmp_path) as (dispatcher, journal):
        refusal = dispatcher.carry_out(plan.statements[:1], expected={}, hopeless=lambda _: False)
        assert refusal is not None
        assert "somebody else's" in str(refusal)
        assert journal.run.intended == {}
    assert indexes(tables) == ([("ix_child_parent_id", True)] if made == "index" else [])


def test_under_another_lease_nothing_is_begun(tables: str, tmp_path: Path) -> None:
    """Somebody took the run over between our last look and the intent: it is refused there, before any index."""
    (work, *_) = doing(planned(tables).statements)
    with dispatching(tables, tmp_path) as (dispatcher, _), psycopg.connect(tables, autocommit=True) as connection:
        connection.execute("update orchestrator.lease set token = token + 1")
        dispatcher.executor.begin(work, attempts=1, keys=0, rows=0)
        (ended,) = dispatcher.executor.ended(30)
        assert isinstance(ended.error, LeaseLost)
    assert indexes(tables) == []


def test_another_definition_is_not_dropped_on_the_way_back(tables: str, tmp_path: Path) -> None:
    """Somebody replaced our index by one of his under the same name: it stays."""
    plan = planned(tables)
    with dispatching(tables, tmp_path) as (dispatcher, _), psycopg.connect(tables, autocommit=True) as connection:
        carry_out(dispatcher, plan.statements[:1])
        connection.execute("drop index ix_child_parent_id")
        connection.execute("create index ix_child_parent_id on child (parent_id, other_id)")
        with pytest.raises(StatementRejected, match="somebody else's"):
            dispatcher.walk_back(plan.statements[0], of=RUN)
    assert indexes(tables) == [("ix_child_parent_id", True)]


def test_a_build_gives_way_to_whom_it_keeps_waiting(tables: str, tmp_path: Path) -> None:
    """Writers queue behind somebody who wants a stronger lock than the build lets pass: the build is cancelled."""
    with psycopg.connect(tables) as old, dispatching(tables, tmp_path) as (dispatcher, journal):
        old.execute("set transaction isolation level repeatable read")
        old.execute("select 1 from parent")

        def stronger() -> None:
            with psycopg.connect(tables, autocommit=True) as connection:
                connection.execute("begin; lock table child; commit")

        def write() -> None:
            with psycopg.connect(tables, autocommit=True) as connection:
                connection.execute("update child set id = id where id = 1")
            old.rollback()

        threads = [threading.Thread(target=each) for each in (stronger, write)]

        def queue(_: Run) -> None:
            if not threads[0].ident:
                threads[0].start()
                with psycopg.connect(tables, autocommit=True) as look:
                    waits = "select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'"
                    while look.execute(waits).fetchone() == (0,):
                        continue
                threads[1].start()

        when(journal, StatementPostponed, queue)
        carry_out(dispatcher, planned(tables).statements)
        for each in threads:
            each.join()
    assert [each.sqlstate for each in journal.run.lock_failures if each.statement == INDEX] == ["57014"]
    assert indexes(tables) == [("ix_child_parent_id", True)]


DAWDLE = """
create function dawdle() returns event_trigger language plpgsql as $$ begin
    if current_query() like '%VALIDATE CONSTRAINT%' then perform pg_sleep(4); end if; end $$;
create event trigger dawdle on ddl_command_end when tag in ('ALTER TABLE') execute function dawdle();
create table other (id int primary key, parent_id int);
alter table other add constraint fk_other_parent_id foreign key (parent_id) references parent not valid;
"""


@pytest.mark.parametrize("tables", [16], indirect=True)
def test_waiting_for_a_validation_of_ours_is_no_waiting(tables: str, tmp_path: Path) -> None:
    """A validation on another table lasts longer than the time to give up: the index is built all the same."""
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute(DAWDLE)
    slow = replace(key("parent_id"), table=TableName(schema="public", name="other"), name="fk_other_parent_id")
    (validate,) = (each for each in planned(tables, slow).statements if each.kind == "validate")
    (build, *_) = planned(tables).statements
    with dispatching(tables, tmp_path, give_up_after_s=1.5) as (dispatcher, journal):
        dispatcher.executor.begin(doing((validate,))[0], attempts=1, keys=0, rows=0)
        with psycopg.connect(tables, autocommit=True) as look:
            sleeps = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
            while look.execute(sleeps).fetchone() == (0,):
                continue
        carry_out(dispatcher, (build,))
        assert journal.run.done.keys() == {validate.id, INDEX}
        assert {each.sqlstate for each in journal.run.lock_failures} == {""}
    assert indexes(tables) == [("ix_child_parent_id", True)]
