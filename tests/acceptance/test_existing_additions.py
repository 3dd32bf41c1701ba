"""`invoke deploy --migration FILE`, where the file makes indexes and CHECK constraints, or is a script of Alembic's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters import points
from tests import servers
from tests.acceptance.desk import Desk, execute, fingerprint, keys, value
from tests.acceptance.migrated import TABLES, AlembicProject
from tests.acceptance.test_existing_migration import WRITTEN, deploy
from tests.conftest import MATRIX, ClusterUrl

ADDED = """
create index "orders; by customer" on orders (customer_id, lower(country)) include (id) where id > 0;
CREATE UNIQUE INDEX "customers_best_key" ON "customers"("id", "best");
alter table orders add constraint "positive" check (id > 0 and country <> 'x y');
"""


VERSION = "create table alembic_version (version_num varchar(32) not null primary key)"


@pytest.fixture(scope="module")
def base(cluster_url: ClusterUrl) -> Iterator[str]:
    """Tables with a few rows and no key."""
    made = servers.fresh_database(cluster_url(16))
    rows = "insert into customers select g, 1 from generate_series(1, 5) g"
    execute(made, *TABLES, rows, "insert into orders (id, customer_id) values (1, 5)")
    yield made
    servers.drop_database(made)


@pytest.fixture
def url(desk: Desk, base: str) -> str:
    """The environment."""
    desk.environment("staging", base)
    return base


def counted(url: str) -> object:
    """Valid indexes and checks of the file."""
    return value(
        url,
        "select (select count(*) from pg_index where indisvalid and indexrelid::regclass::text"
        " in ('\"orders; by customer\"', 'customers_best_key'))"
        " + (select count(*) from pg_constraint where conname = 'positive' and convalidated)",
    )


def test_indexes_and_checks_are_deployed_online(desk: Desk, url: str, tmp_path: Path) -> None:
    """By definition as they are, with keys or alone; the way back takes them all away."""
    path = tmp_path / "more.sql"
    path.write_text(WRITTEN + ADDED)
    before = fingerprint(url)
    code, said = deploy(desk, path)
    assert code == 0, said
    assert (counted(url), len(keys(url))) == (3, 2)
    (folder,) = (desk.runs / "migrations").iterdir()
    assert desk.rollback(runbook=str(folder)).exit_code == 0
    assert (fingerprint(url), counted(url)) == (before, 0)


KILLED = """create unique index customers_best_key on customers (id, best);
alter table customers add constraint "positive" check (id > 0);
"""


@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("index:built", 1),
        pytest.param("effect:committed", 2, marks=MATRIX),
        pytest.param("effect:begin", 2, marks=MATRIX),
        pytest.param("effect:committed", 3, marks=MATRIX),
    ],
)
def test_killed_between_effect_and_record(desk: Desk, url: str, tmp_path: Path, point: str, number: int) -> None:
    """Without any key, too: what took effect is found, the rest is done, and the way back leaves nothing."""
    path = tmp_path / "alone.sql"
    path.write_text(KILLED)
    before, seen = fingerprint(url), []

    def kill(name: str) -> None:
        seen.append(name)
        if seen.count(point) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        points.visit(kill)
        deploy(desk, path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    (folder,) = (desk.runs / "migrations").iterdir()
    answer = desk.resume(runbook=str(folder))
    assert (answer.exit_code, counted(url)) == (0, 2)
    assert len(desk.events(answer, "statement_done")) == 3
    assert desk.rollback(runbook=str(folder)).exit_code == 0
    assert (fingerprint(url), counted(url)) == (before, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "alter table orders add check (id > 0) not valid",
            "check orders_id_check of public.orders does not hold",
            marks=MATRIX,
        ),
        ("create index on orders (id); comment on index orders_id_idx is 'x'", "COMMENT ON INDEX public.orders_id_idx"),
        pytest.param(
            "create unique index on customers (best, id); alter table orders add foreign key (id, customer_id)"
            " references customers (best, id)",
            "needs a unique index that the same file makes",
            marks=MATRIX,
        ),
        pytest.param(
            "alter table orders add unique (customer_id)",
            "+ ADD CONSTRAINT orders_customer_id_key UNIQUE (customer_id)",
            marks=MATRIX,
        ),
        pytest.param("create index concurrently on orders (id)", "cannot run inside a transaction block", marks=MATRIX),
    ],
)
def test_what_is_more_than_these_is_refused(desk: Desk, url: str, tmp_path: Path, text: str, words: str) -> None:
    """One line, exit 2, nothing changed."""
    path = tmp_path / "change.sql"
    path.write_text(f"{text};\n")
    before = fingerprint(url)
    code, said = deploy(desk, path)
    assert (code, words in said, said.count("error: ")) == (2, True, 1), said
    assert fingerprint(url) == before


def test_rows_that_a_check_refuses(desk: Desk, url: str, tmp_path: Path) -> None:
    """The copy refuses first; a row that came later fails the validation, and what was added is taken back."""
    path = tmp_path / "check.sql"
    path.write_text('alter table customers add constraint "positive" check (id > 1);\n')
    before = fingerprint(url)
    assert "is violated by some row" in deploy(desk, path)[1]
    execute(url, "delete from orders; update customers set best = null; delete from customers where id = 1")

    code, said = deploy(desk, path)
    assert (code, counted(url)) == (0, 1), said
    (folder,) = (desk.runs / "migrations").iterdir()
    assert desk.rollback(runbook=str(folder)).exit_code == 0
    execute(url, "insert into customers values (1, null)")
    code, said = deploy(desk, path)
    assert (code, fingerprint(url)) == (1, before), said
    execute(url, "update customers set best = 1", "insert into orders (id, customer_id) values (1, 5)")


def test_a_script_of_alembics_is_recorded(desk: Desk, url: str, tmp_path: Path) -> None:
    """What `alembic upgrade --sql` writes: its own row is written by the last statement, and taken back."""
    project = AlembicProject.made(tmp_path / "app")
    upgrade = "".join(f"    op.execute({each!r})\n" for each in ADDED.strip().split("\n"))
    (project.migrations / "more.py").write_text(
        "from alembic import op\n\nrevision = 'bbb222'\ndown_revision = 'aaa111'\n\n\n"
        f"def upgrade() -> None:\n{upgrade}"
    )
    execute(url, VERSION, "insert into alembic_version values ('aaa111')")
    path = tmp_path / "more.sql"
    path.write_text(project.run(url, "upgrade aaa111:bbb222 --sql"))
    before = fingerprint(url)
    code, said = deploy(desk, path)
    assert (code, counted(url)) == (0, 3), said
    assert value(url, "select version_num from alembic_version") == "bbb222"
    (folder,) = (desk.runs / "migrations").iterdir()
    assert desk.rollback(runbook=str(folder)).exit_code == 0
    assert (fingerprint(url), value(url, "select version_num from alembic_version")) == (before, "aaa111")
    path.write_text("update alembic_version set version_num = 'x'; insert into alembic_version values ('y');")
    assert "only one revision in the place of one is recorded" in deploy(desk, path)[1]
    execute(url, "update alembic_version set version_num = 'zzz'")
    code, said = typed_again(desk, folder)
    assert (code, "history.before (critical)" in said, "history.unknown (critical)" in said) == (2, True, True), said
    execute(url, "drop table alembic_version")


def typed_again(desk: Desk, folder: Path) -> tuple[int, str]:
    """The runbook that a file was taken apart into, deployed by its name."""
    said = desk.typed("deploy", "--env", "staging", "--runbook", str(folder), "--yes")
    return said.returncode, said.stdout + said.stderr
