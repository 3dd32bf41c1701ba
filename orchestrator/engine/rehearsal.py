"""Orders the walks of a rehearsal: there, back from every boundary, and there again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.outcome import HeldBack
from orchestrator.core.rehearsal import CHANGING, HALF, Walk
from orchestrator.core.run import Run

FEWEST = 2
"""From so many statements on there is a half of them to turn back at."""


class Copy(Protocol):
    """A scratch copy on which the runbook is carried out, with a ledger of its own."""

    def fingerprint(self) -> str:
        """Of its catalog as it is now."""

    def there(self, until: str) -> tuple[Run, Mapping[str, str]]:
        """A deployment until that boundary, and the fingerprint at each boundary that it passed."""

    def back(self, run: Run) -> Run:
        """The way back of that deployment, as a run of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The walks over one copy. `stopping` tells why nothing more should begin, None to go on."""

    copy: Copy
    steps: Sequence[str]
    stopping: Callable[[], str | None]
    tell: Callable[[Walk], None]

    def walk(self, statements: int) -> tuple[Walk, ...]:
        """All walks for a plan of so many statements, as far as they went well. Raises HeldBack.

        Boundaries at which nothing has changed yet need no walk of their own: each walk passes them, and what it finds
        there is the proof. A walk that failed is walked back and is the last.
        """
        walks: list[Walk] = []
        for turn in self._turns(statements):
            walk = self._once(turn, stays=False)
            walks.append(walk)
            if not (walk.arrived and walk.returned):
                return tuple(walks)
        return (*walks, self._once(self.steps[-1], stays=True))

    def _turns(self, statements: int) -> Iterator[str]:
        """The boundaries to turn back at: within apply, and after each step from apply on."""
        if not statements or CHANGING not in self.steps:
            return
        if statements >= FEWEST:
            yield HALF
        yield from self.steps[self.steps.index(CHANGING) :]

    def _once(self, turn: str, *, stays: bool) -> Walk:
        reason = self.stopping()
        if reason is not None:
            raise HeldBack(reason)
        start = self.copy.fingerprint()
        there, seen = self.copy.there(turn)
        reason = self.stopping()
        if reason is not None:
            raise HeldBack(reason)
        failed = there.finished is None or there.finished.state != "done"
        back = self.copy.back(there) if there.done and (failed or not stays) else None
        walk = Walk(turned=turn, there=there, back=back, seen=seen, start=start, end=self.copy.fingerprint())
        self.tell(walk)
        return walk
