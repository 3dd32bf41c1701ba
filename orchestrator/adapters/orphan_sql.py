"""The SQL that counts and shows orphans: the condition that a key would judge by, and each method's way to its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.core.catalog import Catalog, Table
from orchestrator.core.contract import Relation
from orchestrator.core.counting import Method

# Kinds of plan that a method is not. What the server would rather take is what it takes without these.
AVOIDED: Mapping[Method, frozenset[str]] = {
    "loose index scan": frozenset({"seqscan", "bitmapscan", "sort"}),
    "merge anti-join": frozenset({"hashjoin", "nestloop", "sort"}),
    # An index-only scan of pages that are not all-visible looks at each row's page, in the order of the index.
    "hash anti-join": frozenset({"mergejoin", "indexonlyscan"}),
}
DEFAULTS = "; ".join(f"set local enable_{each} = default" for each in sorted(frozenset().union(*AVOIDED.values())))

# Compiling never paid for a join and a count; a hash table that fits into memory does.
SESSION = (
    "set jit = off; select set_config('work_mem', '32MB', false)"
    " where pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('32MB')"
)


def settings(method: Method, *, parallel: bool = False) -> str:
    """Statements for the rest of a transaction that leave the server the method that was decided on."""
    avoided = [f"set local enable_{each} = off" for each in sorted(AVOIDED[method])]
    return "; ".join(avoided if parallel else [*avoided, "set local max_parallel_workers_per_gather = 0"])


# Each value of the index is found by the one before it; the row number bounds the walk, because there may be far more
# values than anybody knew. NULL is never greater than anything, so it is never found.
WALK = """
WITH RECURSIVE jump (value, number) AS (
    (SELECT {column}, 1 FROM {child} WHERE {column} IS NOT NULL ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT step.value, jump.number + 1 FROM jump CROSS JOIN LATERAL (
        SELECT {column} AS value FROM {child} WHERE {column} > jump.value ORDER BY {column} LIMIT 1
    ) AS step WHERE jump.number <= {jumps}
), lost AS (
    SELECT value FROM jump WHERE NOT EXISTS (SELECT FROM {parent} WHERE {key} = jump.value)
)
"""

COUNTED = """{walk}
SELECT CASE WHEN (SELECT count(*) FROM jump) <= {jumps} THEN coalesce((
    SELECT sum(found.rows) FROM lost CROSS JOIN LATERAL (
        SELECT count(*) AS rows FROM {child} WHERE {column} = lost.value) AS found), 0)::bigint END AS orphans
"""

SHOWN = """{walk}
SELECT {shown} FROM lost CROSS JOIN LATERAL (
    SELECT * FROM {child} WHERE {column} = lost.value LIMIT {limit}) AS child LIMIT {limit}
"""


def orphan_condition(relation: Relation, catalog: Catalog) -> sql.Composed:
    """FROM and WHERE that pick the orphans, as the key itself would judge them.

    A key does not see tables that inherit, so ONLY, but does see partitions.
    """
    return sql.SQL("{} AS child WHERE {}").format(source(relation.table, catalog), refers_to_nothing(relation, catalog))


def refers_to_nothing(relation: Relation, catalog: Catalog) -> sql.Composed:
    """The condition that a row `child` refers to nothing.

    MATCH SIMPLE lets a row pass when any column is NULL; MATCH FULL only when all are.
    """
    some, whole, lonely = _parts(relation, catalog)
    if _full(relation):
        return sql.SQL("({}) AND (NOT ({}) OR {})").format(some, whole, lonely)
    return sql.SQL("{} AND {}").format(whole, lonely)


def counted(relation: Relation, catalog: Catalog) -> sql.Composed:
    """The count by an anti-join.

    An OR keeps the server from joining, so rows that are NULL in part, which MATCH FULL refuses, are counted apart.
    """
    some, whole, lonely = _parts(relation, catalog)
    child = source(relation.table, catalog)
    count = sql.SQL("(SELECT count(*) FROM {} AS child WHERE {})").format(
        child, sql.SQL("{} AND {}").format(whole, lonely)
    )
    if _full(relation):
        partly = sql.SQL("({}) AND NOT ({})").format(some, whole)
        count = sql.SQL("{} + (SELECT count(*) FROM {} AS child WHERE {})").format(count, child, partly)
    return sql.SQL("SELECT {} AS orphans").format(count)


def listed(relation: Relation, catalog: Catalog) -> sql.Composed:
    """The query that shows all orphans to a person."""
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(map(child_column, _shown_columns(relation, catalog.tables[relation.table]))),
        orphan_condition(relation, catalog),
    )


def sampled(relation: Relation, catalog: Catalog, limit: int) -> sql.Composed:
    """Some of the orphans, their keys as text.

    A limit makes the server look for a plan that is quick to begin and slow to end; what stands in MATERIALIZED is
    planned for all rows, and still read no further than needed.
    """
    return sql.SQL("WITH lost AS MATERIALIZED (SELECT {} FROM {}) SELECT * FROM lost LIMIT {}").format(
        _as_text(relation, catalog), orphan_condition(relation, catalog), sql.Literal(limit)
    )


def walked(relation: Relation, catalog: Catalog, jumps: int) -> sql.Composed:
    """The count by a loose index scan over the one column; NULL when it gave up after that many jumps."""
    parts = _walk(relation, catalog, jumps)
    return sql.SQL(COUNTED).format(walk=sql.SQL(WALK).format(**parts), **parts)


def sampled_by_walk(relation: Relation, catalog: Catalog, jumps: int, limit: int) -> sql.Composed:
    """Some of the orphans by a loose index scan that came to its end before."""
    parts = _walk(relation, catalog, jumps)
    return sql.SQL(SHOWN).format(
        walk=sql.SQL(WALK).format(**parts), shown=_as_text(relation, catalog), limit=sql.Literal(limit), **parts
    )


def _walk(relation: Relation, catalog: Catalog, jumps: int) -> dict[str, sql.Composable]:
    return {
        "column": sql.SQL("source.{}").format(sql.Identifier(relation.columns[0])),
        "child": sql.SQL("{} AS source").format(source(relation.table, catalog)),
        "parent": sql.SQL("{} AS parent").format(source(relation.referenced, catalog)),
        "key": sql.SQL("parent.{}").format(sql.Identifier(relation.referenced_columns[0])),
        "jumps": sql.Literal(jumps),
    }


def _full(relation: Relation) -> bool:
    return relation.match == "full" and len(relation.columns) > 1


def _parts(relation: Relation, catalog: Catalog) -> tuple[sql.Composed, sql.Composed, sql.Composed]:
    """Conditions: some column is there, all of them are, and no row has them."""
    present = [sql.SQL("{} IS NOT NULL").format(child_column(column)) for column in relation.columns]
    lonely = sql.SQL("NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(
        source(relation.referenced, catalog), sql.SQL(" AND ").join(equalities(relation, catalog))
    )
    return sql.SQL(" OR ").join(present), sql.SQL(" AND ").join(present), lonely


def _as_text(relation: Relation, catalog: Catalog) -> sql.Composed:
    keys = _shown_columns(relation, catalog.tables[relation.table])
    texts = (sql.SQL("{}::text AS {}").format(child_column(key), sql.Identifier(key)) for key in keys)
    return sql.SQL(", ").join(texts)


def _shown_columns(relation: Relation, table: Table) -> tuple[str, ...]:
    """The primary key, by which a person finds the row, and the columns that refer to nothing."""
    primary = next((index for index in table.indexes if index.primary), None)
    keys = tuple(column for column in primary.columns if column) if primary else ()
    return (*keys, *(column for column in relation.columns if column not in keys))


def equalities(
    relation: Relation, catalog: Catalog, *, referencing: str = "child", referenced: str = "parent"
) -> Iterator[sql.Composable]:
    """The key's comparisons, column by column, between rows under these names."""
    table, parent = catalog.tables[relation.table], catalog.tables[relation.referenced]
    for mine, theirs in zip(relation.columns, relation.referenced_columns, strict=True):
        child, key = table.column(mine), parent.column(theirs)
        # The key's own collation decides, as in the check that the server makes.
        collate: sql.Composable = sql.SQL("")
        if child and key and child.collation and key.collation and child.collation != key.collation:
            collate = sql.SQL(" COLLATE {}").format(sql.Identifier(*key.collation.split(".", 1)))
        yield sql.SQL("{} = {}{}").format(
            sql.Identifier(referenced, theirs), sql.Identifier(referencing, mine), collate
        )


def source(name: Any, catalog: Catalog) -> sql.Composed:
    """A table as a key sees it."""
    partitioned = catalog.tables[name].kind == "partitioned"
    return sql.SQL("{}" if partitioned else "ONLY {}").format(qualified(name))


def child_column(column: str) -> sql.Composed:
    """A column of the referencing table."""
    return sql.SQL("child.{}").format(sql.Identifier(column))
