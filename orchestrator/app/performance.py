"""The overhead of new keys per write, measured on a copy: once before the keys are there and once after.

The copy must have no other user, and its tables the rows of the real ones. Nothing is left behind but dead rows and
what the statistics say of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.adapters.postgres import Server, plainly
from orchestrator.adapters.write_costs import timings
from orchestrator.adapters.write_load import CLIENTS, SECONDS, under_load
from orchestrator.adapters.write_trials import trials_of
from orchestrator.core.catalog import Catalog
from orchestrator.core.checks import Finding
from orchestrator.core.contract import Contract
from orchestrator.core.journal import PerformanceMeasured
from orchestrator.core.performance import Costs, compare, finding

STEP = "performance"


def measure(
    server: Server, contract: Contract, catalog: Catalog, *, clients: int = CLIENTS, seconds: float = SECONDS
) -> Costs:
    """What writes cost as the database is now: one at a time, then several clients at once for `seconds`.

    `catalog` is that of the copy at this moment. Raises OrchestratorError, CannotConnect or ConnectionLost; what cannot
    be measured is told as unknown instead.
    """
    with server.session(STEP, read_only=False) as connection, plainly("measuring writes"):
        trials = tuple(trials_of(connection, contract, catalog))
        alone = tuple(timings(connection, trials))
        load = under_load(connection, server, trials, clients=clients, seconds=seconds)
    without = {str(each.table): "no write of it could be made" for each in trials}
    without |= load.untried
    for each in load.latencies:
        without.pop(each.table, None)
    return Costs(
        timings=alone,
        latencies=load.latencies,
        idle_ms=load.idle_ms,
        clients=clients,
        method=load.method,
        untried=without,
        unindexed=dict(_unindexed(contract, catalog)),
    )


def combine(before: Costs, after: Costs) -> tuple[PerformanceMeasured, tuple[Finding, ...]]:
    """Both sides as the event for the journal, and one finding per table of the contract."""
    found = compare(before, after)
    event = PerformanceMeasured(
        writes=found.writes,
        loads=found.loads,
        overheads=found.overheads,
        clients=after.clients,
        method=after.method,
    )
    return event, tuple(map(finding, found.overheads))


def _unindexed(contract: Contract, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Keys, by `schema.table.name`, whose referencing columns no index leads along; under the name that stands."""
    for each in contract.promised:
        table = catalog.table(each.table)
        if table is None or any(index.supports(each.columns) for index in table.indexes):
            continue
        standing = [key.name for key in table.foreign_keys if each.same_link(key)]
        for name in (each.name, *standing):
            yield f"{each.table}.{name}", f"{each.table}({', '.join(each.columns)})"
