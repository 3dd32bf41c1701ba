"""Delays between attempts, as iterators: the caller sleeps, this only counts."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def full_jitter(*, first_ms: float, most_ms: float, random: Random) -> Iterator[float]:
    """Endless delays in ms, each uniform between 0 and a ceiling that doubles from `first_ms` up to `most_ms`.

    Full jitter keeps two waiting parties from meeting again and again.
    """
    ceiling = first_ms
    while True:
        yield random.uniform(0, ceiling)
        ceiling = min(most_ms, ceiling * 2)
