"""Indexes outside of a transaction: the run is killed before, in the middle and after, on the way there and back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import ProgramsMissing, server_installation
from tests.chaos import sections
from tests.chaos.sections import Result, Stage
from tests.chaos.world import Command
from tests.conftest import NEWEST

TABLES = """
create table parent (id int primary key);
create table child (id int primary key, parent_id int, other_id int);
create table "Grand child" (id int primary key, child_id int);
create index on child (other_id);
insert into parent select generate_series(1, 100);
insert into child select i, i, i from generate_series(1, 100) i;
insert into "Grand child" select i, i from generate_series(1, 100) i;
"""
LINE = """
[[foreign_key]]
table = "{table}"
columns = ["{column}"]
references = {{ table = "{referenced}", columns = ["id"] }}
"""
KEYS = (("child", "parent_id", "parent"), ("child", "other_id", "parent"), ("Grand child", "child_id", "child"))
OF_INDEXES = {"intent:committed", "index:built", "index:dropped"}
WAITS = """
select {} from pg_locks l join pg_stat_activity a using (pid)
where not l.granted and l.locktype = 'virtualxid' and a.query ilike '%index concurrently%'
"""


@pytest.fixture(scope="module", params=NEWEST[1:])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A cluster of its own, on 16 and 18, and a small runbook two of whose keys have no index."""
    folder = tmp_path_factory.mktemp("indexes")
    try:
        installation = server_installation(request.param)
    except ProgramsMissing as missing:
        pytest.skip(f"no PostgreSQL {request.param} on this machine: {missing}")
    cluster = Cluster(directory=folder / "cluster", installation=installation, settings={"autovacuum": "off"})
    cluster.start()
    made = Stage(
        folder=folder,
        cluster=cluster,
        migrations=written(folder / "migrations" / "1" / "migration.sql", TABLES),
        runbook=str(written(folder / "runbook" / "foreign_keys.toml", lines())),
        backup="none",
        policy="create_missing_indexes = true",
    )
    made.prepare()
    yield made
    cluster.discard()


def written(path: Path, text: str) -> Path:
    """Write a file; gives back the folder that the others expect."""
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path.parent.parent if path.suffix == ".sql" else path.parent


def lines() -> str:
    """The contract."""
    return "".join(LINE.format(table=table, column=column, referenced=parent) for table, column, parent in KEYS)


def around_indexes(names: list[str]) -> list[int]:
    """The points of an index, and the one after which the first is on record, counted from 1."""
    found = [number for number, name in enumerate(names, start=1) if name in OF_INDEXES]
    recorded = names.index("effect:committed", found[0]) + 1
    return sorted({*found, recorded})


def same(results: Iterator[Result]) -> None:
    """Every trial ended as if nobody had interfered."""
    found = list(results)
    assert found
    assert {each.trial: each.problems for each in found if each.problems} == {}


@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_killed_at_the_points_of_an_index(stage: Stage, command: Command) -> None:
    """Killed there, resumed, and equal to a run that nobody killed; twice two indexes are among the points."""
    names = stage.points[command]
    assert (
        names.count("intent:committed") == names.count("index:built" if command == "deploy" else "index:dropped") == 2
    )
    same(sections.at_points(stage, command, around_indexes(names)))


@pytest.mark.parametrize("command", ["deploy", "rollback"])
@pytest.mark.parametrize("ends", ["process", "session"])
def test_killed_in_the_middle_of_an_index(stage: Stage, command: Command, ends: str) -> None:
    """The server has begun it, and waits for an old transaction: our process is killed, or only its session ended."""
    world = stage.world(command, name=f"middle-{command}-{ends}")
    asked, allowed = world.folder / "asked", world.folder / "allowed"
    pid = world.begin(command, stopping(asked, allowed))
    until(asked.exists, "the intent")
    with psycopg.connect(world.direct) as old, psycopg.connect(world.direct, autocommit=True) as look:
        old.execute('update child set id = id where id = 1; update "Grand child" set id = id where id = 1')
        allowed.touch()
        until(lambda: look.execute(WAITS.format("count(*)").encode()).fetchone() != (0,), "the wait")
        if ends == "process":
            os.kill(pid, signal.SIGKILL)
        else:
            look.execute(WAITS.format("pg_terminate_backend(a.pid)").encode())
        old.rollback()
    code = world.end(pid)
    result = Result(trial=f"{command}: {ends} ended in the middle", kills=1)
    if code != 0:
        code, result.resumed = world.finish(command)
    same(iter([stage.judge(world, command, result, code)]))
    assert bool(result.resumed) == (ends == "process")


def stopping(asked: Path, allowed: Path) -> Callable[[str], None]:
    """A visitor that stops once an intent is on record, and goes on when it is allowed to."""

    def visit(point: str) -> None:
        if point == "intent:committed":
            asked.touch()
            until(allowed.exists, "to be allowed")

    return visit


def until(there: Callable[[], bool], what: str) -> None:
    """Wait for something, but not for ever."""
    limit = time.monotonic() + 60
    while not there():
        assert time.monotonic() < limit, f"{what} did not come"
        time.sleep(0.005)
