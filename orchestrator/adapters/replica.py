"""A physical copy of the target that is read in its place: whether it is one, and how far it is behind."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.adapters.identity import Kinship, identify, kinship
from orchestrator.adapters.postgres import Connection, Server, plainly
from orchestrator.core.journal import Identity
from orchestrator.core.outcome import Refused

# A standby's own position and not its clock tells whether it has all: with a quiet primary the last replayed
# transaction may be hours old.
POSITION = (
    "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text as at"
)
BEHIND = """
select pg_is_in_recovery() as standby, pg_last_wal_replay_lsn() >= %s::pg_lsn as caught_up,
       extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as age_s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """Where was read. `lag_s` is for a standby: at most so many seconds behind, None when nobody knows."""

    name: str
    server: Server
    standby: bool
    itself: bool
    lag_s: float | None


def physical_copy(target: Server, other: Server, *, step: str) -> Replica:
    """The other database as a place to read the target's rows. Raises Refused with what it is instead of a copy."""
    with (
        target.session(step, read_only=True) as mine,
        other.session(step, read_only=True) as there,
        plainly(f"comparing {other.environment} with {target.environment}", reading=True),
    ):
        related = kinship(mine, there)
        problem = _problem(related, identify(mine), identify(there))
        if problem:
            message = (
                f"--on {other.environment}: {other.place} is no physical copy of {target.environment}: {problem};"
                f" name a standby of it, or leave --on out to count on {target.environment} itself"
            )
            raise Refused(message)
        standby, lag_s = _lag(mine, there)
    return Replica(name=other.environment, server=other, standby=standby, itself=related == "same", lag_s=lag_s)


def _problem(related: Kinship, mine: Identity, there: Identity) -> str:
    """Why the two do not hold the same rows; empty when they do."""
    if related == "same":
        return ""
    if related == "same server" or (related == "copy" and mine.database != there.database):
        return f"it is another database, {there.database} and not {mine.database}"
    if related == "copy":
        return ""
    if not (mine.system_identifier and there.system_identifier):
        return "a role that may not execute pg_control_system() cannot tell (its system identifier is hidden)"
    return f"its system identifier is {there.system_identifier}, not {mine.system_identifier}"


def _lag(mine: Connection, there: Connection) -> tuple[bool, float | None]:
    """Whether it is a standby, and how many seconds it is behind at most."""
    now = mine.execute(POSITION).fetchone() or {}
    row = there.execute(BEHIND, (now["at"],)).fetchone() or {}
    if not row["standby"]:
        return False, None
    return True, 0.0 if row["caught_up"] else row["age_s"]
