"""How long one statement is tried for: a bounded number of attempts in time, each a little later than the last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from orchestrator.core.backoff import full_jitter
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import HeldBack

FIRST_DELAY_MS = 50.0
LONGEST_DELAY_MS = 1000.0
LOOK_AGAIN_MS = 50.0
"""Looking for a lock's holder asks for no lock, so it may be done often: it costs the server some 0.3 ms."""

MANY = 64
STAYS = 20
"""After so many looks (a second) at the same transaction it is one that stays, and worth a line of its own."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """For one statement, since `began`; times are seconds of a clock that only goes forward.

    `blocker` is the transaction that was in the way at the last look, `turns` how many were so far.
    """

    statement: str
    give_up_after_s: float
    began: float
    random: Random = field(default_factory=Random)
    attempts: int = 0
    looks: int = 0
    turns: int = 0
    waited_ms: float = 0.0
    blocker: str = ""
    _same: int = 0
    _delays: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        """Full jitter, so that two who wait do not meet again and again."""
        self._delays = full_jitter(first_ms=FIRST_DELAY_MS, most_ms=LONGEST_DELAY_MS, random=self.random)

    def refused(self, now: float, why: str, *, waited_ms: float = 0.0) -> float:
        """An attempt failed: when the next one is due. Raises HeldBack when the time is over."""
        self.waited_ms = max(self.waited_ms, waited_ms)
        self._not_over(now, f"no lock within {self.give_up_after_s:g} s ({counted(self.attempts, 'attempt')}): {why}")
        return now + next(self._delays) / 1000

    def blocked(self, now: float, blocker: str, told: str) -> float:
        """That transaction is in the way: when to look again. Raises HeldBack when the time is over."""
        self.looks += 1
        self._same = self._same + 1 if blocker == self.blocker else 1
        self.turns += blocker != self.blocker
        self.blocker = blocker
        who = told if self.turns == 1 else f"{self.turns} transactions took turns, the last was {told}"
        self._not_over(now, f"in the way for {self.give_up_after_s:g} s: {who}")
        return now + LOOK_AGAIN_MS / 1000

    def took_turn(self, blocker: str) -> None:
        """An attempt is made although that transaction is in the way: it was another one before."""
        self.blocker, self.turns, self._same = blocker, self.turns + 1, 1

    @property
    def tells(self) -> bool:
        """Whether this look is told: the first, the 64th, the 128th …, and once for another one that stays."""
        often = self.looks >= MANY and self.looks & (self.looks - 1) == 0
        return self.looks == 1 or often or (self._same == STAYS and self.turns > 1)

    def anew(self, now: float) -> None:
        """It had its locks, or could not be tried because of us: that was no waiting for others."""
        self.began = max(self.began, now)

    def _not_over(self, now: float, why: str) -> None:
        if now - self.began > self.give_up_after_s:
            message = f"{self.statement}: {why}; end what is in the way, then resume"
            raise HeldBack(message)
