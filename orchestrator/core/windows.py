"""When a deployment may go on: windows that begin on named days and may cross midnight, and days of freeze.

Every moment is aware and in UTC, where arithmetic is by time that passed; the zone of the window comes from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from orchestrator.core.inventory import Freeze, Window

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

LOOKED_AHEAD = 800
"""Days looked ahead for the next window: a freeze of more than two years has none after it that anybody waits for."""

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time from `begins` on, and before `ends`."""

    begins: datetime
    ends: datetime

    def has(self, moment: datetime) -> bool:
        """Whether the moment lies in it."""
        return self.begins <= moment < self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What window and freezes say about a moment.

    `ends` is when what is open now closes, `next` when what is closed opens; None where nothing does. `frozen` is the
    freeze that the moment lies in, `ends_by` the one that cuts the window short.
    """

    inside: bool
    ends: datetime | None = None
    next: datetime | None = None
    frozen: Freeze | None = None
    ends_by: Freeze | None = None

    @property
    def open(self) -> bool:
        """Whether a run may go on."""
        return self.inside and self.frozen is None


def opening(window: Window | None, freezes: Iterable[Freeze], *, zone: tzinfo, now: datetime) -> Opening:
    """Whether it is open now, when that ends, and when it opens next. Without a window only freezes close it."""
    freezes = tuple(sorted(freezes, key=lambda each: each.start))
    frozen = frozen_at(freezes, zone=zone, now=now)
    span = (
        next((each for each in _spans(window, zone=zone, now=now, days=0) if each.has(now)), None) if window else None
    )
    inside = window is None or span is not None
    if not inside or frozen is not None:
        return Opening(inside=inside, frozen=frozen, next=_next(window, freezes, zone=zone, now=now))
    cut = next((each for each in freezes if _midnight(each.start, zone) > now), None)
    ends = span.ends if span else None
    begins = _midnight(cut.start, zone) if cut else None
    if begins is not None and (ends is None or begins < ends):
        return Opening(inside=True, ends=begins, ends_by=cut)
    return Opening(inside=True, ends=ends)


def frozen_at(freezes: Iterable[Freeze], *, zone: tzinfo, now: datetime) -> Freeze | None:
    """The freeze that the moment lies in; its days are those of the zone, both ends included."""
    today = now.astimezone(zone).date()
    return next((each for each in freezes if each.start <= today <= each.end), None)


def _next(window: Window | None, freezes: tuple[Freeze, ...], *, zone: tzinfo, now: datetime) -> datetime | None:
    """The first moment from now on that is open."""
    if window is None:
        return _thawed(freezes, zone=zone, moment=now)
    for span in _spans(window, zone=zone, now=now, days=LOOKED_AHEAD):
        moment = _thawed(freezes, zone=zone, moment=max(span.begins, now))
        if span.has(moment):
            return moment
    return None


def _thawed(freezes: tuple[Freeze, ...], *, zone: tzinfo, moment: datetime) -> datetime:
    """The moment, or the end of the freezes that it lies in."""
    while (frozen := frozen_at(freezes, zone=zone, now=moment)) is not None:
        moment = _midnight(frozen.end + timedelta(days=1), zone)
    return moment


def _spans(window: Window, *, zone: tzinfo, now: datetime, days: int) -> Iterator[Span]:
    """The windows that begin from yesterday on, in order; one that a change of the clock leaves nothing of is none."""
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    today = now.astimezone(zone).date()
    for ahead in range(-1, days + 1):
        day = today + timedelta(days=ahead)
        if DAYS[day.weekday()] in window.days:
            last = day if end > start else day + timedelta(days=1)
            span = Span(begins=_moment(day, start, zone), ends=_moment(last, end, zone))
            if span.begins < span.ends:
                yield span


def _midnight(day: date, zone: tzinfo) -> datetime:
    return _moment(day, time(), zone)


def _moment(day: date, clock: time, zone: tzinfo) -> datetime:
    """That time of day in the zone.

    One that the clock shows twice is the first of the two. One that it leaps over is the moment of the leap: a window
    then neither begins late nor ends late.
    """
    local = datetime.combine(day, clock, tzinfo=zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    after = moment.astimezone(zone).utcoffset()
    while (moment - MINUTE).astimezone(zone).utcoffset() == after:
        moment -= MINUTE
    return moment
