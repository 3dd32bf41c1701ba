"""What a database is, and the proof whether two URLs lead to the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestrator.adapters.identity import Others, identify, kinship
from orchestrator.adapters.postgres import Server
from orchestrator.core.outcome import Refused
from tests import servers
from tests.acceptance.copies import PhysicalCopy
from tests.conftest import ClusterUrl, server_of


@contextmanager
def stranger(url: str) -> Iterator[str]:
    """The same database as a role reaches it that was granted nothing."""
    name = f"stranger_{servers.database_name(url)}"
    role = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'rolesecret'").format(role))
        try:
            yield make_conninfo(url, user=name, password="rolesecret")
        finally:
            connection.execute(sql.SQL("drop role {}").format(role))


def related(mine: str, other: str) -> str:
    """How two URLs are related, asked as preflight does: on read-only connections."""
    with (
        server_of(mine).session("preflight", read_only=True) as first,
        server_of(other).session("identity", read_only=True) as second,
    ):
        return kinship(first, second)


@pytest.fixture
def neighbour(cluster_url: ClusterUrl) -> Iterator[str]:
    """Another database of the same server."""
    url = servers.fresh_database(cluster_url(16))
    yield url
    servers.drop_database(url)


def test_a_database_says_what_it_is(database: str) -> None:
    """Identifier, name, version and the role that logged in."""
    with server_of(database).session("x") as connection:
        identity = identify(connection)
    with psycopg.connect(database) as connection:
        row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
    assert (identity.system_identifier,) == row
    assert (identity.database, identity.role) == (servers.database_name(database), "postgres")
    assert identity.server_version // 10000 == 16


def test_an_ordinary_role_learns_what_it_may(database: str) -> None:
    """Database, version and role are known; the identifier too where the server lets everyone read it."""
    with stranger(database) as url, server_of(url).session("x") as connection:
        identity = identify(connection)
        assert identity.role.startswith("stranger_")
        assert identity.database == servers.database_name(database)
        assert identity.system_identifier.isdecimal()


def test_an_identifier_that_is_kept_from_the_role_stays_empty(database: str) -> None:
    """A revoked pg_control_system leaves the identifier empty and the connection usable."""
    function = "function pg_control_system()"
    with stranger(database) as url, psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"revoke execute on {function} from public".encode())
        with server_of(url).session("x") as connection:
            assert identify(connection).system_identifier == ""
            assert connection.execute("select 1 as one").fetchone() == {"one": 1}


def test_the_role_is_the_one_that_logged_in(database: str) -> None:
    """SET ROLE does not change who it was."""
    with stranger(database):
        server = Server(
            environment="staging",
            url=server_of(database).url,
            source="X",
            run="r",
            role=f"stranger_{servers.database_name(database)}",
        )
        with server.session("x") as connection:
            assert identify(connection).role == "postgres"


SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda url: url,
    lambda url: make_conninfo(url, host="localhost"),
    lambda url: make_conninfo(url, host="db.example", hostaddr="127.0.0.1"),
    lambda url: make_conninfo(url, application_name="another"),
)


@pytest.mark.parametrize("spell", SPELLINGS)
def test_one_database_under_two_names_is_the_same(database: str, spell: Callable[[str], str]) -> None:
    """However it is spelt, and whichever side asks."""
    assert related(database, spell(database)) == "same"
    assert related(spell(database), database) == "same"


def test_roles_do_not_matter(database: str) -> None:
    """An ordinary role on either side proves as much as a superuser."""
    with stranger(database) as url:
        assert related(database, url) == "same"
        assert related(url, database) == "same"
        assert related(url, url) == "same"


def test_another_database_of_the_server(database: str, neighbour: str) -> None:
    """Its lock is seen, but as another database's."""
    assert related(database, neighbour) == "same server"
    with stranger(database) as url:
        assert related(url, neighbour) == "same server"


def test_another_server(database: str, cluster_url: ClusterUrl) -> None:
    """Two clusters made by initdb."""
    assert related(database, cluster_url(18)) == "different"


@pytest.mark.parametrize("standby", [True, False])
def test_a_physical_copy_is_no_proof_of_sameness(database: str, cluster_url: ClusterUrl, standby: bool) -> None:
    """Equal identifiers without the shared lock: a standby, or a primary of its own."""
    copy = PhysicalCopy(cluster_url(16), standby=standby)
    try:
        copy.start()
        other = copy.url(servers.database_name(database))
        assert related(database, other) == "copy"
        assert related(other, database) == "copy"
    finally:
        copy.stop()


def test_the_proof_leaves_no_lock(database: str, neighbour: str) -> None:
    """The lock is given back, whatever was found."""
    with server_of(database).session("a") as mine, server_of(neighbour).session("b") as other:
        kinship(mine, other)
        row = mine.execute("select count(*) as held from pg_locks where locktype = 'advisory'").fetchone()
    assert row == {"held": 0}


def test_a_lock_of_somebody_else_is_no_proof(database: str, neighbour: str) -> None:
    """Other advisory locks, in either database, do not make two databases one."""
    with psycopg.connect(database) as first, psycopg.connect(neighbour) as second:
        for connection in (first, second):
            connection.execute("select pg_advisory_lock(g), pg_advisory_lock(g, g) from generate_series(1, 50) g")
        assert related(database, neighbour) == "same server"


def test_others_are_compared_one_by_one(database: str, neighbour: str) -> None:
    """What cannot be reached says why, on one line, and does not keep the next from being asked."""

    def unset() -> Server:
        message = "prod: PROD_DATABASE_URL is not set"
        raise Refused(message)

    absent = make_conninfo(neighbour, dbname="no_such_database")
    others = Others(
        servers={
            "unset": unset,
            "absent": lambda: server_of(absent),
            "same": lambda: server_of(database),
            "other": lambda: server_of(neighbour),
        }
    )
    with server_of(database).session("preflight", read_only=True) as mine:
        rows = {str(row["environment"]): row for row in others.rows(mine)}
    assert {name: row["relation"] for name, row in rows.items()} == {
        "unset": None,
        "absent": None,
        "same": "same",
        "other": "same server",
    }
    assert rows["unset"]["problem"] == "prod: PROD_DATABASE_URL is not set"
    assert "does not exist" in str(rows["absent"]["problem"])
    assert "\n" not in str(rows["absent"]["problem"])
    assert rows["same"]["problem"] is None
