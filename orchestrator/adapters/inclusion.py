"""Asks the rows about candidates: a sample first, then exactly where it is worth it; only reading, within limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.adapters.orphan_sql import SESSION, child_column, counted, equalities, source
from orchestrator.adapters.postgres import Connection, Server, plain_line, plainly
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Relation, default_name
from orchestrator.core.suggestion.candidate import Candidate
from orchestrator.core.suggestion.inclusion import Inclusion

STEP = "suggest"
SAMPLE = 2000
"""Rows that are looked up before anything is counted."""

LARGE = 200_000
"""Rows from which on a table is sampled by pages instead of read from its beginning, and its values are not counted."""

LIMIT_MS = 60_000
"""Milliseconds that one statement may take; what takes longer is told from the sample."""

DENSE = 0.5
"""Share of the numbers between the least and the greatest key that are keys."""

BEGIN = "begin isolation level repeatable read, read only; set local statement_timeout = {}"

SAMPLED = """
WITH sample AS MATERIALIZED (SELECT {columns} FROM {child} AS child {part} WHERE {present} LIMIT {limit})
SELECT count(*) AS rows,
       count(*) FILTER (WHERE NOT EXISTS (SELECT FROM {parent} AS parent WHERE {equal})) AS orphans
FROM sample AS child
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What there is to refer to."""

    rows: int
    dense: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionQueries:
    """The questions on one connection, candidate by candidate."""

    server: Server
    catalog: Catalog
    limit_ms: int = LIMIT_MS
    known: dict[tuple[TableName, tuple[str, ...]], Keys] = field(default_factory=dict)

    def measure(self, candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, Inclusion]]:
        """Each candidate with what its rows say. Raises OrchestratorError when the connection is lost."""
        with self.server.session(STEP, read_only=True) as connection:
            with plainly("before counting", reading=True):
                connection.execute(SESSION)
            for each in candidates:
                yield each, self._measured(connection, each)

    def _measured(self, connection: Connection, candidate: Candidate) -> Inclusion:
        relation = _relation(candidate)
        try:
            with _reading(connection, self.limit_ms):
                keys = self._keys(connection, relation)
                sample = self._sample(connection, relation, keys)
            if not sample.tells or sample.hopeless:
                return sample
        except psycopg.Error as error:
            return _not_read(connection, error, candidate)
        try:
            with _reading(connection, self.limit_ms):
                return self._exact(connection, relation, keys)
        except psycopg.Error as error:
            _not_read(connection, error, candidate)
            return sample

    def _keys(self, connection: Connection, relation: Relation) -> Keys:
        """How many keys there are, and whether they leave gaps; asked once for each key."""
        place = (relation.referenced, relation.referenced_columns)
        if place not in self.known:
            table = self.catalog.tables[relation.referenced]
            rows = table.rows if table.rows >= LARGE else self._count(connection, relation.referenced)
            self.known[place] = Keys(rows=rows, dense=self._dense(connection, relation, rows))
        return self.known[place]

    def _count(self, connection: Connection, name: TableName) -> int:
        query = sql.SQL("SELECT count(*) AS rows FROM {}").format(source(name, self.catalog))
        return int(_row(connection, query)["rows"])

    def _dense(self, connection: Connection, relation: Relation, rows: int) -> bool:
        """Whether a single key is made of whole numbers with hardly a gap."""
        table = self.catalog.tables[relation.referenced]
        column = table.column(relation.referenced_columns[0])
        if len(relation.columns) > 1 or column is None or column.type_name not in {"smallint", "integer", "bigint"}:
            return False
        name = sql.Identifier(column.name)
        query = sql.SQL("SELECT min({}) AS low, max({}) AS high FROM {}").format(
            name, name, source(relation.referenced, self.catalog)
        )
        row = _row(connection, query)
        return row["low"] is not None and rows >= DENSE * (int(row["high"]) - int(row["low"]) + 1)

    def _sample(self, connection: Connection, relation: Relation, keys: Keys) -> Inclusion:
        """Some rows: by pages from a large table, from the beginning of a small one, or where pages gave none."""
        estimate = self.catalog.tables[relation.table].rows
        parts: Sequence[sql.Composable] = (sql.SQL(""),)
        if estimate >= LARGE:
            # Four times as many as are wanted, because rows with NULL are left out.
            percent = min(100.0, 400.0 * SAMPLE / estimate)
            parts = (sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(percent)), *parts)
        for part in parts:
            row = _row(connection, self._sampled(relation, part))
            if row["rows"]:
                break
        return Inclusion(rows=row["rows"], orphans=row["orphans"], keys=keys.rows, dense=keys.dense, exact=False)

    def _sampled(self, relation: Relation, part: sql.Composable) -> sql.Composed:
        return sql.SQL(SAMPLED).format(
            columns=sql.SQL(", ").join(map(child_column, relation.columns)),
            child=source(relation.table, self.catalog),
            part=part,
            present=_present(relation),
            limit=sql.Literal(SAMPLE),
            parent=source(relation.referenced, self.catalog),
            equal=sql.SQL(" AND ").join(equalities(relation, self.catalog)),
        )

    def _exact(self, connection: Connection, relation: Relation, keys: Keys) -> Inclusion:
        """All rows: the orphans as the audit counts them, and how many different values there are."""
        orphans = int(_row(connection, counted(relation, self.catalog))["orphans"])
        few = self.catalog.tables[relation.table].rows < LARGE
        columns = sql.SQL(", ").join(map(child_column, relation.columns))
        values = sql.SQL("count(DISTINCT ({}))").format(columns) if few else sql.SQL("NULL::bigint")
        query = sql.SQL("SELECT count(*) AS rows, {} AS distinct_values FROM {} AS child WHERE {}").format(
            values, source(relation.table, self.catalog), _present(relation)
        )
        row = _row(connection, query)
        return Inclusion(
            rows=row["rows"],
            orphans=orphans,
            distinct=row["distinct_values"],
            keys=keys.rows,
            dense=keys.dense,
            exact=True,
        )


def _relation(candidate: Candidate) -> Relation:
    return Relation(
        table=candidate.table,
        columns=candidate.columns,
        referenced=candidate.referenced,
        referenced_columns=candidate.referenced_columns,
        name=default_name(candidate.table.name, candidate.columns),
    )


def _present(relation: Relation) -> sql.Composed:
    parts = (sql.SQL("{} IS NOT NULL").format(child_column(column)) for column in relation.columns)
    return sql.SQL(" AND ").join(parts)


def _row(connection: Connection, query: sql.Composed) -> dict[str, Any]:
    return connection.execute(query).fetchone() or {}


@contextmanager
def _reading(connection: Connection, limit_ms: int) -> Iterator[None]:
    """One snapshot that only reads, in which no statement takes longer than the limit."""
    connection.execute(sql.SQL(BEGIN).format(sql.Literal(limit_ms)))
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()


def _not_read(connection: Connection, error: psycopg.Error, candidate: Candidate) -> Inclusion:
    """A table that may not be read, or takes too long, tells nothing; a lost connection ends the work."""
    if connection.closed:
        with plainly(f"asking the rows of {candidate.id}", reading=True):
            raise error
    return Inclusion(rows=0, orphans=0, keys=0, exact=False, note=f"the rows were not asked: {plain_line(error)}")
