"""The ways to bring the missing keys in: one transaction, by hand, this project. Each is a program of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestrator.adapters.child import die_with_us
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.programs import Installation
from orchestrator.core.plan import Plan
from tests.bench import deployment
from tests.bench.stage import ROOT

Letter = Literal["a", "b", "c"]
LETTERS: tuple[Letter, ...] = get_args(Letter)
TITLES: Mapping[Letter, str] = {"a": "one transaction", "b": "by hand", "c": "this project"}
TOLD_AT_MOST = 300

# A transaction asks for its locks when it begins; both kinds of events tell how long ago that was.
BEGAN = """
select extract(epoch from min(at - make_interval(secs => spent / 1000)))::float8
from orchestrator.event, coalesce((data ->> 'duration_ms')::float8, (data ->> 'waited_ms')::float8) as spent
where kind in ('statement_done', 'lock_attempt_failed')
"""
DONE = """
select extract(epoch from at)::float8, data ->> 'id', data ->> 'relation', (data ->> 'duration_ms')::float8,
       (data ->> 'blocked_ms')::float8, (data ->> 'attempts')::int
from orchestrator.event where kind = 'statement_done' order by at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A statement that our journal tells of: its end by the server's clock in s, its times in ms."""

    at: float
    id: str
    relation: str
    duration_ms: float
    blocked_ms: float
    attempts: int


class Way(Protocol):
    """A way at work. Times are by the server's clock, in s since 1970."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The program."""

    def began(self, watcher: psycopg.Connection) -> float | None:
        """When its first lock was asked for; None before that."""

    def ended(self, watcher: psycopg.Connection) -> float | None:
        """When its last commit was made; None when it did not come to its end."""

    def trouble(self) -> str:
        """What it said last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Psql:
    """A script in psql, which says the server's time before and after."""

    process: subprocess.Popen[bytes]
    folder: Path

    def began(self, _: psycopg.Connection) -> float | None:
        """What it said first."""
        return next(self._times(), None)

    def ended(self, _: psycopg.Connection) -> float | None:
        """What it said second; an error keeps it from saying so."""
        return next(iter([*self._times()][1:]), None)

    def trouble(self) -> str:
        """Its first error."""
        lines = (self.folder / "complained").read_text("utf-8", errors="replace").splitlines()
        found = next((line for line in lines if "ERROR" in line), " ".join(lines))
        return re.sub(r"^psql:.*?:\d+: ", "", found)[:TOLD_AT_MOST]

    def _times(self) -> Iterator[float]:
        text = (self.folder / "said").read_text("utf-8")
        yield from (float(line) for line in text.splitlines(keepends=True) if line.endswith("\n"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A deployment of this project; its times are those of its journal."""

    process: subprocess.Popen[bytes]
    folder: Path
    seen: list[float] = field(default_factory=list)

    def began(self, watcher: psycopg.Connection) -> float | None:
        """When the first transaction of the step `apply` began."""
        if not self.seen and _has_journal(watcher):
            row: Any = watcher.execute(BEGAN).fetchone()
            self.seen.extend(each for each in row if each is not None)
        return self.seen[0] if self.seen else None

    def ended(self, watcher: psycopg.Connection) -> float | None:
        """When the last statement took effect, if the run is done."""
        done = statements(watcher)
        return done[-1].at if done and self.process.returncode == 0 else None

    def trouble(self) -> str:
        """The last line it wrote."""
        lines = (self.folder / "complained").read_text("utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")[:TOLD_AT_MOST]


def statements(watcher: psycopg.Connection) -> tuple[Done, ...]:
    """The statements of our journal in the order in which they took effect; none where there is no journal."""
    if not _has_journal(watcher):
        return ()
    names = ("at", "id", "relation", "duration_ms", "blocked_ms", "attempts")
    return tuple(Done(**dict(zip(names, row, strict=True))) for row in watcher.execute(DONE).fetchall())


def start(letter: Letter, plan: Plan, programs: Installation, url: str, folder: Path, *, workers: str) -> Way:
    """Begin to walk that way; `workers` is the policy `validate_workers` of ours and nothing to the others."""
    if letter == "c":
        policy = {"validate_workers": int(workers) if workers.isdecimal() else workers}
        deployment.prepare(folder, url, policy)
        return deployed(folder)
    folder.mkdir(parents=True)
    lines = one_transaction(plan) if letter == "a" else by_hand(plan)
    return Psql(process=psql(programs, url, lines, folder), folder=folder)


def deployed(folder: Path) -> Ours:
    """Begin a deployment of what `deployment.prepare` wrote into the folder."""
    command = [sys.executable, "-m", "tests.bench.deployment", str(folder)]
    return Ours(process=_started(command, folder, None), folder=folder)


def one_transaction(plan: Plan) -> Iterator[str]:
    """All missing keys, checked as they are added, in one transaction: as `psql -1` and Prisma 6 send a file."""
    writer = QuotedDdl()
    yield "begin;"
    for each in plan.relations:
        if each.status == "missing":
            yield f"{writer.add(each.relation, not_valid=False)};"
    yield "commit;"


def by_hand(plan: Plan) -> Iterator[str]:
    """The statements of our plan in its order, each in its own transaction: all NOT VALID, then validations."""
    yield from (f"{each.sql};" for each in plan.statements)


def psql(programs: Installation, url: str, lines: Iterator[str], folder: Path) -> subprocess.Popen[bytes]:
    """The script in psql between two looks at the server's clock, stopped by its first error."""
    clock = "select extract(epoch from clock_timestamp());"
    script = folder / "script.sql"
    script.write_text("\n".join([clock, *lines, clock]), encoding="utf-8")
    known = conninfo_to_dict(url)
    # Who lists the processes of a machine sees their arguments.
    secret = {"PGPASSWORD": str(known.pop("password"))} if "password" in known else {}
    words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", make_conninfo("", **known), "-f", str(script)]
    environment = programs.environment() | secret | {"PGAPPNAME": "bench/psql"}
    return _started([str(programs.program("psql")), *words], folder, environment)


def _started(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    with (folder / "said").open("wb") as said, (folder / "complained").open("wb") as complained:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complained,
            preexec_fn=die_with_us(signal.SIGKILL),  # noqa: PLW1509  calls nothing but prctl
        )


def _has_journal(watcher: psycopg.Connection) -> bool:
    row = watcher.execute("select to_regclass('orchestrator.event') is not null").fetchone()
    return bool(row and row[0])
