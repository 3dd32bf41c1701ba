"""Carries transactions out: looks before it asks for a lock, does other work meanwhile, comes back.

What may run beside what is decided by the schedule; how one attempt goes is the executor's. Here is the loop between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from orchestrator.core.holders import Holder, in_the_way, lasting
from orchestrator.core.journal import (
    BlockerTerminated,
    LockAttemptFailed,
    NotificationQueued,
    StatementFailed,
    StatementPostponed,
    WorkersChanged,
)
from orchestrator.core.outcome import HeldBack, LockUnavailable, StatementRejected
from orchestrator.core.patience import LOOK_AGAIN_MS, Patience
from orchestrator.core.plan import RANK, Statement
from orchestrator.core.ports import Executor, Recorder
from orchestrator.core.schedule import Schedule, alone_on, exclude
from orchestrator.core.transaction import Transaction, doing, undoing
from orchestrator.core.workers import Workers

LOOK_IS_FRESH_S = 0.02
"""A look at the holders of locks is good for so long; those that matter have held theirs for longer than the budget."""

MUCH_ROWS = 2_000_000
"""From so many rows on, validation takes long enough (about a second) for more workers to be found."""

LAG_EVERY_S = 1.0
TURNS_EVERY_S = 0.5
"""The longest pause between attempts when transactions that are older than the budget take turns on a table."""

HEED_EVERY_S = 0.5


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """One for each run. Budget in ms, `give_up_after_s` in s per statement; `terminates` names applications."""

    executor: Executor
    recorder: Recorder
    budget_ms: int
    give_up_after_s: float
    workers: int | Literal["auto"] = "auto"
    terminates: frozenset[str] = frozenset()
    max_lag_s: float = 30.0
    random: Random = field(default_factory=Random)
    _patience: dict[tuple[str, str, int], Patience] = field(default_factory=dict)
    _aside: dict[str, HeldBack] = field(default_factory=dict)
    _first_seen: dict[str, float] = field(default_factory=dict)
    _next_turn: dict[str, float] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _lag_s: float = 0.0
    _seen: tuple[Holder, ...] = ()
    _seen_at: float = float("-inf")
    _lag_at: float = float("-inf")
    _heeded_at: float = float("-inf")

    def opened(self, step: str) -> AbstractContextManager[None]:
        """Hold what is needed while statements run. Raises HeldBack when another runner is at work."""
        return self.executor.opened(step)

    def carry_out(
        self, statements: tuple[Statement, ...], *, expected: Mapping[str, float], hopeless: Callable[[Statement], bool]
    ) -> StatementRejected | None:
        """The way forward; gives back a refusal that ends it. Raises HeldBack, JournalLost.

        `expected` has the rows that a statement reads; `hopeless` tells whether one is no use to begin.
        """
        plan = self.recorder.run.plan
        named = {each.id: each for each in statements}
        ranks = {each.relation.id: RANK[each.relation.priority] for each in plan.relations} if plan else {}
        works = doing(statements)
        schedule = Schedule(
            transactions=works,
            expected=expected,
            rank={each.id: ranks.get(each.relation, RANK["low"]) for each in works},
        )
        for failure in self._rounds(schedule, lambda work: hopeless(named[work.id])):
            self._record_failure(failure.work, failure.error)
            if not failure.error.because_of_orphans:
                return failure.error
        return None

    def walk_back(self, statement: Statement, *, of: str) -> None:
        """The way back of one statement, one transaction after the other. Raises StatementRejected, HeldBack."""
        for work in undoing(statement, of=of, budget_ms=self.budget_ms):
            schedule = Schedule(transactions=(work,))
            for failure in self._rounds(schedule, lambda _: False):
                raise failure.error

    def _rounds(self, schedule: Schedule, hopeless: Callable[[Transaction], bool]) -> Iterator[_Refusal]:
        """Until everything is on record or refused.

        What is left is looked for anew each time: a target that was lost and found may have come back without the last.
        """
        workers = Workers(wanted=self._wanted(schedule), changed=time.monotonic())
        refused: set[str] = set()
        while True:
            yield from self._gathered(0.0, refused, schedule)
            run = self.recorder.run
            done = {each.id for each in schedule.transactions if each.on_record(run)}
            over = refused | self._orphaned() | done | self._set_aside(schedule)
            running = self.executor.running
            now = time.monotonic()
            work = schedule.next(settled=over, running=running, workers=workers.count, now=now)
            if work is None:
                pending = schedule.pending(over, running)
                if not pending and not running:
                    self._hold_what_is_left()
                    return
                yield from self._waited(schedule, pending, refused, workers)
            elif hopeless(work):
                refused.add(work.id)
            else:
                yield from self._taken_on(schedule, work, refused, over)

    def _wanted(self, schedule: Schedule) -> int | Literal["auto"]:
        """How many workers; for little work it is not worth finding out."""
        little = sum(schedule.expected.values()) < MUCH_ROWS
        if self.workers != "auto" or little:
            return 1 if self.workers == "auto" else self.workers
        self.executor.calibrate()
        return "auto"

    def _go_on(self, work: Transaction) -> None:
        """Look before a statement. When somebody asked to stop, what is at work is waited for. Raises HeldBack."""
        self._heeded_at = time.monotonic()
        try:
            self.executor.may_go_on(work)
        except HeldBack:
            self._finish()
            raise

    def _taken_on(self, schedule: Schedule, work: Transaction, refused: set[str], over: set[str]) -> Iterator[_Refusal]:
        if self._lags(schedule, work):
            return
        patience = self._patience_with(work)
        if not work.short:
            self._go_on(work)
            self._begin(schedule, work, patience, over)
            return
        holders = self._holders(schedule, over)
        blocker = lasting(work.locks, holders, budget_ms=self.budget_ms, known_ms=self._known_ms())
        # Another transaction than the last time: they take turns, and only an attempt can find the gap between them.
        if blocker is not None and (blocker.key == patience.blocker or not patience.looks or not self._turn(work)):
            self._postpone(schedule, work, blocker, over)
            return
        if blocker is not None:
            patience.took_turn(blocker.key)
        self._go_on(work)
        vacuumed = [each.table for each in in_the_way(work.locks, holders) if each.obstacle == "vacuum"]
        patience.attempts += 1
        try:
            self.executor.attempt(
                work, attempts=patience.attempts, waited_ms=patience.waited_ms, vacuumed=tuple(dict.fromkeys(vacuumed))
            )
        except LockUnavailable as error:
            self._not_granted(schedule, work, error)
        except StatementRejected as error:
            refused.add(work.id)
            yield _Refusal(work, error)

    def _begin(self, schedule: Schedule, work: Transaction, patience: Patience, over: set[str]) -> None:
        patience.attempts += 1
        keys = sum(not each.short and alone_on(each) == alone_on(work) for each in schedule.pending(over, ()))
        try:
            rows = schedule.expected.get(work.id, 0.0)
            self.executor.begin(work, attempts=patience.attempts, keys=keys, rows=rows)
        except LockUnavailable as error:
            self._not_granted(schedule, work, error)

    def _gathered(self, within_s: float, refused: set[str], schedule: Schedule) -> Iterator[_Refusal]:
        """What ended side by side: on record, to be tried again, or refused. Raises HeldBack."""
        for ended in self.executor.ended(within_s):
            self._let_wait_anew(schedule, ended.work)
            match ended.error:
                case None:
                    continue
                case LockUnavailable() as error:
                    self._not_granted(schedule, ended.work, error)
                case StatementRejected() as error:
                    refused.add(ended.work.id)
                    yield _Refusal(ended.work, error)
                case HeldBack() as error:
                    self._finish()
                    raise error
                case error:
                    raise error

    def _let_wait_anew(self, schedule: Schedule, ended: Transaction) -> None:
        """What had its locks, and what could not be tried because of it, has not waited for others meanwhile."""
        now = time.monotonic()
        for each in schedule.transactions:
            if each.id == ended.id or exclude(each, ended):
                self._patience_with(each).anew(now)

    def _finish(self) -> None:
        """Begin nothing more, and wait for what is at work; orphans that are found meanwhile are on record."""
        while self.executor.running:
            for ended in self.executor.ended(HEED_EVERY_S):
                if isinstance(ended.error, StatementRejected):
                    self._record_failure(ended.work, ended.error)

    def _waited(
        self, schedule: Schedule, pending: Iterable[Transaction], refused: set[str], workers: Workers
    ) -> Iterator[_Refusal]:
        """Nothing may begin now: wait for what is at work, or until something is due again."""
        now = time.monotonic()
        rest = tuple(pending)
        self._adapt(workers, now, waiting=any(not each.short for each in rest))
        due = schedule.waking(rest)
        seconds = LOOK_AGAIN_MS / 1000 if due is None else max(0.001, min(due - now, LOOK_AGAIN_MS / 1000))
        if self.executor.running:
            yield from self._gathered(seconds, refused, schedule)
        else:
            self.executor.pause(seconds)
        if rest and time.monotonic() - self._heeded_at > HEED_EVERY_S:
            self._go_on(rest[0])

    def _adapt(self, workers: Workers, now: float, *, waiting: bool) -> None:
        """More workers or fewer, and the journal says why."""
        if self.executor.crowded and workers.fewer(now):
            self.recorder.record(WorkersChanged(workers=workers.count, reason="others wait"))
        elif waiting and workers.asks(now, len(self.executor.running)) and self.executor.spare():
            workers.more(now)
            self.recorder.record(WorkersChanged(workers=workers.count, reason="the server has a core to spare"))

    def _lags(self, schedule: Schedule, work: Transaction) -> bool:
        """Whether a replica is too far behind to give it more to do."""
        now = time.monotonic()
        if now - self._lag_at >= LAG_EVERY_S:
            self._lag_s, self._lag_at = self.executor.lag_s(), now
        if self._lag_s <= self.max_lag_s:
            return False
        told = f"a replica lags {self._lag_s:.0f} s, more than max_replica_lag_s = {self.max_lag_s:g}"
        until = self._blocked(work, "lag", told)
        if until is not None:
            schedule.postpone(work, until)
            self._tell_postponed(work, self._patience_with(work), "replica lag", told)
        return True

    def _known_ms(self) -> dict[str, float]:
        """For how long each transaction in the way has been seen, in ms: its age where that is hidden from our role."""
        now = time.monotonic()
        return {key: (now - first) * 1000 for key, first in self._first_seen.items()}

    def _turn(self, work: Transaction) -> bool:
        """Whether it is time for an attempt between transactions that take turns: with pauses, as after a failure."""
        now = time.monotonic()
        if now < self._next_turn.get(work.id, 0.0):
            return False
        self._next_turn[work.id] = now + self.random.uniform(0, TURNS_EVERY_S)
        return True

    def _holders(self, schedule: Schedule, over: set[str]) -> tuple[Holder, ...]:
        """One look for everything that still needs locks."""
        now = time.monotonic()
        if now - self._seen_at > LOOK_IS_FRESH_S:
            self._seen = self.executor.holders([e for e in schedule.pending(over, ()) if e.short])
            self._seen_at = time.monotonic()
            self._first_seen = {each.key: self._first_seen.get(each.key, now) for each in self._seen}
        return self._seen

    def _postpone(self, schedule: Schedule, work: Transaction, blocker: Holder, over: set[str]) -> None:
        """Do not even queue: do other work and come back, with everything that the same transaction keeps waiting.

        A session is ended only where the policy names its application, and when nothing else is left to do.
        """
        told = blocker.told()
        until = self._blocked(work, blocker.key, told)
        if until is None:
            return
        for each in schedule.pending(over, ()):
            if each.short and any(True for _ in in_the_way(each.locks, [blocker])):
                self._postpone_with(schedule, each, until)
        patience = self._patience_with(work)
        self._tell_postponed(work, patience, blocker.obstacle, told)
        if blocker.application in self.terminates and patience.looks > 1 and not self.executor.running:
            self._terminate(work, blocker)

    def _terminate(self, work: Transaction, blocker: Holder) -> None:
        if blocker.key in self._ended:
            return
        self._ended.add(blocker.key)
        self._seen_at = float("-inf")
        problem, told = self.executor.terminate(blocker), blocker.told()
        if problem:
            told = f"{told}; policy.terminate_blockers names it, but it cannot be ended: {problem}"
            event = StatementPostponed(statement=work.id, obstacle=blocker.obstacle, blocker=told, times=1)
            self.recorder.record(event)
            return
        self.recorder.record(BlockerTerminated(statement=work.id, application=blocker.application, blocker=told))

    def _blocked(self, work: Transaction, key: str, told: str) -> float | None:
        """When to look again; None when the time for this statement is over and it is set aside."""
        try:
            return self._patience_with(work).blocked(time.monotonic(), key, told)
        except HeldBack as error:
            self._aside[work.id] = error
            return None

    def _tell_postponed(self, work: Transaction, patience: Patience, obstacle: str, told: str) -> None:
        if patience.tells:
            event = StatementPostponed(statement=work.id, obstacle=obstacle, blocker=told, times=patience.looks)
            self.recorder.record(event)
            if patience.looks == 1:
                self.recorder.record(NotificationQueued(topic="blocked", about=f"{work.id}: {told}"))

    def _not_granted(self, schedule: Schedule, work: Transaction, error: LockUnavailable) -> None:
        """Journal the 1st, 2nd, 4th, 8th … failure: a long wait must not fill the ledger."""
        patience = self._patience_with(work)
        self._seen_at = float("-inf")
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

    def _postpone_with(self, schedule: Schedule, other: Transaction, until: float) -> None:
        """Another one waits for the same reason: its time runs from now on, too, so that all are given up together."""
        self._patience_with(other)
        schedule.postpone(other, until)

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

    def _set_aside(self, schedule: Schedule) -> set[str]:
        """What was given up, and what cannot be done without it."""
        aside = set(self._aside)
        for each in schedule.transactions:
            if each.after & aside:
                aside.add(each.id)
        return aside

    def _hold_what_is_left(self) -> None:
        """Everything else is done. Raises HeldBack for the first that was given up."""
        for error in self._aside.values():
            raise error

    def _orphaned(self) -> set[str]:
        """Orphans settle a statement for this run; any other failure may be over by now."""
        return {each.id for each in self.recorder.run.failures.values() if each.because_of_orphans}

    def _record_failure(self, work: Transaction, error: StatementRejected) -> None:
        self.recorder.record(
            StatementFailed(
                id=work.id,
                relation=work.relation,
                sqlstate=error.sqlstate,
                message=str(error),
                because_of_orphans=error.because_of_orphans,
            )
        )

    def _patience_with(self, work: Transaction) -> Patience:
        key = (work.id, work.kind, work.number)
        if key not in self._patience:
            self._patience[key] = Patience(
                statement=work.id, give_up_after_s=self.give_up_after_s, began=time.monotonic()
            )
        return self._patience[key]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A transaction that the server refused for good."""

    work: Transaction
    error: StatementRejected
