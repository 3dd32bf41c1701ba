"""Reading on several connections at a time, with the results in the order of the questions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

import psycopg

from orchestrator.adapters.interruption import CANCEL_WITHIN_S, cut
from orchestrator.adapters.postgres import Connection, Server
from orchestrator.core.backoff import full_jitter
from orchestrator.core.outcome import OrchestratorError, Refused

Question = TypeVar("Question")
Found = TypeVar("Found")
Take = Callable[[], int | None]

LOOK_EVERY_S = 0.2
"""How often the one who waits for a result looks whether somebody asked to stop."""
ATTEMPTS = 5
FIRST_PAUSE_MS = 500.0
LONGEST_PAUSE_MS = 5000.0


class AskAgain(Refused):
    """The server took the question back, and may answer it on another connection; the line is for the last attempt."""


@dataclass(slots=True, kw_only=True, eq=False)
class SideBySide(Generic[Question, Found]):
    """Asks each question once, on whichever connection is free.

    The first connection takes them in their order, so that results can be handed over from the beginning; the others
    take the heaviest that is left, so that it does not come last and alone.
    """

    server: Server
    step: str
    connections: int
    questions: Sequence[Question]
    weight: Callable[[Question], float]
    prepare: Callable[[Connection], object]
    ask: Callable[[Connection, Question], Found]
    _change: threading.Condition = field(default_factory=threading.Condition)
    _taken: set[int] = field(default_factory=set)
    _open: set[Connection] = field(default_factory=set)
    _answers: dict[int, Found] = field(default_factory=dict)
    _error: BaseException | None = None
    _over: bool = False

    def answers(self) -> Iterator[Found]:
        """One result per question, in order. Whatever ends this, no connection and no thread outlives it.

        What was found before an error is handed over first. Raises the first error that `ask` raised, and
        OrchestratorError when the run was asked to stop.
        """
        in_order = range(len(self.questions))
        heaviest = sorted(in_order, key=lambda each: -self.weight(self.questions[each]))
        orders = [in_order, *(heaviest,) * (self.connections - 1)][: len(self.questions)]
        threads = [
            threading.Thread(target=self._work, args=(self._taker(each),), name=self.step, daemon=True)
            for each in orders
        ]
        try:
            for each in threads:
                each.start()
            for position in in_order:
                if not self._came(position):
                    break
                yield self._answers.pop(position)
        finally:
            self._end(threads)
        if self._error is not None:
            yield from (self._answers[position] for position in sorted(self._answers))
            raise self._error

    def _came(self, position: int) -> bool:
        """Wait for an answer; false when there will be none."""
        with self._change:
            while position not in self._answers and self._error is None:
                self._change.wait(LOOK_EVERY_S)
                if self.server.interruption.reason is not None and self._error is None:
                    self._error = OrchestratorError(self.server.interruption.reason)
            return position in self._answers

    def _taker(self, order: Sequence[int]) -> Take:
        """Takes what is next in an order and not taken yet."""
        left = iter(order)

        def take() -> int | None:
            with self._change:
                stopped = self._over or self.server.interruption.reason is not None
                chosen = None if stopped else next((each for each in left if each not in self._taken), None)
                self._taken |= set() if chosen is None else {chosen}
                return chosen

        return take

    def _work(self, take: Take) -> None:
        try:
            self._ask_all(take)
        except BaseException as error:  # noqa: BLE001  handed to the one who waits for the results
            with self._change:
                # Those that are cancelled because of the first error have nothing to add.
                self._error = self._error or error
                self._over = True
                self._change.notify_all()

    def _ask_all(self, take: Take) -> None:
        """Ask on one connection while there is something left; on another one when the server took a question back."""
        pauses = full_jitter(first_ms=FIRST_PAUSE_MS, most_ms=LONGEST_PAUSE_MS, random=Random())  # noqa: S311
        position, attempt = take(), 1
        while position is not None and not self._over:
            with self._session() as connection:
                try:
                    while position is not None:
                        self._answer(position, self.ask(connection, self.questions[position]))
                        position, attempt = take(), 1
                except AskAgain:
                    attempt += 1
                    if attempt > ATTEMPTS:
                        raise
            if position is not None:
                self.server.interruption.wait(next(pauses) / 1000)

    def _answer(self, position: int, found: Found) -> None:
        with self._change:
            self._answers[position] = found
            self._change.notify_all()

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        with self.server.session(self.step, read_only=True) as connection:
            self._open.add(connection)
            try:
                self.prepare(connection)
                yield connection
            finally:
                self._open.discard(connection)

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        """Cancel what is still being asked, again and again: a cancel between two statements hits neither."""
        self._over = True
        deadline = time.monotonic() + CANCEL_WITHIN_S
        for thread in threads:
            while thread.is_alive():
                thread.join(LOOK_EVERY_S)
                for connection in tuple(self._open) if thread.is_alive() else ():
                    if time.monotonic() > deadline:
                        cut(connection)
                    with suppress(psycopg.Error):
                        connection.cancel_safe(timeout=CANCEL_WITHIN_S)
