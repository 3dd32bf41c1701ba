"""The generated Python guard on a real server passes the cases of the one for Prisma."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg
import pytest

from orchestrator.adapters.guards import GuardFolder, guards
from orchestrator.adapters.runbooks import load_contract
from tests import servers
from tests.acceptance.desk import execute, value
from tests.acceptance.test_guard_in_prisma import CONTRACT, TABLES
from tests.conftest import ClusterUrl

ONE, TWO, THREE, NONE = (UUID(int=number) for number in (1, 2, 3, 9))
MORE = """
[[foreign_key]]
schema = "odd"
table = "Some 100%s Rows"
columns = ["customer"]
references = { schema = "public", table = "customers", columns = ["code"] }
on_delete = "set default"
on_update = "cascade"
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The generated module, imported from where it was written."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "foreign_keys.toml").write_text(CONTRACT + MORE, "utf-8")
    GuardFolder(path=folder).write(guards(load_contract(folder / "foreign_keys.toml"), name="shop"))
    spec = importlib.util.spec_from_file_location("generated_guard", folder / "guard.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules["generated_guard"] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def url(cluster_url: ClusterUrl) -> Iterator[str]:
    """A database with two customers, their orders and what hangs on those."""
    found = servers.fresh_database(cluster_url(18))
    execute(
        found,
        *TABLES,
        "create schema odd",
        """create table odd."Some 100%s Rows" (id int primary key, customer text default 'b')""",
        f"insert into customers values ('{ONE}', 'a'), ('{TWO}', 'b')",
        f"insert into orders values (1, '{ONE}', '{TWO}'), (3, '{TWO}', null)",
        "insert into lines values (1, 1, 3), (1, 2, 3)",
        "insert into notes values (1, 1, 1), (2, null, null)",
        """insert into odd."Some 100%s Rows" values (1, 'a')""",
        "insert into people values (1, null), (2, 1)",
    )
    yield found
    servers.drop_database(found)


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that is rolled back."""
    with psycopg.connect(url) as opened:
        yield opened
        opened.rollback()


Act = Callable[[Any], object]

REFUSED: dict[str, tuple[Act, str, str, tuple[str | None, ...]]] = {
    "create": (
        lambda guard: guard.insert("orders", [{"id": 9, "customer_id": NONE}]),
        "MissingReference",
        "fk_orders_customer_id",
        (str(NONE),),
    ),
    "nested": (
        lambda guard: guard.insert_many(
            {"customers": [{"id": THREE, "code": "c"}], "orders": [{"customer_id": THREE}, {"bill_id": NONE}]}
        ),
        "MissingReference",
        "fk_orders_bill_id",
        (str(NONE),),
    ),
    "many": (
        lambda guard: guard.insert("orders", [{"customer_id": NONE if at == 700 else ONE} for at in range(1000)]),
        "MissingReference",
        "fk_orders_customer_id",
        (str(NONE),),
    ),
    "update": (
        lambda guard: guard.update("orders", {"customer_id": NONE}, {"id": 1}),
        "MissingReference",
        "fk_orders_customer_id",
        (str(NONE),),
    ),
    "in part": (
        lambda guard: guard.update("notes", {"b": 9}, {"id": 1}),
        "MissingReference",
        "fk_notes_a_b",
        ("1", "9"),
    ),
    "restrict": (
        lambda guard: guard.delete("customers", {"code": "a"}),
        "StillReferenced",
        "fk_orders_customer_id",
        (str(ONE),),
    ),
    "key": (
        lambda guard: guard.update("customers", {"id": THREE}, {"code": "a"}),
        "StillReferenced",
        "fk_orders_customer_id",
        (str(ONE),),
    ),
    "itself": (lambda guard: guard.delete("people", {"id": 1}), "StillReferenced", "fk_people_boss", ("1",)),
    "odd names": (
        lambda guard: guard.insert("odd.Some 100%s Rows", [{"id": 2, "customer": "z"}]),
        "MissingReference",
        "fk_Some 100%s Rows_customer",
        ("z",),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_the_write(module: ModuleType, connection: psycopg.Connection[Any], case: str) -> None:
    """The typed error names relation and value; the transaction can go on, and holds no write."""
    act, kind, relation, values = REFUSED[case]
    before = written(connection)
    with pytest.raises(module.GuardError) as refused:
        act(module.Guard(connection))
    error = refused.value
    assert (type(error).__name__, error.relation, error.values) == (kind, relation, values)
    assert written(connection) == before


def written(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    """Rows written by this session's transaction, per table."""
    query = "select n_tup_ins, n_tup_upd, n_tup_del, relname from pg_stat_xact_user_tables order by relname"
    return tuple(connection.execute(query).fetchall())


def test_good_writes(module: ModuleType, connection: psycopg.Connection[Any]) -> None:
    """One query per referenced table; NULLs pass, rows of the same call count."""
    asked: list[str] = []

    class Counting(psycopg.Cursor[Any]):
        """Keeps what it sends."""

        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            asked.append(query if isinstance(query, str) else query.as_string(self))
            return super().execute(query, *args, **kwargs)

    connection.cursor_factory = Counting
    guard = module.Guard(connection)
    assert guard.insert("orders", [{"id": 100 + at, "customer_id": ONE, "bill_id": TWO} for at in range(1000)]) == 1000
    assert sum("WITH ORDINALITY" in each for each in asked) == 1
    assert guard.insert("orders", [{"id": 5000, "customer_id": None}]) == 1
    assert sum("WITH ORDINALITY" in each for each in asked) == 1
    family = {"customers": [{"id": THREE, "code": "c"}], "orders": [{"id": 10, "customer_id": THREE}]}
    assert guard.insert_many(family) == 2
    assert guard.insert("people", [{"id": 3, "boss": 4}, {"id": 4, "boss": 3}]) == 2
    assert guard.update("notes", {"b": 2}, {"id": 1}) == 1
    assert guard.delete("people", {"id": 2}) == 1


def test_deletes_follow_the_contract(module: ModuleType, connection: psycopg.Connection[Any]) -> None:
    """Cascade over two levels, set null, set default, and a changed key that is carried on."""
    guard = module.Guard(connection)
    assert guard.delete("orders", {"id": 3}) == 1
    assert connection.execute("select (select count(*) from lines), (select count(*) from notes)").fetchone() == (0, 1)
    assert guard.update("customers", {"code": "aa"}, {"code": "a"}) == 1
    assert connection.execute('select customer from odd."Some 100%s Rows"').fetchone() == ("aa",)
    with pytest.raises(module.StillReferenced):
        guard.delete("customers", {"id": ONE})
    guard.update("orders", {"customer_id": None}, {"id": 1})
    assert guard.delete("customers", {"id": ONE}) == 1
    assert connection.execute('select customer from odd."Some 100%s Rows"').fetchone() == ("b",)
    with pytest.raises(module.MissingReference):
        guard.delete("customers", {"id": TWO})
    connection.execute('delete from odd."Some 100%s Rows"')
    assert guard.delete("customers", {"id": TWO}) == 1
    assert connection.execute("select bill_id from orders").fetchone() == (None,)


def test_what_was_checked_is_held(module: ModuleType, connection: psycopg.Connection[Any], url: str) -> None:
    """Nobody deletes the row until the commit."""
    module.Guard(connection).insert("orders", [{"id": 77, "customer_id": TWO}])
    with psycopg.connect(url, autocommit=True) as other, pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute("select from customers where code = 'b' for update nowait")


def test_a_table_under_two_names_is_one_table(module: ModuleType, connection: psycopg.Connection[Any]) -> None:
    """No row is left out, and what is told to be written is written."""
    both = {"people": [{"id": 30}], "public.people": [{"id": 31, "boss": 30}]}
    assert module.Guard(connection).insert_many(both) == 2
    assert connection.execute("select count(*) from people where id in (30, 31)").fetchone() == (2,)


def test_two_writers_of_one_key_do_not_check_half_each(module: ModuleType, url: str) -> None:
    """(1, 1) becomes (1, 2) here and (2, 1) there; both exist, (2, 2) does not."""
    execute(url, "insert into lines values (2, 1, 3)")
    try:
        with psycopg.connect(url) as one, psycopg.connect(url) as two, ThreadPoolExecutor(1) as pool:
            module.Guard(one).update("notes", {"b": 2}, {"id": 1})
            late = pool.submit(module.Guard(two).update, "notes", {"a": 2}, {"id": 1})
            with pytest.raises(TimeoutError):
                late.result(0.3)
            one.commit()
            with pytest.raises(module.MissingReference) as caught:
                late.result(10)
            assert caught.value.values == ("2", "2")
            two.rollback()
    finally:
        execute(url, "update notes set a = 1, b = 1 where id = 1", "delete from lines where a = 2")


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
def test_a_delete_that_may_not_see_all_is_refused(module: ModuleType, url: str, level: psycopg.IsolationLevel) -> None:
    """A row that refers to it was committed after the snapshot; where nothing refers, or none is moved, all goes on."""
    with psycopg.connect(url) as opened, psycopg.connect(url, autocommit=True) as other:
        opened.isolation_level = level
        module.Guard(other).insert("customers", [{"id": THREE, "code": "c"}])
        try:
            opened.execute("select from customers")
            module.Guard(other).insert("orders", [{"id": 88, "customer_id": THREE}])
            guard = module.Guard(opened)
            with pytest.raises(module.NotCheckable, match=rf"fk_orders_customer_id: under {level.name.lower()[:4]}"):
                guard.delete("customers", {"id": THREE})
            with pytest.raises(module.NotCheckable):
                guard.update("customers", {"id": NONE}, {"id": THREE})
            assert guard.update("customers", {"id": THREE, "code": "c"}, {"id": THREE}) == 1
            assert guard.delete("customers", {"id": NONE}) == 0
            assert guard.delete("notes", {"id": 2}) == 1
        finally:
            opened.rollback()
            execute(url, "delete from orders where id = 88", "delete from customers where code = 'c'")


def test_a_reference_to_what_went_after_the_snapshot(module: ModuleType, url: str) -> None:
    """The lock of the check does not let it pass: the server says that the transaction is to be tried again."""
    with psycopg.connect(url) as opened:
        opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        execute(url, f"insert into customers values ('{THREE}', 'c')")
        opened.execute("select from customers")
        execute(url, "delete from customers where code = 'c'")
        with pytest.raises(psycopg.errors.SerializationFailure):
            module.Guard(opened).insert("orders", [{"id": 88, "customer_id": THREE}])
        opened.rollback()


def test_a_row_that_refers_to_its_own_table(module: ModuleType, connection: psycopg.Connection[Any]) -> None:
    """Its key and its reference may change together; the key that it loses is none to refer to."""
    guard = module.Guard(connection)
    connection.execute("insert into people values (5, 5), (6, null), (7, 6)")
    assert guard.update("people", {"id": 10, "boss": 10}, {"id": 5}) == 1
    assert guard.update("people", {"id": 11, "boss": 11}, {"id": 99}) == 0
    for values, where, kind in (
        ({"id": 12, "boss": 10}, {"id": 10}, "MissingReference"),
        ({"id": 12, "boss": 99}, {"id": 10}, "MissingReference"),
        ({"id": 12, "boss": 12}, {"id": 6}, "StillReferenced"),
    ):
        with pytest.raises(module.GuardError) as refused:
            guard.update("people", values, where)
        assert type(refused.value).__name__ == kind
    assert connection.execute("select * from people where id > 2 order by id").fetchall() == [
        (6, None),
        (7, 6),
        (10, 10),
    ]


def test_an_update_of_nothing(module: ModuleType, connection: psycopg.Connection[Any]) -> None:
    """Without values no row is updated, and that is said."""
    assert module.Guard(connection).update("orders", {}, {"id": 1}) == 0


def test_a_row_that_comes_to_meet_the_condition_is_not_deleted(module: ModuleType, url: str) -> None:
    """It was not looked at, and lines refer to it; the delete waits for another row of the condition meanwhile."""
    execute(
        url, f"insert into orders values (41, '{THREE}', null), (42, null, null)", "insert into lines values (4, 2, 42)"
    )
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    try:
        with psycopg.connect(url) as one, psycopg.connect(url) as two, ThreadPoolExecutor(1) as pool:
            one.execute("select from orders where id = 41 for update")
            one.execute("update orders set customer_id = %s where id = 42", [THREE])
            deleted = pool.submit(module.Guard(two).delete, "orders", {"customer_id": THREE})
            while not value(url, waiting):
                pass
            one.commit()
            assert deleted.result(10) == 1
            two.commit()
        assert value(url, "select count(*) from orders where id in (41, 42)") == 1
    finally:
        execute(url, "delete from lines where a = 4", "delete from orders where id in (41, 42)")


def test_asynchronous(module: ModuleType, url: str) -> None:
    """The same on an AsyncConnection."""

    async def play() -> tuple[str, int]:
        async with await psycopg.AsyncConnection.connect(url) as opened:
            guard = module.AsyncGuard(opened)
            with pytest.raises(module.MissingReference) as refused:
                await guard.insert("orders", [{"customer_id": NONE}])
            done = await guard.update("orders", {"bill_id": ONE}, {"id": 3})
            await opened.rollback()
            return refused.value.relation, done

    assert asyncio.run(play()) == ("fk_orders_customer_id", 1)
    assert value(url, "select count(*) from orders where bill_id = %s", ONE) == 0


def test_its_types_are_right(module: ModuleType) -> None:
    """Nothing to say for mypy --strict."""
    path = Path(str(module.__file__))
    words = ("--strict", "--no-error-summary", "--cache-dir", str(path.parent / "cache"), "--follow-imports", "silent")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, str(path)], cwd=path.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_its_generated_tests(module: ModuleType, cluster_url: ClusterUrl) -> None:
    """They pass on an empty database, and leave it empty."""
    folder = Path(str(module.__file__)).parent
    empty = servers.fresh_database(cluster_url(18))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_guard.py"],
        cwd=folder,
        env={**os.environ, "GUARD_TEST_DATABASE_URL": empty},
        capture_output=True,
        text=True,
        check=False,
    )
    left = value(empty, "select count(*) from pg_class where relnamespace = 'public'::regnamespace")
    servers.drop_database(empty)
    relations = len(module.RELATIONS)
    assert (done.returncode, f"{2 * relations + 1} passed" in done.stdout, left) == (0, True, 0), done.stdout
