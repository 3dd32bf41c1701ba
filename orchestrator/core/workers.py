"""How many validations go on side by side: one more while the server has cores to spare, fewer when others wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MOST = 8
"""More readers of large tables than this only wait for the same disks."""

STEADY_S = 0.5
"""How long after a change the next one may come: what it does has to show first."""

SPARE = 1.3
"""A core is to spare when a small calculation takes less than this many times what it took at best."""


@dataclass(slots=True, kw_only=True)
class Workers:
    """The number of workers; a fixed one never changes. Times are seconds of a clock that only goes forward."""

    wanted: int | Literal["auto"]
    count: int = 1
    changed: float = 0.0

    def __post_init__(self) -> None:
        """Auto begins with one."""
        self.count = 1 if self.wanted == "auto" else self.wanted

    def asks(self, now: float, running: int) -> bool:
        """Whether it is time to find out if one more would be good: all are at work, and the last change is over."""
        return self.wanted == "auto" and running >= self.count < MOST and now - self.changed >= STEADY_S

    def more(self, now: float) -> None:
        """The server has a core to spare and nobody waits."""
        self.count, self.changed = min(MOST, self.count + 1), now

    def fewer(self, now: float) -> bool:
        """Somebody waits: step back; whether that changed anything."""
        if self.wanted != "auto" or self.count == 1:
            return False
        self.count, self.changed = self.count - 1, now
        return True
