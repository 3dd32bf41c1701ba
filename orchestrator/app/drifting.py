"""What the runbook cares about, compared: between two environments, and between a deployment and now."""

from __future__ import annotations

from contextlib import ExitStack

from orchestrator.adapters.identity import kinship
from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.core.drift import line_differences
from orchestrator.core.drift_lines import contract_lines, differences, table_lines
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused
from orchestrator.core.run import Run


def drift(request: Request, *, against: str | None) -> Answer:
    """`invoke drift`: tables of the contract in two environments; exit 1 when they differ. Raises Refused."""
    if not against:
        message = "drift between which two? --env NAME --against NAME"
        raise Refused(message)
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        here = site.environment.name
        if against == here:
            message = f"--against {against}: the same environment twice"
            raise Refused(message)
        other = site.reach(against)
        with (
            site.server.session("drift", read_only=True) as mine,
            other.session("drift", read_only=True) as theirs,
            plainly("reading the catalog", reading=True),
        ):
            if kinship(mine, theirs) == "same":
                message = f"{here} and {against} are one database (proved by an advisory lock): point each at its own"
                raise Refused(message)
            lines, others = (contract_lines(read_catalog(each), site.contract) for each in (mine, theirs))
        found = differences(lines, others, here=here, there=against)
        for line in found:
            site.screen.line(f"  {line}")
        tables = counted(len(site.contract.tables), "table")
        told = f"{here} and {against}: {counted(len(found), 'difference')} in {tables}"
        site.screen.line(told, status="differ" if found else "equal")
    document = {"environment": here, "against": against, "equal": not found, "differences": list(found)}
    return Answer(
        document={**document, "tables": len(site.contract.tables)}, exit_code=EXIT_FAILED if found else EXIT_DONE
    )


def since(run: Run, connection: Connection) -> tuple[str, ...]:
    """What changed in the tables of a run since it ended, line by line."""
    left = run.catalogs.get("after rollback") or run.catalogs.get("after")
    if left is None:
        return ()
    names = frozenset(line.split(": ", 1)[0] for line in left.lines)
    return tuple(line_differences(left.lines, table_lines(read_catalog(connection), names)))
