"""What stands in schema `orchestrator`, whatever version made it: tables are known by their columns, not by a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from psycopg import sql

from orchestrator.adapters import ledger
from orchestrator.adapters.lease import deserted
from orchestrator.adapters.postgres import Connection, plainly, statement
from orchestrator.core.audit_objects import AuditObject, by_piece
from orchestrator.core.entry import Entry, Head
from orchestrator.core.grants import APPROVER, LISTENER
from orchestrator.core.lease import Lease, Owner, free
from orchestrator.core.leaving import ENTRIES, HEADS, LEASES, OWNER, WATCHES, LedgerRun, LedgerTable, Standing, made_by
from orchestrator.core.nouns import counted
from orchestrator.core.remediation import SCHEMA as KEPT

SCHEMA: Final = "orchestrator"
FUNCTIONS_SINCE: Final = 4
"""The version that brought `answer`, where people speak."""

SCHEMA_OWNER = (
    "select pg_get_userbyid(nspowner)::text as owner, pg_has_role(nspowner, 'usage') as ours"
    " from pg_namespace where nspname = 'orchestrator'"
)
CLOSED_BEFORE = sql.SQL(
    "exists (select from orchestrator.event e where e.run = id and e.kind = 'run_finished'"
    " and e.data ->> 'state' <> 'held')"
)
"""Version 1 did not note which runs are closed."""

EVIDENCE = sql.SQL("select count(*)::bigint as count from orchestrator.event where kind = 'evidence_recorded'")


def standing(connection: Connection, left: Mapping[str, int], *, me: str = "") -> Standing | None:
    """All of it, None where there is no ledger; `left` counts per run what can be walked back. Raises Refused.

    The lease of run `me` is our own. Of a version that we do not know nothing is told but its owner and its tables.
    """
    version = ledger.version_of(connection)
    if version is None:
        return None
    with plainly("reading schema orchestrator", reading=True):
        owner = connection.execute(SCHEMA_OWNER).fetchone() or {}
        tables = tuple(_tables(connection))
        own = tuple(each for each in tables if each.schema == SCHEMA)
        if version > ledger.VERSION:
            return Standing(
                version=version,
                known=ledger.VERSION,
                owner=str(owner["owner"]),
                ours=bool(owner["ours"]),
                tables=own,
            )
        leases = tuple(each for each in _leases(connection, own) if each.run != me)
        return Standing(
            version=version,
            known=ledger.VERSION,
            owner=str(owner["owner"]),
            ours=bool(owner["ours"]),
            tables=own,
            runs=tuple(_runs(connection, left, frozenset(each.run for each in leases))),
            holders=tuple(each.told() for each in leases),
            strangers=(*_strangers(connection), *_told(connection, "leaving_dependents")),
            audits=tuple(_audits(connection)),
            approvals=_count(connection, statement("leaving_approvals")) if version >= FUNCTIONS_SINCE else 0,
            evidence=_count(connection, EVIDENCE),
            kept=tuple(each for each in tables if each.schema == KEPT),
            watches=tuple(_watches(connection, own)),
            watching=tuple(_watching(connection, own)),
        )


def others(connection: Connection) -> tuple[str, ...]:
    """What would go along and is not ours: objects that somebody made, and rows that a remediation keeps.

    Raises psycopg.Error.
    """
    kept = (each for each in _tables(connection) if each.schema == KEPT and each.rows)
    rows = (f"{counted(each.rows, 'row')} in {each.schema}.{each.name}" for each in kept)
    return (*_strangers(connection), *_told(connection, "leaving_dependents"), *rows)


def journals(connection: Connection, tables: tuple[LedgerTable, ...]) -> Iterator[tuple[str, Head | None]]:
    """Every journal that any table of the ledger has, and the end of its chain as the ledger notes it."""
    heads: dict[str, Head] = {}
    for table in tables:
        if table.columns >= HEADS:
            closed = sql.Identifier("closed") if "closed" in table.columns else CLOSED_BEFORE
            query = sql.SQL("select id, environment, head_seq, head_hash, {} as closed from {}")
            for row in connection.execute(query.format(closed, _name(table))):
                heads[row["id"]] = Head(
                    seq=row["head_seq"], hash=row["head_hash"], environment=row["environment"], closed=row["closed"]
                )
    names = {row["run"] for table in _of_entries(tables) for row in _distinct(connection, table)}
    for run in sorted(names | heads.keys()):
        yield run, heads.get(run)


def entries(connection: Connection, tables: tuple[LedgerTable, ...], run: str) -> tuple[Entry, ...]:
    """A run's entries, in whichever table they are. Raises psycopg.Error."""
    query = sql.SQL(
        "select run, seq, case when at between '0001-01-02' and '9999-12-30' then at else 'epoch' end as at,"
        " actor, kind, data::text as data, previous, hash from {} where run = %s order by seq"
    )
    found: list[Entry] = []
    for table in _of_entries(tables):
        found += [Entry(**row) for row in connection.execute(query.format(_name(table)), (run,))]
    return tuple(found)


def roles(connection: Connection) -> tuple[str, ...]:
    """What a person does by hand about the roles and rights that `preflight --grants` printed; we made none of them."""
    lines = []
    for row in connection.execute(statement("leaving_roles")):
        role = {APPROVER: APPROVER, LISTENER: LISTENER}[row["role"]]
        other = "-- has rights in another database of this server: keep " if row["used"] else "DROP ROLE "
        lines.append(f"{other}{role}{'' if row['used'] else ';'}")
    return tuple(lines)


def _name(table: LedgerTable) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _of_entries(tables: tuple[LedgerTable, ...]) -> Iterator[LedgerTable]:
    return (each for each in tables if each.columns >= ENTRIES)


def _distinct(connection: Connection, table: LedgerTable) -> Iterator[dict[str, Any]]:
    yield from connection.execute(sql.SQL("select distinct run from {}").format(_name(table)))


def _tables(connection: Connection) -> Iterator[LedgerTable]:
    for row in connection.execute(statement("leaving_relations")).fetchall():
        name = sql.Identifier(row["schema"], row["name"])
        yield LedgerTable(
            schema=row["schema"],
            name=row["name"],
            columns=frozenset(row["columns"]),
            size=row["bytes"],
            rows=_count(connection, sql.SQL("select count(*)::bigint as count from {}").format(name)),
        )


def _runs(connection: Connection, left: Mapping[str, int], alive: frozenset[str]) -> Iterator[LedgerRun]:
    for row in connection.execute(statement("leaving_runs")):
        run = row["run"]
        yield LedgerRun(
            run=run,
            environment=row["environment"],
            task=row["task"] or "",
            state=row["state"] or ("running" if run in alive else "interrupted"),
            reason=row["reason"],
            left=left.get(run, 0),
        )


def _leases(connection: Connection, tables: tuple[LedgerTable, ...]) -> Iterator[Lease]:
    """Those that a living process holds."""
    for table in tables:
        if not table.columns >= LEASES:
            continue
        run = sql.Identifier("run" if "run" in table.columns else "id")
        query = sql.SQL("select {} as run, {}, clock_timestamp() as now from {} where not released").format(
            run, sql.SQL(", ").join(map(sql.Identifier, sorted(LEASES))), _name(table)
        )
        for row in connection.execute(query):
            owner = Owner(**{name: row.pop(name) for name in OWNER})
            lease = Lease(owner=owner, **row)
            if not free(lease, gone=deserted(lease)):
                yield lease


def _strangers(connection: Connection) -> Iterator[str]:
    """What stands in the schema and none of our SQL makes."""
    ours = made_by(statement(each).as_string(None) for each in ledger.VERSIONS)
    for row in connection.execute(statement("leaving_objects")):
        if (row["kind"], row["name"]) not in ours:
            yield f"{row['kind']} {SCHEMA}.{row['name']}"


def _audits(connection: Connection) -> Iterator[str]:
    """What option B installed."""
    found = by_piece(AuditObject(**row) for row in connection.execute(statement("audit_objects")))
    for parts in found.values():
        yield from (each.line for each in parts)


def _told(connection: Connection, name: str) -> tuple[str, ...]:
    return tuple(row["told"] for row in connection.execute(statement(name)))


def _watches(connection: Connection, tables: tuple[LedgerTable, ...]) -> Iterator[str]:
    query = sql.SQL("select distinct run from {} where kind = 'watch_began' order by run")
    for table in _of_entries(tables):
        yield from (row["run"] for row in connection.execute(query.format(_name(table))))


def _watching(connection: Connection, tables: tuple[LedgerTable, ...]) -> Iterator[str]:
    for table in (each for each in tables if each.columns >= WATCHES):
        query = sql.SQL("select id from {} where not closed order by id").format(_name(table))
        yield from (row["id"] for row in connection.execute(query))


def _count(connection: Connection, query: sql.SQL | sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    return int(row["count"]) if row else 0
