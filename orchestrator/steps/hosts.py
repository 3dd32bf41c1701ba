"""Hosts, before and after the deployment: what a look finds is part of preflight and of validate."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.checks import Finding
from orchestrator.core.hosts import findings
from orchestrator.core.inventory import Host, HostLimits
from orchestrator.core.journal import HostsSeen
from orchestrator.core.journal.hosts import Moment
from orchestrator.core.ports import HostLooker, Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWatch:
    """The hosts of an environment, which may have none. `clock` says in words what theirs are held against."""

    hosts: tuple[Host, ...]
    limits: HostLimits
    looker: HostLooker
    clock: str

    def findings(self, recorder: Recorder, moment: Moment) -> tuple[Finding, ...]:
        """Look, record what was seen, and judge it against the look before; nothing where there is no host."""
        if not self.hosts:
            return ()
        before = recorder.run.hosts.before() if moment == "after" else {}
        seen = self.looker.look(self.hosts)
        recorder.record(HostsSeen(moment=moment, facts=tuple(seen.values()), clock=self.clock))
        return tuple(findings(self.hosts, seen, self.limits, before=before, clock=self.clock))
