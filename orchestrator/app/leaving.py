"""`invoke ledger`: what stands in schema `orchestrator`, and how an environment is left without a trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.adapters import events, ledger
from orchestrator.adapters.leaving import Departure
from orchestrator.adapters.ledger_copy import JournalCopies, dump_ledger, forget
from orchestrator.adapters.marker import marker_of, read_marker
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.adapters.standing import roles, standing
from orchestrator.app.answer import Answer
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import confirmed
from orchestrator.app.deserted import clear_deserted
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.app.work import works_of
from orchestrator.core.leaving import Copied, Standing, losses, objections
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, ConnectionLost, OrchestratorError, Refused

KIB = 1024


def show(request: Request) -> Answer:
    """What stands in the environment, and what would keep it from being taken away; reads only. Raises Refused."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        found = _look(site)
        if found is None:
            site.screen.line(f"{site.environment.name} has no ledger: its first run makes it", status="none")
            return Answer(document={"environment": site.environment.name, "version": None}, exit_code=EXIT_DONE)
        against, lost = tuple(objections(found, site.server.command)), tuple(losses(found))
        _tell(site, found, against, lost)
    return Answer(
        document=_document(site, found) | {"objections": list(against), "lost": list(lost)}, exit_code=EXIT_DONE
    )


def uninstall(request: Request, *, yes: bool, keep_copy: Path | None, confirm: Callable[[str], bool]) -> Answer:
    """Copy every journal and drop the schema, in one transaction. Raises Refused, OrchestratorError."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        found = _look(site)
        if found is None:
            site.screen.line(f"{site.environment.name} has no ledger: there is nothing to take away", status="done")
            return Answer(document={"environment": site.environment.name, "state": "none"}, exit_code=EXIT_DONE)
        _refuse(site, found.without_rehearsals, yes=yes)
        confirmed(site, yes=yes, confirm=confirm)
        with at_work(site) as work:
            # Killed rehearsals leave a run that nobody resumes, and scratch databases: traces, too.
            clear_deserted(work)
            return _Leaving(work=work, yes=yes, keep_copy=keep_copy).leave()


@dataclass(slots=True, kw_only=True)
class _Leaving:
    """One uninstallation; every attempt looks and copies anew, under its own locks."""

    work: AtWork
    yes: bool
    keep_copy: Path | None
    copied: Copied = field(default_factory=Copied)
    lost: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    path: Path | None = None

    def leave(self) -> Answer:
        site = self.work.site
        departure = Departure(
            connection=self.work.connection,
            budget_ms=site.environment.policy.lock_timeout_ms,
            copy=self._copy,
            stopped=lambda: site.interruption.reason,
        )
        try:
            departure.leave()
        except ConnectionLost:
            # The answer to the COMMIT may be what was lost: the database knows.
            if not self._gone():
                self._forget()
                raise
        except OrchestratorError:
            self._forget()
            raise
        return self._answer()

    def _forget(self) -> None:
        copied = self.copied
        forget(self.work.site.request.runs, [*copied.written, *copied.there, *copied.beside])

    def _copy(self) -> None:
        """What is looked at and copied is what is dropped: nobody writes to the ledger until the end."""
        site, connection = self.work.site, self.work.connection
        with plainly("reading schema orchestrator", reading=True):
            found = _standing(connection, site.environment.name, me=site.run)
            if found is None:
                message = f"{site.environment.name}: the ledger is gone already"
                raise Refused(message)
            self.lost = _refuse(site, found, yes=self.yes)
            row = connection.execute("select clock_timestamp()::text as at").fetchone() or {}
            record = {
                "environment": site.environment.name,
                "at": row.get("at"),
                "by": os_user(),
                "host": host_name(),
                "version": found.version,
            }
            self.copied = Copied()
            copies = JournalCopies(
                root=site.request.runs,
                environment=site.environment.name,
                record=record,
                stopped=lambda: site.interruption.reason,
            )
            copies.take(connection, found.tables, self.copied)
            self.by_hand = roles(connection)
        if self.keep_copy is not None:
            self.path = dump_ledger(connection, site.server, self.keep_copy)

    def _gone(self) -> bool:
        connection, _ = self.work.target.again("ledger", former=self.work.connection)
        try:
            return ledger.version_of(connection) is None
        finally:
            connection.close()

    def _answer(self) -> Answer:
        site, copied = self.work.site, self.copied
        beside = f", {len(copied.beside)} put beside another" if copied.beside else ""
        written = counted(len(copied.written), "journal")
        told = f"{written} copied to {site.request.runs}, {len(copied.there)} there already{beside}"
        site.screen.line(f"{site.environment.name}: schema orchestrator is gone; {told}", status="done")
        for line in self.lost:
            site.screen.line(f"  lost: {line}")
        if self.path:
            site.screen.line(f"  the whole ledger is in {self.path}: psql -f brings it back")
        for line in self.by_hand:
            site.screen.line(f"  by hand: {line}")
        document = {
            "environment": site.environment.name,
            "state": "uninstalled",
            "copied": copied.written,
            "there": copied.there,
            "beside": copied.beside,
            "lost": list(self.lost),
            "copy": str(self.path) if self.path else None,
            "by_hand": list(self.by_hand),
        }
        return Answer(document=document, exit_code=EXIT_DONE)


def _look(site: Site) -> Standing | None:
    with site.server.session("ledger", read_only=True) as connection:
        return _standing(connection, site.environment.name)


def _standing(connection: Connection, environment: str, *, me: str = "") -> Standing | None:
    """Nothing of a ledger that we do not know is read but its version."""
    if (ledger.version_of(connection) or 0) > ledger.VERSION:
        return standing(connection, {}, me=me)
    found = standing(connection, _left(connection), me=me)
    return replace(found, marked=_marked(connection, environment)) if found else None


def _marked(connection: Connection, environment: str) -> str:
    """The environment that this very database says it is, where it is another one: a URL may be a wrong one."""
    marker = read_marker(connection)
    if marker is None or marker.environment == environment:
        return ""
    # A copy by dump and restore is told apart from its original, one of the files is not.
    return "" if marker.strange(marker_of(connection, marker.environment)) else marker.environment


def _left(connection: Connection) -> Mapping[str, int]:
    """How much of each run can still be walked back."""
    with plainly("reading the journal in schema orchestrator", reading=True):
        names = ledger.run_ids(connection)
        works = works_of([events.fold_entries(name, ledger.entries(connection, name)) for name in names])
    return {each.run.id: each.count for each in works if each.left}


def _refuse(site: Site, found: Standing, *, yes: bool) -> tuple[str, ...]:
    """What will be lost. Raises Refused with what stands in the way, or with what nobody has accepted yet."""
    against = tuple(objections(found, site.server.command))
    if against:
        message = f"{site.environment.name}: the ledger cannot be taken away: {'; '.join(against)}"
        raise Refused(message)
    lost = tuple(losses(found))
    if lost and not yes:
        message = f"{site.environment.name}: this would be lost: {'; '.join(lost)}; --yes accepts that"
        raise Refused(message)
    return lost


def _tell(site: Site, found: Standing, against: tuple[str, ...], lost: tuple[str, ...]) -> None:
    line = site.screen.line
    states = ", ".join(f"{count} {state}" for state, count in found.by_state.items()) or "none"
    line(f"{site.environment.name}: ledger of version {found.version}, {found.size // KIB} KiB, owner {found.owner}")
    line(f"  runs: {states}")
    for each in (*found.tables, *found.kept):
        line(f"  {each.schema}.{each.name}: {counted(each.rows, 'row')}, {each.size // KIB} KiB")
    line(f"  watches: {len(found.watches)}; option B: {counted(len(found.audits), 'object')}")
    for told in against:
        line(f"  keeps --uninstall from its work: {told}")
    for told in lost:
        line(f"  would be lost: {told}")


def _document(site: Site, found: Standing) -> dict[str, Any]:
    return {
        "environment": site.environment.name,
        "version": found.version,
        "owner": found.owner,
        "bytes": found.size,
        "runs": dict(found.by_state),
        "tables": [
            {"schema": each.schema, "table": each.name, "rows": each.rows, "bytes": each.size}
            for each in (*found.tables, *found.kept)
        ],
        "watches": list(found.watches),
        "option_b": list(found.audits),
        "strangers": list(found.strangers),
    }
