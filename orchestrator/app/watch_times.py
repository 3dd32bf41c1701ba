"""How long a watch goes on, and how often it looks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestrator.core.outcome import Refused

EVERY_S: Final = 300.0
SHORTEST_S: Final = 1.0
UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the watch goes on and how often it looks, in s; without `for_s` one sample is taken and that is all."""

    for_s: float | None
    every_s: float


def times(*, for_: str | None, every: str | None) -> Times:
    """The times as they were typed: `72h`, `5m`, `30s`, `3d`. Raises Refused."""
    every_s = EVERY_S if every is None else _seconds("--every", every)
    return Times(for_s=None if for_ is None else _seconds("--for", for_), every_s=every_s)


def _seconds(flag: str, text: str) -> float:
    found = re.fullmatch(r"(\d+)([smhd])", text.strip())
    seconds = int(found.group(1)) * UNITS[found.group(2)] if found else 0.0
    if seconds < SHORTEST_S:
        message = f"{flag} {text}: a number with s, m, h or d, at least 1s, such as 5m or 72h"
        raise Refused(message)
    return seconds
