"""The chart of lock waits: what each statement held and how long others waited for it, against the lock budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.adapters.charts import share
from orchestrator.core.journal import StatementDone

MOST_SHOWN: Final = 20
"""Statements; the table has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockBar:
    """A statement; `held` and `waited` are percentages of the axis."""

    statement: StatementDone
    held: float
    waited: float
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChart:
    """The statements that held writers up the longest, and where the budget stands on their axis in per cent."""

    bars: tuple[LockBar, ...]
    budget: float
    left_out: int


def lock_chart(statements: Sequence[StatementDone], budget_ms: float) -> LockChart:
    """The chart; empty when no statement could have held a writer up."""
    holding = [each for each in statements if each.blocked_ms or each.waited_ms]
    holding.sort(key=lambda each: (-max(each.waited_ms or 0.0, each.blocked_ms), each.id))
    shown = holding[:MOST_SHOWN]
    whole = max((budget_ms, *(max(each.blocked_ms, each.waited_ms or 0.0) for each in shown)))
    bars = (
        LockBar(
            statement=each,
            held=share(each.blocked_ms, whole),
            waited=share(each.waited_ms or 0.0, whole),
            over=each.blocked_ms > budget_ms,
        )
        for each in shown
    )
    return LockChart(bars=tuple(bars), budget=share(budget_ms, whole), left_out=len(holding) - len(shown))
