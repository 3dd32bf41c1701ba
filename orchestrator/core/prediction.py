"""How long a deployment will take: what a rehearsal measured, carried over to the rows of now.

Adding and dropping a key costs the same whatever the table holds; validating, counting and copying cost by the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.evidence import Evidence, Measured
from orchestrator.core.timeline import STANDARD_STEPS

BY_THE_ROW = frozenset({"audit", "backup", "validate"})
"""Steps that read every row. Apply is carried over statement by statement."""

LEAST_SPREAD = 0.5
"""Of the time itself. Measured: a validation that took 1.26 and 1.32 s in the rehearsal took 1.85 s afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A time in ms: the one to expect, and the least and the most to count on."""

    ms: float
    least_ms: float
    most_ms: float

    def __add__(self, other: Expected) -> Expected:
        """One after the other."""
        return Expected(
            ms=self.ms + other.ms, least_ms=self.least_ms + other.least_ms, most_ms=self.most_ms + other.most_ms
        )


NOTHING = Expected(ms=0.0, least_ms=0.0, most_ms=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a deployment of this plan will take, step by step in their order, and the whole way back from its end."""

    steps: Mapping[str, Expected]
    way_back: Expected

    @property
    def total(self) -> Expected:
        """All steps, one after the other."""
        return self.from_step(None)

    def from_step(self, name: str | None) -> Expected:
        """That step and those after it, in the order of the runbook; None is the whole."""
        names = list(self.steps)
        begin = names.index(name) if name in self.steps and name is not None else 0
        return sum((self.steps[each] for each in names[begin:]), NOTHING)


def predict(evidence: Evidence, rows: Mapping[str, int], *, order: Sequence[str] = STANDARD_STEPS) -> Prediction:
    """The times of a rehearsal for a database with these `rows` by table; `order` has the steps of the runbook.

    A table that is not named, or that was empty then, is taken to be as large as all the others together say.
    """
    steps: dict[str, Expected] = {}
    whole = growth(sum(evidence.rows.values()), sum(rows.get(name, then) for name, then in evidence.rows.items()))
    for name in (each for each in order if each in evidence.steps):
        median = evidence.steps[name]
        times = evidence.step_times.get(name, (median,))
        factor = _apply_growth(evidence, rows, whole) if name == "apply" else whole if name in BY_THE_ROW else 1.0
        steps[name] = spread(median, times, factor)
    ways = [each.duration_ms for each in evidence.ways_back if each.statements]
    return Prediction(steps=steps, way_back=spread(max(ways, default=0.0), ways, 1.0))


def growth(then: int, now: int) -> float:
    """How many times the rows of then there are now; 1 where nothing can be said."""
    return now / then if then > 0 and now > 0 else 1.0


def spread(median: float, times: Sequence[float], factor: float) -> Expected:
    """A measured time and its interval, for `factor` times the rows.

    A part of every time does not depend on rows and is not known: nothing is expected to be quicker than it was
    measured, and only the least counts on it. The interval has the whole spread once more on either side: of a few
    repetitions none is likely to have been the longest possible, and two that agree may do so by chance.
    """
    known = times or (median,)
    low, high = min(known), max(known)
    margin = max(high - low, LEAST_SPREAD * median)
    more, less = max(1.0, factor), min(1.0, factor)
    return Expected(ms=median * more, least_ms=max(0.0, low - margin) * less, most_ms=(high + margin) * more)


def _apply_growth(evidence: Evidence, rows: Mapping[str, int], whole: float) -> float:
    """How many times longer the statements take: validations by the rows of their table, the others as they were."""
    then = sum(each.duration_ms for each in evidence.statements)
    now = sum(each.duration_ms * _statement_growth(each, evidence, rows, whole) for each in evidence.statements)
    return now / then if then else 1.0


def _statement_growth(statement: Measured, evidence: Evidence, rows: Mapping[str, int], whole: float) -> float:
    if not statement.table:
        return 1.0
    then = evidence.rows.get(statement.table, 0)
    if then <= 0 or statement.table not in rows:
        return whole
    return growth(then, rows[statement.table])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One step as it was expected, as it was rehearsed, and as it came to be. Times are in ms; None: not there."""

    step: str
    planned: Expected | None
    rehearsed_ms: float | None
    actual_ms: float | None

    @property
    def within(self) -> bool | None:
        """Whether it took no longer than the most that was to be counted on; None when one of the two is not known."""
        if self.planned is None or self.actual_ms is None:
            return None
        return self.actual_ms <= self.planned.most_ms


def compare(
    planned: Mapping[str, Expected], rehearsed: Mapping[str, float], actual: Mapping[str, float | None]
) -> tuple[Comparison, ...]:
    """Step by step in the order of `actual`: planned, rehearsed and actual, times in ms."""
    return tuple(
        Comparison(step=name, planned=planned.get(name), rehearsed_ms=rehearsed.get(name), actual_ms=took)
        for name, took in actual.items()
    )
