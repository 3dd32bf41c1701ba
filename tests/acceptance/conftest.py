"""What acceptance tests stand on: a desk, a staging environment, and servers that are more than a plain primary."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestrator.adapters import points
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from tests import servers
from tests.acceptance.copies import PhysicalCopy
from tests.acceptance.desk import MASTER, Desk, execute, keys
from tests.acceptance.poolers import PGBOUNCER, Pooler
from tests.acceptance.proxied import At, Site, with_tables
from tests.chaos.proxy import Proxy
from tests.chaos.sections import port_of, with_port
from tests.conftest import ClusterUrl


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An empty desk; the working directory is its folder, so that a stray file shows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inventory").mkdir()
    return Desk(folder=tmp_path, monkeypatch=monkeypatch)


@pytest.fixture
def staging(desk: Desk, master: str) -> str:
    """The URL of a database with the base migration on PostgreSQL 16, known to the desk as staging."""
    desk.environment("staging", master)
    return master


Stop = Callable[[str, int], None]


class Stopped(BaseException):
    """Ends a command as a crash would: nothing of the product catches it."""


@pytest.fixture
def stop_at() -> Iterator[Stop]:
    """Make the next command crash when it comes to that point for the n-th time."""

    def prepare(name: str, times: int) -> None:
        seen = 0

        def visit(point: str) -> None:
            nonlocal seen
            seen += point == name
            if point == name and seen == times:
                points.visit(lambda _: None)
                _end_pages()
                raise Stopped

        points.visit(visit)

    yield prepare
    points.visit(lambda _: None)


def _end_pages() -> None:
    """A process that is killed takes its threads along: its page of a lasting step is not written over a later one."""
    for each in threading.enumerate():
        if isinstance(each, threading.Timer) and each.function.__qualname__.startswith("LiveReport."):
            each.cancel()


@pytest.fixture
def interrupted(desk: Desk, staging: str, stop_at: Stop) -> str:
    """A deployment that crashed after 20 statements; its run."""
    stop_at("effect:committed", 20)
    with pytest.raises(Stopped):
        desk.deploy()
    assert len(keys(staging)) == 21
    found: str = desk.status()["run"]
    return found


@pytest.fixture(scope="session")
def quiet_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL 16 where nothing happens by itself (autovacuum off), and which knows logical replication."""
    cluster = Cluster(
        directory=tmp_path_factory.mktemp("quiet") / "cluster",
        installation=server_installation(16),
        settings={"autovacuum": "off", "wal_level": "logical"},
    )
    servers.start(cluster)
    yield cluster
    cluster.discard()


@pytest.fixture
def quiet(quiet_cluster: Cluster) -> Iterator[str]:
    """The URL of a fresh database with the base migration on the quiet cluster."""
    url = servers.fresh_database(quiet_cluster.url())
    for path in sorted(MASTER.glob("migrations/*/migration.sql")):
        execute(url, path.read_text("utf-8"))
    yield url
    servers.drop_database(url)


@pytest.fixture
def owner(master: str) -> Iterator[str]:
    """The base migration's database as an ordinary role reaches it: owner of the tables, CREATE on the database."""
    with _role(master) as (name, url):
        tables = sql.SQL(
            "do $$ declare t regclass; begin"
            " for t in select oid from pg_class where relnamespace = 'public'::regnamespace"
            " and relkind = 'r' loop execute format('alter table %s owner to {}', t); end loop; end $$"
        )
        with psycopg.connect(master, autocommit=True) as connection:
            connection.execute(tables.format(name))
            database = sql.Identifier(servers.database_name(master))
            connection.execute(sql.SQL("grant create on database {} to {}").format(database, name))
        yield url


@pytest.fixture
def stranger(master: str) -> Iterator[str]:
    """The base migration's database as a role reaches it that may only read."""
    with _role(master) as (name, url):
        with psycopg.connect(master, autocommit=True) as connection:
            connection.execute(sql.SQL("grant select on all tables in schema public to {}").format(name))
        yield url


class _role:  # noqa: N801  used as a block
    """A login role that exists as long as the block."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"role_{servers.database_name(url)}"

    def __enter__(self) -> tuple[sql.Identifier, str]:
        name = sql.Identifier(self.name)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("create role {} login password 'rolesecret'").format(name))
        return name, make_conninfo(self.url, user=self.name, password="rolesecret")

    def __exit__(self, *_: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            name = sql.Identifier(self.name)
            connection.execute(sql.SQL("reassign owned by {} to current_user").format(name))
            connection.execute(sql.SQL("drop owned by {}").format(name))
            connection.execute(sql.SQL("drop role {}").format(name))


Copy = Callable[..., PhysicalCopy]


@pytest.fixture
def physical(cluster_url: ClusterUrl) -> Iterator[Copy]:
    """Makes a physical copy of the PostgreSQL 16 cluster: a standby that follows it, or a primary of its own."""
    made: list[PhysicalCopy] = []

    def copy(*, standby: bool) -> PhysicalCopy:
        made.append(PhysicalCopy(cluster_url(16), standby=standby))
        made[-1].start()
        return made[-1]

    yield copy
    for each in made:
        each.stop()


Pool = Callable[..., Pooler]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """Starts a real pgbouncer in front of a database."""
    if not PGBOUNCER.exists():
        pytest.skip("no pgbouncer on this machine (.ci/run installs Debian's)")
    made: list[Pooler] = []

    def start(url: str, *, mode: str, ignore: str = "") -> Pooler:
        pooler = Pooler(url, mode=mode, ignore=ignore)
        made.append(pooler)
        pooler.start()
        return pooler

    yield start
    for each in made:
        each.stop()


@pytest.fixture
def site(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Staging behind a proxy, with the base migration."""
    primary = Cluster(directory=tmp_path_factory.mktemp("primary"), installation=server_installation(16))
    servers.start(primary)
    url = with_tables(primary)
    with Proxy(port_of(primary)) as proxy:
        desk.environment("staging", with_port(url, proxy.port), policy="reconnect_within_s = 30")
        yield Site(primary=primary, proxy=proxy, name=servers.database_name(url))
    primary.discard()


@pytest.fixture
def at() -> Iterator[At]:
    """Do something when the n-th effect has been committed, before the run knows of it."""
    todo: dict[int, Callable[[], None]] = {}
    seen = 0

    def visit(point: str) -> None:
        nonlocal seen
        seen += point == "effect:committed"
        if point == "effect:committed" and seen in todo:
            todo.pop(seen)()

    points.visit(visit)
    yield todo.__setitem__
    points.visit(lambda _: None)
