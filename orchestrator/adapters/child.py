"""A program that runs as our child: in a process group of its own, and gone when we are gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Self

from orchestrator.core.outcome import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG: Final = 1
_LEAVE_WITHIN_S: Final = 10.0
_MEANWHILE_EVERY_S: Final = 5.0
# POSIX's way to name the signal: dash takes -TERM and a group's number only without the -- between them.
WATCH: Final = 'read -r word || { kill -s TERM -- "-$1"; sleep 3; kill -s KILL -- "-$1"; }'
_TOLD_AT_MOST: Final = 400
_LINES_AT_MOST: Final = 3
# What a server adds to an error may hold rows: they have no place in a message.
_COMPLAINT: Final = re.compile(r"error:|fatal|no space left", re.IGNORECASE)
_ROWS: Final = re.compile(r"^\s*(?:[\w.-]+: )?(?:detail|context|statement|command was|line \d+)\b", re.IGNORECASE)


class ChildFailed(OrchestratorError):
    """A program ended with an error, or did not end in time; the line holds what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run: the words of a command, or one line for the shell. No `secrets` come back in messages."""

    name: str
    command: Sequence[str] | str
    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    secrets: tuple[str, ...] = ()

    def scrubbed(self, text: str) -> str:
        """The text without the secrets."""
        for secret in sorted(filter(None, self.secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


_running: Final[set[Child]] = set()


class Child:
    """A running program; if it still runs when the block is left, it is ended with all that it started."""

    def __init__(self, order: Order) -> None:
        """Nothing runs before the block is entered."""
        self._order = order
        # A pipe that nobody reads would fill and block it.
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed when the block is left
        self._complained: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed when the block is left
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it. Raises ChildFailed when there is no such program."""
        try:
            self._process = subprocess.Popen(
                self._order.command,
                shell=isinstance(self._order.command, str),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._complained,
                cwd=self._order.folder,
                env=self._order.environment,
                process_group=0,
                preexec_fn=die_with_us(signal.SIGTERM),  # noqa: PLW1509  calls nothing but prctl
            )
        except OSError as error:
            self._close()
            message = f"{self._order.name} cannot be run: {error.strerror}"
            raise ChildFailed(message) from None
        self._watcher = _watch(self._process.pid)
        _running.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End the whole group; what it said is forgotten."""
        _running.discard(self)
        try:
            self._end()
        finally:
            _let_go(self._watcher)
            self._close()

    def signal(self, order: signal.Signals) -> None:
        """Send a signal to the whole group, also when its leader has ended and left others behind."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, order)

    def check(self) -> None:
        """Raise ChildFailed if it has already ended with an error."""
        if self._process is not None and self._process.poll() not in (None, 0):
            raise ChildFailed(self._why())

    def finish(self, *, within_s: float | None = None, meanwhile: Callable[[], None] | None = None) -> str:
        """Wait for its end; gives what it printed. What is done `meanwhile`, every few seconds, may raise and end it.

        Raises ChildFailed on an error or after `within_s` seconds.
        """
        if self._process is None:
            return ""
        deadline = time.monotonic() + within_s if within_s is not None else None
        while not self._ended(deadline, _MEANWHILE_EVERY_S if meanwhile else None):
            if meanwhile:
                meanwhile()
            if deadline is not None and time.monotonic() >= deadline:
                message = f"{self._order.name} did not end within {within_s:g} s"
                raise ChildFailed(message)
        self.check()
        return _text(self._said)

    def _ended(self, deadline: float | None, pause_s: float | None) -> bool:
        """Wait until its end, the deadline, or for one pause."""
        waits = [pause_s, None if deadline is None else max(0.0, deadline - time.monotonic())]
        try:
            if self._process:
                self._process.wait(min((each for each in waits if each is not None), default=None))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _why(self) -> str:
        code = self._process.returncode if self._process else 0
        how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        said = self._order.scrubbed(complaint(_text(self._complained)))
        return f"{self._order.name} {how}: {said or 'it said nothing'}"

    def _end(self) -> None:
        """SIGTERM, then SIGKILL, for the whole group; what a leader that has ended left behind is killed."""
        process = self._process
        if process is None:
            return
        if process.poll() is not None:
            self.signal(signal.SIGKILL)
            return
        for order in (signal.SIGTERM, signal.SIGKILL):
            self.signal(order)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LEAVE_WITHIN_S)
                break

    def _close(self) -> None:
        self._said.close()
        self._complained.close()


def _watch(group: int) -> subprocess.Popen[bytes]:
    """A shell that ends the group when we are gone, however we went: then its pipe from us closes without a word."""
    return subprocess.Popen(
        ["/bin/sh", "-c", WATCH, "watch", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _let_go(watcher: subprocess.Popen[bytes] | None) -> None:
    """Tell it that all is well."""
    if watcher is not None:
        with contextlib.suppress(OSError):
            watcher.communicate(b"well\n")


def end_all(order: signal.Signals) -> None:
    """Send a signal to every program that runs as our child."""
    for each in tuple(_running):
        each.signal(order)


def run(
    order: Order, *, within_s: float | None = None, meanwhile: Callable[[], None] | None = None
) -> tuple[str, float]:
    """Run it to its end: what it printed, and how long it took in ms. Raises ChildFailed."""
    started = time.monotonic()
    with Child(order) as child:
        said = child.finish(within_s=within_s, meanwhile=meanwhile)
    return said, (time.monotonic() - started) * 1000


def complaint(text: str) -> str:
    """The last errors in what a program wrote to stderr, on one line, without rows of the database."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _ROWS.match(line)]
    errors: Iterable[str] = [line for line in lines if _COMPLAINT.search(line)] or lines
    return " / ".join(list(errors)[-_LINES_AT_MOST:])[-_TOLD_AT_MOST:]


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def die_with_us(order: signal.Signals) -> Callable[[], None] | None:
    """What a child asks of Linux before it becomes the program: that signal when we are gone, SIGKILL too.

    The kernel watches the thread that forked, so only the main thread, which lives as long as we do, may ask.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, order)
        if os.getppid() != parent:  # we died before the child could ask
            os._exit(1)

    return ask
