"""Charts of a run, as positions on axes; the templates draw them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from orchestrator.adapters.words import DAY, HOUR, MINUTE, SECOND, duration
from orchestrator.core.prediction import Comparison
from orchestrator.core.summary import StepRow

TICKS_MS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(count * SECOND for count in (1, 2, 5, 10, 20, 30)),
    *(count * MINUTE for count in (1, 2, 5, 10, 20, 30)),
    *(count * HOUR for count in (1, 2, 4, 8, 12)),
    *(count * DAY for count in (1, 2, 5, 10, 30, 100)),
)
MOST_TICKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the time axis in per cent of it, and how long it is."""

    left: float
    width: float
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A step on the time axis; `left` and `width` are percentages of it, None when it has not begun."""

    step: StepRow
    left: float | None
    width: float
    planned: Span | None = None
    rehearsed: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the time axis; `left` is a percentage of it."""

    label: str
    left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The steps that began or were planned, on one time axis."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


def chart(steps: Sequence[StepRow], comparison: Sequence[Comparison] = ()) -> Chart:
    """The chart of a run's steps; a step that has not ended is a mark where it began.

    With a comparison each step also has what was planned and rehearsed, one step after the other from the beginning.
    """
    planned = dict(_in_turn((each.step, each.planned.ms if each.planned else None) for each in comparison))
    rehearsed = dict(_in_turn((each.step, each.rehearsed_ms) for each in comparison))
    begun = [(each.start_ms, each.duration_ms or 0.0) for each in steps if each.start_ms is not None]
    whole = max((start + length for start, length in (*begun, *planned.values(), *rehearsed.values())), default=0.0)
    whole = whole or 1.0
    bars = (
        Bar(
            step=step,
            left=None if step.start_ms is None else share(step.start_ms, whole),
            width=share(step.duration_ms or 0.0, whole),
            planned=_span(planned.get(step.id), whole),
            rehearsed=_span(rehearsed.get(step.id), whole),
        )
        for step in steps
        if step.start_ms is not None or step.id in planned or step.id in rehearsed
    )
    return Chart(bars=tuple(bars), ticks=tuple(_ticks(whole)))


def _in_turn(times: Iterable[tuple[str, float | None]]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Start and length of each that has a time, one after the other."""
    start = 0.0
    for name, length in times:
        if length is not None:
            yield name, (start, length)
            start += length


def _span(stretch: tuple[float, float] | None, whole: float) -> Span | None:
    if stretch is None:
        return None
    return Span(left=share(stretch[0], whole), width=share(stretch[1], whole), ms=stretch[1])


def _ticks(whole: float) -> Iterator[Tick]:
    apart = next((each for each in TICKS_MS if whole / each <= MOST_TICKS), TICKS_MS[-1])
    for mark in takewhile(lambda mark: mark <= whole, (count * apart for count in range(MOST_TICKS + 1))):
        label = duration(mark).replace(".0 ", " ").replace(" 00 s", "").replace(" 00 min", "")
        yield Tick(label=label, left=share(mark, whole))


def share(part: float, whole: float) -> float:
    """Percentage, never above 100."""
    return round(min(100.0, 100 * part / whole), 2) if whole else 0.0
