"""`invoke deploy --migration FILE --as-is`: what cannot go online is run as it stands, once, with a record."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters import points
from tests.acceptance.desk import Desk, execute, value
from tests.acceptance.test_existing_additions import base as base  # noqa: PLC0414  the fixture, not the name
from tests.acceptance.test_existing_additions import url as url  # noqa: PLC0414
from tests.acceptance.test_history_findings import HISTORY, KEYS
from tests.conftest import MATRIX

NEW = """alter table customers add column more int default 7;
update customers set more = 8 where id = 2; -- the end"""


def deploy(desk: Desk, path: Path, *flags: str) -> tuple[int, str]:
    """Exit code, and all that was said."""
    said = desk.typed("deploy", "--env", "staging", "--migration", str(path), "--yes", *flags)
    return said.returncode, said.stdout + said.stderr


def columns(url: str) -> object:
    """How many columns of that name there are."""
    return value(url, "select count(*) from information_schema.columns where column_name = 'more'")


@pytest.mark.parametrize("point", [pytest.param("effect:begin", marks=MATRIX), "effect:committed"])
def test_killed_and_taken_up(desk: Desk, url: str, tmp_path: Path, point: str) -> None:
    """Listed and refused without --as-is; then run once, whatever happened, and told to have no way back."""
    path = tmp_path / "migrations" / KEYS / "migration.sql"
    path.parent.mkdir(parents=True)
    (tmp_path / "migrations/migration_lock.toml").write_text('provider = "postgresql"\n')
    path.write_text(f"{NEW} {point}")
    execute(url, f"drop table if exists _prisma_migrations; {HISTORY}", "alter table customers drop if exists more")
    code, said = deploy(desk, path)
    assert (code, "+ more integer DEFAULT 7" in said, columns(url)) == (2, True, 0), said
    code, said = deploy(desk, path, "--as-is")
    assert (code, "--accept-no-undo" in said, columns(url)) == (2, True, 0), said

    def kill(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        points.visit(kill)
        deploy(desk, path, "--as-is", "--accept-no-undo")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    (folder,) = (desk.runs / "migrations").iterdir()
    answer = desk.resume(runbook=str(folder))
    assert answer.exit_code == 0
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert [each.split(":")[0] for each in done] == ["script", "history"]
    assert (columns(url), value(url, "select more from customers where id = 2")) == (1, 8)
    assert value(url, "select count(*) from _prisma_migrations where rolled_back_at is null") == 1
    code, said = deploy(desk, path, "--as-is", "--accept-no-undo")
    assert (code, columns(url)) == (0, 1), said
    answer = desk.rollback(runbook=str(folder), run=answer.document["run"])
    assert columns(url) == 1
    passed = desk.events(answer, "undo_passed_over")
    assert [(each["stands"], each["reason"]) for each in passed] == [
        (True, "it ran as it stands, and has no way back")
    ], passed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("begin; alter table customers add more int; commit;", "a COMMIT or ROLLBACK of its own"),
        pytest.param(
            "set lock_timeout = '1h'; alter table customers add more int;", "settings of its session", marks=MATRIX
        ),
    ],
)
def test_what_is_no_part_of_a_transaction(desk: Desk, url: str, tmp_path: Path, text: str, words: str) -> None:
    """One line, exit 2."""
    execute(url, "alter table customers drop if exists more")
    path = tmp_path / "change.sql"
    path.write_text(text)
    code, said = deploy(desk, path, "--as-is", "--accept-no-undo")
    assert (code, words in said, said.count("error: "), columns(url)) == (2, True, 1, 0), said


def test_it_waits_no_longer_than_it_may(desk: Desk, url: str, tmp_path: Path) -> None:
    """Each try waits for a lock as long as the policy says; after the time to give up the run is held."""
    execute(url, "alter table customers drop if exists more")
    desk.environment("staging", url, policy="give_up_after_s = 1")
    path = tmp_path / "waits.sql"
    path.write_text("alter table customers add more int;")
    with psycopg.connect(url) as old:
        old.execute("select from customers")
        code, said = deploy(desk, path, "--as-is", "--accept-no-undo")
        assert (code, columns(url)) == (3, 0), said
    (folder,) = (desk.runs / "migrations").iterdir()
    assert desk.resume(runbook=str(folder)).exit_code == 0
    assert columns(url) == 1
