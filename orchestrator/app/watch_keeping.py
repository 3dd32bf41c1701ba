"""A watch at work is kept twice: in its folder, and beside it in the target, so that another machine can go on with it.

The folder comes first: a database that is away, or takes nothing, stops no watch. What it missed is brought later.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import psycopg

from orchestrator.adapters import ledger_watch
from orchestrator.adapters.interruption import within
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.ledger_watch import GRACE_S, KeptWatch
from orchestrator.adapters.postgres import Connection, Server, plain_line
from orchestrator.adapters.terminal import Screen
from orchestrator.adapters.watch_sampler import SETTLED
from orchestrator.core.chain import has_ended
from orchestrator.core.entry import Entry
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import LeaseLost, OrchestratorError, Refused

STEP: Final = "monitor"

ANSWER_WITHIN_S: Final = 10.0

TRIES: Final = 3
"""The row of a watch is noted anew, or found to end elsewhere, and then appended to."""

BROUGHT: Final = SETTLED + 1
"""What bringing a sample adds to the server's statistics: a session and one transaction of ours."""

TAKEN_UP: Final = 2 * SETTLED + 4
"""What finding a watch and taking it up adds, before each sample of a timer."""


@dataclass(slots=True, kw_only=True)
class WatchKeeping:
    """Brings the entries of one watch to the target. `head` is how many of them it has, as far as we know."""

    server: Server
    screen: Screen
    run: str
    of: str
    every_s: float
    head: int = 0
    held: bool = False
    token: int = field(default_factory=lambda: secrets.randbits(62))
    _problem: str = ""
    _hindered: bool = False
    _good_until: float = 0.0

    def adds(self, *, once: bool) -> int:
        """Transactions of ours between two samples that no sample counts; with `once` each is a program of its own."""
        return BROUGHT + (TAKEN_UP if once else 0)

    @contextmanager
    def connected(self, within_s: float = ANSWER_WITHIN_S) -> Iterator[Connection]:
        """A transaction that no interruption cancels: it is short. Raises OrchestratorError, psycopg.Error."""
        with (
            self.server.connect(STEP) as connection,
            within(connection, within_s),
            connection.transaction(),
        ):
            yield connection

    def bring(self, entries: Sequence[Entry], *, last: bool = False) -> bool:
        """Bring what the target does not have yet; with `last` others may go on at once. False when it is hindered.

        That is said once. Raises LeaseLost when somebody else goes on with this watch.
        """
        before = self.head
        missed = len(entries) - before
        if missed:
            problem = self._tried(lambda connection: self._bring(connection, entries, last=last))
            self.head = before if problem else self.head
            self.held = not problem and not last
            self._good_until = time.time() + self.every_s
            self._say(problem, missed)
        return not self._problem

    def still_ours(self, entries: Sequence[Entry]) -> None:
        """Look before a sample that is late, as after a laptop's sleep: nobody is told of what others see by then.

        Raises LeaseLost when somebody else goes on with this watch.
        """
        if not self._hindered and time.time() > self._good_until + GRACE_S:
            self._tried(lambda connection: self._looked(connection, entries))

    def _tried(self, act: Callable[[Connection], str]) -> str:
        """Act in a transaction, and say what hindered it. Raises LeaseLost."""
        self._hindered = False
        try:
            with self.connected() as connection:
                hindered = ledger_watch.hindrance(connection)
                self._hindered = bool(hindered)
                return hindered or act(connection)
        except LeaseLost:
            self.held = False
            raise
        except (psycopg.Error, OrchestratorError) as error:
            return plain_line(error)

    def bring_beginning(self, journal: RunJournal) -> None:
        """Bring how it begins. Raises Refused, the watch closed, when another one of that deployment began before."""
        try:
            self.bring(journal.file.entries)
        except LeaseLost as error:
            journal.close("refused", str(error))
            raise Refused(str(error)) from error

    def take(self, connection: Connection, kept: KeptWatch) -> bool:
        """Take a watch over inside the caller's transaction; false when somebody else was quicker."""
        if ledger_watch.claim(connection, kept, token=self.token, every_s=self.every_s):
            self.held, self._good_until = True, time.time() + self.every_s
        return self.held

    def release(self) -> None:
        """Let others go on at once; where that fails, the lease ends by itself."""
        if self.held:
            with suppress(psycopg.Error, OrchestratorError), self.connected() as connection:
                ledger_watch.release(connection, self.run, self.token)

    def _bring(self, connection: Connection, entries: Sequence[Entry], *, last: bool) -> str:
        for _ in range(TRIES):
            new, closed = entries[self.head :], has_ended(entries)
            if not new or ledger_watch.append(
                connection,
                self.run,
                new,
                token=self.token,
                every_s=self.every_s,
                closed=closed,
                released=last or closed,
            ):
                self.head = len(entries)
                return ""
            found = ledger_watch.watch_of(connection, self.run)
            problem = self._settle(connection, found, entries) if found else self._note(connection)
            if problem:
                return problem
        return "the database changes while it is written"

    def _looked(self, connection: Connection, entries: Sequence[Entry]) -> str:
        found = ledger_watch.watch_of(connection, self.run)
        # A row without an event would be a broken chain to others: it is noted with the first ones.
        return self._settle(connection, found, entries) if found else ""

    def _note(self, connection: Connection) -> str:
        """The row of a watch of which the target knows nothing. Raises LeaseLost."""
        self.head, environment = 0, self.server.environment
        if not ledger_watch.begin(
            connection, self.run, environment=environment, of=self.of, token=self.token, every_s=self.every_s
        ):
            raise self._overtaken(ledger_watch.open_watch(connection, environment, self.of))
        return ""

    def _settle(self, connection: Connection, found: KeptWatch, entries: Sequence[Entry]) -> str:
        """Find out how far the target came: an answer was lost, it was set back, or somebody else is at it.

        What makes going on there impossible comes back. Raises LeaseLost.
        """
        ours, follows = found.lease.token == self.token, found.ends_in(entries)
        if not ours and not (follows and not found.head.closed and found.free and self.take(connection, found)):
            raise self._overtaken(found)
        if not follows:
            return "the target's entries of it are others than those of its folder: invoke verify says more"
        self.head = found.head.seq
        return ""

    def _overtaken(self, by: KeptWatch | None) -> LeaseLost:
        owner = by.lease.owner if by else None
        who = f"host {owner.host} as {owner.os_user}" if owner else "another machine"
        since = f", since {by.lease.taken_at:%Y-%m-%d %H:%M:%S} UTC" if by else ""
        what = "has ended this watch" if by and by.head.closed else "goes on with this watch"
        what = what if by and by.id == self.run else "began to watch it before"
        message = (
            f"{self.server.environment}: run {self.of}: {who} {what}{since}; this one stops, what it did not bring"
            f" stays in the folder of {self.run}; to go on here: {self.server.command('monitor')} --run {self.of}"
        )
        return LeaseLost(message)

    def _say(self, problem: str, missed: int) -> None:
        """Once when it begins to be hindered, and once when it is not any more."""
        if problem and not self._problem:
            self.screen.line(f"for now this watch is kept on this machine only: {problem}")
        elif self._problem and not problem:
            self.screen.line(f"kept in the database, too, from now on: {counted(missed, 'event')} brought")
        self._problem = problem
