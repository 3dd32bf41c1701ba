"""What preflight says of a history, and when the row of a migration is written, kept, or taken back.

Prisma's table is made by hand here: its own words about it are asked in test_history.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.preparation import PRISMA_LOCK
from orchestrator.app import migrating
from orchestrator.app.request import Request
from tests import servers
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, counts, execute, finding, keys, rows, value
from tests.acceptance.migrated import CONTRACT, TABLES
from tests.conftest import MATRIX, ClusterUrl

HISTORY = """
CREATE TABLE _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz,
    migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
    started_at timestamptz not null default now(), applied_steps_count integer not null default 0)
"""
FIRST, KEYS = "20260101000000_tables", "20260201000000_keys"
STANDING = f"select count(*) from _prisma_migrations where migration_name = '{KEYS}' and rolled_back_at is null"


def row(name: str, *, checksum: str = "", finished: str = "now()", rolled_back: str = "null") -> str:
    """A row that somebody wrote."""
    return (
        "insert into _prisma_migrations (id, migration_name, checksum, finished_at, rolled_back_at)"
        f" values (gen_random_uuid(), '{name}', '{checksum}', {finished}, {rolled_back})"
    )


@dataclass(slots=True, kw_only=True)
class Shop:
    """A database whose tables Prisma has made, and a runbook that stands for the migration with their keys."""

    desk: Desk
    url: str
    migrations: Path
    runbook: str

    def preflight(self) -> Any:
        """`invoke preflight`."""
        return self.desk.preflight(runbook=self.runbook)

    def deploy(self, **options: Any) -> Any:
        """`invoke deploy`."""
        return self.desk.deploy(runbook=self.runbook, **options)

    def refused(self, name: str, observed: str) -> None:
        """Preflight is NO-GO because of that finding and of nothing else."""
        answer = self.preflight()
        assert answer.exit_code == 2
        against = [each for each in answer.document["findings"] if each["status"] == "fail"]
        assert [each["id"] for each in against if each["severity"] == "critical"] == [f"history.{name}"]
        assert finding(answer, f"history.{name}")["observed"] == observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is made once: a database with the tables' migration applied, and the folder of migrations."""

    database: str
    migrations: Path


@pytest.fixture(scope="module")
def made(cluster_url: ClusterUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The tables' migration by hand, that of the keys as generate writes it."""
    folder = tmp_path_factory.mktemp("history") / "migrations"
    first = folder / FIRST / "migration.sql"
    first.parent.mkdir(parents=True)
    first.write_text(";\n".join(TABLES), encoding="utf-8")
    runbook = tmp_path_factory.mktemp("shop")
    (runbook / "foreign_keys.toml").write_text(CONTRACT, encoding="utf-8")
    request = Request(runbook=str(runbook))
    migrating.migration(request, form="prisma", out=str(folder), name=KEYS, app=None)
    url = servers.fresh_database(cluster_url(16))
    execute(url, *TABLES, HISTORY, row(FIRST, checksum=sha256(first.read_bytes()).hexdigest()))
    yield Made(database=servers.database_name(url), migrations=folder)
    servers.drop_database(url)


@pytest.fixture
def shop(desk: Desk, cluster_url: ClusterUrl, made: Made, tmp_path: Path) -> Iterator[Shop]:
    """The tables' migration is applied, that of the keys is pending."""
    url = servers.fresh_database(cluster_url(16), made.database)
    desk.environment("staging", url)
    runbook = desk.runbook(CONTRACT, "shop")
    migrations = shutil.copytree(made.migrations, tmp_path / "migrations")
    text = f'tool = "prisma"\nfolder = "../migrations"\nmigration = "{KEYS}"\n'
    (Path(runbook) / "history.toml").write_text(text, encoding="utf-8")
    yield Shop(desk=desk, url=url, migrations=migrations, runbook=runbook)
    servers.drop_database(url)


def test_the_row_is_the_last_statement_and_the_way_back_takes_it_back(shop: Shop) -> None:
    """Checksum of the file's bytes, one step, both times; another deployment writes another row."""
    answer = shop.deploy()
    assert (answer.exit_code, counts(answer)) == (0, {"added": 3})
    script = (shop.migrations / KEYS / "migration.sql").read_bytes()
    query = (
        "select checksum, applied_steps_count, logs, started_at <= finished_at, length(id)"
        f" from _prisma_migrations where migration_name = '{KEYS}' and rolled_back_at is null"
    )
    assert rows(shop.url, query) == [(sha256(script).hexdigest(), 1, None, True, 36)]
    done = shop.desk.events(answer, "statement_done")
    assert done[-1]["id"] == f"history:prisma.{KEYS}"
    assert value(shop.url, STANDING) == 1
    assert shop.desk.rollback(runbook=shop.runbook).exit_code == 0
    assert (keys(shop.url), value(shop.url, STANDING)) == ({}, 0)
    assert shop.deploy().exit_code == 0
    assert value(shop.url, STANDING) == 1
    assert shop.desk.plan(runbook=shop.runbook).document["statements"] == []


def test_effect_and_record_are_one_transaction(shop: Shop, stop_at: Stop) -> None:
    """Killed when the row was committed and nobody knew: resume finds it on record, and there is one row."""
    statements = len(shop.desk.plan(runbook=shop.runbook).document["statements"])
    stop_at("effect:committed", statements)
    with pytest.raises(Stopped):
        shop.deploy()
    assert value(shop.url, STANDING) == 1
    assert shop.desk.resume(runbook=shop.runbook).exit_code == 0
    assert value(shop.url, STANDING) == 1


@MATRIX
def test_killed_before_the_row(shop: Shop, stop_at: Stop) -> None:
    """All keys stand, and no row: resume writes it."""
    statements = len(shop.desk.plan(runbook=shop.runbook).document["statements"])
    stop_at("effect:begin", statements)
    with pytest.raises(Stopped):
        shop.deploy()
    assert (len(keys(shop.url)), value(shop.url, STANDING)) == (3, 0)
    assert shop.desk.resume(runbook=shop.runbook).exit_code == 0
    assert value(shop.url, STANDING) == 1


def test_orphans_leave_the_migration_pending(shop: Shop) -> None:
    """A key that stands NOT VALID is not what the migration adds."""
    shop.desk.environment("staging", shop.url, policy='orphans = "leave_not_valid"')
    execute(shop.url, "insert into orders (id, customer_id) values (1, 7)")
    answer = shop.deploy()
    assert (answer.exit_code, counts(answer)) == (1, {"added": 2, "failed": 1})
    assert value(shop.url, STANDING) == 0
    execute(shop.url, "insert into customers (id) values (7)")
    assert shop.deploy().exit_code == 0
    assert value(shop.url, STANDING) == 1


def test_a_part_of_the_keys_is_not_the_migration(shop: Shop) -> None:
    """`--only` says why no row is written; the run that adds the rest writes it."""
    answer = shop.deploy(only=("critical",))
    assert (answer.exit_code, value(shop.url, STANDING)) == (0, 0)
    assert "not every key" in finding(answer, "history.recorded")["observed"]
    assert shop.deploy().exit_code == 0
    assert value(shop.url, STANDING) == 1


@MATRIX
def test_a_rehearsal_walks_the_row_too(shop: Shop) -> None:
    """There, back and there again on a copy; made like an environment that lacks keys and row, when they stand here."""
    first = shop.desk.rehearse(runbook=shop.runbook)
    assert (first.exit_code, value(shop.url, STANDING)) == (0, 0)
    digest = shop.desk.plan(runbook=shop.runbook).document["digest"]
    assert first.document["evidence"]["digest"] == digest
    other = servers.fresh_database(shop.url, servers.database_name(shop.url))
    shop.desk.environment("later", other)
    assert shop.deploy().exit_code == 0
    like = shop.desk.rehearse(runbook=shop.runbook, like="later")
    servers.drop_database(other)
    assert (like.exit_code, like.document["evidence"]["digest"]) == (0, digest)


def test_an_edited_file(shop: Shop) -> None:
    """Prisma says up to date about it. Line ends alone are no edit."""
    path = shop.migrations / FIRST / "migration.sql"
    was = path.read_bytes()
    path.write_bytes(was.replace(b"\n", b"\r\n"))
    assert shop.preflight().exit_code == 0
    path.write_bytes(was + b"-- better\n")
    now = sha256(path.read_bytes()).hexdigest()[:16]
    then = sha256(was).hexdigest()[:16]
    observed = f"{FIRST} was applied with checksum {then}, its file has {now}"
    shop.refused("edited", observed)
    said = shop.desk.typed("deploy", "--env", "staging", "--runbook", shop.runbook)
    assert said.returncode == 2
    assert f"FAIL history.edited (critical): {observed}" in [line.strip() for line in said.stdout.splitlines()]
    assert (said.stderr, keys(shop.url)) == ("", {})


def test_a_row_without_a_folder(shop: Shop) -> None:
    """The database belongs to another version of the application. One that was rolled back is nobody's concern."""
    execute(shop.url, row("20250101000000_other", rolled_back="now()"))
    assert shop.preflight().exit_code == 0
    execute(shop.url, row("20250101000000_lost"))
    observed = f"migration 20250101000000_lost was applied and is not in {shop.migrations}"
    shop.refused("unknown", observed)


def test_a_migration_that_failed(shop: Shop) -> None:
    """Prisma applies nothing more before it is resolved, and neither do we."""
    execute(shop.url, row(KEYS, finished="null"))
    shop.refused("unfinished", f"{KEYS} failed, or is being applied")


def test_pending_migrations(shop: Shop) -> None:
    """One before ours closes the way, one after it is only told."""
    later = shop.migrations / "20260301000000_later"
    later.mkdir()
    (later / "migration.sql").write_text("select 1;")
    answer = shop.preflight()
    assert answer.exit_code == 0
    assert finding(answer, "history.others")["observed"] == later.name
    execute(shop.url, "delete from _prisma_migrations")
    shop.refused("before", FIRST)


def test_a_migration_that_does_something_else(shop: Shop) -> None:
    """It would be recorded and never done."""
    path = shop.migrations / KEYS / "migration.sql"
    path.write_text(path.read_text() + "CREATE TABLE more (id int);\n")
    shop.refused("content", "CREATE TABLE more (id int)")


def test_an_index_that_nobody_builds_is_not_recorded(shop: Shop) -> None:
    """The migration has it: it is applied where the run builds the index, or where that stands."""
    wanted = 'CREATE INDEX "ix_orders_country_code" ON "public"."orders" ("country", "code")'
    with (shop.migrations / KEYS / "migration.sql").open("a", encoding="utf-8") as script:
        script.write(f"{wanted};\n")
    shop.refused("content", wanted)
    shop.desk.environment("staging", shop.url, policy="create_missing_indexes = true")
    assert finding(shop.preflight(), "history.content")["status"] == "pass"
    shop.desk.environment("staging", shop.url)
    execute(shop.url, wanted)
    assert shop.deploy().exit_code == 0
    assert value(shop.url, STANDING) == 1


def test_keys_that_no_migration_adds(shop: Shop) -> None:
    """They would be missing in a database that the tool builds: somebody has to accept that."""
    path = shop.migrations / KEYS / "migration.sql"
    path.write_text("".join(path.read_text().partition("ALTER")[:1]))
    answer = shop.preflight()
    assert (answer.exit_code, finding(answer, "history.covered")["status"]) == (3, "fail")


def test_prismas_own_words_are_read(shop: Shop) -> None:
    """Without schema, with other spaces: what `prisma migrate dev` writes for the same keys."""
    path = shop.migrations / KEYS / "migration.sql"
    text = path.read_text().replace('"public".', "").replace(' ("', '("').replace(" ON UPDATE NO ACTION", "")
    path.write_text(text.replace("ALTER TABLE", "-- AddForeignKey\nalter  table"))
    assert shop.preflight().exit_code == 0


def test_no_table(shop: Shop) -> None:
    """A database that the tool has never migrated; and a table of another name, which the file can say."""
    path = Path(shop.runbook) / "history.toml"
    execute(shop.url, "create schema app", "alter table _prisma_migrations set schema app")
    answer = shop.preflight()
    assert answer.exit_code == 2
    assert "does not exist" in finding(answer, "history.table")["observed"]
    told = shop.desk.typed("preflight", "--grants", "--env", "staging", "--runbook", shop.runbook).stdout
    assert 'GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."_prisma_migrations" TO "postgres";' in told
    path.write_text(path.read_text() + 'schema = "app"\n')
    assert shop.preflight().exit_code == 0


def test_a_concurrent_prisma(shop: Shop) -> None:
    """Its lock is a finding that names it, and after preflight it holds the run."""
    with psycopg.connect(shop.url, autocommit=True, application_name="prisma") as connection:
        connection.execute("select pg_advisory_lock(%s)", (PRISMA_LOCK,))
        answer = shop.preflight()
        observed = finding(answer, "other-runners")["observed"]
        assert (answer.exit_code, observed) == (
            2,
            f"Prisma's advisory lock {PRISMA_LOCK} is held by pid {connection.info.backend_pid} (prisma)",
        )


def test_a_row_that_others_were_built_on(shop: Shop, tmp_path: Path) -> None:
    """The way back takes the keys, leaves the revision, and does not call that done."""
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "a.py").write_text("revision = 'aaa'\ndown_revision = None\n")
    make = "create table alembic_version (version_num varchar(32))"
    execute(shop.url, make, "insert into alembic_version values ('aaa')")
    request = Request(runbook=shop.runbook)
    made = migrating.migration(request, form="alembic", out=str(versions), name="keys", app=None).document["name"]
    text = f'tool = "alembic"\nfolder = "../versions"\nmigration = "{made}"\n'
    (Path(shop.runbook) / "history.toml").write_text(text)
    assert shop.deploy().exit_code == 0
    execute(shop.url, "update alembic_version set version_num = 'later'")
    answer = shop.desk.rollback(runbook=shop.runbook)
    assert (answer.exit_code, keys(shop.url)) == (1, {})
    assert "which stays recorded" in shop.desk.report(answer)["steps"][0]["note"]
    assert value(shop.url, "select version_num from alembic_version") == "later"
