"""A COMMIT takes time, and its answer can be lost or late: what it did is found out, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from orchestrator.adapters import ledger_journal, points
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from orchestrator.app.answer import Answer
from orchestrator.core.outcome import EXIT_DONE
from tests import servers
from tests.acceptance.desk import Desk, execute, keys, not_valid, value
from tests.chaos.proxy import Proxy
from tests.chaos.sections import port_of, with_port

PATIENCE_S = 60.0
KEYS = 2

# commit_delay is in microseconds, and only counts where commits are flushed to disk.
SLOW = {"fsync": "on", "commit_delay": "100000", "commit_siblings": "0"}

TABLES = (
    "create table parent (id int primary key)",
    "insert into parent values (1)",
    *(
        f"create table child_{n} (id int primary key, parent_id int); create index on child_{n} (parent_id)"
        for n in range(KEYS)
    ),
)
CONTRACT = "\n".join(
    f"""
    [[foreign_key]]
    table = "child_{n}"
    columns = ["parent_id"]
    references = {{ table = "parent", columns = ["id"] }}
    on_delete = "restrict"
    priority = "high"
    """
    for n in range(KEYS)
)

AT_WORK = """
select client_port from pg_stat_activity as a
where datname = current_database() and state = 'active' and application_name like '%/{step}' and query ilike '{query}%'
  and ('{mode}' = '' or exists (
      select from pg_locks as l
      where l.pid = a.pid and l.relation::regclass::text like 'child\\_%' and l.mode = '{mode}' and l.granted))
"""

# An attempt is one message, of which the COMMIT takes by far the longest: it has its locks almost only then.
IN_FLIGHT = {
    "an ADD": AT_WORK.format(step="apply", query="begin", mode="ShareRowExclusiveLock"),
    "a VALIDATE": AT_WORK.format(step="apply", query="begin", mode="ShareUpdateExclusiveLock"),
    "an event of the journal": AT_WORK.format(step="journal", query="select e.run", mode=""),
}
WAITING = "select client_port from pg_stat_activity where wait_event = 'SyncRep'"
BEGINNING = AT_WORK.format(step="journal", query="commit", mode="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A database on a server whose commits are slow, behind a proxy, and a contract of two keys for it."""

    url: str
    proxy: Proxy
    runbook: str


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server on which every commit takes a tenth of a second."""
    cluster = Cluster(directory=tmp_path_factory.mktemp("slow"), installation=server_installation(16), settings=SLOW)
    cluster.start()
    yield cluster
    cluster.discard()


@pytest.fixture
def behind(desk: Desk, slow: Cluster) -> Iterator[Staging]:
    """Staging on that server."""
    url = servers.fresh_database(slow.url())
    execute(url, *TABLES)
    with Proxy(port_of(slow)) as proxy:
        desk.environment("staging", with_port(url, proxy.port))
        yield Staging(url=url, proxy=proxy, runbook=desk.runbook(CONTRACT))
    servers.drop_database(url)


@contextmanager
def watched(staging: Staging, query: str, *, act: Callable[[int], None] = lambda _: None) -> Iterator[list[int]]:
    """While the block lasts look for a connection, and act once with the port that it comes from; what was found."""
    found: list[int] = []
    over, looking = threading.Event(), threading.Event()

    def watch() -> None:
        with psycopg.connect(staging.url, autocommit=True) as connection:
            while not over.is_set() and not found:
                for (port,) in connection.execute(query.encode()).fetchmany(1):
                    act(port)
                    found.append(port)
                looking.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert looking.wait(PATIENCE_S)
    try:
        yield found
    finally:
        over.set()
        thread.join()


def done_once(desk: Desk, staging: Staging, answer: Answer) -> None:
    """The run is done, each statement is on record once, the chain is whole, and nothing is left open."""
    assert (answer.exit_code, answer.document["state"]) == (EXIT_DONE, "done")
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert len(done) == len(set(done)) == 2 * KEYS
    assert desk.events(answer, "statement_failed") == []
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")
    assert len(keys(staging.url)) == KEYS
    assert not_valid(staging.url) == set()
    assert value(staging.url, "select array_agg(id) from orchestrator.run where closed") == [answer.document["run"]]
    assert value(staging.url, "select count(*) from orchestrator.run") == 1
    assert value(staging.url, "select released from orchestrator.lease")


@pytest.mark.parametrize("what", IN_FLIGHT)
def test_a_connection_that_is_cut_in_a_commit(desk: Desk, behind: Staging, what: str) -> None:
    """The server goes on with the COMMIT that nobody waits for: its end is waited for before anybody looks."""
    with watched(behind, IN_FLIGHT[what], act=behind.proxy.cut_from) as cut:
        answer = desk.deploy(runbook=behind.runbook, until="apply")
    assert cut
    done_once(desk, behind, answer)


def test_a_connection_that_is_cut_when_the_ledger_begins(desk: Desk, behind: Staging) -> None:
    """The run stands in the ledger and has not heard of it: it is not told as refused, and goes on."""
    with watched(behind, BEGINNING, act=behind.proxy.cut_from) as cut:
        answer = desk.deploy(runbook=behind.runbook, until="apply")
    assert cut
    done_once(desk, behind, answer)


def test_an_answer_that_comes_late(desk: Desk, staging: str) -> None:
    """Validations commit in one order and are heard of in another: one that waits for its turn is not begun again."""
    desk.environment("staging", staging, policy="validate_workers = 2")
    held, others, five = threading.Lock(), [], threading.Event()

    def visit(point: str) -> None:
        if point != "effect:committed" or threading.current_thread() is threading.main_thread():
            return
        if held.acquire(blocking=False):
            assert five.wait(PATIENCE_S)
        others.append(point)
        if len(others) == 5:
            five.set()

    points.visit(visit)
    try:
        answer = desk.deploy()
    finally:
        points.visit(lambda _: None)
    assert answer.exit_code == EXIT_DONE
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert len(done) == len(set(done)) == 88
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


def test_a_synchronous_standby_that_is_gone(desk: Desk, behind: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last commit waits for it, for a bounded time, and it is on record whether or not it was answered."""
    monkeypatch.setattr(ledger_journal, "ANSWER_WITHIN_S", 1.0)
    seen: list[str] = []

    def lose_the_standby(point: str) -> None:
        seen.append(point)
        if seen.count("effect:committed") == KEYS:
            execute(
                behind.url,
                "alter system set synchronous_standby_names = 'nobody'",
                "select pg_reload_conf()",
            )

    points.visit(lose_the_standby)
    try:
        with watched(behind, WAITING) as waited:
            answer = desk.deploy(runbook=behind.runbook, until="apply")
    finally:
        points.visit(lambda _: None)
        execute(behind.url, "alter system reset synchronous_standby_names", "select pg_reload_conf()")
    assert waited
    done_once(desk, behind, answer)
