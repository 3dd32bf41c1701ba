"""What the writers recorded, counted over a stretch of time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of the monotonic clock, in s."""

    began: float
    ended: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.ended - self.began

    def touches(self, began: float, ended: float) -> bool:
        """Whether any of that time lies within."""
        return began < self.ended and ended > self.began


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The writes of a window: latencies in ms, transactions that the server ended by SQLSTATE."""

    seconds: float
    writes: int
    writes_per_s: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    transactions: int
    aborted: dict[str, int]

    @property
    def aborts(self) -> int:
        """All aborted transactions, whatever the reason."""
        return sum(self.aborted.values())


def figures(folder: Path, window: Window, *, begun_within: bool = False) -> Figures:
    """Every write and transaction that touches the window; the rate counts the writes that ended within it.

    With `begun_within` those that were already waiting when it began are left out: they belong to what was before.
    """
    latencies: list[float] = []
    outcomes: Counter[str] = Counter()
    ended = 0
    for kind, *words in _lines(folder):
        if kind == "w":
            start, ms = float(words[0]), float(words[1])
            end = start + ms / 1000
            if window.touches(start, end) and not (begun_within and start < window.began):
                latencies.append(ms)
                ended += end <= window.ended
        elif window.touches(start := float(words[0]), float(words[1])):
            outcomes[words[2]] += not (begun_within and start < window.began)
    latencies.sort()
    return Figures(
        seconds=window.length_s,
        writes=len(latencies),
        writes_per_s=ended / window.length_s if window.length_s else 0.0,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        longest_ms=latencies[-1] if latencies else 0.0,
        transactions=outcomes.total(),
        aborted={code: count for code, count in sorted(outcomes.items()) if count and code != "committed"},
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was measured. 0 when nothing was."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _lines(folder: Path) -> Iterator[list[str]]:
    for path in sorted(folder.glob("writer-*")):
        with path.open(encoding="ascii") as file:
            yield from (line.split() for line in file if line.endswith("\n"))
