"""Carries transactions out: the loop between the schedule, which says what may run, and the executor, which does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from orchestrator.core.holders import in_the_way
from orchestrator.core.journal import StatementFailed, WorkersChanged
from orchestrator.core.outcome import HeldBack, LockUnavailable, StatementRejected
from orchestrator.core.patience import LOOK_AGAIN_MS
from orchestrator.core.plan import RANK, Statement
from orchestrator.core.ports import Executor, Recorder
from orchestrator.core.schedule import Schedule, alone_on
from orchestrator.core.transaction import Transaction, doing, undoing
from orchestrator.core.workers import Workers
from orchestrator.engine.sight import Sight
from orchestrator.engine.waiting import Waiting

MUCH_ROWS = 2_000_000
"""From so many rows on, validation takes long enough (about a second) for more workers to be found."""

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
    _waiting: Waiting = field(init=False)
    _heeded_at: float = float("-inf")

    def __post_init__(self) -> None:
        """What is known of waiting lasts as long as the run."""
        self._waiting = Waiting(
            executor=self.executor,
            recorder=self.recorder,
            sight=Sight(executor=self.executor),
            budget_ms=self.budget_ms,
            give_up_after_s=self.give_up_after_s,
            terminates=self.terminates,
            max_lag_s=self.max_lag_s,
            random=self.random,
        )

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
            over = refused | self._orphaned() | done | self._waiting.aside(schedule)
            running = self.executor.running
            now = time.monotonic()
            work = schedule.next(settled=over, running=running, workers=workers.count, now=now)
            if work is None:
                pending = schedule.pending(over, running)
                if not pending and not running:
                    self._waiting.hold_what_is_left()
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
        if self._waiting.lags(schedule, work):
            return
        if not work.short:
            self._go_on(work)
            self._begin(schedule, work, over)
            return
        holders = self._waiting.free(schedule, work, over)
        if holders is None:
            return
        self._go_on(work)
        vacuumed = [each.table for each in in_the_way(work.locks, holders) if each.obstacle == "vacuum"]
        patience = self._waiting.patience(work)
        patience.attempts += 1
        try:
            self.executor.attempt(
                work, attempts=patience.attempts, waited_ms=patience.waited_ms, vacuumed=tuple(dict.fromkeys(vacuumed))
            )
        except LockUnavailable as error:
            self._waiting.not_granted(schedule, work, error)
        except StatementRejected as error:
            refused.add(work.id)
            yield _Refusal(work, error)

    def _begin(self, schedule: Schedule, work: Transaction, over: set[str]) -> None:
        patience = self._waiting.patience(work)
        patience.attempts += 1
        keys = sum(not each.short and alone_on(each) == alone_on(work) for each in schedule.pending(over, ()))
        try:
            rows = schedule.expected.get(work.id, 0.0)
            self.executor.begin(work, attempts=patience.attempts, keys=keys, rows=rows)
        except LockUnavailable as error:
            self._waiting.not_granted(schedule, work, error)

    def _gathered(self, within_s: float, refused: set[str], schedule: Schedule) -> Iterator[_Refusal]:
        """What ended side by side: on record, to be tried again, or refused. Raises HeldBack."""
        for ended in self.executor.ended(within_s):
            self._waiting.anew(schedule, ended.work, ended.error)
            match ended.error:
                case None:
                    continue
                case LockUnavailable() as error:
                    self._waiting.not_granted(schedule, ended.work, error)
                case StatementRejected() as error:
                    refused.add(ended.work.id)
                    yield _Refusal(ended.work, error)
                case HeldBack() as error:
                    self._finish()
                    raise error
                case error:
                    raise error

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


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A transaction that the server refused for good."""

    work: Transaction
    error: StatementRejected
