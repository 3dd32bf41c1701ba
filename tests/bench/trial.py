"""One trial: a copy in its state, writers, an obstacle, one way, and the same load afterwards without any way."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from orchestrator.core.outcome import OrchestratorError
from tests.bench import ways
from tests.bench.figures import Figures, Window, figures
from tests.bench.load import Order
from tests.bench.obstacles import Obstacle, Standing, standing
from tests.bench.stage import Stage, State
from tests.bench.ways import Done, Letter, Way
from tests.bench.writers import Load, loaded

LOOK_EVERY_S = 0.02
BASELINE_AT_MOST_S = 60.0
"""How long the load goes on by itself after a way that had to be stopped; after any other, as long as the way took."""

# Whose backends are ended with a way that takes too long: a killed client leaves its statement running.
END = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and (application_name = 'bench/psql' or application_name like 'orchestrator/%')
"""
VALID = (
    "select count(*) from pg_constraint where contype = 'f' and convalidated and connamespace = 'public'::regnamespace"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a trial is about; `workers` is empty for ways that know no workers."""

    way: Letter
    workers: str
    state: State
    order: Order
    obstacle: Obstacle

    @property
    def title(self) -> str:
        """The way as people read it."""
        words = {"": "", "1": ", 1 worker", "auto": ", auto"}
        return ways.TITLES[self.way] + words.get(self.workers, f", {self.workers} workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it. `wall_s` is from the first lock to the last commit, or to the failure.

    `whole_s` is how long the program ran.
    """

    condition: Condition
    round: int
    finished: bool
    error: str
    wall_s: float
    whole_s: float
    during: Figures
    baseline: Figures
    statements: tuple[Done, ...]

    def at_work_on(self, relations: Collection[str]) -> float:
        """How long our run was at work on these keys, in s; what ran side by side counts once."""
        mine = [each for each in self.statements if each.relation in relations]
        return covered((each.at - each.duration_ms / 1000, each.at) for each in mine)


def covered(stretches: Iterable[tuple[float, float]]) -> float:
    """The length of what the stretches cover together."""
    total, until = 0.0, float("-inf")
    for began, ended in sorted(stretches):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is the same for all trials of a bench. Times are in s."""

    folder: Path
    writers: int
    limit_s: float
    idle_s: float


def measured(stage: Stage, condition: Condition, round_: int, terms: Terms) -> Trial:
    """Play the trial. Raises OrchestratorError when the stage, not the way, fails."""
    folder = terms.folder / f"trial-{condition.way}{condition.workers}-{round_}"
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(stage.trial(condition.state))
        watcher = stack.enter_context(psycopg.connect(url, autocommit=True, application_name="bench/watch"))
        obstacle = stack.enter_context(standing(condition.obstacle, stage, url, idle_s=terms.idle_s))
        with loaded(stage, url, folder / "load", order=condition.order, writers=terms.writers, seed=round_ + 1) as load:
            course = _walk(stage, condition, url, folder / "way", watcher, obstacle, terms)
            obstacle.go()
            baseline = _alone(load, min(course.window.length_s, BASELINE_AT_MOST_S))
        trial = Trial(
            condition=condition,
            round=round_,
            finished=not course.error,
            error=course.error,
            wall_s=course.window.length_s,
            whole_s=course.whole_s,
            during=figures(folder / "load", course.window),
            baseline=figures(folder / "load", baseline, begun_within=True),
            statements=ways.statements(watcher) if condition.way == "c" else (),
        )
    shutil.rmtree(folder)
    return trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a way went. An error means that it did not bring all keys in."""

    window: Window
    whole_s: float
    error: str


def _walk(
    stage: Stage,
    condition: Condition,
    url: str,
    folder: Path,
    watcher: psycopg.Connection,
    obstacle: Standing,
    terms: Terms,
) -> Course:
    offset = _offset(watcher)
    started = time.monotonic()
    way = ways.start(condition.way, stage.plan, stage.programs(), url, folder, workers=condition.workers)
    error = _watch(way, watcher, obstacle, offset, terms)
    stopped = time.monotonic()
    began, ended = way.began(watcher), way.ended(watcher)
    if not error and (ended is None or not _all_valid(stage, watcher)):
        error = way.trouble() or "keys are missing"
    window = Window(
        began=began - offset if began is not None else started,
        ended=ended - offset if ended is not None and not error else stopped,
    )
    return Course(window=window, whole_s=stopped - started, error=error)


def _watch(way: Way, watcher: psycopg.Connection, obstacle: Standing, offset: float, terms: Terms) -> str:
    """Until the way ends, or is stopped at the limit; the obstacle goes when its time has come. What went wrong."""
    deadline = time.monotonic() + terms.limit_s
    while True:
        try:
            way.process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            began = way.began(watcher) if obstacle.for_s is not None else None
            if began is not None and obstacle.for_s is not None and now - (began - offset) >= obstacle.for_s:
                obstacle.go()
            if now > deadline:
                way.process.kill()
                way.process.wait()
                watcher.execute(END)
                return f"stopped after {terms.limit_s:g} s"
        else:
            return "" if way.process.returncode == 0 else way.trouble()


def _alone(load: Load, seconds: float) -> Window:
    """The load without a deployment."""
    began = time.monotonic()
    load.go_on_for(seconds)
    return Window(began=began, ended=time.monotonic())


def _all_valid(stage: Stage, watcher: psycopg.Connection) -> bool:
    """Whether every key of the contract stands and is valid."""
    row = watcher.execute(VALID).fetchone()
    return bool(row and row[0] >= len(stage.runbook.contract.promised))


def _offset(watcher: psycopg.Connection) -> float:
    """What the server's clock shows when our monotonic one shows 0, in s: the quickest of a few answers."""
    asked = []
    for _ in range(7):
        before = time.monotonic()
        row = watcher.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
        after = time.monotonic()
        if row is None:
            message = "the server does not tell the time"
            raise OrchestratorError(message)
        asked.append((after - before, row[0] - (before + after) / 2))
    return float(min(asked)[1])
