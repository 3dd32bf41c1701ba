"""What a single write costs, and what share of it each key's trigger has: EXPLAIN (ANALYZE) of real writes.

Every transaction is rolled back. The server's own clock is read, so that the way to it does not count.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle, islice
from statistics import median
from typing import Any, Final

import psycopg

from orchestrator.adapters.postgres import Connection, is_lost, plain_line, statement
from orchestrator.adapters.write_trials import BEGIN, Trial, Trials
from orchestrator.core.performance import Timing

MEASURED: Final = 12
"""Writes per operation whose median is told; the one before them only warms up plans and pages."""

MEASURE_FOR_S: Final = 0.8
"""A write that takes long is measured a few times only."""

EXPLAIN: Final = "EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) "


def timings(connection: Connection, trials: Iterable[Trials]) -> Iterator[Timing]:
    """One timing for each operation, also for those that have no write; nothing is left behind.

    Raises psycopg.Error when the connection is lost.
    """
    keys = key_triggers(connection)
    yield from (_timing(connection, each, keys) for each in trials)


def key_triggers(connection: Connection) -> Mapping[str, str]:
    """The key (`schema.table.name`) that each trigger of the server keeps. Raises psycopg.Error."""
    return {row["trigger"]: row["key"] for row in connection.execute(statement("key_triggers"))}


def _timing(connection: Connection, trials: Trials, keys: Mapping[str, str]) -> Timing:
    table, operation = str(trials.table), trials.operation
    if not trials.trials:
        return Timing(table=table, operation=operation, unknown=trials.unknown)
    try:
        seen = list(_measured(connection, trials.trials))
    except psycopg.Error as error:
        if is_lost(error):
            raise
        connection.execute("ROLLBACK")
        return Timing(table=table, operation=operation, unknown=plain_line(error))
    spent: dict[str, list[float]] = defaultdict(list)
    for plan in seen:
        for key, ms in _by_key(plan, keys).items():
            spent[key].append(ms)
    return Timing(
        table=table,
        operation=operation,
        ms=round(median(plan["Execution Time"] for plan in seen), 4),
        triggers={key: round(median(each), 4) for key, each in sorted(spent.items())},
        rows=len(seen),
        method=trials.method,
    )


def _measured(connection: Connection, trials: tuple[Trial, ...]) -> Iterator[Mapping[str, Any]]:
    """The plans of the writes after the first; of the first alone when it took all the time there is."""
    stop = time.monotonic() + MEASURE_FOR_S
    first = _explained(connection, trials[0])
    if time.monotonic() > stop:
        yield first
        return
    for trial in islice(cycle((*trials[1:], trials[0])), MEASURED):
        yield _explained(connection, trial)
        if time.monotonic() > stop:
            return


def _explained(connection: Connection, trial: Trial) -> Mapping[str, Any]:
    """What EXPLAIN says of a write in a transaction of its own. Raises psycopg.Error."""
    connection.execute("; ".join((*BEGIN, *trial.before)).encode())
    found = connection.execute((EXPLAIN + trial.statement).encode()).fetchone()
    connection.execute("ROLLBACK")
    plan: Mapping[str, Any] = found["QUERY PLAN"][0] if found else {}
    return plan


def _by_key(plan: Mapping[str, Any], keys: Mapping[str, str]) -> Mapping[str, float]:
    """The ms in the triggers of each key; triggers that people made are not among them."""
    spent: dict[str, float] = defaultdict(float)
    for trigger in plan.get("Triggers", ()):
        if key := keys.get(trigger["Trigger Name"]):
            spent[key] += trigger["Time"]
    return spent
