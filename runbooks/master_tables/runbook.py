"""The missing foreign keys of the master tables: its timeline, for either decision.

The labels A and B are given their meaning here and nowhere else.
"""

from orchestrator.core.timeline import Item, Phase, Road, Runbook

ADD_THE_KEYS = Road(
    title="Add the missing foreign keys",
    risk="low",
    days=(7, 10),
    recommended=True,
    phases=(
        Phase(name="decision", items=(Item(title="Decide for a road and record why", days=(1, 1)),)),
        Phase(
            name="implementation",
            items=(Item(title="Write the foreign-key migration and try it in staging", days=(1, 2), step="apply"),),
        ),
        Phase(
            name="validation",
            items=(
                Item(title="Full validation, C3 to C6", days=(3, 3), step="validate"),
                Item(title="Performance", days=(4, 5), step="performance"),
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
)

VALIDATE_IN_THE_APPLICATION = Road(
    title="Keep the single key and validate in the application",
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
                Item(title="Full validation", days=(8, 8), step="validate"),
                Item(title="Performance", days=(9, 10), step="performance"),
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
)

RUNBOOK = Runbook(
    name="master_tables",
    title="Foreign keys of the master tables",
    roads={"A": ADD_THE_KEYS, "B": VALIDATE_IN_THE_APPLICATION},
)
