"""Charts of a run, as positions on axes; the templates draw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from orchestrator.adapters.words import DAY, HOUR, MINUTE, SECOND, duration
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
class Bar:
    """A step on the time axis; `left` and `width` are percentages of it."""

    step: StepRow
    left: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the time axis; `left` is a percentage of it."""

    label: str
    left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The steps that began, on one time axis."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


def chart(steps: Sequence[StepRow]) -> Chart:
    """The chart of a run's steps; a step that has not ended is a mark where it began."""
    begun = [(each, each.start_ms, each.duration_ms or 0.0) for each in steps if each.start_ms is not None]
    whole = max((start + length for _, start, length in begun), default=0.0) or 1.0
    bars = (Bar(step=step, left=share(start, whole), width=share(length, whole)) for step, start, length in begun)
    return Chart(bars=tuple(bars), ticks=tuple(_ticks(whole)))


def _ticks(whole: float) -> Iterator[Tick]:
    apart = next((each for each in TICKS_MS if whole / each <= MOST_TICKS), TICKS_MS[-1])
    for mark in takewhile(lambda mark: mark <= whole, (count * apart for count in range(MOST_TICKS + 1))):
        label = duration(mark).replace(".0 ", " ").replace(" 00 s", "").replace(" 00 min", "")
        yield Tick(label=label, left=share(mark, whole))


def share(part: float, whole: float) -> float:
    """Percentage, never above 100."""
    return round(min(100.0, 100 * part / whole), 2) if whole else 0.0
