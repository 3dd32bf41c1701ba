"""Hosts for a sample of the watch: looked at as before a deployment, and what came into their logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator.adapters.host_log import HostLogs
from orchestrator.adapters.hosts import HostEyes
from orchestrator.core.hosts import HostFacts, ailing
from orchestrator.core.inventory import Host
from orchestrator.core.watch import HostSeen
from orchestrator.core.watch_logs import HostLogRead

LINE: Final = 300
NOTHING_READ: Final[Mapping[tuple[str, str], HostLogRead]] = {}


@dataclass(slots=True, kw_only=True)
class WatchedHosts:
    """Keeps the look before, so that a service that was restarted in between shows."""

    hosts: Sequence[Host]
    eyes: HostEyes
    _before: Mapping[str, HostFacts] = field(default_factory=dict)

    def look(self, past: Mapping[tuple[str, str], HostLogRead] = NOTHING_READ) -> tuple[HostSeen, ...]:
        """How each answers; one that does not is told, never an error. `past` is how far each log was read."""
        if not self.hosts:
            return ()
        logs = HostLogs(within_s=self.eyes.limits.answer_s, past=past, stopping=lambda: self.eyes.interruption.cancels)
        seen = replace(self.eyes, beside=logs.read).look(self.hosts)
        told = tuple(self._told(each, seen[each.name], logs) for each in self.hosts)
        self._before = seen
        return told

    def _told(self, host: Host, facts: HostFacts, logs: HostLogs) -> HostSeen:
        note = ailing(host, facts, self._before.get(host.name))
        health = facts.health
        return HostSeen(
            host=host.name,
            healthy=not note,
            ms=round(health.latency_ms if health else 0.0, 1),
            note=note[:LINE],
            failed=not health.well if health else None,
            logs=logs.of(host, facts.told[:LINE]),
        )
