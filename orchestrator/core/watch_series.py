"""A watch as series: for each subject its values in time with the limit that they are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orchestrator.core.performance import ROLL_BACK_MS
from orchestrator.core.watch import Word
from orchestrator.core.watch_readings import Baseline, Reading
from orchestrator.core.watch_rules import (
    ERROR_POINTS,
    VIOLATIONS_PER_HOUR,
    health_failures,
    hours,
    violations_per_hour,
)
from orchestrator.core.watched import Watched

MOST_WRITES: Final = 6
"""Writes whose series are shown: those that became slowest. All of them are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value; `hours` since the watch began."""

    hours: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one subject in `unit`; `limit` is where the thresholds begin to speak, None where there is none."""

    subject: str
    unit: str
    points: tuple[Point, ...]
    limit: float | None = None

    @property
    def last(self) -> float:
        """The latest value."""
        return self.points[-1].value

    @property
    def most(self) -> float:
        """The highest."""
        return max(each.value for each in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchJudgement:
    """A change of the thresholds' word; `at` is UTC."""

    at: str
    word: Word
    reasons: tuple[str, ...]
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchView:
    """What a report tells of a watch; times in s.

    `first` and `latest` are the times of its first and of its latest sample in UTC, `ended` why it is over; each is
    empty where there is none.
    """

    of: str
    word: Word
    worst: Word
    samples: int
    watched_s: float
    for_s: float
    baseline: str
    gaps: tuple[str, ...]
    judgements: tuple[WatchJudgement, ...]
    series: tuple[Series, ...]
    unknown: tuple[str, ...]
    first: str = ""
    latest: str = ""
    ended: str = ""


def watch_view(watched: Watched) -> WatchView | None:
    """The view of a watch; None for every other run."""
    if watched.began is None:
        return None
    last = watched.readings[-1] if watched.readings else None
    base = watched.held_against
    return WatchView(
        of=watched.began.of,
        word=watched.word,
        worst=watched.worst,
        samples=len(watched.readings),
        watched_s=round(watched.watched_s, 1),
        for_s=watched.began.for_s,
        baseline=f"{base.origin}, by {base.method}",
        gaps=watched.gaps,
        judgements=tuple(
            WatchJudgement(at=_moment(at), word=each.word, reasons=each.reasons, command=each.command)
            for at, each in watched.words
        ),
        series=tuple(_series(watched.readings, base)),
        unknown=tuple(f"{subject}: {why}" for subject, why in last.unknown.items()) if last else (),
        first=_moment(watched.readings[0].at) if last else "",
        latest=_moment(last.at) if last else "",
        ended=watched.ended.reason if watched.ended else "",
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _series(readings: Sequence[Reading], base: Baseline) -> Iterator[Series]:
    if not readings:
        return
    began = readings[0].at
    for key in _slowest(readings, base):
        found = _points(readings, began, lambda each, key=key: each.writes.get(key))  # type: ignore[misc]
        limit = base.writes[key] + ROLL_BACK_MS if key in base.writes else None
        yield from _unless_empty(key, "ms", found, limit)
    limit = base.error_rate + ERROR_POINTS if base.error_rate is not None else None
    yield from _unless_empty(
        "transactions rolled back", "%", _points(readings, began, lambda each: each.error_rate), limit
    )
    hourly = tuple(
        Point(hours=_hours(began, each.at), value=round(rate, 2))
        for each, hour in hours(readings)
        if each.violations is not None and (rate := violations_per_hour(hour)) is not None
    )
    yield from _unless_empty("foreign-key violations", "an hour", hourly, VIOLATIONS_PER_HOUR)
    yield from _unless_empty("longest lock wait", "ms", _points(readings, began, lambda each: each.lock_wait_ms), None)
    yield from _unless_empty("replica lag", "s", _points(readings, began, lambda each: each.lag_s), None)
    for host in readings[-1].host_ms:
        found = _points(readings, began, lambda each, host=host: each.host_ms.get(host))  # type: ignore[misc]
        yield from _unless_empty(f"health of {host}", "ms", found, None)
    yield from _of_hosts(readings, base, began)


def _of_hosts(readings: Sequence[Reading], base: Baseline, began: datetime) -> Iterator[Series]:
    """Errors in the hosts' logs, and how often their health URL failed; where it never did that is no series."""
    for subject in dict.fromkeys(subject for each in readings for subject in each.log_errors):
        usual = base.log_errors.get(subject)
        found = _points(readings, began, lambda each, subject=subject: each.log_errors.get(subject))  # type: ignore[misc]
        yield from _unless_empty(f"errors in {subject}", "%", found, None if usual is None else usual + ERROR_POINTS)
    for host in dict.fromkeys(host for each in readings for host, failed in each.failed.items() if failed):
        values = ((each.at, health_failures(hour, host)) for each, hour in hours(readings))
        shares = tuple(
            Point(hours=_hours(began, at), value=round(share, 1)) for at, share in values if share is not None
        )
        yield from _unless_empty(f"failed health checks of {host}", "% of the last hour", shares, None)


def _slowest(readings: Sequence[Reading], base: Baseline) -> list[str]:
    growth = {
        key: max(each.writes[key] for each in readings if key in each.writes) - base.writes.get(key, 0.0)
        for key in dict.fromkeys(key for each in readings for key in each.writes)
    }
    return sorted(growth, key=lambda key: (-growth[key], key))[:MOST_WRITES]


def _points(readings: Sequence[Reading], began: datetime, of: Callable[[Reading], float | None]) -> tuple[Point, ...]:
    return tuple(
        Point(hours=_hours(began, each.at), value=round(value, 3))
        for each in readings
        if (value := of(each)) is not None
    )


def _hours(began: datetime, at: datetime) -> float:
    return round((at - began).total_seconds() / 3600, 4)


def _unless_empty(subject: str, unit: str, points: tuple[Point, ...], limit: float | None) -> Iterator[Series]:
    if points:
        yield Series(subject=subject, unit=unit, points=points, limit=limit)
