"""The two roads of a runbook that names none: the keys, or audits without them. Nobody is asked to choose one.

They take as many business days as the roads of the master tables, whose phases they have.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.timeline import Item, Option, Phase, Road

PERFORMANCE = "Measure what a write costs on a copy"

STANDARD_ROADS: Mapping[Option, Road] = {
    "A": Road(
        title="Add the missing foreign keys",
        risk="low",
        days=(7, 10),
        recommended=True,
        phases=(
            Phase(name="decision", items=(Item(title="Decide for a road and record why", days=(1, 1)),)),
            Phase(name="implementation", items=(Item(title="Deploy to staging", days=(1, 2), step="apply"),)),
            Phase(
                name="validation",
                items=(
                    Item(title="Validate staging", days=(3, 3), step="validate"),
                    Item(title=PERFORMANCE, days=(4, 5), step="performance"),
                ),
            ),
            Phase(
                name="production",
                items=(
                    Item(title="Prepare production", days=(6, 6), step="preflight"),
                    Item(title="Deploy to production", days=(7, 7), step="apply"),
                    Item(title="Monitor", days=(8, 10)),
                ),
            ),
        ),
    ),
    "B": Road(
        title="Keep the tables without the keys, check in the application and audit",
        risk="medium",
        days=(12, 15),
        keys=False,
        phases=(
            Phase(name="decision", items=(Item(title="Record the strategy", days=(1, 1)),)),
            Phase(
                name="implementation",
                items=(
                    Item(title="Validation in the application", days=(2, 4)),
                    Item(title="Tests of that validation", days=(5, 5)),
                    Item(title="Orphan audits", days=(6, 7), step="audit"),
                ),
            ),
            Phase(
                name="validation",
                items=(
                    Item(title="Validate staging", days=(8, 8), step="validate"),
                    Item(title=PERFORMANCE, days=(9, 10), step="performance"),
                ),
            ),
            Phase(
                name="production",
                items=(
                    Item(title="Prepare production", days=(11, 11), step="preflight"),
                    Item(title="Deploy to production", days=(12, 12), step="apply"),
                    Item(title="Monitor", days=(13, 15)),
                ),
            ),
        ),
    ),
}
