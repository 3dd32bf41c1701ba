"""Rows in batches: each within the lock budget, smaller when it was not, one by one when the server refuses some."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TypeVar

from orchestrator.core.backoff import full_jitter
from orchestrator.core.batch import Batch
from orchestrator.core.holders import Holder
from orchestrator.core.journal import LockAttemptFailed, NotificationQueued, StatementPostponed
from orchestrator.core.outcome import HeldBack, LockUnavailable, StatementRejected
from orchestrator.core.patience import Patience
from orchestrator.core.ports import Executor, Recorder
from orchestrator.core.remediation import FIRST_ROWS, next_size

CANCELLED = "57014"
TRIES_OF_ONE = 5
"""How often a batch of one row may take longer than the budget before that is no accident."""

REFUSES_ROWS = ("22", "23", "27", "44", "P0")
"""Classes of errors that one row may raise and another not: data, integrity, triggers, WITH CHECK, RAISE."""

LAG_LOOK_S = 1.0
PAUSE_MS = (50.0, 2000.0)

Item = TypeVar("Item")


@dataclass(slots=True, kw_only=True)
class Batches:
    """Carries out batches of one run. Budget in ms, `give_up_after_s` in s of waiting for others; `most` rows each."""

    executor: Executor
    recorder: Recorder
    budget_ms: int
    give_up_after_s: float
    max_lag_s: float
    most: int
    random: Random = field(default_factory=Random)
    _size: int = field(init=False)
    _lag_at: float = float("-inf")
    _pauses: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        """Begin small."""
        self._pauses = full_jitter(first_ms=PAUSE_MS[0], most_ms=PAUSE_MS[1], random=self.random)
        self._size = min(FIRST_ROWS, self.most)

    def carry_out(
        self,
        items: Sequence[Item],
        make: Callable[[Sequence[Item]], Batch],
        refused: Callable[[Item, StatementRejected], None],
    ) -> None:
        """All items, whatever it takes; those that the server refuses, each by itself, are handed to `refused`.

        Raises HeldBack, StatementRejected when it is not about the rows.
        """
        left = deque([items])
        while left:
            chunk = left.popleft()
            if len(chunk) > self._size:
                left.appendleft(chunk[self._size :])
                chunk = chunk[: self._size]
            try:
                if not self.one(partial(make, chunk), rows=len(chunk)):
                    left.appendleft(chunk)
            except StatementRejected as error:
                if not error.sqlstate.startswith(REFUSES_ROWS):
                    raise
                if len(chunk) == 1:
                    refused(chunk[0], error)
                    continue
                half = len(chunk) // 2
                left.extendleft((chunk[half:], chunk[:half]))

    def one(self, make: Callable[[], Batch], *, rows: int = 1) -> bool:
        """One batch until it is on record; false when it took too long and should be smaller.

        Raises HeldBack, StatementRejected.
        """
        patience: Patience | None = None
        slow = 0
        while True:
            # Made anew each time: what was committed and not heard of has taken its number.
            work = make()
            patience = patience or self.patience(work.id)
            self._wait_for_replicas(work)
            self.executor.may_go_on(work)
            patience.attempts += 1
            try:
                self.executor.attempt(work, attempts=patience.attempts, waited_ms=patience.waited_ms)
            except LockUnavailable as error:
                if error.sqlstate == CANCELLED:
                    slow += 1
                    if rows > 1:
                        self._size = max(1, rows // 2)
                        return False
                    self._too_slow(work, slow)
                self._tell(work, patience, error)
                until = patience.refused(time.monotonic(), str(error), waited_ms=error.waited_ms)
                self.executor.pause(max(0.0, until - time.monotonic()))
                continue
            if work.on_record(self.recorder.run):
                self._adapt(rows)
                return True

    def wait_for_others(self, work: Batch, patience: Patience) -> None:
        """Somebody has rows locked that are still to be done: nobody waits behind us meanwhile.

        Raises HeldBack when the time is over, or somebody asked to stop.
        """
        holder = oldest(self.executor.holders([work]))
        told = holder.told() if holder else "nobody any more"
        if patience.looks == 0 and holder:
            self._postponed(work, "transaction", told)
        patience.blocked(time.monotonic(), holder.key if holder else "", told)
        self.executor.may_go_on(work)
        self.executor.pause(next(self._pauses) / 1000)

    def patience(self, name: str) -> Patience:
        """For one wait, from now on."""
        return Patience(
            statement=name, give_up_after_s=self.give_up_after_s, began=time.monotonic(), random=self.random
        )

    def _adapt(self, rows: int) -> None:
        done = self.recorder.run.remediated
        if done and done.last and rows >= self._size:
            spent = done.last.blocked_ms
            self._size = next_size(self._size, spent_ms=spent, budget_ms=self.budget_ms, most=self.most)

    def _too_slow(self, work: Batch, times: int) -> None:
        if times >= TRIES_OF_ONE:
            message = (
                f"{work.id}: one row alone takes longer than the lock budget of {self.budget_ms} ms: look for a missing"
                " index on what refers to it, or for a slow trigger, or raise lock_timeout_ms; then resume"
            )
            raise HeldBack(message)

    def _wait_for_replicas(self, work: Batch) -> None:
        """A replica that is too far behind gets no more to do. Raises HeldBack."""
        now = time.monotonic()
        if now - self._lag_at < LAG_LOOK_S:
            return
        patience = self.patience(work.id)
        while (lag_s := self.executor.lag_s()) > self.max_lag_s:
            told = f"a replica lags {lag_s:.0f} s, more than max_replica_lag_s = {self.max_lag_s:g}"
            if patience.looks == 0:
                self._postponed(work, "replica lag", told)
            patience.blocked(time.monotonic(), "lag", told)
            self.executor.may_go_on(work)
            self.executor.pause(LAG_LOOK_S)
        self._lag_at = time.monotonic()

    def _postponed(self, work: Batch, obstacle: str, told: str) -> None:
        self.recorder.record(StatementPostponed(statement=work.id, obstacle=obstacle, blocker=told, times=1))
        self.recorder.record(NotificationQueued(topic="blocked", about=f"{work.id}: {told}"))

    def _tell(self, work: Batch, patience: Patience, error: LockUnavailable) -> None:
        """The 1st, 2nd, 4th, 8th … failure: a long wait must not fill the ledger."""
        if patience.attempts & (patience.attempts - 1) == 0:
            holder = oldest(self.executor.holders([work]))
            self.recorder.record(
                LockAttemptFailed(
                    statement=work.id,
                    attempt=patience.attempts,
                    table=error.table,
                    sqlstate=error.sqlstate,
                    blocker=holder.told() if holder else "nobody any more",
                    waited_ms=error.waited_ms,
                )
            )


def oldest(holders: Iterable[Holder]) -> Holder | None:
    """Who has been at work for the longest; whoever only reads has no row locked."""
    writers = [each for each in holders if each.mode != "ACCESS SHARE"]
    return max(writers, key=lambda each: each.age_ms or 0.0, default=None)
