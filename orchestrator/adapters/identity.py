"""What a database is: its system identifier, and the proof whether two URLs lead to the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import SystemRandom
from typing import Literal

import psycopg

from orchestrator.adapters.postgres import Connection, Server, plain_line
from orchestrator.core.journal import Identity
from orchestrator.core.outcome import OrchestratorError

Kinship = Literal["same", "copy", "same server", "different"]


def identify(connection: Connection) -> Identity:
    """The identity of the database behind a connection; the identifier is empty where the role may not see it."""
    row = connection.execute("select current_database() as name, session_user as role").fetchone() or {}
    return Identity(
        system_identifier=_system_identifier(connection),
        database=row["name"],
        server_version=connection.info.server_version,
        role=row["role"],
    )


def _system_identifier(connection: Connection) -> str:
    allowed = connection.execute("select has_function_privilege('pg_control_system()', 'EXECUTE') as yes").fetchone()
    if not (allowed and allowed["yes"]):
        return ""
    row = connection.execute("select system_identifier::text as id from pg_control_system()").fetchone()
    return str(row["id"]) if row else ""


def kinship(mine: Connection, other: Connection) -> Kinship:
    """How two databases are related.

    A random advisory lock taken here and seen there is the proof of sameness; equal identifiers without it are a
    physical copy, or another database of the same server.
    """
    key = SystemRandom().randrange(1, 2**31)
    mine.execute("select pg_advisory_lock(%s)", (key,))
    try:
        seen = other.execute(
            "select l.database = (select oid from pg_database where datname = current_database()) as here"
            " from pg_locks l where l.locktype = 'advisory' and l.classid = 0 and l.objid = %s::bigint::oid"
            " and l.objsubid = 1",
            (key,),
        ).fetchall()
    finally:
        mine.execute("select pg_advisory_unlock(%s)", (key,))
    if any(row["here"] for row in seen):
        return "same"
    if seen:
        return "same server"
    first, second = _system_identifier(mine), _system_identifier(other)
    return "copy" if first and first == second else "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """The other environments of an inventory: name to a way of reaching each. A way may raise OrchestratorError."""

    servers: Mapping[str, Callable[[], Server]]

    def rows(self, mine: Connection) -> Iterator[dict[str, object]]:
        """For each other environment how it is related to this one, or why that is not known."""
        for name, reach in self.servers.items():
            try:
                # Without settings of ours: a pooler in front of the other database must not hide what it is.
                with reach().bare("identity") as other, other.transaction():
                    other.execute("set transaction read only")
                    yield {"environment": name, "relation": kinship(mine, other), "problem": None}
            except OrchestratorError as error:
                yield {"environment": name, "relation": None, "problem": str(error).removeprefix(f"{name}: ")}
            except psycopg.Error as error:
                yield {"environment": name, "relation": None, "problem": plain_line(error)}
