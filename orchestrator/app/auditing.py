"""`invoke audit`: orphans of every relation, counted exactly, on the target or on a physical copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.orphans import OrphanQueries
from orchestrator.adapters.replica import Replica, physical_copy
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core.answers import audit_document
from orchestrator.core.audit import countable, remediate
from orchestrator.core.matching import match_all
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, OrchestratorError, Refused
from orchestrator.core.ports import Orphans

STEP = "audit"


def audit(request: Request, *, on: str | None) -> Answer:
    """Count, tell what was found and where. Raises OrchestratorError."""
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True)
        replica = None if on is None else _replica(site, on)
        server = replica.server if replica else site.server
        catalog = DatabaseCatalog(server=server, step=STEP).catalog()
        counter = OrphanQueries(server=server, step=STEP, adviser=site.server)
        results = []
        for each in counter.count(countable(site.contract, catalog), catalog):
            results.append(each)
            if each.count:
                site.show_orphans(each)
    hopeless = [each for each in match_all(site.contract, catalog) if each.status == "impossible"]
    for each_hopeless in hopeless:
        site.screen.line(f"{each_hopeless.relation.id} cannot be counted: {each_hopeless.reason}", status="FAIL")
    total = _tell(site.screen, results)
    if replica:
        _tell_where(site.screen, replica)
    tell_repair(site, results)
    shown = site.environment.policy.show_samples != "nowhere"
    return Answer(
        document=audit_document(results, hopeless, show_samples=shown, where=_where(site, replica)),
        exit_code=EXIT_FAILED if total or hopeless else EXIT_DONE,
    )


def _replica(site: Site, name: str) -> Replica:
    """The environment of that name, once it is known to be a copy of the target. Raises Refused."""
    try:
        return physical_copy(site.server, site.reach(name), step=STEP)
    except Refused:
        raise
    except OrchestratorError as error:
        message = f"--on {name}: {error}"
        raise Refused(message) from error


def _tell(screen: Screen, results: list[Orphans]) -> int:
    total = sum(each.count for each in results)
    ill, asked = sum(each.count > 0 for each in results), counted(len(results), "relation")
    screen.line(f"{counted(total, 'orphan')} in {ill} of {asked}")
    methods = Counter(each.method for each in results)
    if methods:
        screen.line("  counted by " + ", ".join(f"{method} ({count})" for method, count in methods.most_common()))
    return total


def tell_repair(site: Site, results: Iterable[Orphans]) -> None:
    """What can be done about the first relation that has orphans; nothing where none has."""
    lost = next((each for each in results if each.count), None)
    if lost:
        where = f"--env {site.environment.name}{site.request.where}"
        site.screen.line(f"next: {remediate(where, lost.relation.name)}")


def _tell_where(screen: Screen, replica: Replica) -> None:
    place = f"counted on {replica.name} ({replica.server.place})"
    if replica.itself:
        screen.line(f"{place}: it is the target itself", status="note")
    elif not replica.standby:
        screen.line(f"{place}: a copy that follows nothing; rows since it was taken were not seen", status="note")
    elif replica.lag_s is None:
        screen.line(f"{place}: a standby that is behind, nobody knows how far; newer rows were not seen", status="note")
    elif replica.lag_s:
        told = f"a standby, up to {replica.lag_s:.1f} s behind when it began; newer rows were not seen"
        screen.line(f"{place}: {told}", status="note")
    else:
        screen.line(f"{place}: a standby that had everything when it began")


def _where(site: Site, replica: Replica | None) -> Mapping[str, object]:
    if replica is None:
        return {"on": site.environment.name}
    return {"on": replica.name, **({"lag_s": replica.lag_s} if replica.standby else {})}
