"""The server of a data folder, as its postmaster.pid describes it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STATUS_LINE: Final = 7
"""postmaster.pid: pid, data, start time, port, socket folder, address, memory key, status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """The living server of a data folder, as its postmaster.pid describes it."""

    pid: int
    port: int
    ready: bool


def postmaster(data: Path) -> Postmaster | None:
    """Who serves this data folder; None when nobody does, whatever a stale file says."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if not lines or not lines[0].isdigit() or not _serves(int(lines[0]), data):
        return None
    complete = len(lines) > _STATUS_LINE
    return Postmaster(
        pid=int(lines[0]),
        port=int(lines[3]) if complete else 0,
        ready=complete and lines[_STATUS_LINE].strip() == "ready",
    )


def _serves(pid: int, data: Path) -> bool:
    """Whether that process is a server of this data: its number alone may have gone to another one."""
    if sys.platform == "linux":
        try:
            return os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
    command = ["ps", "-o", "args=", "-p", str(pid)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"-D {data} " in f"{listing.stdout.strip()} "


def answers(port: int) -> bool:
    """Whether something accepts connections on that port of this machine."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port of this machine that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
