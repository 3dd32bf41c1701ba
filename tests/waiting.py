"""Waiting for a condition without keeping a core busy that the awaited could use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LOOK_EVERY_S: Final = 0.01
PATIENCE_S: Final = 60.0


def pause() -> None:
    """Between two looks."""
    time.sleep(LOOK_EVERY_S)


def until(condition: Callable[[], object]) -> None:
    """Until a condition holds; fails when it does not within a minute."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        pause()
