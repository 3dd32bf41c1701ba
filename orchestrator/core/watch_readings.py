"""What samples say of the time between them: values from counters, gaps, and the baseline they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final, Literal

from orchestrator.core.watch import AWAY, LOCK_WAITS, Method, Sample, Transactions, Write

FEWEST_TRANSACTIONS: Final = 50
"""A share of fewer says nothing."""

LATE: Final = 2.0
"""A sample that comes later than so many times the interval leaves a gap before it."""

FIRST: Final = 3
"""So many readings make a baseline where none was taken before the deployment."""

Origin = Literal["before the deployment", "first samples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one sample adds. Writes are ms per write by `insert public.orders`, the error rate per cent of transactions.

    `since` is the time of the sample before, None for the first; `gap` is not empty when nobody looked in between.
    `log_errors` are per cent of lines by log; `failed` tells by host whether the health URL did.
    """

    at: datetime
    since: datetime | None
    method: Method
    writes: Mapping[str, float] = field(default_factory=dict)
    error_rate: float | None = None
    violations: int | None = None
    lock_wait_ms: float | None = None
    waiting: str = ""
    lag_s: float | None = None
    standing: int | None = None
    not_valid: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    orphans: Mapping[str, int] = field(default_factory=dict)
    healthy: Mapping[str, bool] = field(default_factory=dict)
    host_ms: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    gap: str = ""
    log_errors: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, bool] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The time since the sample before."""
        return (self.at - self.since).total_seconds() if self.since else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What writes and errors were like before; `late` are the writes that only the first samples tell of."""

    origin: Origin
    method: Method
    writes: Mapping[str, float] = field(default_factory=dict)
    error_rate: float | None = None
    late: frozenset[str] = frozenset()
    log_errors: Mapping[str, float] = field(default_factory=dict)


def reading(before: Sample | None, sample: Sample) -> Reading:
    """What a sample says, with the one before it. The first one has nothing to subtract from."""
    keys, unknown = sample.keys, dict(sample.unknown)
    rate = _error_rate(before.transactions if before else None, sample.transactions)
    return Reading(
        at=sample.at,
        since=before.at if before else None,
        method=sample.method,
        writes=dict(_written(before, sample)),
        error_rate=rate,
        violations=sample.violations,
        lock_wait_ms=None if unknown.keys() & {AWAY, LOCK_WAITS} else sample.lock_wait_ms,
        waiting=sample.waiting,
        lag_s=sample.lag_s,
        standing=keys.standing if keys else None,
        not_valid=keys.not_valid if keys else (),
        broken=keys.broken if keys else {},
        orphans=keys.orphans if keys else {},
        healthy={each.host: each.healthy for each in sample.hosts},
        host_ms={each.host: each.ms for each in sample.hosts},
        unknown=unknown,
        gap=_gap(before, sample),
        log_errors={} if before is None else dict(_shares(sample, first=False)),
        failed={each.host: each.failed for each in sample.hosts if each.failed is not None},
    )


def _written(before: Sample | None, sample: Sample) -> Iterator[tuple[str, float]]:
    if sample.method == "probes":
        yield from ((each.key, each.ms) for each in sample.writes)
        return
    if before is None or before.method != "statements" or before.since != sample.since:
        # The statistics were reset in between, or there is nothing to subtract: the next sample tells.
        return
    then = {each.key: each for each in before.writes}
    for now in sample.writes:
        old = then.get(now.key) or Write(table=now.table, operation=now.operation, calls=0, ms=0.0)
        # Statements that the server forgot for want of room take their calls with them.
        if now.calls > old.calls and now.ms >= old.ms:
            yield now.key, (now.ms - old.ms) / (now.calls - old.calls)


def _error_rate(before: Transactions | None, now: Transactions | None) -> float | None:
    if before is None or now is None or before.since != now.since:
        return None
    ended = max(0, now.rolled_back - before.rolled_back - before.own_rolled_back)
    done = max(0, now.committed - before.committed - before.own_committed)
    return _share(ended, done)


def _share(rolled_back: int, committed: int) -> float | None:
    total = rolled_back + committed
    return 100 * rolled_back / total if total >= FEWEST_TRANSACTIONS else None


def _gap(before: Sample | None, sample: Sample) -> str:
    if before is None:
        return ""
    seconds = (sample.at - before.at).total_seconds()
    if seconds <= LATE * max(before.every_s, sample.every_s):
        return ""
    why = sample.gap or "no monitor was at work"
    return f"{before.at:%Y-%m-%d %H:%M} to {sample.at:%Y-%m-%d %H:%M} UTC ({seconds / 3600:.1f} h): {why}"


def baseline(before: Sample | None, readings: Sequence[Reading]) -> Baseline:
    """What was before the deployment; where that is not known, the first readings, which have its cost in them."""
    method = readings[-1].method if readings else before.method if before else "none"
    usable = before if before is not None and before.method == method else None
    taken = dict(_totals(usable)) if usable else {}
    first = {key: value for key, value in _first(readings, method).items() if key not in taken}
    past = before.transactions if before else None
    rate = _share(past.rolled_back, past.committed) if past else None
    return Baseline(
        origin="before the deployment" if usable else "first samples",
        method=method,
        writes={**taken, **first},
        error_rate=rate if rate is not None else _median([each.error_rate for each in readings]),
        late=frozenset(first),
        log_errors={**_first_shares(readings), **(dict(_shares(before, first=True)) if before else {})},
    )


def _shares(sample: Sample, *, first: bool) -> Iterator[tuple[str, float]]:
    """Lines of an error by log, in per cent; the first time those of its end, which are older than the sample."""
    for each in (log for host in sample.hosts for log in host.logs):
        if each.first == first and each.error_share is not None:
            yield each.subject, each.error_share


def _first_shares(readings: Sequence[Reading]) -> Mapping[str, float]:
    """The median of the first readings of each log."""
    subjects = dict.fromkeys(subject for each in readings for subject in each.log_errors)
    found = {subject: _median([each.log_errors.get(subject) for each in readings]) for subject in subjects}
    return {subject: share for subject, share in found.items() if share is not None}


def _totals(sample: Sample) -> Iterator[tuple[str, float]]:
    for each in sample.writes:
        if each.calls:
            yield each.key, each.ms / each.calls if sample.method == "statements" else each.ms


def _first(readings: Sequence[Reading], method: Method) -> Mapping[str, float]:
    """The median of the first readings of each write, once there are enough of them."""
    values: dict[str, list[float]] = {}
    for each in readings:
        for key, value in each.writes.items() if each.method == method else ():
            known = values.setdefault(key, [])
            if len(known) < FIRST:
                known.append(value)
    return {key: median(known) for key, known in values.items() if len(known) == FIRST}


def _median(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None][:FIRST]
    return median(known) if len(known) == FIRST else None
