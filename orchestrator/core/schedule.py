"""What to do next: which transaction may begin beside those at work, and which is worth most.

Short ones (their locks block writers) go one at a time in the plan's order. Long ones (VALIDATE) go side by side, each
alone on its referencing table; one index at a time is built beside them. All keys that touch a table are added before
the first validation on it, because an ADD that has to wait for a VALIDATE lets writers queue behind it; except while
somebody else keeps the ADD waiting anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import product

from orchestrator.core.catalog import TableName
from orchestrator.core.locks import conflict
from orchestrator.core.transaction import Transaction


@dataclass(slots=True, kw_only=True)
class Schedule:
    """The transactions of one step. `expected` has how long each may take, in ms; `rank` the priority, 0 first.

    Times are seconds of any clock that only goes forward.
    """

    transactions: tuple[Transaction, ...]
    expected: Mapping[str, float] = field(default_factory=dict)
    rank: Mapping[str, int] = field(default_factory=dict)
    _later: dict[str, float] = field(default_factory=dict)

    def postpone(self, transaction: Transaction, until: float) -> None:
        """Do not look at it again before that time."""
        self._later[transaction.id] = until

    def waking(self, pending: Iterable[Transaction]) -> float | None:
        """When the first of those that were postponed is due again; None when none was."""
        return min((self._later[each.id] for each in pending if each.id in self._later), default=None)

    def pending(self, settled: AbstractSet[str], running: Iterable[Transaction]) -> tuple[Transaction, ...]:
        """What is neither over nor at work."""
        busy = {each.id for each in running}
        return tuple(each for each in self.transactions if each.id not in settled and each.id not in busy)

    def next(
        self, *, settled: AbstractSet[str], running: tuple[Transaction, ...], workers: int, now: float
    ) -> Transaction | None:
        """What may begin now; None when everything has to wait, or is over."""
        pending = self.pending(settled, running)
        waiting = {each.id for each in pending} | {each.id for each in running}
        ready = [each for each in pending if each.after.isdisjoint(waiting) and self._free(each, running, now)]
        short = next((each for each in ready if each.short), None)
        if short is not None:
            return short
        # A build may spend its time waiting for somebody else's transaction: it takes no validation's place.
        building = any(each.concurrent for each in running)
        full = sum(not each.short and not each.concurrent for each in running) >= workers
        ready = [each for each in ready if not (building if each.concurrent else full)]
        soon = [
            each
            for each in pending
            if each.short and each.after.isdisjoint(waiting) and self._later.get(each.id, now) <= now
        ]
        # An ADD that could be asked for soon would have to wait for the validation, and writers behind it.
        unmixed = [each for each in ready if not any(exclude(add, each) for add in soon)]
        return self._most_worth(unmixed, pending, alone=workers == 1)

    def _free(self, one: Transaction, running: tuple[Transaction, ...], now: float) -> bool:
        due = self._later.get(one.id, now) <= now
        return due and not any(exclude(one, each) for each in running)

    def _most_worth(
        self, ready: list[Transaction], pending: tuple[Transaction, ...], *, alone: bool
    ) -> Transaction | None:
        """Critical keys first where one worker does everything anyway; else where the longest queue of work waits."""
        queues: dict[TableName, float] = defaultdict(float)
        for each in pending:
            if not each.short:
                queues[alone_on(each)] += self.expected.get(each.id, 0.0)

        def worth(each: Transaction) -> tuple[float, int, float]:
            queue = 0.0 if alone else queues[alone_on(each)]
            return (-queue, self.rank.get(each.id, 0), -self.expected.get(each.id, 0.0))

        return min(ready, key=worth, default=None)


def exclude(left: Transaction, right: Transaction) -> bool:
    """Whether two transactions cannot be at work at the same time."""
    return any(one.table == two.table and conflict(one.mode, two.mode) for one, two in product(left.locks, right.locks))


def alone_on(validation: Transaction) -> TableName:
    """The table that a validation has for itself: the referencing one, which comes first."""
    return validation.locks[0].table if validation.locks else TableName(schema="", name=validation.id)
