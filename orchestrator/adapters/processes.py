"""Which process this is, and whether another one that signed in the same way still lives."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from pathlib import Path

from orchestrator.core.lease import Owner


def os_user() -> str:
    """Who runs this program, as the operating system says."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def host_name() -> str:
    """Where this program runs."""
    return socket.gethostname()


def this_process() -> Owner:
    """Who we are, told apart from every other process."""
    return Owner(
        host=host_name(), machine=_machine(), pid=os.getpid(), started=_started(os.getpid()), os_user=os_user()
    )


def gone(owner: Owner) -> bool:
    """Whether that process is known to have ended; False for one of another machine or when that is unclear."""
    if not owner.machine or owner.machine != _machine() or owner.pid <= 0:
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    now = _started(owner.pid)
    # A pid that another process has got since; a zombie has ended, too.
    return now in {"", "ended"} or now != owner.started


def _machine() -> str:
    """One boot of one system, and on Linux one pid namespace: pids mean nothing outside of it. Empty when unknown."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; `ended` for a zombie, empty where the system does not tell."""
    with suppress(OSError, IndexError):
        # The name in parentheses may hold anything: the fields are counted after it.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "ended" if fields[0] == "Z" else fields[19]
    return ""
