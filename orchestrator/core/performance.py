"""What new keys cost per write: measured values from before and after, and what the thresholds make of them.

Two things are measured on a copy. One write at a time: how long the server takes for it, and how much of that goes into
the triggers of each key. And many writes at once: how long a transaction takes under load. An insert and an update
of a referencing table look for the referenced rows, a delete of a referenced row looks for those that refer to it.
Other writes fire none of a key's triggers; an update that changes a referenced key is not measured, because the
applications that keys are added for do not change theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.checks import Finding, FindingStatus, Severity

Operation = Literal["insert", "update", "delete"]
Word = Literal["accepted", "hold", "roll back", "unknown"]

ACCEPTED_MS = 10.0
"""So much longer a write may take."""

ROLL_BACK_MS = 20.0
"""A write that takes so much longer is a reason to take the keys away again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One operation on a table, at one time: ms per write, and ms per write in the triggers of each key.

    Medians over `rows` writes. `unknown` says why nothing was measured; `ms` is None then.
    """

    table: str
    operation: Operation
    ms: float | None = None
    triggers: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0
    method: str = ""
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Transactions that write to a table among others at work, at one time; in ms."""

    table: str
    average_ms: float
    p95_ms: float
    transactions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """All that was measured at one time.

    `idle_ms` is the average of transactions that touch no table, in the same load: what the machine makes of any.
    `untried` says by table why it has no latency, `unindexed` by key which referencing columns no index leads along.
    """

    timings: tuple[Timing, ...]
    latencies: tuple[Latency, ...] = ()
    idle_ms: float = 0.0
    clients: int = 0
    method: str = ""
    untried: Mapping[str, str] = field(default_factory=dict)
    unindexed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCost:
    """One operation on a table before and after: ms per write, medians over `rows` writes.

    `triggers` has the ms per write of each key that fires, `new_keys` those among them that were not there before.
    """

    table: str
    operation: Operation
    before_ms: float | None
    after_ms: float | None
    triggers: Mapping[str, float]
    new_keys: tuple[str, ...]
    rows: int
    method: str
    unknown: str = ""

    @property
    def overhead_ms(self) -> float | None:
        """How much longer a write takes; at least the time in the new keys' own triggers, which no noise hides."""
        if self.after_ms is None:
            return None
        longer = self.after_ms - self.before_ms if self.before_ms is not None else 0.0
        return max(longer, sum(self.triggers[each] for each in self.new_keys), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCost:
    """Transactions on a table among others at work, before and after; in ms.

    `idle_ms` is by how much a transaction that touches no table took longer in the second load.
    """

    table: str
    before_average_ms: float | None
    after_average_ms: float | None
    before_p95_ms: float | None
    after_p95_ms: float | None
    transactions: int
    idle_ms: float = 0.0
    unknown: str = ""

    @property
    def overhead_ms(self) -> float | None:
        """How much longer a transaction takes on average, without what the machine added to any."""
        if self.before_average_ms is None or self.after_average_ms is None:
            return None
        return max(self.after_average_ms - self.before_average_ms - max(self.idle_ms, 0.0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What the keys cost a table at most, in ms per write, and what that is.

    `slow_keys` are the new keys whose triggers alone take longer than is accepted; `unindexed` are those that a delete
    has to look for without an index, with their columns; `unknown` is what was not measured, and why.
    """

    table: str
    ms: float | None
    cause: str
    slow_keys: tuple[str, ...] = ()
    unindexed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def word(self) -> Word:
        """The thresholds' word. A part that was not measured never makes the rest better."""
        if self.ms is not None and self.ms > ROLL_BACK_MS:
            return "roll back"
        if self.ms is not None and self.ms > ACCEPTED_MS:
            return "hold"
        return "unknown" if self.ms is None or self.unknown else "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both times side by side: one operation, one load, and one judgement for each table."""

    writes: tuple[WriteCost, ...]
    loads: tuple[LoadCost, ...]
    overheads: tuple[Overhead, ...]


def compare(before: Costs, after: Costs) -> Comparison:
    """What was measured before and after the keys, table by table; nothing of either side is left out."""
    writes, loads = tuple(_writes(before, after)), tuple(_loads(before, after))
    by_table: dict[str, list[WriteCost]] = defaultdict(list)
    for each in writes:
        by_table[each.table].append(each)
    under_load = {each.table: each for each in loads}
    unindexed = {**before.unindexed, **after.unindexed}
    overheads = (
        judge(table, tuple(by_table.get(table, ())), under_load.get(table), unindexed)
        for table in dict.fromkeys((*by_table, *under_load))
    )
    return Comparison(writes=writes, loads=loads, overheads=tuple(overheads))


def _writes(before: Costs, after: Costs) -> Iterator[WriteCost]:
    then = {(each.table, each.operation): each for each in before.timings}
    now = {(each.table, each.operation): each for each in after.timings}
    for place in dict.fromkeys((*then, *now)):
        old, new = then.get(place), now.get(place)
        fired = new.triggers if new else {}
        yield WriteCost(
            table=place[0],
            operation=place[1],
            before_ms=old.ms if old else None,
            after_ms=new.ms if new else None,
            triggers=fired,
            new_keys=tuple(sorted(set(fired) - set(old.triggers if old else ()))),
            rows=new.rows if new else 0,
            method=new.method if new else "",
            unknown=_missing(old, new),
        )


def _missing(old: Timing | None, new: Timing | None) -> str:
    """Why one of the two was not measured; the later one is told first."""
    if new is None or new.ms is None:
        return (new.unknown if new else "") or "not measured with the keys"
    if old is None or old.ms is None:
        return (old.unknown if old else "") or "not measured without the keys"
    return ""


def _loads(before: Costs, after: Costs) -> Iterator[LoadCost]:
    then = {each.table: each for each in before.latencies}
    now = {each.table: each for each in after.latencies}
    untried = {**before.untried, **after.untried}
    for table in dict.fromkeys((*then, *now, *untried)):
        old, new = then.get(table), now.get(table)
        missing = untried.get(table, "no transaction of it came to its end") if not (old and new) else ""
        yield LoadCost(
            table=table,
            before_average_ms=old.average_ms if old else None,
            after_average_ms=new.average_ms if new else None,
            before_p95_ms=old.p95_ms if old else None,
            after_p95_ms=new.p95_ms if new else None,
            transactions=new.transactions if new else 0,
            idle_ms=after.idle_ms - before.idle_ms,
            unknown=missing,
        )


def judge(table: str, writes: tuple[WriteCost, ...], load: LoadCost | None, unindexed: Mapping[str, str]) -> Overhead:
    """One table: the worst of its operations and of its transactions under load."""
    told = [(each.overhead_ms, _told(each)) for each in writes]
    told += [(load.overhead_ms, _told_load(load))] if load else []
    measured = sorted(((ms, words) for ms, words in told if ms is not None), reverse=True)
    # The worst one, and whatever else would not be accepted by itself.
    causes = [words for ms, words in measured[1:] if ms > ACCEPTED_MS]
    # An index along the referencing columns only helps those who delete what is referred to.
    fired = {key for each in writes if each.operation == "delete" for key in each.triggers}
    new = {key for each in writes for key in each.new_keys}
    unknown = [f"{each.operation}: {each.unknown}" for each in writes if each.unknown]
    unknown += [f"under load: {load.unknown}"] if load and load.unknown else []
    return Overhead(
        table=table,
        ms=measured[0][0] if measured else None,
        cause="; ".join([words for _, words in measured[:1]] + causes),
        slow_keys=tuple(sorted(key for key in new if _slow(key, writes))),
        unindexed=tuple(f"{key} on {unindexed[key]}" for key in sorted(fired) if key in unindexed),
        unknown=tuple(unknown),
    )


def _slow(key: str, writes: tuple[WriteCost, ...]) -> bool:
    return any(each.triggers.get(key, 0.0) > ACCEPTED_MS for each in writes)


def _told(cost: WriteCost) -> str:
    """`delete 0.1 -> 312.4 ms, of which fk 311.9 ms`."""
    new = {key: cost.triggers[key] for key in cost.new_keys}
    most = max(new, key=lambda key: new[key], default=None)
    share = f", of which {most} {new[most]:.2f} ms" if most else ""
    return f"{cost.operation} {_ms(cost.before_ms)} -> {_ms(cost.after_ms)} ms{share}"


def _told_load(cost: LoadCost) -> str:
    return f"a transaction under load {_ms(cost.before_average_ms)} -> {_ms(cost.after_average_ms)} ms"


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def finding(overhead: Overhead) -> Finding:
    """The finding for one table: over 10 ms is important, over 20 ms critical."""
    status: Mapping[Word, FindingStatus] = {"accepted": "pass", "unknown": "unknown"}
    severity: Severity = "critical" if overhead.word == "roll back" else "important"
    return Finding(
        id=f"performance.{overhead.table}",
        title=f"Do the new keys leave writes to {overhead.table} quick enough?",
        severity=severity,
        status=status.get(overhead.word, "fail"),
        observed=_observed(overhead),
        expected=f"at most {ACCEPTED_MS:g} ms more per write; above {ROLL_BACK_MS:g} ms the keys are to go",
        remedy=_remedy(overhead),
    )


def _observed(overhead: Overhead) -> str:
    parts = [f"{overhead.ms:.2f} ms more per write ({overhead.cause})"] if overhead.ms is not None else []
    parts += [f"no index for {each}" for each in overhead.unindexed]
    parts += [f"not measured: {each}" for each in overhead.unknown]
    return "; ".join(parts) or "nothing was measured"


def _remedy(overhead: Overhead) -> str:
    if overhead.word in ("accepted", "unknown"):
        return ""
    if overhead.unindexed:
        return f"create an index concurrently for {', '.join(overhead.unindexed)}, then rehearse again"
    keys = ", ".join(overhead.slow_keys) or "the slowest key"
    return f"see the times per key in the report, rehearse again on a quiet machine, or defer {keys} in the contract"
