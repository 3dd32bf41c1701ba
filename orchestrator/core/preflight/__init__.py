"""The preflight list: every check, each with the number that it has in the list of PostgreSQL facts."""

from orchestrator.core.checks import Check
from orchestrator.core.preflight.activity import ACTIVITY
from orchestrator.core.preflight.audits import AUDITS
from orchestrator.core.preflight.relations import RELATIONS
from orchestrator.core.preflight.server import SERVER

CHECKS: tuple[Check, ...] = (*SERVER, *RELATIONS, *AUDITS, *ACTIVITY)

__all__ = ["CHECKS"]
