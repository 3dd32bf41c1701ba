"""Watches in the ledger: the entries of each beside those of its folder, so that another machine can go on with it.

Nothing here is an error where it can be asked before: a refused statement would count among the application's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.adapters import ledger
from orchestrator.adapters.postgres import Connection, statement
from orchestrator.adapters.processes import gone, this_process
from orchestrator.core.entry import GENESIS, Entry, Head
from orchestrator.core.lease import Lease, Owner, free

SINCE: Final = 6
"""The version of the ledger that keeps watches."""

GRACE_S: Final = 60.0
"""How long a lease is good beyond the moment when the next sample is due."""

READABLE: Final = """
select case when to_regnamespace('orchestrator') is null or not has_schema_privilege('orchestrator', 'usage') then false
    when to_regclass('orchestrator.watch') is null then false
    else has_table_privilege('orchestrator.watch', 'select')
        and has_table_privilege('orchestrator.watch_event', 'select')
        and has_function_privilege('orchestrator.target()', 'execute') end as readable
"""

UPGRADABLE: Final = """
select case when to_regnamespace('orchestrator') is null or pg_is_in_recovery() then false
    when current_setting('transaction_read_only') = 'on' then false
    when exists (select from orchestrator.run where not closed) then false
    else (select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = 'orchestrator') end as ours
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWatch:
    """A watch as the target has it; `of` is the deployment that it watches."""

    id: str
    of: str
    head: Head
    lease: Lease

    @property
    def free(self) -> bool:
        """Whether nobody goes on with it any more."""
        return free(self.lease, gone=gone(self.lease.owner))

    def ends_in(self, entries: Sequence[Entry]) -> bool:
        """Whether these entries have its end: what comes after that is to be brought."""
        hashes = (GENESIS, *(each.hash for each in entries))
        return self.head.seq < len(hashes) and hashes[self.head.seq] == self.head.hash


def prepare(connection: Connection) -> None:
    """Upgrade a ledger of ours that knows no watches. Raises Refused, ConnectionLost.

    Not while a run is open: the older program that began it would be refused when it goes on.
    """
    version = ledger.version_of(connection) or SINCE
    if ledger.CLOSED_SINCE <= version < SINCE and _flag(connection, UPGRADABLE, "ours"):
        ledger.install(connection)


def hindrance(connection: Connection) -> str:
    """Why no watch can be kept there now, empty when it can; first in a transaction, whose limits it sets.

    The commit waits for no standby, which may be away. Raises psycopg.Error.
    """
    row = connection.execute(statement("watch_hindrance")).fetchone()
    if row and row["hindrance"]:
        return str(row["hindrance"])
    version = connection.execute("select max(version) as version from orchestrator.ledger").fetchone()
    known = not version or version["version"] <= ledger.VERSION
    return "" if known else f"the ledger has version {(version or {})['version']}: a newer program made it"


def readable(connection: Connection) -> bool:
    """Whether there are watches that this role may read. Raises psycopg.Error."""
    return _flag(connection, READABLE, "readable")


def _flag(connection: Connection, query: str, name: str) -> bool:
    row = connection.execute(query.encode()).fetchone()
    return bool(row and row[name])


def open_watch(connection: Connection, environment: str, of: str | None) -> KeptWatch | None:
    """The newest watch of an environment (of run `of`) that has no end yet. Raises psycopg.Error."""
    return _found(connection, {"id": None, "environment": environment, "of": of})


def watch_of(connection: Connection, run: str) -> KeptWatch | None:
    """The watch of that name, ended or not. Raises psycopg.Error."""
    return _found(connection, {"id": run, "environment": None, "of": None})


def _found(connection: Connection, values: Mapping[str, str | None]) -> KeptWatch | None:
    row = connection.execute(statement("watch_found"), values).fetchone()
    if row is None:
        return None
    owner = Owner(**{name: row.pop(name) for name in ("host", "machine", "pid", "started", "os_user")})
    head = Head(
        seq=row.pop("head_seq"), hash=row.pop("head_hash"), environment=row.pop("environment"), closed=row.pop("closed")
    )
    run, of = row.pop("id"), row.pop("of")
    return KeptWatch(id=run, of=of, head=head, lease=Lease(run=run, owner=owner, **row))


def entries(connection: Connection, run: str) -> tuple[Entry, ...]:
    """The entries of a watch; none where nothing is known of it, or may be read. Raises psycopg.Error."""
    if not readable(connection):
        return ()
    rows = connection.execute(
        "select run, seq, case when at between '0001-01-02' and '9999-12-30' then at else 'epoch' end as at,"
        " actor, kind, data::text as data, previous, hash from orchestrator.watch_event where run = %s order by seq",
        (run,),
    )
    return tuple(Entry(**row) for row in rows)


def head(connection: Connection, run: str) -> Head | None:
    """The end of a watch's chain as the ledger notes it. Raises psycopg.Error."""
    found = watch_of(connection, run) if readable(connection) else None
    return found.head if found else None


def begin(connection: Connection, run: str, *, environment: str, of: str, token: int, every_s: float) -> bool:
    """Note a watch that begins; false where another one of that deployment is open. Raises psycopg.Error."""
    values = {"id": run, "environment": environment, "of": of, **_holder(token, every_s)}
    return connection.execute(statement("watch_begin"), values).rowcount == 1


def claim(connection: Connection, kept: KeptWatch, *, token: int, every_s: float) -> bool:
    """Take a watch over; false when somebody else was quicker, or is at it. Raises psycopg.Error."""
    dead = kept.lease.token if gone(kept.lease.owner) else None
    values = {"id": kept.id, "dead": dead, **_holder(token, every_s)}
    return connection.execute(statement("watch_claim"), values).rowcount == 1


def _holder(token: int, every_s: float) -> dict[str, Any]:
    me = this_process()
    owner = {name: getattr(me, name) for name in ("host", "machine", "pid", "started", "os_user")}
    return {"token": token, "good_s": every_s + GRACE_S, **owner}


def append(
    connection: Connection, run: str, new: Sequence[Entry], *, token: int, every_s: float, closed: bool, released: bool
) -> bool:
    """Append entries that follow from the last one there; false when it is not ours, or ends otherwise.

    Raises psycopg.Error.
    """
    first, last = new[0], new[-1]
    values = {
        "id": run,
        "token": token,
        "good_s": every_s + GRACE_S,
        "after": first.seq - 1,
        "previous": first.previous,
        "seq": last.seq,
        "hash": last.hash,
        "closed": closed,
        "released": released,
        "seqs": [each.seq for each in new],
        "ats": [each.at for each in new],
        "actors": [each.actor for each in new],
        "kinds": [each.kind for each in new],
        "data": [each.data for each in new],
        "befores": [each.previous for each in new],
        "hashes": [each.hash for each in new],
    }
    return connection.execute(statement("watch_append"), values).rowcount == len(new)


def release(connection: Connection, run: str, token: int) -> None:
    """Let others go on with it at once. Raises psycopg.Error."""
    connection.execute("update orchestrator.watch set released = true where id = %s and token = %s", (run, token))
