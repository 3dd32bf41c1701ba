"""Where a session of the suite keeps what it writes: one folder of its own, in memory where there is room for it.

A database is some 300 files, and a disk can take twenty times as long to make them as memory does. What stays behind
when a session fails or is killed is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Final

import pytest

from orchestrator.adapters import embedded

MEMORY: Final = Path("/dev/shm")
ROOM: Final = 6 * 2**30
"""Bytes; what three workers' servers hold at most, write-ahead log included, is about half of it."""

PREFIX: Final = "orchestrator-tests-"
VARIABLE: Final = "ORCHESTRATOR_TESTS_PLACE"
"""Tells the workers of a session its folder."""


def begin() -> tuple[Path, IO[str]]:
    """The folder of a new session, and its lock: whoever holds that is alive."""
    parent = _parent()
    _forget_the_dead(parent)
    # It gets its name when it has its lock: another session that begins now would take it for a dead one's.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    # root's servers run as nobody, who has to enter.
    made.chmod(0o711)
    lock = (made / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = made.rename(parent / made.name.removeprefix("."))
    os.environ[VARIABLE] = str(folder)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
    return folder, lock


def use(worker: str) -> None:
    """Let the servers that this process starts as root keep their data in the session's folder."""
    folder = Path(os.environ[VARIABLE], f"servers-{worker}")
    folder.mkdir(mode=0o711, exist_ok=True)
    # For as long as the process lives: nothing undoes it.
    pytest.MonkeyPatch().setattr(embedded, "_PUBLIC_PLACE", folder)


def scratch() -> Path:
    """Where a test may make folders that another account has to enter."""
    return embedded._PUBLIC_PLACE


def discard_clusters(folder: Path) -> list[str]:
    """Discard every embedded cluster that root has made below `folder`; what could not be, in words.

    Programs that a test started keep theirs where the product does: LOCATION says where that is.
    """
    left = []
    for place, folders, files in os.walk(folder):
        if "PG_VERSION" in files:
            folders.clear()
        if "LOCATION" in files:
            data = Path(place, "LOCATION").read_text("utf-8").strip()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(embedded, "_PUBLIC_PLACE", Path(data).parent)
                try:
                    embedded.Cluster(directory=Path(place)).discard()
                except embedded.EmbeddedServerFailed as failed:
                    left.append(str(failed))
    return left


def _parent() -> Path:
    """Memory when it has room, else what the system has for temporary files."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK | os.X_OK) and min(_free(MEMORY), _available()) >= ROOM:
            return MEMORY
    return Path(tempfile.gettempdir())


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _available() -> int:
    """Bytes of memory that programs could have; a file system in memory promises them to itself as well."""
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return int(facts["MemAvailable"].split()[0]) * 1024


def _forget_the_dead(parent: Path) -> None:
    """Remove the folders of our own earlier sessions that nobody holds any more."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (folder / "lock").open("a") as lock:
            if folder.stat().st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
