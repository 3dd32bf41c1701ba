"""The gates of a site, with what they ask wired in."""

from __future__ import annotations

from orchestrator.adapters.gate_facts import GateFacts
from orchestrator.adapters.processes import os_user
from orchestrator.app.site import Site
from orchestrator.steps.gates import Gates


def gates_of(site: Site) -> Gates:
    """The gates step, which keeps the later steps' gates, too."""
    passage = site.request.passage
    gatherer = GateFacts(
        environment=site.environment,
        where=site.request.where,
        folder=site.folder,
        contract=site.contract,
        server=site.server,
        reach=site.reach,
        clock=passage.clock,
        file=passage.evidence,
        only=site.request.only,
    )
    return Gates(kind=site.environment.kind, gatherer=gatherer, overrides=passage.overrides, by=os_user())
