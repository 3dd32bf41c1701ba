"""The sampler of a site, and the sample that a production deployment takes before its first statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from orchestrator.adapters.hosts import HostEyes
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.processes import host_name
from orchestrator.adapters.watch_hosts import WatchedHosts
from orchestrator.adapters.watch_sampler import DatabaseSampler
from orchestrator.app.site import Site
from orchestrator.core.inventory import Host
from orchestrator.core.journal import BaselineTaken
from orchestrator.core.outcome import OrchestratorError

Clock = Callable[[], datetime]


def our_clock() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


def server_time(connection: Connection) -> datetime:
    """The clock of the server: machines take turns at a watch, and theirs may differ."""
    row = connection.execute("select clock_timestamp() as now").fetchone() or {}
    found: datetime = row["now"]
    return found.astimezone(UTC)


def sampler_of(site: Site, clock: Clock, *, hosts: tuple[Host, ...], probes: bool) -> DatabaseSampler:
    """Takes samples of a site; with `probes` it may write rows that are rolled back, where nothing else tells."""
    eyes = HostEyes(limits=site.environment.policy.hosts, clock=clock, interruption=site.interruption)
    return DatabaseSampler(
        server=site.server,
        contract=site.contract,
        hosts=WatchedHosts(hosts=hosts, eyes=eyes),
        host=host_name(),
        lock_timeout_ms=site.environment.policy.lock_timeout_ms,
        clock=server_time if clock is our_clock else lambda _: clock(),
        probes=probes,
    )


def record_baseline(site: Site, journal: RunJournal) -> None:
    """What writes and errors are like now, in production; what hinders it is on record and hinders nothing.

    Rows are written only where `policy.behavioural_checks` allows it: nobody has asked for them. Of hosts only those
    are asked whose logs are watched.
    """
    if not site.environment.is_production:
        return
    logged = tuple(each for each in site.environment.host if each.logs)
    sampler = sampler_of(site, our_clock, hosts=logged, probes=site.environment.behavioural_checks)
    try:
        taken = BaselineTaken(sample=sampler.take(None, None, every_s=0.0))
    except OrchestratorError as error:
        taken = BaselineTaken(sample=None, unknown=str(error))
    journal.record(taken)
