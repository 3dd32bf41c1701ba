"""Every method of counting gives the number that a plain NOT EXISTS gives, whatever the statistics say."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator.adapters import orphans, side_by_side
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.orphan_sql import counted, orphan_condition, settings, walked
from orchestrator.adapters.orphans import SAMPLE, OrphanQueries, read_statistics
from orchestrator.adapters.postgres import Server
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.counting import Counting, Method
from orchestrator.core.outcome import ConnectionLost, OrchestratorError, Refused
from tests import servers
from tests.conftest import ENDS, ClusterUrl, server_of
from tests.waiting import until

METHODS: tuple[Method, ...] = ("loose index scan", "merge anti-join", "hash anti-join")

# Random rows from a fixed seed: NULL in a tenth, every value several times, and orphans between, below and above.
NUMBERS = """
create table {p} (id {key} primary key); insert into {p} select g * 2 from generate_series(1, 400) g;
create table {c} (id serial primary key, v {mine});
insert into {c} (v) select case when random() < 0.1 then null when random() < 0.02 then (random() * 900)::int
                            else 2 * (1 + (random() * 399)::int) end from generate_series(1, 3000);
insert into {c} (v) values (0), (0), (801), (900);
create index on {c} (v {order});
"""

MORE = """
create domain word as text;
create table lp (id text primary key); insert into lp select 'v' || g from generate_series(1, 300) g;
create table lc (id serial primary key, v varchar(9), w word, x text);
insert into lc (v, w, x) select case when random() < 0.1 then null else u end, u, u
    from (select 'v' || (random() * 310)::int as u from generate_series(1, 2000)) d;
insert into lc (v, w, x) values ('', '', ''), ('zz', 'zz', 'zz');
create index on lc (v); create index on lc (w, id); create index on lc (x collate "POSIX");
create table cp (id text collate "C" primary key); insert into cp select 'v' || g from generate_series(1, 300) g;
create table cc (id serial primary key, v text collate "C"); insert into cc (v) select v from lc;
create index on cc (v);
create table pp (a int, b text, primary key (a, b));
insert into pp select g % 20, 'b' || g from generate_series(1, 200) g;
create table pc (id serial primary key, x text, y int);
insert into pc (y, x) select case when random() < 0.1 then null else g % 21 end,
                             case when random() < 0.1 then null else 'b' || g end
    from (select (1 + random() * 205)::int as g from generate_series(1, 2000)) d;
create index on pc (y, x);
create table qp (id int primary key) partition by range (id);
create table qp_1 partition of qp for values from (0) to (100);
create table qp_2 partition of qp for values from (100) to (1000);
insert into qp select generate_series(1, 200, 2);
create table qc (id serial, v int) partition by list (id);
create table qc_1 partition of qc default; insert into qc (v) select random() * 250 from generate_series(1, 500);
create index on qc (v);
create table ep (id int primary key); create table ec (v int); create index on ec (v);
create table sp (id int primary key, v int); insert into sp select g, nullif(g / 2, 3) from generate_series(1, 500) g;
create index on sp (v);
"""


def relation(child: str, columns: str, parent: str, keys: str = "id", **more: Any) -> Relation:
    """A relation between two tables of schema public; columns in one string."""
    return Relation(
        table=TableName(schema="public", name=child),
        columns=tuple(columns.split()),
        referenced=TableName(schema="public", name=parent),
        referenced_columns=tuple(keys.split()),
        name="k",
        **more,
    )


RELATIONS = (
    relation("n1c", "v", "n1p"),
    relation("n2c", "v", "n2p"),
    relation("n3c", "v", "n3p"),
    relation("lc", "v", "lp"),
    relation("lc", "w", "lp"),
    relation("lc", "x", "lp"),
    relation("cc", "v", "cp"),
    relation("lc", "x", "cp"),
    relation("pc", "x y", "pp", "b a"),
    relation("pc", "x y", "pp", "b a", match="full"),
    relation("qc", "v", "qp"),
    relation("qc_1", "v", "qp_2"),
    relation("ec", "v", "n1p"),
    relation("n1c", "v", "ep"),
    relation("sp", "v", "sp"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database with all these tables; `plain` is what NOT EXISTS counts for each relation."""

    url: str
    catalog: Catalog
    plain: tuple[int, ...]

    def counts(self, relations: tuple[Relation, ...] = RELATIONS) -> tuple[int, ...]:
        """What we count; the sample has the orphans, as many as it should."""
        found = tuple(OrphanQueries(server=server_of(self.url)).count(relations, self.catalog))
        assert tuple(each.relation for each in found) == relations
        assert all(len(each.sample) == min(each.count, SAMPLE) for each in found)
        return tuple(each.count for each in found)


@pytest.fixture(scope="module", params=ENDS)
def place(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[Place]:
    """The same rows on each version in turn."""
    url = servers.fresh_database(cluster_url(request.param))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select setseed(0.5)")
        for name, key, mine, order in (("n1", "int", "int", ""), ("n2", "bigint", "smallint", "desc")):
            connection.execute(NUMBERS.format(p=f"{name}p", c=f"{name}c", key=key, mine=mine, order=order).encode())
        connection.execute(NUMBERS.format(p="n3p", c="n3c", key="numeric", mine="int", order="nulls first").encode())
        connection.execute(MORE.encode())
        # What this session changed is otherwise added to the statistics after the vacuum.
        connection.execute("select pg_stat_force_next_flush()")
        connection.execute("vacuum (analyze)")
        catalog = DatabaseCatalog(server=server_of(url)).catalog()
        plain = [_plain(connection, each, catalog) for each in RELATIONS]
    yield Place(url=url, catalog=catalog, plain=tuple(plain))
    servers.drop_database(url)


def _plain(connection: psycopg.Connection[Any], each: Relation, catalog: Catalog) -> int:
    query = orphan_condition(each, catalog).as_string(connection)
    ((count,),) = connection.execute(f"select count(*) from {query}".encode()).fetchall()
    return int(count)


def force(monkeypatch: pytest.MonkeyPatch, method: Method, jumps: int = 0) -> None:
    """Let every relation be counted by one method, whatever its statistics say."""
    forced = Counting(method=method, reason="forced", jumps=jumps)
    monkeypatch.setattr(orphans, "decide", lambda relations, *_: (forced,) * len(relations))


def test_what_is_decided_is_exact(place: Place) -> None:
    """Whatever is chosen for it; and there is something to find."""
    assert place.counts() == place.plain
    assert sum(place.plain) > 100


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_exact(place: Place, monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    """Also where it would never be chosen; a loose index scan goes where there is an order to walk."""
    force(monkeypatch, method, jumps=10_000 if method == "loose index scan" else 0)
    walkable = tuple(
        each
        for each in RELATIONS
        if method != "loose index scan" or (len(each.columns) == 1 and each.table.name != "qc")
    )
    wanted = tuple(count for each, count in zip(RELATIONS, place.plain, strict=True) if each in walkable)
    assert place.counts(walkable) == wanted


def test_a_walk_that_would_not_end_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more values than the statistics told: the rest of the same transaction counts otherwise."""
    force(monkeypatch, "loose index scan", jumps=20)
    (found,) = OrphanQueries(server=server_of(place.url)).count(RELATIONS[:1], place.catalog)
    assert (found.count, found.method) == (place.plain[0], "hash anti-join")
    assert "more than 20 values" in found.reason


@pytest.mark.parametrize(
    ("method", "kind"), [("merge anti-join", "Merge"), ("hash anti-join", "Hash"), ("loose index scan", "Recursive")]
)
def test_the_server_takes_the_method(place: Place, method: Method, kind: str) -> None:
    """What the settings of a method leave it is that method, with nothing sorted; MATCH FULL is joined, too."""
    queries = [
        walked(RELATIONS[0], place.catalog, 100)
        if method == "loose index scan"
        else counted(replace(RELATIONS[9], match=match), place.catalog)
        for match in ("simple", "full")
    ]
    for query in queries:
        with psycopg.connect(place.url) as connection:
            connection.execute(settings(method).encode())
            plan = "\n".join(row[0] for row in connection.execute(sql.SQL("explain ") + query))
        assert re.search(f"{kind} (.*Anti Join|Union)", plan), plan
        assert "Sort" not in plan
        assert "SubPlan" not in plan or method == "loose index scan"


def test_the_orders_of_the_indexes_are_known(place: Place) -> None:
    """Descending is an order too; NULLS FIRST, another collation and a partition's parent are none that we can use."""
    names = tuple(TableName(schema="public", name=each) for each in ("n1c", "n2c", "n3c", "lc"))
    with server_of(place.url).session("test") as connection:
        found = read_statistics(connection, RELATIONS)
    assert [("v",) in found[name].orders for name in names] == [True, True, False, True]
    assert found[names[3]].orders == {("v",), ("w", "id"), ("id",)}
    assert found[names[0]].visible == 1
    assert found[names[0]].columns["v"].distinct


def test_an_expression_ends_an_order(server: Any, database: str) -> None:
    """Neither what comes after it nor a partial or hash index gives an order."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create table t (a int, b int); create index on t (a, abs(b), b); create index on t (abs(a), b);"
            " create index on t (b) where a > 0; create index on t using hash (b)"
        )
    with server.session("test") as connection:
        found = read_statistics(connection, [relation("t", "a", "t", "b")])
    assert [each.orders for each in found.values()] == [{("a",)}]


def test_equal_under_its_collation_is_one_value(cluster_url: ClusterUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collation that ignores case (ICU: Debian's 15 only): all rows of such a value count, and none twice."""
    url = servers.fresh_database(cluster_url(15))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            create table p (id text collate ci primary key); insert into p values ('Abc');
            create table c (v text collate ci); insert into c values ('aBC'), ('abd'), ('ABD'), ('x');
            create index on c (v)"""
        )
    catalog = DatabaseCatalog(server=server_of(url)).catalog()
    for method in METHODS:
        force(monkeypatch, method, jumps=100 if method == "loose index scan" else 0)
        (found,) = OrphanQueries(server=server_of(url)).count([relation("c", "v", "p")], catalog)
        assert (found.count, len(found.sample)) == (3, 3)
    servers.drop_database(url)


def test_only_readers_locks_are_held(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of each count: ACCESS SHARE on tables and indexes, no transaction number, one snapshot."""
    held: set[tuple[str, str]] = set()
    isolation: set[str] = set()
    plainly = orphans._number

    def look(connection: Any, before: str, query: Any) -> int | None:
        found = plainly(connection, before, query)
        with psycopg.connect(place.url) as other:
            held.update(
                other.execute(
                    "select locktype, mode from pg_locks where pid = %s and locktype <> 'virtualxid'",
                    (connection.info.backend_pid,),
                ).fetchall()
            )
        isolation.add(connection.execute("show transaction_isolation").fetchone()["transaction_isolation"])
        return found

    monkeypatch.setattr(orphans, "_number", look)
    for method in METHODS:
        force(monkeypatch, method, jumps=1000 if method == "loose index scan" else 0)
        place.counts(RELATIONS[:2])
    assert held == {("relation", "AccessShareLock")}
    assert isolation == {"repeatable read"}


def nobody_is_left(url: str) -> None:
    """No thread of ours, and no session once the server has noticed."""
    assert "audit" not in {each.name for each in threading.enumerate()}
    query = "select exists (select from pg_stat_activity where application_name like 'orchestrator/%')"
    with psycopg.connect(url, autocommit=True) as connection:
        while (connection.execute(query).fetchone() or (False,))[0]:
            continue


@pytest.fixture
def blocked(place: Place) -> Iterator[tuple[Server, Iterator[Any]]]:
    """A count that waits for a lock which somebody holds; the first result was handed over."""
    with psycopg.connect(place.url) as other:
        other.execute("lock table sp")
        wanted = (RELATIONS[0], relation("sp", "v", "sp"), relation("sp", "v", "n1p"))
        server = server_of(place.url)
        found = OrphanQueries(server=server).count(wanted, place.catalog)
        next(found)
        until(lambda: other.execute("select 1 from pg_locks where not granted").fetchone())
        yield server, found
        other.rollback()


def test_who_stops_listening_leaves_nobody_behind(place: Place, blocked: Any) -> None:
    """As after Ctrl-C: what is being asked is cancelled, not waited for."""
    blocked[1].close()
    nobody_is_left(place.url)


def test_an_error_ends_the_others(place: Place) -> None:
    """One relation cannot be read: what was counted before and after it is handed over, then the one error."""
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("create role halfblind; grant select on all tables in schema public to halfblind")
        connection.execute("revoke select on lc from halfblind; grant halfblind to current_user")
    wanted = (RELATIONS[0], RELATIONS[3], RELATIONS[1])
    hidden = replace(server_of(place.url), role="halfblind")
    found: list[Relation] = []
    with pytest.raises(Refused, match=r"counting orphans of public\.lc.*permission denied"):
        found.extend(each.relation for each in OrphanQueries(server=hidden).count(wanted, place.catalog))
    assert found in ([wanted[0]], [wanted[0], wanted[2]])
    nobody_is_left(place.url)
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("drop owned by halfblind; drop role halfblind")


@pytest.mark.parametrize("cancel", [True, False])
def test_an_interruption_ends_all(place: Place, blocked: Any, cancel: bool) -> None:
    """Asked in the middle: every connection is cancelled, also when that was not asked for."""
    server, found = blocked
    server.interruption.ask("interrupted by SIGINT", cancel=cancel)
    with pytest.raises(OrchestratorError, match=r"canceling statement|interrupted by SIGINT"):
        list(found)
    nobody_is_left(place.url)


def test_a_lost_connection_is_told_as_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the step is taken again, as before."""

    def lose(connection: Any, *_: Any) -> int:
        with psycopg.connect(place.url, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
        connection.execute("select 1")
        raise AssertionError

    monkeypatch.setattr(orphans, "_number", lose)
    with pytest.raises(ConnectionLost):
        place.counts()
    nobody_is_left(place.url)


def test_what_is_taken_back_is_asked_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another connection, a few times; then the one line says what to do."""
    monkeypatch.setattr(side_by_side, "FIRST_PAUSE_MS", 0.0)
    monkeypatch.setattr(side_by_side, "LONGEST_PAUSE_MS", 0.0)
    asked, plainly = [0], orphans._number

    def conflict(connection: Any, before: str, query: Any) -> int | None:
        asked[0] += 1
        if asked[0] < enough:
            raise psycopg.errors.SerializationFailure
        return plainly(connection, before, query)

    monkeypatch.setattr(orphans, "_number", conflict)
    enough = side_by_side.ATTEMPTS
    assert place.counts(RELATIONS[:1]) == place.plain[:1]
    asked[0], enough = 0, enough + 1
    with pytest.raises(Refused, match=r"taken back 5 times.*hot_standby_feedback"):
        place.counts(RELATIONS[:1])
