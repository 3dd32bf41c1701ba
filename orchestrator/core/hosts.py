"""Hosts: what a look at one found, and what that means. The look itself is an adapter's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from orchestrator.core.checks import Finding, FindingStatus, Severity
from orchestrator.core.inventory import Host, HostLimits
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_FAILED, OrchestratorError

Trouble = Literal["", "unreachable", "unknown key", "changed key", "login refused", "silent"]
Standing = Literal["running", "starting", "stopped", "failed", "missing"]

KEY_TROUBLES: frozenset[Trouble] = frozenset({"unknown key", "changed key"})
"""What speaks for somebody in between: nothing is sent to such a host, and no run begins."""

YOUNG_S = 30.0
"""A service that restarted and is up for less than this is looked at twice."""


class HostTrouble(OrchestratorError):
    """A host that cannot be worked with: which way, why, and what to do."""

    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, message: str, *, trouble: Trouble, remedy: str) -> None:
        """Keep the parts for a finding."""
        self.trouble, self.remedy = trouble, remedy
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What is free where a file system is mounted."""

    mount: str
    free_percent: float
    free_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSeen:
    """A service as its manager tells: `told` are the manager's own words, `up_s` how long it is up in seconds.

    `restarts` counts those that the manager did by itself (systemd) or all of them (pm2). `loops` when it was seen to
    restart between two looks that were taken one after the other.
    """

    standing: Standing
    told: str
    restarts: int = 0
    up_s: float | None = None
    loops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSeen:
    """What the health URL answered, and after how many ms; `problem` when there was no answer."""

    status: int | None = None
    latency_ms: float = 0.0
    problem: str = ""

    @property
    def well(self) -> bool:
        """Whether the answer is a yes: a status from 200 to 299, no redirection."""
        return self.status is not None and self.status // 100 == 2  # noqa: PLR2004  2xx is success in HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """One look at one host. None where nothing was found out; `trouble` says why the host was of no use.

    `skew_s` is how far its clock is ahead, in seconds; `within_s` how exactly that is known.
    """

    host: str
    trouble: Trouble = ""
    told: str = ""
    remedy: str = ""
    disks: tuple[Disk, ...] = ()
    load: float | None = None
    cores: int = 1
    skew_s: float | None = None
    within_s: float = 0.0
    service: ServiceSeen | None = None
    health: HealthSeen | None = None


def restarting(now: ServiceSeen, before: ServiceSeen | None) -> bool:
    """Whether a service restarts in a loop: it is starting once more, or its count grew since the look before."""
    again = now.standing == "starting" and now.restarts > 0
    return now.loops or again or (before is not None and now.restarts > before.restarts)


def ailing(host: Host, facts: HostFacts, before: HostFacts | None = None) -> str:
    """Why a host must not be gone on from, in words; empty when service and health are well.

    The next batch asks only this: disk, load and clock are no reason to leave a rollout half done.
    """
    if facts.trouble:
        return f"{facts.trouble}: {facts.told}"
    service, health = facts.service, facts.health
    if host.service is not None:
        if service is None:
            return f"service {host.service.name}: {host.service.manager} did not tell its state"
        if service.standing != "running" or restarting(service, before.service if before else None):
            return f"service {host.service.name}: {_service_told(service, before)}"
    if host.health is not None and (health is None or not health.well):
        return f"health: {health.problem or f'status {health.status}' if health else 'was not asked'}"
    return ""


def findings(
    hosts: Iterable[Host],
    seen: Mapping[str, HostFacts],
    limits: HostLimits,
    *,
    before: Mapping[str, HostFacts] | None = None,
    clock: str = "our clock",
) -> Iterator[Finding]:
    """All findings of a look, host by host. `before` is an earlier look, whose failures are not this run's."""
    for host in hosts:
        earlier = (before or {}).get(host.name)
        yield from _of_host(host, seen[host.name], limits, earlier, clock)


def _of_host(
    host: Host, facts: HostFacts, limits: HostLimits, before: HostFacts | None, clock: str
) -> Iterator[Finding]:
    yield _reachable(host, facts)
    if not facts.trouble or facts.disks:
        yield _disk(host, facts, limits)
    if not facts.trouble or facts.load is not None:
        yield _load(host, facts, limits)
    if not facts.trouble or facts.skew_s is not None:
        yield _clock(host, facts, limits, clock)
    if host.service and (not facts.trouble or facts.service is not None):
        yield _service(host, facts, before)
    if host.health:
        yield _health(host, facts, limits, before)


def _finding(
    host: Host,
    name: str,
    *,
    title: str,
    status: FindingStatus,
    observed: str,
    expected: str,
    remedy: str,
    severity: Severity = "important",
    ours: bool = False,
) -> Finding:
    return Finding(
        id=f"hosts.{host.name}.{name}",
        title=title,
        severity=severity,
        status=status,
        observed=observed,
        expected=expected,
        remedy="" if status == "pass" else remedy,
        caused_by_data=status == "fail" and not ours,
    )


def _reachable(host: Host, facts: HostFacts) -> Finding:
    return _finding(
        host,
        "reachable",
        title=f"Can {host.name} be reached, and is it the host that we know?",
        status="fail" if facts.trouble else "pass",
        severity="critical" if facts.trouble in KEY_TROUBLES else "important",
        observed=f"{facts.trouble}: {facts.told}" if facts.trouble else f"{host.ssh} answers with a known key",
        expected="a login with a host key that stands in known_hosts",
        remedy=facts.remedy,
    )


def _disk(host: Host, facts: HostFacts, limits: HostLimits) -> Finding:
    short = [
        each
        for each in facts.disks
        if each.free_percent < limits.disk_free_percent or each.free_mb < limits.disk_free_mb
    ]
    told = "; ".join(
        f"{each.mount}: {each.free_percent:.0f} % free ({each.free_mb} MB)" for each in short or facts.disks
    )
    return _finding(
        host,
        "disk",
        title=f"Is there room on the disks of {host.name}?",
        status="fail" if short else "pass" if facts.disks else "unknown",
        observed=told or "df told nothing",
        expected=f"at least {limits.disk_free_percent:g} % and {limits.disk_free_mb} MB free",
        remedy="make room there: logs and old releases first",
    )


def _load(host: Host, facts: HostFacts, limits: HostLimits) -> Finding:
    most = limits.load_per_core * facts.cores
    load = facts.load
    return _finding(
        host,
        "load",
        title=f"Is {host.name} at rest enough?",
        severity="optional",
        status="unknown" if load is None else "fail" if load > most else "pass",
        observed="its load is not told" if load is None else f"load {load:g} on {counted(facts.cores, 'core')}",
        expected=f"at most {most:g}",
        remedy="wait, or find out what keeps it busy",
    )


def _clock(host: Host, facts: HostFacts, limits: HostLimits, clock: str) -> Finding:
    skew = facts.skew_s
    if skew is None:
        status: FindingStatus = "unknown"
        told = "its clock is not told"
    else:
        # What lies within the time that the answer took says nothing about the clock.
        status = "fail" if abs(skew) - facts.within_s > limits.clock_skew_s else "pass"
        way = "ahead of" if skew > 0 else "behind"
        told = f"{abs(skew):.1f} s {way} {clock} (known to {facts.within_s:.1f} s)"
    return _finding(
        host,
        "clock",
        title=f"Does the clock of {host.name} agree with {clock}?",
        status=status,
        observed=told,
        expected=f"at most {limits.clock_skew_s:g} s apart",
        remedy="let chrony or systemd-timesyncd set it",
    )


def _service_told(service: ServiceSeen, before: HostFacts | None) -> str:
    was = before.service.restarts if before and before.service else None
    grew = f", {was} at the look before" if was is not None and was != service.restarts else ""
    up = f", up for {service.up_s:.0f} s" if service.up_s is not None and service.standing == "running" else ""
    loop = "restarts in a loop: " if restarting(service, before.service if before else None) else ""
    return f"{loop}{service.told}, {counted(service.restarts, 'restart')}{grew}{up}"


def _service(host: Host, facts: HostFacts, before: HostFacts | None) -> Finding:
    service = facts.service
    name = host.service.name if host.service else ""
    manager = host.service.manager if host.service else ""
    earlier = before.service if before else None
    bad = service is not None and (service.standing != "running" or restarting(service, earlier))
    logs = f"journalctl -u {name}" if manager == "systemd" else f"pm2 logs {name}"
    return _finding(
        host,
        "service",
        title=f"Does {name} run on {host.name}, without restarting?",
        status="unknown" if service is None else "fail" if bad else "pass",
        observed=f"{manager} told nothing" if service is None else f"{name}: {_service_told(service, before)}",
        expected="running, no restart since the look before",
        remedy=f"{logs} on {host.name} tells why",
        ours=earlier is not None and earlier.standing == "running" and not earlier.loops,
    )


def _health(host: Host, facts: HostFacts, limits: HostLimits, before: HostFacts | None) -> Finding:
    health = facts.health
    earlier = before.health if before else None
    slow = health is not None and health.well and health.latency_ms > limits.health_ms
    if health is None:
        told = "was not asked"
    else:
        told = health.problem or f"status {health.status} after {health.latency_ms:.0f} ms"
    return _finding(
        host,
        "health",
        title=f"Does {host.name} say that it is well?",
        status="unknown" if health is None else "fail" if slow or not health.well else "pass",
        observed=told,
        expected=f"a status from 200 to 299 within {limits.health_ms} ms",
        # What stands behind the question mark may be a token.
        remedy=f"look at the service on {host.name}: {(host.health or '').partition('?')[0]}",
        ours=earlier is not None and earlier.well,
    )
