"""How many children each parent has: few have many, many have few."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from random import Random

FLATTER = 0.02
"""Softens the head of the Zipf curve, so that the first parent does not get everything."""

AT_MOST = 40
"""No parent gets more than so many times the average."""

CROWD = 100


def shares(total: int, parents: int, most: int | None, rng: Random) -> Sequence[int]:
    """Split `total` children over parents along a Zipf curve in random order, none with more than `most`.

    The sum is less than `total` only where `most` allows no more.
    """
    if parents == 0:
        return ()
    limit = max(CROWD, AT_MOST * total // parents)
    if most is not None:
        limit = min(most, limit if limit * parents >= total else most)
    weights = [1 / (rank + 1 + parents * FLATTER) for rank in range(parents)]
    rng.shuffle(weights)
    least = 1 if total >= 2 * parents else 0
    scale = (total - least * parents) / sum(weights)
    counts = [min(limit, least + int(weight * scale)) for weight in weights]
    _hand_out(counts, total - sum(counts), limit, weights, rng)
    return counts


def _hand_out(counts: list[int], left: int, limit: int, weights: Sequence[float], rng: Random) -> None:
    """Give away what rounding left, first by weight, then to whoever has room."""
    for parent in rng.choices(range(len(counts)), weights, k=min(left, 2 * len(counts))):
        if counts[parent] < limit and left:
            counts[parent] += 1
            left -= 1
    for parent, room in enumerate(map(int.__sub__, repeat(limit), counts)):
        given = min(left, room)
        counts[parent] += given
        left -= given
