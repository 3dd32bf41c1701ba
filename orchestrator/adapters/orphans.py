"""Counts rows that refer to nothing: exactly, reading only, one snapshot per relation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.adapters.orphan_sql import (
    DEFAULTS,
    SESSION,
    child_column,
    counted,
    equalities,
    listed,
    sampled,
    sampled_by_walk,
    settings,
    source,
    walked,
)
from orchestrator.adapters.postgres import Connection, Server, plain_line, plainly, statement
from orchestrator.adapters.side_by_side import ATTEMPTS, AskAgain, SideBySide
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Relation, touched
from orchestrator.core.counting import ColumnStatistics, Counting, Method, Statistics, TableStatistics, decide
from orchestrator.core.ports import Orphans

CONNECTIONS = 2
"""One more than a person would take; the application keeps the server's other cores."""

SAMPLE = 20
"""Keys that are shown of a relation's orphans."""

# A standby takes back what keeps it from following its primary: 40001, in some places 40P01 or 57014 (hot standby).
TAKEN_BACK = frozenset({"40001", "40P01"})
CONFLICT = "conflict with recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanQueries:
    """Counts each relation by the method that is expected to be the cheapest.

    `adviser` is whose statistics are asked when it is not `server`: a standby gathers none about changes.
    """

    server: Server
    step: str = "audit"
    adviser: Server | None = None
    connections: int = CONNECTIONS

    def count(self, relations: Iterable[Relation], catalog: Catalog) -> Iterator[Orphans]:
        """One result per relation, in order. Raises OrchestratorError when a table cannot be read."""
        wanted = tuple(relations)
        if not wanted:
            return
        known = self._statistics(wanted)
        work = SideBySide(
            server=self.server,
            step=self.step,
            connections=self.connections,
            questions=tuple(zip(wanted, decide(wanted, catalog, known), strict=True)),
            weight=lambda question: question[1].expected,
            prepare=_prepare,
            ask=lambda connection, question: _count(connection, *question, catalog),
        )
        yield from work.answers()

    def _statistics(self, relations: tuple[Relation, ...]) -> Statistics:
        with (self.adviser or self.server).session(self.step, read_only=True) as connection:
            return read_statistics(connection, relations)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantQueries:
    """Counts rows whose tenant column differs from that of the row they refer to."""

    server: Server
    column: str
    step: str = "validate"

    def crossing(self, relations: Iterable[Relation], catalog: Catalog) -> Iterator[tuple[Relation, int]]:
        """Rows of each; those where either side is NULL are global and do not count. Raises OrchestratorError."""
        with self.server.session(self.step, read_only=True) as connection:
            for each in relations:
                with plainly(f"comparing workspaces of {each.id}", reading=True):
                    row = connection.execute(self._query(each, catalog)).fetchone()
                yield each, int(row["rows"]) if row else 0

    def _query(self, relation: Relation, catalog: Catalog) -> sql.Composed:
        return sql.SQL("SELECT count(*) AS rows FROM {} AS child JOIN {} AS parent ON {} WHERE {} <> parent.{}").format(
            source(relation.table, catalog),
            source(relation.referenced, catalog),
            sql.SQL(" AND ").join(equalities(relation, catalog)),
            child_column(self.column),
            sql.Identifier(self.column),
        )


def read_statistics(connection: Connection, relations: Iterable[Relation]) -> Statistics:
    """What the server knows of the tables of relations; nothing is locked. Raises OrchestratorError."""
    wanted = tuple(relations)
    tables = touched(wanted)
    values = {
        "schemas": sorted({each.schema for each in tables}),
        "names": sorted({each.name for each in tables}),
        "columns": sorted({each.columns[0] for each in wanted} | {each.referenced_columns[0] for each in wanted}),
    }
    with plainly("reading statistics", reading=True):
        rows = connection.execute(statement("counting"), values).fetchall()
    return {TableName(schema=row.pop("schema"), name=row.pop("name")): _known(row) for row in rows}


def _known(row: dict[str, Any]) -> TableStatistics:
    columns = {name: ColumnStatistics(**known) for name, known in row.pop("columns").items()}
    return TableStatistics(columns=columns, orders=frozenset(map(tuple, row.pop("orders"))), **row)


def _prepare(connection: Connection) -> None:
    with plainly("before counting", reading=True):
        connection.execute(SESSION)


def _count(connection: Connection, relation: Relation, counting: Counting, catalog: Catalog) -> Orphans:
    started = time.perf_counter()
    with (
        plainly(f"counting orphans of {relation.id}", reading=True),
        _may_be_taken_back(relation),
        _snapshot(connection),
    ):
        found = _counted(connection, relation, counting, catalog)
    count, sample, method, reason = found
    elapsed = (time.perf_counter() - started) * 1000
    return Orphans(
        relation=relation,
        count=count,
        query=listed(relation, catalog).as_string(connection),
        sample=sample,
        duration_ms=round(elapsed, 3),
        method=method,
        reason=reason,
    )


Found = tuple[int, tuple[Mapping[str, str | None], ...], Method, str]


def _counted(connection: Connection, relation: Relation, counting: Counting, catalog: Catalog) -> Found:
    """In the transaction that begins here, and is the caller's to end."""
    method, reason = counting.method, counting.reason
    begun = f"begin isolation level repeatable read, read only; {settings(method, parallel=counting.parallel)}; "
    if method == "loose index scan":
        count = _number(connection, begun, walked(relation, catalog, counting.jumps))
        if count is not None:
            shown = sampled_by_walk(relation, catalog, counting.jumps, SAMPLE)
            return count, tuple(connection.execute(shown).fetchall()) if count else (), method, reason
        connection.execute(DEFAULTS)
        method, reason = "hash anti-join", f"more than {counting.jumps} values; the statistics told {reason}"
        begun = f"{settings(method)}; "
    count = _number(connection, begun, counted(relation, catalog)) or 0
    if not count:
        return count, (), method, reason
    # Rows that are shown lie anywhere: a hash join finds them, whatever counted them.
    connection.execute(f"{DEFAULTS}; {settings('hash anti-join')}")
    return count, tuple(connection.execute(sampled(relation, catalog, SAMPLE)).fetchall()), method, reason


def _number(connection: Connection, before: str, query: sql.Composed) -> int | None:
    """The answer of a query that goes to the server together with what comes before it."""
    cursor = connection.execute(sql.SQL(before) + query)
    while cursor.nextset():
        continue
    row = cursor.fetchone()
    return row["orphans"] if row else None


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """End the transaction that was begun inside; it only read."""
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()


@contextmanager
def _may_be_taken_back(relation: Relation) -> Iterator[None]:
    """Tell what is worth another attempt from what is not. Raises AskAgain."""
    try:
        yield
    except psycopg.Error as error:
        text = plain_line(error)
        if error.sqlstate not in TAKEN_BACK and CONFLICT not in str(error):
            raise
        message = (
            f"counting orphans of {relation.id}: taken back {ATTEMPTS} times ({text}): on the standby raise"
            " max_standby_streaming_delay or turn hot_standby_feedback on, or count where nothing is replayed"
        )
        raise AskAgain(message) from error
