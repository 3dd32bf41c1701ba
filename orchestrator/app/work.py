"""What a rollback walks back: found in the ledger, with what later runs did about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.adapters import events, ledger
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.core.host_work import PlaceKey
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run
from orchestrator.engine.walk_back import due_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a rollback walks back: a run, what of it is undone already, and what a later run did once more."""

    run: Run
    undone: frozenset[str]
    again: Mapping[str, str]
    hosts_undone: frozenset[PlaceKey] = frozenset()
    hosts_again: Mapping[PlaceKey, str] = field(default_factory=dict)

    @property
    def left(self) -> bool:
        """Whether any statement of the run, or command on a host, is still to be undone."""
        hosts = any(key not in self.hosts_again for key in self.run.hosts.to_take_back(self.hosts_undone))
        return hosts or any(each.id not in self.again for each in due_back(self.run, self.undone))

    @property
    def count(self) -> int:
        """How many statements, and commands on hosts, are still to be undone."""
        hosts = sum(key not in self.hosts_again for key in self.run.hosts.to_take_back(self.hosts_undone))
        return hosts + sum(each.id not in self.again for each in due_back(self.run, self.undone))


def find_work(connection: Connection, run: str | None, environment: str) -> Work:
    """The run to walk back, by default the environment's last with anything left. Raises Refused when there is none."""
    if ledger.version_of(connection) is None:
        wanted = f"run {run} cannot be walked back" if run else "there is nothing to walk back"
        message = (
            f"{wanted}: {environment} has no ledger, as nothing was deployed there or invoke ledger --uninstall took it"
            " away; keys that stand are dropped by hand, invoke history shows the runs that are known here"
        )
        raise Refused(message)
    works = _all_works(connection)
    if run is None:
        for work in reversed(works):
            if work.left and work.run.started and work.run.started.environment == environment:
                return work
        message = f"no run of {environment} in this database's ledger has anything left to walk back"
        raise Refused(message)
    found = next((work for work in works if work.run.id == run), None)
    if found is None:
        message = f"run {run} is not in this database's ledger; invoke history shows the runs"
        raise Refused(message)
    if not found.left:
        message = f"run {run} has nothing left to walk back"
        raise Refused(message)
    return found


def work_of(connection: Connection, run: str) -> Work:
    """The run that a rollback goes on with, even when nothing is left of it. Raises Refused."""
    found = next((work for work in _all_works(connection) if work.run.id == run), None)
    if found is None:
        message = f"run {run} is not in this database's ledger; invoke history shows the runs"
        raise Refused(message)
    return found


def _all_works(connection: Connection) -> list[Work]:
    with plainly("reading the journal in schema orchestrator", reading=True):
        names = ledger.run_ids(connection)
        return works_of([events.fold_entries(name, ledger.entries(connection, name)) for name in names])


def works_of(runs: Sequence[Run]) -> list[Work]:
    """The runs of a ledger, oldest first, each with what later ones did about its statements."""
    undone: dict[str, set[str]] = defaultdict(set)
    for each in runs:
        for gone in each.undone.values():
            undone[gone.of].add(gone.id)
        for past in each.passed_over:
            if not past.stands:
                undone[past.of].add(past.id)
    again: dict[str, str] = {}
    hosts_again: dict[PlaceKey, str] = {}
    works = []
    for each in reversed(runs):
        works.append(
            Work(
                run=each,
                undone=frozenset(undone[each.id]),
                again=dict(again),
                hosts_undone=frozenset().union(*(other.hosts.taken_back(each.id) for other in runs)),
                hosts_again=dict(hosts_again),
            )
        )
        again |= dict.fromkeys(each.done, each.id)
        hosts_again |= {key: each.id for key, place in each.hosts.places.items() if place.touched}
    return works[::-1]
