"""Running out of something: the run ends in a known state with one line, and goes on when there is enough again."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters import points
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from orchestrator.app.answer import Answer
from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD, EXIT_REFUSED, TargetLost
from tests import servers
from tests.acceptance.desk import MASTER, Desk, execute, fingerprint, keys, rows

RAISE = """
create function run_out() returns event_trigger language plpgsql as $$ begin
    if (select count(*) from pg_constraint where contype = 'f') > 20 then
        raise exception '%s' using errcode = '%s';
    end if;
end $$;
create event trigger run_out on ddl_command_end when tag in ('ALTER TABLE') execute function run_out()
"""


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own that holds 1 MB."""
    place = tmp_path / "full"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("a small file system can only be mounted by root where mounting is allowed")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def held_then_done(desk: Desk, answer: Answer, word: str) -> None:
    """Held with that word in its reason, with something done and something left."""
    assert (answer.exit_code, answer.document["state"]) == (EXIT_HELD, "held")
    assert word in answer.document["reason"]
    assert "\n" not in answer.document["reason"]
    assert 0 < len(desk.events(answer, "statement_done")) < 88


@pytest.mark.parametrize(
    ("message", "sqlstate"),
    [("could not extend file: No space left on device", "53100"), ("permission denied", "42501")],
)
def test_a_cause_that_can_be_mended_holds_the_run(desk: Desk, staging: str, message: str, sqlstate: str) -> None:
    """The server says no for a reason outside of the statement; raised by a trigger, because its disk is not ours."""
    execute(staging, RAISE % (message, sqlstate))
    answer = desk.deploy()
    execute(staging, "drop event trigger run_out", "drop function run_out")
    held_then_done(desk, answer, message)
    assert desk.resume().exit_code == EXIT_DONE
    assert len(keys(staging)) == 45


def test_rights_that_are_taken_away_in_the_middle(desk: Desk, staging: str) -> None:
    """Ownership of a table moves on while the run is at work: held, and done once it is back."""
    execute(staging, "drop role if exists mover", "create role mover login password 'pw'")
    tables = [row[0] for row in rows(staging, "select tablename from pg_tables where schemaname = 'public'")]
    database = servers.database_name(staging)
    execute(staging, f'grant create on database "{database}" to mover', "grant usage, create on schema public to mover")
    execute(staging, *(f'alter table "{name}" owner to mover' for name in tables))
    desk.environment("staging", psycopg.conninfo.make_conninfo(staging, user="mover", password="pw"))
    seen = 0

    def take_away(point: str) -> None:
        nonlocal seen
        seen += point == "effect:committed"
        if seen == 20 and point == "effect:committed":
            execute(staging, *(f'alter table "{name}" owner to postgres' for name in tables))

    points.visit(take_away)
    try:
        answer = desk.deploy()
        held_then_done(desk, answer, "permission denied")
        points.visit(lambda _: None)
        execute(staging, *(f'alter table "{name}" owner to mover' for name in tables))
        assert desk.resume().exit_code == EXIT_DONE
    finally:
        points.visit(lambda _: None)
        execute(staging, "reassign owned by mover to postgres", "drop owned by mover", "drop role mover")


def take_all(connection: psycopg.Connection) -> None:
    """Take locks until the server has none left."""
    with suppress(psycopg.errors.OutOfMemory):
        for number in range(1_000_000):
            connection.execute("savepoint s")
            connection.execute("select pg_advisory_lock(%s)", (number,))


def fill_up(path: Path) -> None:
    """Write until the disk is full, without a buffer."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (65536, 512, 1):
        with suppress(OSError):
            while os.write(file, b"x" * size):
                continue
    os.close(file)


def outcome_of(desk: Desk) -> tuple[str, int]:
    """Why a deployment stopped, and its exit code.

    The journal needs locks, too: where there is none even for it, there is no event of the end, only the line tells.
    """
    try:
        answer = desk.deploy()
    except TargetLost as error:
        return str(error), error.exit_code
    return str(answer.document["reason"]), answer.exit_code


def test_a_server_out_of_locks(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Somebody else has used up the lock table: held with the server's own words, and done when there is room."""
    small = {"max_locks_per_transaction": "10", "max_connections": "15", "max_prepared_transactions": "0"}
    folder = tmp_path_factory.mktemp("small")
    with Cluster(directory=folder, installation=server_installation(16), settings=small) as cluster:
        url = servers.fresh_database(cluster.url())
        for path in sorted((MASTER / "migrations").glob("*/migration.sql")):
            execute(url, path.read_text("utf-8"))
        desk.environment("staging", url)
        greedy = psycopg.connect(url)
        seen = 0

        def use_up(point: str) -> None:
            nonlocal seen
            seen += point == "effect:committed"
            if point == "effect:committed" and seen == 20:
                take_all(greedy)
                greedy.execute("rollback to savepoint s")

        points.visit(use_up)
        try:
            told, code = outcome_of(desk)
        finally:
            points.visit(lambda _: None)
            greedy.close()
        assert re.search("out of shared memory.* resume", told)
        assert code == EXIT_HELD
        assert desk.status()["state"] in {"held", "interrupted"}
        assert desk.resume().exit_code == EXIT_DONE
        assert len(keys(url)) == 45


def test_a_backup_folder_on_a_full_disk(desk: Desk, master: str, full: Path) -> None:
    """A real full disk: refused before the first change, nothing left on it, and done with another folder."""
    filler = full / "filler"
    desk.environment("staging", master, backup='mode = "dump"')
    path = desk.inventory / "staging.toml"
    told = path.read_text("utf-8").replace(str(desk.folder / "backups"), str(full))
    path.write_text(told, encoding="utf-8")
    before = fingerprint(master)
    execute(master, "create table bulk as select md5(i::text) as a from generate_series(1, 100000) i")

    def fill(point: str) -> None:
        if point == "backup:folder made":
            fill_up(filler)

    points.visit(fill)
    try:
        answer = desk.deploy()
    finally:
        points.visit(lambda _: None)
        filler.unlink(missing_ok=True)
    assert answer.document["state"] in {"refused", "held"}
    assert answer.exit_code in {EXIT_REFUSED, EXIT_HELD}
    assert list(full.iterdir()) == []
    execute(master, "drop table bulk")
    assert fingerprint(master) == before
    desk.environment("staging", master, backup='mode = "dump"')
    again = desk.resume() if answer.exit_code == EXIT_HELD else desk.deploy()
    assert again.exit_code == EXIT_DONE


def test_the_folder_of_runs_on_a_full_disk(desk: Desk, staging: str, full: Path) -> None:
    """The ledger has every event, so the work goes on; verify counts what the copy lacks, and says so."""
    desk.environment("staging", staging)
    runs = desk.runs
    runs.symlink_to(full, target_is_directory=True)
    seen = 0

    def fill(point: str) -> None:
        nonlocal seen
        seen += point == "effect:committed"
        if point == "effect:committed" and seen == 20:
            fill_up(full / "filler")

    points.visit(fill)
    try:
        answer = desk.deploy()
    finally:
        points.visit(lambda _: None)
    assert answer.exit_code == EXIT_DONE
    assert len(keys(staging)) == 45
    said = desk.typed("verify", "--env", "staging", "--run", answer.document["run"])
    assert said.returncode == 1
    assert "only in the database" in said.stdout


def test_a_statement_timeout_of_the_role_does_not_matter(desk: Desk, staging: str) -> None:
    """What a DBA has set for the role or the database is not ours to fail by."""
    name = servers.database_name(staging)
    execute(
        staging, f'alter database "{name}" set statement_timeout = 1', f'alter database "{name}" set lock_timeout = 1'
    )
    assert desk.deploy().exit_code == EXIT_DONE
