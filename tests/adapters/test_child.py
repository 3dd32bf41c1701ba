"""Child programs never survive us: however we went, and whatever they started themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.adapters.child import Child, Order

PROJECT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in Linux's /proc")

TELLS_ITS_CHILD = "sleep 60 & echo $! > new; mv new pid; "
"""A line for the shell: the number of what it started in the background stands in the file `pid`."""


def killed_while_it_runs(tmp_path: Path, command: str | list[str], *, until: Path) -> None:
    """A process of ours that runs the command is killed when that file is there: no time is left to end anything."""
    code = (
        "from orchestrator.adapters.child import Child, Order\n"
        f"with Child(Order(name='x', folder={str(tmp_path)!r}, command={command!r})) as child:\n"
        f"    child.finish()\n    open({str(tmp_path / 'finished')!r}, 'w').close()\n    input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdin=subprocess.PIPE) as ours:
        until_true(until.exists)
        ours.send_signal(signal.SIGKILL)


@LINUX
def test_a_child_dies_with_us(tmp_path: Path) -> None:
    """SIGKILL leaves us no time to end a dump; the kernel does."""
    command = ["sh", "-c", "echo $$ > new; mv new pid; exec sleep 60"]
    killed_while_it_runs(tmp_path, command, until=tmp_path / "pid")
    until_true(lambda: not alive(told(tmp_path)))


@LINUX
def test_what_a_shell_started_dies_with_us(tmp_path: Path) -> None:
    """The kernel ends the shell and not what the shell started: somebody has to watch."""
    killed_while_it_runs(tmp_path, f"{TELLS_ITS_CHILD} wait", until=tmp_path / "pid")
    until_true(lambda: not alive(told(tmp_path)))


@LINUX
def test_what_a_shell_left_behind_dies_with_us(tmp_path: Path) -> None:
    """The command has ended, something of it still runs in the background, and we are killed."""
    killed_while_it_runs(tmp_path, TELLS_ITS_CHILD, until=tmp_path / "finished")
    until_true(lambda: not alive(told(tmp_path)))


@LINUX
@pytest.mark.parametrize("rest", ["wait", "exit 0", "exit 3"])
def test_leaving_the_block_ends_the_whole_group(tmp_path: Path, rest: str) -> None:
    """A shell's own children go too, also when the shell went before them."""
    with Child(Order(name="x", command=TELLS_ITS_CHILD + rest, folder=tmp_path)):
        until_true((tmp_path / "pid").exists)
    until_true(lambda: not alive(told(tmp_path)))


@LINUX
def test_a_leader_that_has_ended_leaves_nobody(tmp_path: Path) -> None:
    """What it printed is taken, its exit code was good, and what it left in the background is ended all the same."""
    with Child(Order(name="x", command=TELLS_ITS_CHILD + "echo done", folder=tmp_path)) as child:
        assert child.finish() == "done\n"
        assert alive(told(tmp_path))
    until_true(lambda: not alive(told(tmp_path)))


def told(tmp_path: Path) -> int:
    """The process that a command told of."""
    return int((tmp_path / "pid").read_text())


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until_true(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait for a condition; fails when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
