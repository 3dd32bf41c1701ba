"""What is seen of the server between attempts: who holds locks, for how long, and how far its replicas are behind."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestrator.core.holders import Holder
from orchestrator.core.ports import Executor
from orchestrator.core.transaction import Transaction

LOOK_IS_FRESH_S = 0.02
"""A look at the holders of locks is good for so long; those that matter have held theirs for longer than the budget."""

LAG_EVERY_S = 1.0


@dataclass(slots=True, kw_only=True)
class Sight:
    """One for each run; asks the server only when what was seen has grown old."""

    executor: Executor
    _holders: tuple[Holder, ...] = ()
    _first_seen: dict[str, float] = field(default_factory=dict)
    _at: float = float("-inf")
    _lag_s: float = 0.0
    _lag_at: float = float("-inf")

    def holders(self, works: Collection[Transaction]) -> tuple[Holder, ...]:
        """Who holds locks on the tables of these: one look for everything that still needs locks."""
        now = time.monotonic()
        if now - self._at > LOOK_IS_FRESH_S:
            self._holders = self.executor.holders(works)
            self._at = time.monotonic()
            self._first_seen = {each.key: self._first_seen.get(each.key, now) for each in self._holders}
        return self._holders

    def forget(self) -> None:
        """Something happened: the next question looks anew."""
        self._at = float("-inf")

    @property
    def known_ms(self) -> Mapping[str, float]:
        """For how long each transaction in the way has been seen, in ms: its age where that is hidden from our role."""
        now = time.monotonic()
        return {key: (now - first) * 1000 for key, first in self._first_seen.items()}

    @property
    def lag_s(self) -> float:
        """How far the slowest replica is behind, in seconds."""
        now = time.monotonic()
        if now - self._lag_at >= LAG_EVERY_S:
            self._lag_s, self._lag_at = self.executor.lag_s(), now
        return self._lag_s
