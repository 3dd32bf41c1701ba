"""`invoke adopt`: a refreshed copy becomes this environment, and what came along with it is closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from orchestrator.adapters import ledger
from orchestrator.adapters.identity import Others
from orchestrator.adapters.marker import close_runs, marker_of, read_marker, write_marker
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import confirmed
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core.outcome import EXIT_DONE, Refused


def adopt(request: Request, *, reason: str | None, yes: bool, confirm: Callable[[str], bool]) -> Answer:
    """Rewrite the marker and close every open run of the ledger, in one transaction. Raises Refused.

    Nothing of the copies in `runs/` is touched: they are those of the original's runs.
    """
    told = (reason or "").strip()
    if not told:
        message = 'adopt needs a reason: --reason "why"'
        raise Refused(message)
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        confirmed(site, yes=yes, confirm=confirm)
        with site.server.session("adopt", read_only=True) as connection:
            _refuse_twins(site, connection)
            if ledger.version_of(connection) is None:
                site.screen.line(f"{site.environment.name} has no ledger: its first run writes the marker")
                return _answer(site, closed=(), was=None)
        with at_work(site) as work:
            return _adopted(work, told)


def _adopted(work: AtWork, reason: str) -> Answer:
    site, connection = work.site, work.connection
    ledger.install(connection)
    was = read_marker(connection)
    if was is not None and was.strange(marker_of(connection, site.environment.name)) is None:
        site.screen.line(f"{site.environment.name} is what its marker says: nothing to adopt", status="done")
        return _answer(site, closed=(), was=was.environment)
    token = work.keeper.claim()
    here = marker_of(connection, site.environment.name)
    why = f"{reason} ({os_user()} on {host_name()})"
    with plainly("adopting this database"), connection.transaction():
        rows = connection.execute("select id from orchestrator.run where not closed order by id").fetchall()
        closed = tuple(row["id"] for row in rows)
        close_runs(
            connection, closed, reason=f"came along with a copy that is {here.environment} now: {why}", token=token
        )
        write_marker(connection, here, kind=site.environment.kind, reason=why)
    before = f"it was marked as {was.environment} (database {was.database})" if was else "it had no marker"
    site.screen.line(f"database {here.database} is {here.environment} now; {before}", status="adopted")
    for run in closed:
        site.screen.line(f"  run {run} came along, and is closed")
    return _answer(site, closed=closed, was=was.environment if was else None)


def _answer(site: Site, *, closed: tuple[str, ...], was: str | None) -> Answer:
    return Answer(
        document={"environment": site.environment.name, "was": was, "closed": list(closed)}, exit_code=EXIT_DONE
    )


def _refuse_twins(site: Site, mine: Connection) -> None:
    """A database that is another environment of the inventory now is no copy of it. Raises Refused."""
    for row in Others(servers=dict(site.others())).rows(mine):
        if row["relation"] == "same":
            message = (
                f"{site.environment.name} and {row['environment']} are one database (proved by an advisory lock): there"
                " is no copy to adopt; point each at its own"
            )
            raise Refused(message)
