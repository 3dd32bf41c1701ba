"""Real servers for every test: one cluster per version and session, one database per test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.programs import ProgramsMissing
from orchestrator.core.inventory import Secret
from tests import known_secrets, places, servers

ROOT = Path(__file__).parents[1]
MAJORS = (15, 16, 18)
MATRIX = pytest.mark.matrix
"""What `invoke matrix` runs beside the suite: more versions and more schemas of what is slow."""

NEWEST = (pytest.param(15, marks=MATRIX), pytest.param(16, marks=MATRIX), 18)
"""Every version in the matrix, the newest in the suite: for what was never seen to differ between them."""

ENDS = (15, pytest.param(16, marks=MATRIX), 18)
"""The oldest and the newest in the suite: what an end of the range has in common, its middle was never seen to lack."""

ClusterUrl = Callable[[int], str]

LONGEST = ("tests/guide/", "tests/bench/", "tests/chaos/", "tests/browser/")
"""Where a single test takes many seconds: sections of the guide, trials, storms."""

PLACE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """One folder for what a session writes, known to its workers."""
    worker: dict[str, str] = getattr(config, "workerinput", {})
    if not worker:
        folder, lock = places.begin()
        config.stash[PLACE] = folder
        config.add_cleanup(lock.close)
    places.use(worker.get("workerid", "main"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first: one that began last would keep one worker busy while the others have nothing left."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The folder goes with a session that passed; what failed can still be looked at."""
    if exitstatus == pytest.ExitCode.OK and PLACE in session.config.stash:
        shutil.rmtree(session.config.stash[PLACE], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _no_server_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test of a process: no server of a test runs, and root's folders for them are gone."""
    yield
    left = places.discard_clusters(tmp_path_factory.getbasetemp())
    assert not left, "; ".join(left)


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test of a process: no file that the product wrote holds a password or token that was used."""
    yield
    found = known_secrets.leaks(tmp_path_factory.getbasetemp(), known_secrets.KNOWN)
    assert not found, f"a secret stands in: {', '.join(found)}"


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterUrl]:
    """The URL of the session's cluster of a version, started when it is first asked for."""
    running: dict[int, Cluster] = {}

    def url(major: int) -> str:
        if major not in running:
            try:
                cluster = servers.cluster(major, tmp_path_factory.mktemp(f"pg{major}") / "cluster")
            except ProgramsMissing as missing:
                pytest.skip(f"no PostgreSQL {major} on this machine (.ci/run installs it): {missing}")
            known_secrets.remember(servers.start(cluster))
            running[major] = cluster
        return running[major].url()

    yield url
    for cluster in running.values():
        cluster.discard()


@pytest.fixture(scope="session")
def master_template(cluster_url: ClusterUrl) -> ClusterUrl:
    """The name of a database with the base migration, per version; made once and copied for each test."""
    made: dict[int, str] = {}

    def template(major: int) -> str:
        if major not in made:
            url = servers.fresh_database(cluster_url(major))
            with psycopg.connect(url, autocommit=True) as connection:
                for path in sorted((ROOT / "runbooks/master_tables/migrations").glob("*/migration.sql")):
                    connection.execute(path.read_bytes())
            made[major] = servers.database_name(url)
        return made[major]

    return template


@pytest.fixture
def database(cluster_url: ClusterUrl) -> Iterator[str]:
    """The URL of a fresh, empty database on PostgreSQL 16."""
    url = servers.fresh_database(cluster_url(16))
    yield url
    servers.drop_database(url)


@pytest.fixture
def master(cluster_url: ClusterUrl, master_template: ClusterUrl) -> Iterator[str]:
    """The URL of a fresh database with the base migration on PostgreSQL 16."""
    url = servers.fresh_database(cluster_url(16), master_template(16))
    yield url
    servers.drop_database(url)


@pytest.fixture(params=NEWEST)
def master_on(request: pytest.FixtureRequest, cluster_url: ClusterUrl, master_template: ClusterUrl) -> Iterator[str]:
    """The URL of a fresh database with the base migration, on each version in turn."""
    url = servers.fresh_database(cluster_url(request.param), master_template(request.param))
    yield url
    servers.drop_database(url)


@pytest.fixture
def server(database: str) -> Server:
    """The fresh, empty database as adapters see it."""
    return server_of(database)


def server_of(url: str, *, run: str = "20260101T000000-test") -> Server:
    """A database as adapters see it."""
    return Server(environment="staging", url=Secret(url), source="environment variable X", run=run)
