"""The ways side by side under load: every way in turn, round after round, in every state, order and obstacle."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from orchestrator.core.outcome import OrchestratorError
from tests.bench.load import Order
from tests.bench.obstacles import BUSIEST, IDLE_S, Obstacle
from tests.bench.stage import BUDGET_MS, Stage, State
from tests.bench.trial import Condition, Terms, Trial, measured
from tests.bench.ways import Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What is compared with what, and how often."""

    ways: tuple[Letter, ...]
    workers: tuple[str, ...]
    states: tuple[State, ...]
    orders: tuple[Order, ...]
    obstacles: tuple[Obstacle, ...]
    rounds: int

    def conditions(self) -> Iterator[Condition]:
        """One round: in each surrounding all ways one after the other, so that they share the machine's mood."""
        for state, order, obstacle in product(self.states, self.orders, self.obstacles):
            for way in self.ways:
                for workers in self.workers if way == "c" else ("",):
                    yield Condition(way=way, workers=workers, state=state, order=order, obstacle=obstacle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table: medians over the rounds; ms and s. `ratio` is wall time against `by hand` beside it.

    `whole_s` is the whole program: in our case preflight, audit and the checks afterwards too.
    """

    condition: Condition
    rounds: int
    finished: int
    wall_s: float | None
    whole_s: float | None
    ratio: float | None
    writes_ratio: float | None
    longest_ms: float
    worst_ms: float
    p99_ms: float
    aborted: int
    writes_per_s: float
    baseline_longest_ms: float
    baseline_p99_ms: float
    baseline_aborted: int
    baseline_writes_per_s: float
    bound_s: float | None
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """All trials, and under what circumstances."""

    version: str
    major: int
    rows: int
    shape: str
    keys: int
    writers: int
    idle_s: float
    blocked: tuple[str, ...]
    matrix: Matrix
    trials: tuple[Trial, ...]
    spoiled: tuple[str, ...] = ()

    def rows_of_table(self) -> Iterator[Row]:
        """One row per condition, in the order of the matrix; none where every trial was spoiled."""
        yield from (self._row(each) for each in self.matrix.conditions() if self._of(each))

    def _row(self, condition: Condition) -> Row:
        mine, rival = self._of(condition), self._of(replace(condition, way="b", workers=""))
        wall, their_wall = (_median([each.wall_s for each in of if each.finished]) for of in (mine, rival))
        # Who fails early has not held anybody up for long: compared is with those who came to the end.
        writes, their_writes = (
            _median([each.during.writes_per_s for each in of if each.finished]) for of in (mine, rival)
        )
        return Row(
            condition=condition,
            rounds=len(mine),
            finished=sum(each.finished for each in mine),
            wall_s=wall,
            whole_s=_median([each.whole_s for each in mine if each.finished]),
            ratio=wall / their_wall if wall and their_wall else None,
            writes_ratio=writes / their_writes if writes is not None and their_writes else None,
            longest_ms=median(each.during.longest_ms for each in mine),
            worst_ms=max(each.during.longest_ms for each in mine),
            p99_ms=median(each.during.p99_ms for each in mine),
            aborted=sum(each.during.aborts for each in mine),
            writes_per_s=median(each.during.writes_per_s for each in mine),
            baseline_longest_ms=median(each.baseline.longest_ms for each in mine),
            baseline_p99_ms=median(each.baseline.p99_ms for each in mine),
            baseline_aborted=sum(each.baseline.aborts for each in mine),
            baseline_writes_per_s=median(each.baseline.writes_per_s for each in mine),
            bound_s=_median([bound for each in mine if (bound := self._bound(each)) is not None]),
            errors=tuple(dict.fromkeys(each.error for each in mine if each.error)),
        )

    def _bound(self, trial: Trial) -> float | None:
        """With the idle transaction: what the same round without it took, or the wait and then the blocked keys."""
        if trial.condition.way != "c" or trial.condition.obstacle != "idle":
            return None
        free = [
            each
            for each in self._of(replace(trial.condition, obstacle="none"))
            if each.round == trial.round and each.finished
        ]
        return next((max(each.wall_s, self.idle_s + each.at_work_on(self.blocked)) for each in free), None)

    def _of(self, condition: Condition) -> list[Trial]:
        return [each for each in self.trials if each.condition == condition]


def measure(
    folder: Path, stage: Stage, matrix: Matrix, *, writers: int, limit_s: float, idle_s: float = IDLE_S
) -> Online:
    """Play all trials; a line on stderr tells of each as it ends.

    A trial that the stage spoils, as when no autovacuum comes, is named and left out: hours of others are not lost.
    """
    stage.prepare()
    terms = Terms(folder=folder, writers=writers, limit_s=limit_s, idle_s=idle_s)
    trials, spoiled = [], []
    for round_, condition in product(range(matrix.rounds), tuple(matrix.conditions())):
        name = f"round {round_ + 1}: {told(condition)}"
        try:
            trial = measured(stage, condition, round_, terms)
        except OrchestratorError as error:
            spoiled.append(f"{name}: spoiled: {error}")
            print(spoiled[-1], file=sys.stderr, flush=True)
        else:
            trials.append(trial)
            print(f"{name}: {_outcome(trial)}", file=sys.stderr, flush=True)
    contract = stage.runbook.contract
    return Online(
        version=stage.version,
        major=stage.major,
        rows=stage.rows,
        shape=stage.shape,
        keys=sum(each.status == "missing" for each in stage.plan.relations),
        writers=writers,
        idle_s=idle_s,
        blocked=tuple(each.id for each in contract.promised if BUSIEST in {each.table, each.referenced}),
        matrix=matrix,
        trials=tuple(trials),
        spoiled=tuple(spoiled),
    )


COLUMNS = (
    f"{'way':<28}{'state':<10}{'order':<8}{'obstacle':<11}{'finished':>9}{'wall s':>8}{'to (b)':>7}{'whole s':>9}"
    f"{'longest ms':>12}{'worst':>8}{'p99':>7}{'aborted':>8}{'writes/s':>9}{'to (b)':>7}"
    f"  | alone: {'longest ms':>10}{'p99':>7}{'aborted':>8}{'writes/s':>9}"
)


def lines(found: Online) -> list[str]:
    """The table, the bounds of the runs with an idle transaction, and why ways did not finish."""
    rows = list(found.rows_of_table())
    head = (
        f"online: PostgreSQL {found.version}, {found.rows} rows in the largest table, {found.keys} keys,"
        f" {found.writers} writers, medians of {found.matrix.rounds}, lock budget {BUDGET_MS} ms"
    )
    return [
        head,
        f"  {COLUMNS}",
        *(f"  {_line(each)}" for each in rows),
        *_bounds(rows),
        *_errors(rows),
        *(f"  {each}" for each in found.spoiled),
    ]


def document(found: Online) -> dict[str, object]:
    """The table and every trial behind it, statements of ours included."""
    facts = {"version": found.version, "rows": found.rows, "keys": found.keys, "writers": found.writers}
    matrix = asdict(found.matrix)
    table = [_plain(asdict(each)) for each in found.rows_of_table()]
    return {
        **facts,
        "idle_s": found.idle_s,
        "matrix": matrix,
        "table": table,
        "trials": [_plain(asdict(each)) for each in found.trials],
    }


def _plain(value: Any) -> Any:
    """Numbers rounded: more digits than these were not measured."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _line(row: Row) -> str:
    of = row.condition
    return (
        f"{of.title:<28}{of.state:<10}{of.order:<8}{of.obstacle:<11}{f'{row.finished} of {row.rounds}':>9}"
        f"{number(row.wall_s, 2):>8}{number(row.ratio, 2):>7}{number(row.whole_s, 2):>9}"
        f"{row.longest_ms:>12.1f}{row.worst_ms:>8.1f}{row.p99_ms:>7.1f}"
        f"{row.aborted:>8}{row.writes_per_s:>9.0f}{number(row.writes_ratio, 2):>7}"
        f"  |        {row.baseline_longest_ms:>10.1f}{row.baseline_p99_ms:>7.1f}"
        f"{row.baseline_aborted:>8}{row.baseline_writes_per_s:>9.0f}"
    )


def _bounds(rows: Sequence[Row]) -> Iterator[str]:
    for each in rows:
        if each.bound_s and each.wall_s:
            of = each.condition
            yield (
                f"  {of.title}, {of.state}, {of.order}: {each.wall_s:.2f} s beside the idle transaction, where"
                f" max(unobstructed, its time + keys of {BUSIEST.name}) is {each.bound_s:.2f} s:"
                f" {each.wall_s / each.bound_s:.2f}"
            )


def _errors(rows: Sequence[Row]) -> Iterator[str]:
    for each in rows:
        of = each.condition
        for error in each.errors:
            yield f"  {told(of)}: not finished: {error}"


def told(condition: Condition) -> str:
    """The condition in a few words."""
    return f"{condition.title}, {condition.state}, {condition.order}, {condition.obstacle}"


def _outcome(trial: Trial) -> str:
    end = "" if trial.finished else f", not finished: {trial.error}"
    return (
        f"{trial.wall_s:.2f} s, longest {trial.during.longest_ms:.1f} ms (alone {trial.baseline.longest_ms:.1f}),"
        f" p99 {trial.during.p99_ms:.1f} ms, aborted {trial.during.aborts},"
        f" {trial.during.writes_per_s:.0f} writes/s{end}"
    )


def number(value: float | None, digits: int) -> str:
    """A number, or a dash for what was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
