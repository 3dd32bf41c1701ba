"""Execution: both locks within the budget or nothing, another attempt when somebody is in the way, and a record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.attempt import Attempt
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.identity import identify
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Server, logged_in
from orchestrator.adapters.preparation import PRISMA_LOCK
from orchestrator.adapters.runs import FileJournal, RunFolder
from orchestrator.adapters.target import Target
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.journal import Event, LockAttemptFailed, StatementPostponed
from orchestrator.core.outcome import HeldBack, StatementRejected
from orchestrator.core.plan import Plan, Statement
from orchestrator.core.plan_making import make_plan
from orchestrator.core.run import Run
from orchestrator.core.transaction import doing
from orchestrator.engine.dispatcher import Dispatcher
from tests.adapters.test_ledger import RUN, open_ledger, started
from tests.conftest import server_of
from tests.waiting import until

TABLES = """
create table parent (id int primary key);
create table child (id int primary key, parent_id int);
create index on child (parent_id);
insert into parent select generate_series(1, 10);
insert into child select i, i from generate_series(1, 10) i;
"""
PARENT, CHILD = TableName(schema="public", name="parent"), TableName(schema="public", name="child")
RELATION = Relation(
    table=CHILD, columns=("parent_id",), referenced=PARENT, referenced_columns=("id",), name="fk_child_parent_id"
)


@pytest.fixture
def tables(database: str) -> str:
    """A parent and a child."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    return database


@pytest.fixture
def executor(tables: str, server: Server, tmp_path: Path) -> Iterator[OnlineExecutor]:
    """An executor with an open ledger, ready to work."""
    folder = RunFolder(root=tmp_path / "runs", run=RUN)
    journal = RunJournal(file=FileJournal(folder=folder, actor="ayu", clock=lambda: datetime.now(UTC)))
    journal.record(started())
    with server.session("journal") as connection:
        keeper = open_ledger(journal, server, connection)
        target = Target(server=server, identity=identify(connection), within_s=10)
        made = OnlineExecutor(target=target, journal=journal, budget_ms=100, give_up_after_s=30)
        with made.opened("apply"):
            yield made
        keeper.end()


def dispatcher(executor: OnlineExecutor, **more: Any) -> Dispatcher:
    """What decides when the executor tries what."""
    given: dict[str, Any] = {"budget_ms": 100, "give_up_after_s": 30, **more}
    return Dispatcher(executor=executor, recorder=executor.journal, **given)


def carry_out(executor: OnlineExecutor, *wanted: Statement, **more: Any) -> None:
    """Carry statements out. Raises StatementRejected, HeldBack."""
    refusal = dispatcher(executor, **more).carry_out(wanted, expected={}, hopeless=lambda _: False)
    if refusal or executor.journal.run.failures:
        failure = next(iter(executor.journal.run.failures.values()))
        raise StatementRejected(failure.message, sqlstate=failure.sqlstate)


def plan_for(server: Server) -> Plan:
    """The plan for the one relation."""
    return make_plan(
        runbook="r",
        environment="staging",
        contract=Contract(relations=(RELATION,)),
        catalog=DatabaseCatalog(server=server).catalog(),
        writer=QuotedDdl(),
        lock_budget_ms=100,
    )


def statements(server: Server) -> tuple[Statement, Statement]:
    """ADD and VALIDATE."""
    add, validate = plan_for(server).statements
    return add, validate


def states(url: str) -> list[tuple[str, bool]]:
    """Name and validity of every foreign key."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("select conname, convalidated from pg_constraint where contype = 'f'").fetchall()
    return [(row[0], row[1]) for row in rows]


YOUNG_MS = 60_000
"""A transaction in the way that is younger is met with an attempt, on a busy machine too."""


def release_when_told(executor: OnlineExecutor, release: Callable[[], object]) -> None:
    """Let go of what is in the way when the journal tells of it."""

    def hear(event: Event, _: Run) -> None:
        if isinstance(event, LockAttemptFailed | StatementPostponed):
            release()

    executor.journal.listeners.append(hear)


def test_forward_back_and_forward_again(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """Add, validate, walk back, add again: the catalog follows each time and every statement is on record."""
    add, validate = statements(server)
    carry_out(executor, add)
    assert states(tables) == [("fk_child_parent_id", False)]
    carry_out(executor, validate)
    assert states(tables) == [("fk_child_parent_id", True)]
    dispatcher(executor).walk_back(add, of=RUN)
    assert states(tables) == []
    # A run does nothing twice; another attempt is all the same possible.
    executor.attempt(doing((add,))[0], attempts=1)
    assert states(tables) == [("fk_child_parent_id", False)]
    run = executor.journal.run
    assert run.done.keys() == {add.id, validate.id}
    assert run.undone.keys() == {add.id}


def test_effect_and_record_are_one_transaction(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """The constraint and the event were written by the same transaction id."""
    carry_out(executor, statements(server)[0])
    with psycopg.connect(tables) as connection:
        row = connection.execute(
            "select e.xmin = c.xmin from orchestrator.event e, pg_constraint c"
            " where e.kind = 'statement_done' and c.conname = 'fk_child_parent_id'"
        ).fetchone()
    assert row == (True,)


def test_a_record_that_cannot_be_written_takes_the_effect_with_it(
    executor: OnlineExecutor, server: Server, tables: str
) -> None:
    """No effect without a record: when the journal refuses the event, the key is not there either."""
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute("alter table orchestrator.event add constraint no_more check (kind <> 'statement_done')")
    with pytest.raises(StatementRejected, match="no_more"):
        carry_out(executor, statements(server)[0])
    assert states(tables) == []


@pytest.mark.parametrize("blocked", ["parent", "child"])
def test_a_writer_in_the_way_is_waited_for_in_short_attempts(
    executor: OnlineExecutor, server: Server, tables: str, blocked: str
) -> None:
    """An open write transaction makes attempts fail within the budget; after it the key is added."""
    writer = psycopg.connect(tables, application_name="forgotten")
    writer.execute(f"update {blocked} set id = id".encode())
    release_when_told(executor, writer.rollback)
    carry_out(executor, statements(server)[0], budget_ms=YOUNG_MS)
    writer.close()
    run = executor.journal.run
    assert states(tables) == [("fk_child_parent_id", False)]
    assert run.done[statements_id(run)].attempts >= 2
    assert "forgotten" in run.lock_failures[0].blocker
    assert run.lock_failures[0].sqlstate == "55P03"


def statements_id(run: Run) -> str:
    """The one statement that is done."""
    return next(iter(run.done))


def test_the_order_of_the_locks_is_learned(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """When the second lock is not granted, the next attempt asks for that table first."""
    add = statements(server)[0]
    assert [lock.table for lock in executor.order.arrange(add.locks)] == [CHILD, PARENT]
    writer = psycopg.connect(tables)
    writer.execute("update parent set id = id")
    release_when_told(executor, writer.rollback)
    carry_out(executor, add, budget_ms=YOUNG_MS)
    writer.close()
    assert [lock.table for lock in executor.order.arrange(add.locks)] == [PARENT, CHILD]


def test_a_writer_is_never_the_one_who_is_aborted(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """The application's transaction that we met commits, however often we had to give way."""
    writer = psycopg.connect(tables)
    writer.execute("insert into parent values (100)")
    release_when_told(executor, writer.commit)
    carry_out(executor, statements(server)[0], budget_ms=YOUNG_MS)
    assert writer.execute("select count(*) from parent where id = 100").fetchone() == (1,)
    writer.close()


def test_after_the_time_to_give_up_the_run_is_held(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """A blocker that stays ends the attempts, with nothing changed."""
    with psycopg.connect(tables) as writer:
        writer.execute("update parent set id = id")
        with pytest.raises(HeldBack, match="no lock within 0 s"):
            carry_out(executor, statements(server)[0], budget_ms=YOUNG_MS, give_up_after_s=0)
        writer.rollback()
    assert states(tables) == []


def test_a_reader_is_no_obstacle_to_add_but_is_to_drop(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """ADD goes through beside an open SELECT; DROP asks for ACCESS EXCLUSIVE, gives way and comes back."""
    reader = psycopg.connect(tables)
    reader.execute("select * from parent, child")
    add = statements(server)[0]
    carry_out(executor, add)
    assert not executor.journal.run.lock_failures
    release_when_told(executor, reader.rollback)
    dispatcher(executor).walk_back(add, of=RUN)
    reader.close()
    assert executor.journal.run.lock_failures or executor.journal.run.postponed
    assert states(tables) == []


def test_orphans_leave_the_key_not_valid(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """VALIDATE over an orphan is refused for good; the key stays and stops new orphans."""
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute("insert into child values (11, 999)")
        add, validate = statements(server)
        carry_out(executor, add)
        with pytest.raises(StatementRejected) as refusal:
            carry_out(executor, validate)
        assert refusal.value.because_of_orphans
        assert states(tables) == [("fk_child_parent_id", False)]
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("insert into child values (12, 998)")


def test_an_administrator_who_cancels_is_obeyed(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """pg_cancel_backend is a person's word, not a lock timeout: the run is held, not repeated."""
    add, validate = statements(server)
    carry_out(executor, add)
    with psycopg.connect(tables, autocommit=True) as admin, psycopg.connect(tables) as busy:
        # VALIDATE waits behind SHARE UPDATE EXCLUSIVE; its own patience is longer than ours here.
        busy.execute("lock table child in share update exclusive mode")
        patient = replace(validate, lock_timeout_ms=60_000)
        cancelled = threading.Thread(target=cancel_when_waiting, args=(admin,))
        cancelled.start()
        with pytest.raises(HeldBack, match="cancelled by an administrator"):
            carry_out(executor, patient)
        cancelled.join()
        busy.rollback()
    assert states(tables) == [("fk_child_parent_id", False)]


def cancel_when_waiting(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """Cancel our statement as soon as it waits for a lock."""
    query = (
        "select pg_cancel_backend(pid) from pg_stat_activity"
        " where wait_event_type = 'Lock' and application_name like 'orchestrator/%'"
    )
    until(lambda: admin.execute(query).fetchone())


def test_no_statement_waits_longer_than_the_budget(
    executor: OnlineExecutor, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lock request of an attempt is bounded by what the budget left over, the second by its own limit."""
    ask = b"select current_setting('lock_timeout')"
    asked: list[int] = []
    original = Attempt._exchange

    def spy(self: Attempt) -> list[Any]:
        piece = [[(ask, None), each] if each[0].startswith(b"LOCK TABLE") else [each] for each in self._piece]
        self._piece = [each for part in piece for each in part]
        results = original(self)
        answers = [result for result, (text, _) in zip(results, self._piece, strict=True) if text == ask]
        asked.extend(int((each.get_value(0, 0) or b"").removesuffix(b"ms")) for each in answers)
        return results

    monkeypatch.setattr(Attempt, "_exchange", spy)
    carry_out(executor, statements(server)[0])
    first, second = asked
    assert first <= 100
    assert second <= 30


def test_an_attempt_is_one_message(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """From BEGIN to COMMIT the server has all of it before it takes a lock: a way that dies leaves none behind."""
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute(
            """create table seen (query text);
               create function look() returns event_trigger language plpgsql as $$ begin
                   insert into seen values (current_query()); end $$;
               create event trigger look on ddl_command_end when tag in ('ALTER TABLE') execute function look()"""
        )
        carry_out(executor, statements(server)[0])
        ((query,),) = connection.execute("select query from seen").fetchall()
    assert query.startswith("begin;")
    assert query.count("LOCK TABLE") == 2
    assert query.endswith("commit")


def test_our_own_sessions_are_ended_by_who_logged_in(tables: str) -> None:
    """With database.role set, the session acts as another role: ending a former session of ours needs the first."""
    with psycopg.connect(tables, autocommit=True) as admin:
        admin.execute("create role app_owner_of_test")
    try:
        server = replace(server_of(tables), role="app_owner_of_test")
        with server.session("x") as connection:
            roles = []
            with logged_in(connection):
                roles.append(connection.execute("select current_user = session_user as same").fetchone())
            roles.append(connection.execute("select current_user = session_user as same").fetchone())
        assert roles == [{"same": True}, {"same": False}]
    finally:
        with psycopg.connect(tables, autocommit=True) as admin:
            admin.execute("drop role app_owner_of_test")


def test_prismas_lock_is_held_and_respected(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """While statements run nobody else can migrate, and while somebody does no statement runs."""
    with psycopg.connect(tables, autocommit=True) as other:
        assert other.execute("select pg_try_advisory_lock(%s)", (PRISMA_LOCK,)).fetchone() == (False,)
    second = OnlineExecutor(target=executor.target, journal=executor.journal, budget_ms=100, give_up_after_s=1)
    with pytest.raises(HeldBack, match="72707369"), second.opened("apply"):
        pass


def test_a_lost_connection_is_found_again(executor: OnlineExecutor, server: Server, tables: str) -> None:
    """A terminated backend costs an attempt, not the run: the statement takes effect once and is on record once."""
    pid = executor._open_connection().info.backend_pid
    with psycopg.connect(tables, autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    add, _ = statements(server)
    carry_out(executor, add)
    assert states(tables) == [("fk_child_parent_id", False)]
    assert executor.journal.run.done.keys() == {add.id}
