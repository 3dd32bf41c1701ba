"""The dispatcher of a run, with the executor and the policy of its environment."""

from __future__ import annotations

from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.target import Target
from orchestrator.app.site import Site
from orchestrator.engine.dispatcher import Dispatcher


def dispatcher_of(site: Site, journal: RunJournal, target: Target) -> Dispatcher:
    """A dispatcher with its executor, as the policy of the environment wants it."""
    policy = site.environment.policy
    executor = OnlineExecutor(
        target=target,
        journal=journal,
        budget_ms=policy.lock_timeout_ms,
        give_up_after_s=policy.give_up_after_s,
        looker=site.looker,
    )
    return Dispatcher(
        executor=executor,
        recorder=journal,
        budget_ms=policy.lock_timeout_ms,
        give_up_after_s=policy.give_up_after_s,
        workers=policy.validate_workers,
        terminates=frozenset(policy.terminate_blockers),
        max_lag_s=policy.max_replica_lag_s,
    )
