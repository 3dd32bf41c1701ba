"""The marker of an environment in its ledger: written at its first run, rewritten when a copy is adopted."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.adapters import events, ledger
from orchestrator.adapters.identity import identify
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.core.journal import RunFinished
from orchestrator.core.marker import Marker

MARKED_SINCE = 3
"""The version of the ledger that has a marker."""


def marker_of(connection: Connection, environment: str) -> Marker:
    """The marker that this database would have as that environment."""
    identity = identify(connection)
    row = connection.execute("select oid::bigint as oid from pg_database where datname = current_database()").fetchone()
    return Marker(
        environment=environment,
        system_identifier=identity.system_identifier,
        database=identity.database,
        oid=int(row["oid"]) if row else 0,
    )


def read_marker(connection: Connection) -> Marker | None:
    """The marker that stands there, None where there is none yet."""
    if (ledger.version_of(connection) or 0) < MARKED_SINCE:
        return None
    with plainly("reading the environment's marker", reading=True):
        row = connection.execute(
            "select environment, system_identifier, database, database_oid::bigint as oid from orchestrator.marker"
            " order by at desc limit 1"
        ).fetchone()
    return Marker(**row) if row else None


def write_marker(connection: Connection, marker: Marker, *, kind: str, reason: str = "") -> None:
    """Write it in the place of any other. Raises psycopg.Error."""
    connection.execute("delete from orchestrator.marker")
    connection.execute(
        "insert into orchestrator.marker (environment, kind, system_identifier, database, database_oid, reason)"
        " values (%s, %s, %s, %s, %s::bigint::oid, %s)",
        (marker.environment, kind, marker.system_identifier, marker.database, marker.oid, reason),
    )


def close_runs(connection: Connection, runs: Iterable[str], *, reason: str, token: int) -> None:
    """Close runs that came along with a copy, in its ledger only: the copies in `runs/` are the original's.

    Raises psycopg.Error.
    """
    for run in runs:
        head = ledger.head(connection, run)
        events_before, last = (head.seq, head.hash) if head else (0, "")
        kind, data = events.encode(RunFinished(state="abandoned", reason=reason, events=events_before, head=last))
        connection.execute("select orchestrator.append(%s, %s, %s, %s)", (run, kind, data, token))
