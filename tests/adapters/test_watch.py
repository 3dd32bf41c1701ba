"""What a sample asks of a real server: its statistics of statements and transactions, and its log in each format."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import ProgramsMissing, server_installation
from orchestrator.adapters.watch_log import read_log
from orchestrator.adapters.watch_log_lines import count
from orchestrator.adapters.watch_sampler import DatabaseSampler
from orchestrator.adapters.watch_statements import written
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.watch import HostSeen, LogRead, Sample
from orchestrator.core.watch_readings import reading
from tests import servers
from tests.acceptance.desk import execute
from tests.conftest import server_of

ORDERS = TableName(schema="public", name="orders")
CUSTOMERS = TableName(schema="public", name="customers")
TABLES = (ORDERS, CUSTOMERS)
CONTRACT = Contract(
    relations=(
        Relation(
            table=ORDERS, columns=("customer_id",), referenced=CUSTOMERS, referenced_columns=("id",), name="fk_orders"
        ),
    )
)
BAD = "insert into orders values (-1, -1)"


class Nobody:
    """An environment without hosts."""

    def look(self, past: object = None) -> tuple[HostSeen, ...]:
        """Nothing to see."""
        return ()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database on a server that gathers statements and writes its log in every format; the key stands."""
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "logging_collector": "on",
        "log_destination": "stderr,csvlog,jsonlog",
        "log_line_prefix": "%m [%p] %q%u@%d/%a ",
    }
    try:
        installation = server_installation(15)
    except ProgramsMissing as missing:
        pytest.skip(f"no PostgreSQL 15 with its extensions on this machine: {missing}")
    place = tmp_path_factory.mktemp("watched") / "cluster"
    with Cluster(directory=place, installation=installation, settings=settings) as cluster:
        url = servers.fresh_database(cluster.url())
        execute(
            url,
            "create extension pg_stat_statements",
            "create table customers (id bigint primary key)",
            "create table orders (id bigint primary key, customer_id bigint)",
            "alter table orders add constraint fk_orders foreign key (customer_id) references customers",
            "insert into customers values (1)",
        )
        yield url
    cluster.discard()


def sampled(url: str, last: Sample | None = None) -> Sample:
    """A sample of that database."""
    sampler = DatabaseSampler(
        server=server_of(url),
        contract=CONTRACT,
        hosts=Nobody(),
        host="here",
        lock_timeout_ms=100,
        clock=lambda _: datetime.now(UTC),
    )
    return sampler.take(last, last.log if last else None, every_s=300)


def test_statements_transactions_and_violations_between_two_samples(watched: str) -> None:
    """Slow writes by what the server gathers, one transaction in four rolled back, two violations in the log."""
    execute(watched, "insert into orders values (0, 1)")
    first = sampled(watched)
    assert (first.method, first.unknown) == ("statements", {})
    with psycopg.connect(watched, autocommit=True) as connection:
        for number in range(1, 61):
            connection.execute("insert into orders (id, customer_id) values (%s, 1)", (number,))
            if number % 3 == 0:
                connection.execute("begin")
                connection.execute("rollback")
        connection.execute("insert into public.orders select 100, 1 from pg_sleep(0.3)")
        for _ in range(2):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                connection.execute(BAD)
    second = sampled(watched, first)
    told = reading(first, second)
    assert 300 / 64 < told.writes["insert public.orders"] < 200
    assert told.error_rate
    assert 25 < told.error_rate < 28
    assert told.violations == 2
    assert (told.standing, told.broken) == (1, {})
    third = reading(second, sampled(watched, second))
    assert (third.violations, third.error_rate) == (0, None)
    assert "insert public.orders" not in third.writes


def test_the_same_violation_is_counted_in_each_format(watched: str) -> None:
    """In words only where they are English; our own and those of other databases are left out."""
    with psycopg.connect(watched, autocommit=True) as connection:
        files = {}
        for form in ("jsonlog", "csvlog", "stderr"):
            row = connection.execute(
                "select pg_current_logfile(%s), current_database(), current_setting('log_line_prefix')", (form,)
            ).fetchone()
            assert row
            files[form] = row
        sizes = {
            form: connection.execute("select size from pg_stat_file(%s)", (row[0],)) for form, row in files.items()
        }
        starts = {form: (found.fetchone() or [0])[0] for form, found in sizes.items()}
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(BAD)
        connection.execute("set application_name = 'orchestrator/r/monitor'")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(BAD)
        connection.execute("select pg_sleep(0)")
        for form, (file, database, prefix) in files.items():
            text = b""
            while text.count(BAD.encode()) < 2:
                found = connection.execute(
                    "select pg_read_binary_file(%s, %s, 1000000, true)", (file, starts[form])
                ).fetchone()
                text = found[0] if found else b""
            whole = text.rstrip(b"\n") + b"\n"
            assert count(whole, form, database=database, prefix=prefix).violations == 1, form  # type: ignore[arg-type]
            assert count(whole, form, database="other", prefix=prefix).violations == 0, form  # type: ignore[arg-type]
            cut = count(whole[: len(whole) // 2], form, database=database, prefix=prefix)  # type: ignore[arg-type]
            rest = count(whole[cut.whole :], form, database=database, prefix=prefix)  # type: ignore[arg-type]
            assert cut.violations + rest.violations == 1, form


def test_a_log_that_was_rotated_is_read_to_its_end_first(watched: str) -> None:
    """The rest of the old file, then the new one: each violation once."""
    server = server_of(watched)
    with server.session("monitor") as connection:
        begun = read_log(connection, None)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            execute(watched, BAD)
        # A name that comes from the clock is the same within a second.
        connection.execute("alter system set log_filename = 'second-%Y.log'")
        connection.execute("select pg_reload_conf()")
        deadline = datetime.now(UTC).timestamp() + 20
        while _current(connection) == begun.file:
            assert datetime.now(UTC).timestamp() < deadline
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            execute(watched, BAD)
        found, total = begun, 0
        while total < 2:
            assert datetime.now(UTC).timestamp() < deadline
            found = read_log(connection, found)
            total += found.violations
        assert found.file != begun.file
        assert read_log(connection, found).violations == 0
        shorter = LogRead(file=found.file, offset=found.offset + 10**9, violations=0)
        assert read_log(connection, shorter).violations == 1


def _current(connection: psycopg.Connection[dict[str, object]]) -> object:
    row = connection.execute("select pg_current_logfile('jsonlog') as file").fetchone()
    return row["file"] if row else None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("INSERT INTO orders VALUES ($1)", (ORDERS, "insert")),
        ('/* app */ insert into "public"."orders" (id) values ($1)', (ORDERS, "insert")),
        ("with x as (select 1) delete from only public . customers", (CUSTOMERS, "delete")),
        ("UPDATE ONLY Orders SET a = $1", (ORDERS, "update")),
        ('update "Orders" set a = $1', None),
        ("insert into other.orders values ($1)", None),
        ("select * from orders for update", None),
        ("select 'insert into orders'", None),
    ],
)
def test_which_table_a_statement_writes_to(query: str, found: object) -> None:
    """By the text that the server keeps; what is not sure is left out."""
    assert written(query, TABLES) == found
