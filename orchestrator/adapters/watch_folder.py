"""Where a watch is kept first: a run of its own below `runs/`, on the machine that watches.

A sample that says "the database does not answer" could not be written there; `ledger_watch` has them once it does.
"""

from __future__ import annotations

import fcntl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from orchestrator.adapters import events
from orchestrator.adapters.runs import JOURNAL, RunFolder, all_runs
from orchestrator.core.journal import RunFinished, RunStarted, WatchBegan
from orchestrator.core.outcome import Refused

LOCK: Final = "watching"
FIRST: Final = 4
"""Among so many events the beginning of a watch stands."""


def open_watch(root: Path, environment: str, of: str | None) -> tuple[RunFolder, str] | None:
    """The newest watch of an environment (of run `of`) that has no end yet, and the run that it watches."""
    for folder in reversed([*all_runs(root)]):
        watched = _watched(folder, environment)
        if watched and of in {None, watched} and not _ended(folder):
            return folder, watched
    return None


def _watched(folder: RunFolder, environment: str) -> str | None:
    """The run that a folder's run watches; None for every other run."""
    try:
        entries = list(islice(folder.entries(), FIRST))
    except Refused:
        # Whatever that file is, it is no watch of ours.
        return None
    told = [events.decode(each.kind, each.data) for each in entries]
    if not told or not isinstance(told[0], RunStarted) or told[0].environment != environment:
        return None
    return next((each.of for each in told if isinstance(each, WatchBegan)), None)


def _ended(folder: RunFolder) -> bool:
    return any(
        isinstance(events.decode(each.kind, each.data), RunFinished) for each in deque(folder.entries(), maxlen=1)
    )


@contextmanager
def watching_alone(folder: RunFolder) -> Iterator[None]:
    """One monitor at a time; the lock goes with the process. Raises Refused when another one is at it."""
    with folder.file(LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"{folder.path / JOURNAL}: another monitor watches; it has to end first"
            raise Refused(message) from error
        yield
