"""Stopping a run from outside: signals, and how what it is waiting for is cut short."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import psycopg

from orchestrator.adapters import child
from orchestrator.core.outcome import EXIT_HELD

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANCEL_WITHIN_S = 5.0


@dataclass(slots=True, kw_only=True, eq=False)
class Interruption:
    """Why the run should stop. Asking never breaks into the middle of a commit: what may be cancelled is cancelled.

    What may be cancelled is what registered itself: reading, validating, child programs. The rest ends by itself within
    the lock budget, and the run looks at `reason` before it begins anything new.
    """

    reason: str | None = None
    cancels: bool = False
    resume: str = "invoke resume"
    _heard: int = 0
    _asked: threading.Event = field(default_factory=threading.Event)
    _watched: WeakSet[psycopg.Connection[Any]] = field(default_factory=WeakSet)
    _cancellable: set[psycopg.Connection[Any]] = field(default_factory=set)

    def ask(self, reason: str, *, cancel: bool = True) -> None:
        """Stop soon, and say why. The first reason stays."""
        self.reason = self.reason or reason
        self.cancels = self.cancels or cancel
        self._asked.set()
        if cancel:
            # In a thread of its own: a signal's handler must not wait for the network.
            threading.Thread(target=self._cancel, name="cancel", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the moment when somebody asks to stop."""
        self._asked.wait(seconds)

    def watch(self, connection: psycopg.Connection[Any]) -> None:
        """Remember a connection, so that it can be cut when its way is dead."""
        self._watched.add(connection)

    def watched(self) -> tuple[psycopg.Connection[Any], ...]:
        """Every connection that can be cut."""
        return tuple(self._watched)

    @contextmanager
    def cancelling(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """What the connection does inside the block may be cancelled."""
        self._cancellable.add(connection)
        try:
            yield
        finally:
            self._cancellable.discard(connection)

    def sever(self) -> None:
        """Cut every connection: whoever waits for an answer on a dead way gets an error instead."""
        for each in self.watched():
            cut(each)
        child.end_all(signal.SIGTERM)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let signals ask to stop; the second one stops at once. Only the main thread can do this."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._hear) for each in SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _hear(self, number: int, _: object) -> None:
        name = signal.Signals(number).name
        self._heard += 1
        if self._heard > 1:
            _stop_now(name, self.resume)
        _say(f"{name}: stopping after the current statement; once more stops at once\n")
        self.ask(f"interrupted by {name}")

    def _cancel(self) -> None:
        for each in tuple(self._cancellable):
            with suppress(psycopg.Error):
                each.cancel_safe(timeout=CANCEL_WITHIN_S)
        child.end_all(signal.SIGTERM)


def cut(connection: psycopg.Connection[Any]) -> None:
    """Shut a connection's socket down from whatever thread: its owner's wait ends with an error."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


@contextmanager
def within(connection: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """Cut the connection when the block is not done in time: a black hole answers nothing and closes nothing."""
    timer = threading.Timer(seconds, cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop_now(name: str, resume: str) -> None:
    """What is committed is on record, what is not will be rolled back by the server."""
    child.end_all(signal.SIGKILL)
    _say(f"{name} again: stopped at once; what took effect is on record, go on with: {resume}\n")
    os._exit(EXIT_HELD)


def _say(text: str) -> None:
    """Write past every buffer: the signal may have come in the middle of a line."""
    with suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
