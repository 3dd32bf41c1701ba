"""The roof: the only place that knows every room, and wires adapters into steps."""

import psycopg

from orchestrator.adapters.postgres import plain_line
from orchestrator.adapters.redaction import redacted

__all__ = ["DATABASE_ERROR", "explained", "redacted"]

DATABASE_ERROR = psycopg.Error
"""What a server may say at a moment that no step owns, such as while a connection is being closed."""


def explained(error: psycopg.Error) -> str:
    """One line for it."""
    return f"the database refused or went away: {plain_line(error)}; invoke status tells how far a run came"
