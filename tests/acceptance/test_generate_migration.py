"""`invoke generate --migration`: what is missing in a database, as a script that ends where our deployment ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.acceptance.desk import Desk, execute, fingerprint, keys
from tests.acceptance.migrated import CONTRACT, ODD, TABLES, dump
from tests.conftest import NEWEST, ClusterUrl

PARTITIONED = (
    "CREATE TABLE events (id bigint, at date NOT NULL, customer_id bigint) PARTITION BY RANGE (at)",
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
)
OF_EVENTS = """
[[foreign_key]]
table = "events"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
match = "full"
deferrable = "initially immediate"
"""
ALREADY = (
    "ALTER TABLE orders ADD CONSTRAINT fk_orders_customer_id FOREIGN KEY (customer_id) REFERENCES customers (id)"
    " ON DELETE CASCADE",
    'ALTER TABLE customers ADD CONSTRAINT "another name" FOREIGN KEY (best) REFERENCES customers (id)'
    " ON DELETE SET NULL ON UPDATE CASCADE NOT VALID",
)
"""One key that stands, and one that stands NOT VALID under a name of its own."""


@pytest.fixture(params=NEWEST)
def pair(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[tuple[str, str]]:
    """Two equal databases."""
    admin = cluster_url(request.param)
    first = servers.fresh_database(admin)
    execute(first, *TABLES, *PARTITIONED, *ALREADY)
    second = servers.fresh_database(admin, servers.database_name(first))
    yield first, second
    for url in (first, second):
        servers.drop_database(url)


def generate(desk: Desk, runbook: str, *words: str, out: str = "out") -> tuple[int, str]:
    """Exit code, and all that was said."""
    said = desk.typed("generate", "--runbook", runbook, "--out", str(desk.folder / out), *words)
    return said.returncode, said.stdout + said.stderr


def test_the_same_end_as_online(desk: Desk, pair: tuple[str, str]) -> None:
    """With indexes, partitions and a key that stood NOT VALID; the way back ends where it began, but for that key."""
    online, by_hand = pair
    desk.environment("staging", online, policy="create_missing_indexes = true")
    runbook = desk.runbook(CONTRACT + ODD + OF_EVENTS)
    before = fingerprint(online)
    words = ("--migration", "sql", "--env", "staging", "--name", "20260101000000_keys")
    assert generate(desk, runbook, *words)[0] == 0
    assert fingerprint(online) == before
    up, down = (desk.folder / f"out/20260101000000_keys.{way}.sql" for way in ("up", "down"))
    execute(by_hand, up.read_text())
    assert desk.deploy(runbook=runbook).exit_code == 0
    assert dump(by_hand) == dump(online)
    execute(by_hand, down.read_text())
    assert set(keys(by_hand)) == {"fk_orders_customer_id"}
    assert generate(desk, runbook, *words) == (0, "done nothing is missing, and nothing was written\n")


def test_without_an_environment_the_whole_contract(desk: Desk) -> None:
    """No database is asked; deferred relations are left out."""
    runbook = desk.runbook(CONTRACT + ODD + 'deferred = "later"')
    code, said = generate(desk, runbook, "--migration", "sql", "--name", "20260101000000_keys")
    text = (desk.folder / "out/20260101000000_keys.up.sql").read_text()
    assert (code, text.count("ADD CONSTRAINT")) == (0, 3), said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--app", "x"), "--name and --app go with --migration only"),
        (("--migration", "rails"), "--migration rails: known"),
        (("--migration", "prisma", "--app", "x"), "--app goes with"),
        (("--migration", "django", "--app", "a-b"), "no label of an app"),
        (("--migration", "alembic"), "no such folder"),
        (("--migration", "sql", "--name", "a/b"), "letters, digits"),
    ],
)
def test_bad_words(desk: Desk, words: tuple[str, ...], line: str) -> None:
    """One line, exit 2, no file."""
    code, said = generate(desk, desk.runbook(CONTRACT), *words)
    assert (code, said.count("\n"), line in said) == (2, 1, True), said
    assert not (desk.folder / "out").exists()


def test_a_relation_that_cannot_be(desk: Desk, cluster_url: ClusterUrl) -> None:
    """A migration that would fail is not written."""
    url = servers.fresh_database(cluster_url(16))
    execute(url, TABLES[0])
    desk.environment("staging", url)
    code, said = generate(desk, desk.runbook(CONTRACT), "--migration", "sql", "--env", "staging")
    servers.drop_database(url)
    assert (code, "is impossible: table public.orders does not exist" in said) == (2, True), said
    assert not Path(desk.folder / "out").exists()
