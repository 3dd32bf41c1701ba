"""Against a real sshd, from end to end: its key, its look, its commands, and what is left when we are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from orchestrator.adapters.host_hands import HostHands
from orchestrator.adapters.hosts import HostEyes
from orchestrator.adapters.watch_hosts import WatchedHosts
from orchestrator.core.host_commands import HostEnd, HostOrder
from orchestrator.core.inventory import HostLimits, Service
from orchestrator.core.watch_logs import HostLogRead, LogPlace
from tests.sshd import RealHost

ROOT = Path(__file__).parents[2]
LIMITS = HostLimits(answer_s=10)

GIVE = """
import sys
from orchestrator.adapters.host_hands import HostHands
from orchestrator.core.host_commands import HostOrder
from orchestrator.core.inventory import Host, HostLimits
ssh, key, known, command = sys.argv[1:]
host = Host(name="api-1", ssh=ssh, key_file=key, known_hosts=known)
list(HostHands(limits=HostLimits()).carry_out([HostOrder(host=host, command=command, timeout_s=60, sudo=False)]))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHost]:
    """One sshd for the module."""
    host = RealHost(tmp_path_factory.mktemp("sshd") / "host")
    host.start()
    yield host
    host.stop()


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_findings_of_a_real_host(real: RealHost) -> None:
    """Reached by its own key, with everything told; nearly full, and restarting in a loop."""
    real.reset()
    real.disk(free_mb=900)
    real.systemd("activating", "auto-restart", restarts=12)
    seen = HostEyes(limits=LIMITS).look([real.host(service=Service(manager="systemd", name="api"))])["api-1"]
    assert seen.trouble == ""
    assert [each.free_percent for each in seen.disks] == [0.9]
    assert seen.service is not None
    assert (seen.service.loops, seen.service.restarts) == (True, 12)
    assert seen.skew_s is not None
    assert abs(seen.skew_s) <= seen.within_s + 0.1


def test_a_log_of_a_real_host_is_read_through_the_same_login(real: RealHost, tmp_path: Path) -> None:
    """The rest of what was rotated, then the new file: two lines, both errors, one a violation."""
    real.reset()
    log = tmp_path / "api.log"
    log.write_text("2026-11-25 10:00:00 INFO well\n", "utf-8")
    place = LogPlace(file=str(log), inode=log.stat().st_ino, offset=30, head=zlib.crc32(log.read_bytes()))
    first = HostLogRead(host="api-1", log=str(log), places=(place,))
    watched = WatchedHosts(hosts=(real.host(log=str(log)),), eyes=HostEyes(limits=LIMITS))
    with log.open("a", encoding="utf-8") as file:
        file.write('2026-11-25 10:00:00 ERROR update violates foreign key constraint "k"\n')
    log.rename(tmp_path / "api.log-20261125")
    log.write_text("2026-11-25 10:00:00 ERROR not well\n", "utf-8")
    ((second,),) = (each.logs for each in watched.look({(first.host, first.log): first}))
    assert (second.lines, second.errors, second.violations, second.untold) == (2, 2, 1, "")


def test_a_changed_key_of_a_real_host_is_refused(real: RealHost) -> None:
    """No command reaches it, and known_hosts stays as it was."""
    real.reset()
    real.know(asyncssh.generate_private_key("ssh-ed25519"))
    before = real.known_hosts.read_text("utf-8")
    assert HostEyes(limits=LIMITS).look([real.host()])["api-1"].trouble == "changed key"
    order = HostOrder(host=real.host(), command="touch reached", timeout_s=10, sudo=False)
    (end,) = (word for _, word in HostHands(limits=LIMITS).carry_out([order]) if isinstance(word, HostEnd))
    assert (end.begun, end.reason.startswith("changed key")) == (False, True)
    assert real.known_hosts.read_text("utf-8") == before


def test_nothing_outlives_us_there_even_when_we_are_killed(real: RealHost) -> None:
    """SIGKILL to our process: sshd closes the command's input, and the command ends with all that it started."""
    real.reset()
    outer, inner = (real.folder / name for name in ("outer.pid", "inner.pid"))
    command = f"sh -c 'echo $$ >{inner}; exec sleep 300' & echo $$ >{outer}; wait"
    host = real.host()
    us = subprocess.Popen(
        [sys.executable, "-c", GIVE, host.ssh, str(host.key_file), str(host.known_hosts), command], cwd=ROOT
    )
    try:
        until(lambda: all(path.exists() and path.read_text("utf-8").strip() for path in (outer, inner)))
        assert real.alive("inner.pid")
    finally:
        os.kill(us.pid, signal.SIGKILL)
        us.wait(10)
    until(lambda: not real.alive("outer.pid") and not real.alive("inner.pid"))
