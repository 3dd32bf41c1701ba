"""`invoke deploy --migration FILE`: a migration that somebody else wrote, tried on a copy and deployed online."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.acceptance.desk import Desk, execute, finding, fingerprint, keys, value
from tests.acceptance.migrated import TABLES
from tests.acceptance.test_history_findings import HISTORY, KEYS, row
from tests.conftest import MATRIX, ClusterUrl

WRITTEN = """
-- AddForeignKey
ALTER TABLE "orders" ADD CONSTRAINT "orders_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers"("id")
    ON DELETE RESTRICT ON UPDATE CASCADE;
alter table customers add constraint "the; best" foreign key (best) references customers deferrable initially deferred;
"""
"""As Prisma writes it, and as a person does."""


@pytest.fixture
def url(desk: Desk, cluster_url: ClusterUrl) -> Iterator[str]:
    """Tables with a few rows and no key."""
    made = servers.fresh_database(cluster_url(16))
    rows = "insert into customers select g, 1 from generate_series(1, 5) g"
    execute(made, *TABLES, rows, "insert into orders (id, customer_id) values (1, 5)")
    desk.environment("staging", made)
    yield made
    servers.drop_database(made)


def deploy(desk: Desk, path: Path) -> tuple[int, str]:
    """Exit code, and all that was said."""
    said = desk.typed("deploy", "--env", "staging", "--migration", str(path), "--yes")
    return said.returncode, said.stdout + said.stderr


def test_prismas_migration_is_deployed_online_and_recorded(desk: Desk, url: str, tmp_path: Path) -> None:
    """The same keys, valid, under the same names; the folder that it was taken apart into takes the way back."""
    path = tmp_path / "migrations" / KEYS / "migration.sql"
    path.parent.mkdir(parents=True)
    (tmp_path / "migrations/migration_lock.toml").write_text('provider = "postgresql"\n')
    path.write_text(WRITTEN)
    execute(url, HISTORY, row("20260101000000_tables"))
    tables = path.parents[1] / "20260101000000_tables"
    tables.mkdir()
    (tables / "migration.sql").write_text("select 1;\n")
    assert "history.edited (critical)" in deploy(desk, path)[1]
    execute(url, "update _prisma_migrations set checksum = encode(sha256('select 1;\n'), 'hex')")
    before = fingerprint(url)
    code, said = deploy(desk, path)
    assert code == 0, said
    definitions = keys(url)
    assert all(valid for _, valid in definitions.values())
    assert definitions["the; best"][0].endswith("DEFERRABLE INITIALLY DEFERRED")
    assert definitions["orders_customer_id_fkey"][0].endswith("ON UPDATE CASCADE ON DELETE RESTRICT")
    count = f"select count(*) from _prisma_migrations where migration_name = '{KEYS}' and rolled_back_at is null"
    assert value(url, count) == 1
    (folder,) = (desk.runs / "migrations").iterdir()
    assert deploy(desk, path)[0] == 0
    assert desk.rollback(runbook=str(folder)).exit_code == 0
    # On an environment where it was not tried, nobody knows what `references customers` and the rest come to.
    desk.environment("twin", url)
    assert finding(desk.preflight("twin", runbook=str(folder)), "history.content")["status"] == "fail"
    assert finding(desk.preflight(runbook=str(folder)), "history.content")["status"] == "pass"
    assert (fingerprint(url), value(url, count)) == (before, 0)
    assert value(url, "select count(*) from pg_database where datname like 'orchestrator_scratch%'") == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("alter table customers add column more int;", "does more than add foreign keys"),
        pytest.param("comment on table customers is 'x';", "COMMENT ON TABLE public.customers IS 'x';", marks=MATRIX),
        pytest.param("create table other (id int);", "CREATE TABLE public.other (", marks=MATRIX),
        ("update customers set best = null where id = 2;", "changes rows"),
        pytest.param(
            "alter table orders drop constraint orders_pkey;",
            "- ADD CONSTRAINT orders_pkey PRIMARY KEY (id);",
            marks=MATRIX,
        ),
        ("create role trial_role;", "belong to the whole server"),
        ("selct 1;", 'fails on a copy of the database: syntax error at or near "selct"'),
        ("alter table orders add foreign key (id) references customers not valid;", "does not hold after it"),
    ],
)
def test_anything_else_is_refused(desk: Desk, url: str, tmp_path: Path, more: str, words: str) -> None:
    """One line, exit 2, nothing changed, no copy left."""
    path = tmp_path / "change.sql"
    path.write_text(f"{WRITTEN}{more}\n")
    before = fingerprint(url)
    code, said = deploy(desk, path)
    assert (code, words in said, said.count("error: ")) == (2, True, 1), said
    assert (fingerprint(url), keys(url)) == (before, {})
    assert not any(desk.runs.iterdir() if desk.runs.exists() else ())
    assert value(url, "select count(*) from pg_roles where rolname = 'trial_role'") == 0


def test_words_that_do_not_go_together(desk: Desk, url: str, tmp_path: Path) -> None:
    """A dry run makes no copy; a file that is not there is said so; one that does nothing, too."""
    path = tmp_path / "nothing.sql"
    path.write_text("select 1;")
    assert "changes nothing in this database" in deploy(desk, path)[1]
    assert "cannot be read" in deploy(desk, tmp_path / "lost.sql")[1]
    said = desk.typed("deploy", "--env", "staging", "--migration", str(path), "--dry-run")
    assert (said.returncode, "neither --dry-run nor --only" in said.stderr) == (2, True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("select setval('counter', 77);", "it changes rows, which is not deployed online: sequence public.counter"),
        ("select setval('counter', 1, true);", "sequence public.counter"),
        ("refresh materialized view far;", "materialized view public.far"),
        ("commit; create role left_behind;", "it ends its own transaction"),
    ],
)
def test_what_no_dump_of_a_schema_shows_is_refused(desk: Desk, url: str, tmp_path: Path, more: str, words: str) -> None:
    """It would be recorded as applied and never be done; and nothing of it outlives the copy."""
    execute(url, "create sequence counter", "create materialized view far as select 1 as one with no data")
    path = tmp_path / "change.sql"
    path.write_text(f"{WRITTEN}{more}\n")
    code, said = deploy(desk, path)
    assert (code, words in said) == (2, True), said
    assert value(url, "select count(*) from pg_roles where rolname = 'left_behind'") == 0


def test_a_script_may_have_a_transaction_of_its_own(desk: Desk, url: str, tmp_path: Path) -> None:
    """It is tried without it, and a role that it makes is gone."""
    path = tmp_path / "change.sql"
    path.write_text(f"BEGIN;\n{WRITTEN}create role left_behind;\nCOMMIT;\n")
    code, said = deploy(desk, path)
    assert (code, "it changes roles" in said) == (2, True), said
    assert value(url, "select count(*) from pg_roles where rolname = 'left_behind'") == 0
    path.write_text(f"begin;\n{WRITTEN}end;\n")
    assert deploy(desk, path)[0] == 0
    assert len(keys(url)) == 2


def test_another_environment_is_tried_too(desk: Desk, url: str, cluster_url: ClusterUrl, tmp_path: Path) -> None:
    """An index that stands in the one is made in the other, which is more than keys."""
    index = "create index if not exists by_best on customers (best)"
    bare = servers.fresh_database(cluster_url(16))
    execute(bare, *TABLES)
    execute(url, index)
    desk.environment("bare", bare)
    path = tmp_path / "change.sql"
    path.write_text(f"{index};\n{WRITTEN}")
    assert deploy(desk, path)[0] == 0
    said = desk.typed("deploy", "--env", "bare", "--migration", str(path), "--yes")
    assert (said.returncode, keys(bare)) == (2, {})
    assert "it adds something else here than where it was tried first" in said.stderr
    execute(bare, index)
    assert desk.typed("deploy", "--env", "bare", "--migration", str(path), "--yes").returncode == 0
    assert len(keys(bare)) == 2
    servers.drop_database(bare)
