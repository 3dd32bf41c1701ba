"""Waiting for others: whether somebody is in the way of a transaction, when to look again, and when to give it up.

Nobody is queued behind on purpose: what would have to wait is postponed, and other work is done meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from random import Random

from orchestrator.core.holders import Holder, in_the_way, lasting
from orchestrator.core.journal import BlockerTerminated, LockAttemptFailed, NotificationQueued, StatementPostponed
from orchestrator.core.outcome import HeldBack, LockUnavailable
from orchestrator.core.patience import Patience
from orchestrator.core.ports import Executor, Recorder
from orchestrator.core.schedule import Schedule, exclude
from orchestrator.core.transaction import Transaction
from orchestrator.engine.sight import Sight

LOCK_NOT_AVAILABLE = "55P03"
TURNS_EVERY_S = 0.5
"""The longest pause between attempts when transactions that are older than the budget take turns on a table."""


@dataclass(slots=True, kw_only=True)
class Waiting:
    """One for each run. Budget in ms, `give_up_after_s` in s per statement; `terminates` names applications."""

    executor: Executor
    recorder: Recorder
    sight: Sight
    budget_ms: int
    give_up_after_s: float
    terminates: frozenset[str] = frozenset()
    max_lag_s: float = 30.0
    random: Random = field(default_factory=Random)
    _patience: dict[tuple[str, str, int], Patience] = field(default_factory=dict)
    _aside: dict[str, HeldBack] = field(default_factory=dict)
    _next_turn: dict[str, float] = field(default_factory=dict)
    _terminated: set[str] = field(default_factory=set)

    def patience(self, work: Transaction) -> Patience:
        """How long a transaction has been tried for."""
        key = (work.id, work.kind, work.number)
        if key not in self._patience:
            self._patience[key] = Patience(
                statement=work.id, give_up_after_s=self.give_up_after_s, began=time.monotonic()
            )
        return self._patience[key]

    def lags(self, schedule: Schedule, work: Transaction) -> bool:
        """Whether a replica is too far behind to give it more to do; then the transaction is postponed."""
        lag_s = self.sight.lag_s
        if lag_s <= self.max_lag_s:
            return False
        told = f"a replica lags {lag_s:.0f} s, more than max_replica_lag_s = {self.max_lag_s:g}"
        until = self._blocked(work, "lag", told)
        if until is not None:
            schedule.postpone(work, until)
            self._tell_postponed(work, "replica lag", told)
        return True

    def free(self, schedule: Schedule, work: Transaction, over: AbstractSet[str]) -> tuple[Holder, ...] | None:
        """Who holds locks on its tables, when an attempt is worth it; None when somebody is in the way and it waits."""
        pending = schedule.pending(over, ())
        holders = self.sight.holders([each for each in pending if each.short])
        blocker = lasting(work.locks, holders, budget_ms=self.budget_ms, known_ms=self.sight.known_ms)
        if blocker is None:
            return holders
        patience = self.patience(work)
        # Another transaction than the last time: they take turns, and only an attempt can find the gap between them.
        if blocker.key != patience.blocker and patience.looks and self._turn(work):
            patience.took_turn(blocker.key)
            return holders
        self._postpone(schedule, work, blocker, pending)
        return None

    def not_granted(self, schedule: Schedule, work: Transaction, error: LockUnavailable) -> None:
        """An attempt failed. Journals the 1st, 2nd, 4th, 8th … failure: a long wait must not fill the ledger."""
        patience = self.patience(work)
        self.sight.forget()
        if patience.attempts & (patience.attempts - 1) == 0:
            self._tell_failure(work, patience, error)
        try:
            until = patience.refused(time.monotonic(), str(error), waited_ms=error.waited_ms)
        except HeldBack as held:
            self._aside[work.id] = held
            return
        schedule.postpone(work, until)
        # Others that want the same table would only take turns with this one in making writers wait.
        for each in schedule.transactions if work.short else ():
            if each.short and any(str(lock.table) == error.table for lock in each.locks):
                self._postpone_with(schedule, each, until)

    def anew(self, schedule: Schedule, ended: Transaction, error: Exception | None) -> None:
        """What had its locks, and what could not be tried because of it, has not waited for others meanwhile."""
        granted = not (isinstance(error, LockUnavailable) and error.sqlstate == LOCK_NOT_AVAILABLE)
        now = time.monotonic()
        for each in schedule.transactions:
            if granted if each.id == ended.id else exclude(each, ended):
                self.patience(each).anew(now)

    def aside(self, schedule: Schedule) -> set[str]:
        """What was given up, and what cannot be done without it."""
        aside = set(self._aside)
        for each in schedule.transactions:
            if each.after & aside:
                aside.add(each.id)
        return aside

    def hold_what_is_left(self) -> None:
        """Everything else is done. Raises HeldBack for the first that was given up."""
        for error in self._aside.values():
            raise error

    def _turn(self, work: Transaction) -> bool:
        """Whether it is time for an attempt between transactions that take turns: with pauses, as after a failure."""
        now = time.monotonic()
        if now < self._next_turn.get(work.id, 0.0):
            return False
        self._next_turn[work.id] = now + self.random.uniform(0, TURNS_EVERY_S)
        return True

    def _postpone(
        self, schedule: Schedule, work: Transaction, blocker: Holder, pending: tuple[Transaction, ...]
    ) -> None:
        """Do not even queue: do other work and come back, with everything that the same transaction keeps waiting.

        A session is ended only where the policy names its application, and when nothing else is left to do.
        """
        told = blocker.told()
        until = self._blocked(work, blocker.key, told)
        if until is None:
            return
        for each in pending:
            if each.short and any(True for _ in in_the_way(each.locks, [blocker])):
                self._postpone_with(schedule, each, until)
        self._tell_postponed(work, blocker.obstacle, told)
        if blocker.application in self.terminates and self.patience(work).looks > 1 and not self.executor.running:
            self._terminate(work, blocker)

    def _postpone_with(self, schedule: Schedule, other: Transaction, until: float) -> None:
        """Another one waits for the same reason: its time runs from now on, too, so that all are given up together."""
        self.patience(other)
        schedule.postpone(other, until)

    def _blocked(self, work: Transaction, key: str, told: str) -> float | None:
        """When to look again; None when the time for this statement is over and it is set aside."""
        try:
            return self.patience(work).blocked(time.monotonic(), key, told)
        except HeldBack as error:
            self._aside[work.id] = error
            return None

    def _terminate(self, work: Transaction, blocker: Holder) -> None:
        if blocker.key in self._terminated:
            return
        self._terminated.add(blocker.key)
        self.sight.forget()
        problem, told = self.executor.terminate(blocker), blocker.told()
        if problem:
            told = f"{told}; policy.terminate_blockers names it, but it cannot be ended: {problem}"
            event = StatementPostponed(statement=work.id, obstacle=blocker.obstacle, blocker=told, times=1)
            self.recorder.record(event)
            return
        self.recorder.record(BlockerTerminated(statement=work.id, application=blocker.application, blocker=told))

    def _tell_postponed(self, work: Transaction, obstacle: str, told: str) -> None:
        patience = self.patience(work)
        if patience.tells:
            event = StatementPostponed(statement=work.id, obstacle=obstacle, blocker=told, times=patience.looks)
            self.recorder.record(event)
            if patience.looks == 1:
                self.recorder.record(NotificationQueued(topic="blocked", about=f"{work.id}: {told}"))

    def _tell_failure(self, work: Transaction, patience: Patience, error: LockUnavailable) -> None:
        holder = next(in_the_way(work.locks, self.executor.holders([work])), None)
        blocker = holder.told() if holder else "nobody any more"
        self.recorder.record(
            LockAttemptFailed(
                statement=work.id,
                attempt=patience.attempts,
                table=error.table,
                sqlstate=error.sqlstate,
                blocker=blocker,
                waited_ms=error.waited_ms,
            )
        )
        if patience.attempts == 1:
            self.recorder.record(NotificationQueued(topic="blocked", about=f"{work.id}: {blocker}"))
