"""What of a run is told at this moment: folded event by event, so that a plan of 30 000 keys costs nothing per event.

Whoever shows it may read from another thread: each attribute is replaced as a whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.core.journal import (
    Event,
    LockAttemptFailed,
    PlanRecorded,
    StatementDone,
    StatementFailed,
    StatementIntended,
    StatementPostponed,
    StatementUndone,
    StepFinished,
    StepStarted,
    TimesPredicted,
)
from orchestrator.core.plan import Plan
from orchestrator.core.run import Run

AT_WORK = "running"


@dataclass(slots=True, kw_only=True)
class Glance:
    """The steps with their state, and of the one at work: statement, keys, blocker, waits, end. Times are in ms.

    `keys_done` counts keys of which every statement took effect. `statement` is the next one of the plan that did not
    yet: validations side by side are several, and the oldest is told.
    """

    steps: tuple[tuple[str, str], ...] = ()
    step: str = ""
    statement: str = ""
    keys: int = 0
    keys_done: int = 0
    undone: int = 0
    blocker: str = ""
    longest_wait_ms: float = 0.0
    budget_ms: int = 0
    _plan: Plan | None = None
    _left: Counter[str] = field(default_factory=Counter)
    _next: int = 0
    _blocked: str = ""
    _began: datetime | None = None
    _expected_ms: float | None = None
    _rest_ms: float = 0.0

    def see(self, event: Event, run: Run) -> None:
        """Take in an event that `run` has taken in already; the first one may come late in a run."""
        if run.plan is not self._plan:
            self._take_plan(run)
        match event:
            case StepStarted() | StepFinished() | TimesPredicted() | PlanRecorded():
                self._take_steps(run)
            case LockAttemptFailed() | StatementPostponed():
                self.blocker, self._blocked = event.blocker, event.statement
                self._wait(event.waited_ms if isinstance(event, LockAttemptFailed) else None)
            case StatementIntended():
                self.statement = event.id
            case StatementDone() | StatementUndone() | StatementFailed():
                self._end(event, run)
            case _:
                pass
        if not self.steps and run.started:
            self._take_steps(run)

    def expected_end(self, elapsed_ms: float) -> datetime | None:
        """When the run ends by its prediction, on the ledger's clock; None without one.

        `elapsed_ms` is for how long the step is at work: one that is late moves the end.
        """
        if self._began is None or self._expected_ms is None:
            return None
        return self._began + timedelta(milliseconds=max(self._expected_ms, elapsed_ms) + self._rest_ms)

    def _take_plan(self, run: Run) -> None:
        self._plan, self._next = run.plan, 0
        statements = run.plan.statements if run.plan else ()
        self.keys = len({each.relation for each in statements if each.relation})
        self._left = Counter(each.relation for each in statements if each.relation and each.id not in run.done)
        self.keys_done = self.keys - len(self._left)
        self._wait(max((each.waited_ms or 0.0 for each in run.done.values()), default=None))
        self._wait(max((each.waited_ms or 0.0 for each in run.undone.values()), default=None))
        self._wait(max((each.waited_ms for each in run.lock_failures), default=None))
        self._advance(run)

    def _take_steps(self, run: Run) -> None:
        self.budget_ms = run.started.lock_budget_ms if run.started else 0
        working = {name for name, each in run.steps.items() if each.started and each.duration_ms is None}
        self.steps = tuple((name, AT_WORK if name in working else each.state) for name, each in run.steps.items())
        self.step = next((name for name in run.steps if name in working), "")
        self.blocker = ""
        planned = run.predicted.planned if run.predicted else {}
        record, expected = run.steps.get(self.step), planned.get(self.step)
        self._began = record.started if record else None
        self._expected_ms = expected.ms if expected else None
        pending = (name for name, state in self.steps if state == "pending")
        self._rest_ms = sum(planned[name].ms for name in pending if name in planned)

    def _end(self, event: StatementDone | StatementUndone | StatementFailed, run: Run) -> None:
        if event.id == self._blocked:
            self.blocker = ""
        if isinstance(event, StatementDone):
            self._wait(event.waited_ms)
            self._left[event.relation] -= 1
            self.keys_done += bool(event.relation) and self._left[event.relation] == 0
        elif isinstance(event, StatementUndone):
            self._wait(event.waited_ms)
            self.undone = len(run.undone)
        self._advance(run)

    def _advance(self, run: Run) -> None:
        """The first statement of the plan that has not ended; the plan is walked once in all."""
        statements = self._plan.statements if self._plan else ()
        while self._next < len(statements) and self._ended(statements[self._next].id, run):
            self._next += 1
        self.statement = statements[self._next].id if self._next < len(statements) else ""

    def _ended(self, name: str, run: Run) -> bool:
        return name in run.done or name in run.failures

    def _wait(self, waited_ms: float | None) -> None:
        self.longest_wait_ms = max(self.longest_wait_ms, waited_ms or 0.0)
