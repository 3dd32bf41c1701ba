"""The watch after a deployment: what one sample holds.

Counters are as the server has them, so that the next sample, whoever takes it and whenever, tells what came in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from orchestrator.core.performance import Operation
from orchestrator.core.watch_logs import HostLogRead, untold, violations

Method = Literal["statements", "probes", "none"]
"""How writes are timed: by pg_stat_statements, by writes that are rolled back, or not at all."""

AWAY = "database"
"""What is unknown of a sample when the database did not answer at all."""

LOCK_WAITS = "lock waits"
"""What is unknown of a sample that could not ask who waits for whom."""

VIOLATIONS = "violations"
"""What is unknown of a sample that saw no log with violations in it."""

Word = Literal["go", "investigate", "roll back"]
"""What the thresholds make of a watch so far, from the best to the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Writes of one kind to one table.

    By statements, `calls` and `ms` are totals since the server's statistics were reset; by probes `ms` is the median of
    `calls` writes.
    """

    table: str
    operation: Operation
    calls: int
    ms: float

    @property
    def key(self) -> str:
        """`insert public.orders`."""
        return f"{self.operation} {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """Totals of the database since `since`, and what this sample itself adds to them after they were read."""

    committed: int
    rolled_back: int
    since: str = ""
    own_committed: int = 0
    own_rolled_back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """How far the server's log was read, in bytes of `file`, and the foreign-key violations since the last sample.

    `behind` is what was left for the next sample, in bytes; `own` are violations that our own probes are about to
    cause, where the log does not name applications. `note` tells what the count leaves open.
    """

    file: str
    offset: int
    violations: int
    behind: int = 0
    own: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysSeen:
    """The contract's keys: how many stand valid and enforced, which stand NOT VALID, and which do not hold and why.

    `orphans` has rows by relation that stands NOT VALID, counted at `counted_at`.
    """

    standing: int
    not_valid: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    orphans: Mapping[str, int] = field(default_factory=dict)
    counted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """A host as it answers: in ms, with what is wrong in `note`.

    `failed` says whether its health URL did; None where there is none. `logs` has what came into its logs.
    """

    host: str
    healthy: bool
    ms: float
    note: str = ""
    failed: bool | None = None
    logs: tuple[HostLogRead, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All that was seen at one moment, by the server's clock; `every_s` is when the next one is to come.

    `since` is when the statistics of statements were reset. `unknown` says by subject why it was not seen, `gap` why
    nobody looked before.
    """

    at: datetime
    host: str
    every_s: float
    method: Method
    since: str = ""
    writes: tuple[Write, ...] = ()
    transactions: Transactions | None = None
    log: LogRead | None = None
    lock_wait_ms: float = 0.0
    waiting: str = ""
    replicas: int = 0
    lag_s: float | None = None
    keys: KeysSeen | None = None
    hosts: tuple[HostSeen, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    gap: str = ""

    @property
    def violations(self) -> int | None:
        """Since the sample before: what the server's log tells, else what the hosts' logs tell; never both."""
        if self.log is not None:
            return self.log.violations
        return violations(log for each in self.hosts for log in each.logs)


def with_hosts(unknown: Mapping[str, str], hosts: tuple[HostSeen, ...]) -> Mapping[str, str]:
    """What a sample does not know, with the logs of its hosts; they may tell what the server's log does not."""
    logs = [log for each in hosts for log in each.logs]
    told = {**unknown, **untold(logs)}
    if VIOLATIONS in told and violations(logs) is not None:
        told["violations elsewhere"] = f"only the logs of hosts are counted: {told.pop(VIOLATIONS)}"
    return told
