"""The thresholds of a watch, and what they make of its readings.

One noisy sample decides nothing: writes, errors and lag are judged by the median of their last three values, hosts and
the database by two of their last three answers. Violations are counted, not measured, so an hour of them is enough, and
a key that no longer holds is a fact at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from orchestrator.core.nouns import counted
from orchestrator.core.performance import ACCEPTED_MS, ROLL_BACK_MS
from orchestrator.core.watch import AWAY, Word
from orchestrator.core.watch_readings import FIRST, Baseline, Reading

ERROR_POINTS: Final = 5.0
"""So many points more of all transactions may end in a rollback."""

VIOLATIONS_PER_HOUR: Final = 1.0
"""More foreign-key violations an hour are to be looked into."""

LAST: Final = 3
HOUR_S: Final = 3600.0

RANK: Final[dict[Word, int]] = {"go": 0, "investigate": 1, "roll back": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A word, and what led to it, gravest first.

    `by_logs` where only logs of hosts say roll back: whoever can write a line there must not take keys away with it.
    """

    word: Word
    reasons: tuple[str, ...] = ()
    by_logs: bool = False


def judge(base: Baseline, readings: Sequence[Reading], *, most_lag_s: float) -> Judgement:
    """What the thresholds say after the last reading."""
    if not readings:
        return Judgement(word="go")
    seen, logged = tuple(_found(base, readings, most_lag_s)), tuple(_log_errors(base, readings))
    found = sorted((*seen, *logged), key=lambda each: -RANK[each[0]])
    word = found[0][0] if found else "go"
    by_logs = word == "roll back" and all(each != word for each, _ in seen)
    return Judgement(word=word, reasons=tuple(text for _, text in found), by_logs=by_logs)


def _found(base: Baseline, readings: Sequence[Reading], most_lag_s: float) -> Iterator[tuple[Word, str]]:
    yield from _writes(base, readings)
    yield from _errors(base, readings)
    rate = violations_per_hour(readings)
    if rate is not None and rate > VIOLATIONS_PER_HOUR:
        yield "investigate", f"{rate:.1f} foreign-key violations an hour (more than {VIOLATIONS_PER_HOUR:g})"
    yield from _keys(readings)
    lag = middle([each.lag_s for each in readings[-LAST:]])
    if lag is not None and lag > most_lag_s:
        yield "investigate", f"a replica is {lag:.0f} s behind (policy.max_replica_lag_s is {most_lag_s:g})"
    yield from _hosts(readings)
    away = [each for each in readings[-LAST:] if AWAY in each.unknown]
    if len(away) >= LAST - 1 and AWAY in readings[-1].unknown:
        yield "investigate", f"the database does not answer: {readings[-1].unknown[AWAY]}"


def _writes(base: Baseline, readings: Sequence[Reading]) -> Iterator[tuple[Word, str]]:
    slower = sorted(((overhead(base, readings, key), key) for key in readings[-1].writes), key=_grave, reverse=True)
    for more, key in slower:
        if more is not None and more > ACCEPTED_MS:
            word: Word = "roll back" if more > ROLL_BACK_MS else "investigate"
            limit = ROLL_BACK_MS if word == "roll back" else ACCEPTED_MS
            told = f"{key} takes {more:.1f} ms longer than {base.writes[key]:.2f} ms (limit {limit:g} ms)"
            yield word, told


def _grave(found: tuple[float | None, str]) -> tuple[float, str]:
    return (found[0] or 0.0, found[1])


def overhead(base: Baseline, readings: Sequence[Reading], key: str) -> float | None:
    """By how many ms the last three times of a write are longer; None before there are three to compare."""
    if key not in base.writes:
        return None
    values = []
    for each in reversed(readings):
        if each.method == base.method and key in each.writes:
            values.append(each.writes[key])
            if len(values) == LAST:
                return median(values) - base.writes[key]
    return None


def _errors(base: Baseline, readings: Sequence[Reading]) -> Iterator[tuple[Word, str]]:
    rate = error_rate(readings)
    if base.error_rate is not None and rate is not None and rate - base.error_rate > ERROR_POINTS:
        more = rate - base.error_rate
        told = f"{rate:.1f} % of transactions are rolled back, {more:.1f} points more than before"
        yield "roll back", f"{told} (limit {ERROR_POINTS:g} points)"


def _log_errors(base: Baseline, readings: Sequence[Reading]) -> Iterator[tuple[Word, str]]:
    for subject in readings[-1].log_errors:
        rate, usual = log_error_rate(readings, subject), base.log_errors.get(subject)
        if rate is not None and usual is not None and rate - usual > ERROR_POINTS:
            told = f"{rate:.1f} % of what comes into {subject} are errors, {rate - usual:.1f} points more than before"
            yield "roll back", f"{told} (limit {ERROR_POINTS:g} points)"


def log_error_rate(readings: Sequence[Reading], subject: str) -> float | None:
    """The median share of errors in the last three readings that have one of that log, in per cent."""
    return middle([each.log_errors[subject] for each in readings if subject in each.log_errors][-LAST:])


def health_failures(readings: Sequence[Reading], host: str) -> float | None:
    """The share of the last hour's samples in which a host's health URL did not answer well, in per cent."""
    answers, covered = [], 0.0
    for each in reversed(readings):
        if host in each.failed:
            answers.append(each.failed[host])
        covered += each.seconds
        if covered >= HOUR_S:
            break
    return 100 * sum(answers) / len(answers) if answers else None


def hours(readings: Sequence[Reading]) -> Iterator[tuple[Reading, Sequence[Reading]]]:
    """Each reading, with those of the hour up to it: what happens in an hour depends on no other."""
    first, covered = 0, 0.0
    for count, each in enumerate(readings, 1):
        covered += each.seconds
        while covered - readings[first].seconds >= HOUR_S:
            covered -= readings[first].seconds
            first += 1
        yield each, readings[first:count]


def error_rate(readings: Sequence[Reading]) -> float | None:
    """The median share of rolled-back transactions in the last three readings that have one, in per cent."""
    return middle([each.error_rate for each in readings if each.error_rate is not None][-LAST:])


def violations_per_hour(readings: Sequence[Reading]) -> float | None:
    """Violations in the last hour, or per hour where the last readings are further apart; None where nobody knows."""
    total, covered, known = 0, 0.0, False
    for each in reversed(readings):
        if covered >= HOUR_S:
            break
        covered += each.seconds
        if each.violations is not None:
            total, known = total + each.violations, True
    return total / max(1.0, covered / HOUR_S) if known else None


def _keys(readings: Sequence[Reading]) -> Iterator[tuple[Word, str]]:
    first, last = readings[0], readings[-1]
    for key, why in last.broken.items():
        if key not in first.broken:
            yield "investigate", f"{key} does not hold any more: {why}"
    for key in last.not_valid:
        if key not in first.not_valid and key not in first.broken:
            yield "investigate", f"{key} stands NOT VALID now"
    for key, count in last.orphans.items():
        if count > (known := _first_count(readings, key)):
            yield "investigate", f"{key}: {counted(count, 'orphan')}, {known} when the watch began"


def _first_count(readings: Sequence[Reading], key: str) -> int:
    return next((each.orphans[key] for each in readings if key in each.orphans), 0)


def _hosts(readings: Sequence[Reading]) -> Iterator[tuple[Word, str]]:
    for host, healthy in readings[-1].healthy.items():
        ill = sum(not each.healthy.get(host, True) for each in readings[-LAST:])
        if not healthy and ill >= LAST - 1:
            yield "investigate", f"{host} is not healthy in {ill} of the last {LAST} samples"


def middle(values: Sequence[float | None]) -> float | None:
    """The median of three values; None before there are three."""
    known = [each for each in values if each is not None]
    return median(known) if len(known) >= FIRST else None
