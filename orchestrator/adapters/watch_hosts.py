"""Hosts for a sample of the watch: looked at as before a deployment, told as well or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.core.hosts import HostFacts, ailing
from orchestrator.core.inventory import Host
from orchestrator.core.ports import HostLooker
from orchestrator.core.watch import HostSeen

LINE: Final = 300


@dataclass(slots=True, kw_only=True)
class WatchedHosts:
    """Keeps the look before, so that a service that was restarted in between shows."""

    hosts: Sequence[Host]
    looker: HostLooker
    _before: Mapping[str, HostFacts] = field(default_factory=dict)

    def look(self) -> tuple[HostSeen, ...]:
        """How each answers; one that does not is told, never an error."""
        if not self.hosts:
            return ()
        seen = self.looker.look(self.hosts)
        told = tuple(self._told(each, seen[each.name]) for each in self.hosts)
        self._before = seen
        return told

    def _told(self, host: Host, facts: HostFacts) -> HostSeen:
        note = ailing(host, facts, self._before.get(host.name))
        ms = facts.health.latency_ms if facts.health else 0.0
        return HostSeen(host=host.name, healthy=not note, ms=round(ms, 1), note=note[:LINE])
