"""Indexes on referencing columns: which are lacking, what those are called that the plan builds, and which one is ours.

Without one, deleting a referenced row reads the whole referencing table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Protocol

from orchestrator.core.catalog import Catalog, Index, TableName
from orchestrator.core.contract import Relation, index_name
from orchestrator.core.locks import Lock
from orchestrator.core.plan import (
    NO_INDEX,
    NOT_VALID_ON_PARTITIONED_SINCE,
    RANK,
    VALIDATE_LOCK_TIMEOUT_MS,
    Plan,
    Proof,
    Statement,
    plan_digest,
)


class IndexWriter(Protocol):
    """Writes statements with every identifier quoted."""

    def index(self, table: TableName, name: str, columns: tuple[str, ...]) -> str:
        """CREATE INDEX CONCURRENTLY."""

    def drop_index(self, table: TableName, name: str) -> str:
        """DROP INDEX CONCURRENTLY; the index is in its table's schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LackingIndex:
    """Columns of a table that no index leads with. `relation` is served by it, `taken` tells what has its name."""

    table: TableName
    columns: tuple[str, ...]
    relation: str
    taken: str = ""

    @property
    def name(self) -> str:
        """What the index is called."""
        return index_name(self.table.name, self.columns)


def without_index(relation: Relation, catalog: Catalog) -> Iterator[TableName]:
    """The table, or those of its partitions, whose rows cannot be looked up by the referencing columns."""
    table = catalog.tables[relation.table]
    if any(index.supports(relation.columns) for index in table.indexes):
        return
    if table.kind != "partitioned":
        yield relation.table
        return
    # A row is looked up in each partition: the partitioned table's own index holds nothing.
    for leaf in catalog.leaves(relation.table):
        part = catalog.tables[leaf]
        if part.kind == "table" and not any(index.supports(relation.columns) for index in part.indexes):
            yield leaf


def with_indexes(plan: Plan, catalog: Catalog, writer: IndexWriter) -> Plan:
    """The plan with the indexes that its relations lack, before the keys: validating and deleting profit from them."""
    relations = [each for each in plan.relations if each.status in {"missing", "present"}]
    ordered = sorted((each.relation for each in relations), key=lambda each: RANK[each.priority])
    lacking = tuple(lacking_indexes(ordered, catalog))
    built = tuple(_statement(each, catalog, writer) for each in lacking if not each.taken)
    taken = {each.relation: each.taken for each in lacking if each.taken}
    served = frozenset(_served_ids(ordered, catalog)) - taken.keys()
    keys = (_told(each, served, taken) for each in plan.statements)
    statements = (*built, *keys)
    return replace(plan, statements=statements, digest=plan_digest(plan.relations, statements))


def lacking_indexes(relations: Sequence[Relation], catalog: Catalog) -> Iterator[LackingIndex]:
    """The indexes to be built, each once: one that leads with the columns of another relation serves that, too."""
    names = _Names(catalog=catalog)
    found: dict[TableName, list[Index]] = {}
    # The widest first: an index on two columns serves the relation of its first one.
    for relation in sorted(relations, key=lambda each: -len(each.columns)):
        for table in without_index(relation, catalog):
            planned = found.setdefault(table, [])
            if any(index.supports(relation.columns) for index in planned):
                continue
            served = _served(relation, table, catalog)
            lacking = LackingIndex(table=table, columns=relation.columns, relation=served)
            yield replace(lacking, taken=names.taken(lacking))
            planned.append(Index(name=lacking.name, columns=relation.columns, operator_classes=(), definition=""))


def _served(relation: Relation, table: TableName, catalog: Catalog) -> str:
    """The relation whose ADD follows: before PostgreSQL 18 each partition gets a key of its own first."""
    parts = catalog.major < NOT_VALID_ON_PARTITIONED_SINCE
    return replace(relation, table=table).id if parts else relation.id


def is_ours(definition: str, columns: tuple[str, ...], wanted: str = "") -> bool:
    """Whether an index, as pg_get_indexdef prints it, is the plain one that the plan would build on these columns.

    With `wanted` it has to be that very one.
    """
    if wanted:
        return definition == wanted
    spelled = ", ".join("(?:" + "|".join(map(re.escape, spellings(each))) + ")" for each in columns)
    return re.search(rf"^CREATE INDEX .* USING btree \({spelled}\)$", definition, re.DOTALL) is not None


def spellings(name: str) -> tuple[str, str]:
    """How the server may print a name: as it is, or quoted."""
    return name, '"' + name.replace('"', '""') + '"'


@dataclass(slots=True, kw_only=True)
class _Names:
    """Names of tables and indexes share one space in each schema; those that are planned count, too."""

    catalog: Catalog
    _known: dict[TableName, tuple[str, Index | None]] = field(default_factory=dict)

    def taken(self, lacking: LackingIndex) -> str:
        """What has the name, in words; empty when it is free, or has only what an interrupted build of it left."""
        if not self._known:
            self._known = dict(self._all())
        name = TableName(schema=lacking.table.schema, name=lacking.name)
        what, index = self._known.get(name, ("", None))
        self._known[name] = (f"an index planned on {lacking.table}", None)
        if index is not None and leftover(index, lacking.columns) and what == str(lacking.table):
            return ""
        return f"{name.name} is the name of {f'an index of {what}' if index else what}" if what else ""

    def _all(self) -> Iterator[tuple[TableName, tuple[str, Index | None]]]:
        for name, table in self.catalog.tables.items():
            yield name, (f"a {table.kind}" if table.kind in {"view", "materialized view"} else "a table", None)
            for index in table.indexes:
                yield TableName(schema=name.schema, name=index.name), (str(name), index)


def leftover(index: Index, columns: tuple[str, ...]) -> bool:
    """Whether it is what an interrupted build leaves: invalid, and otherwise the one that the plan would build."""
    return not index.valid and is_ours(index.definition, columns)


def repaired(plan: Plan) -> frozenset[tuple[TableName, str]]:
    """Table and name of the indexes that the plan builds: an invalid one that stands there is dropped before."""
    return frozenset((each.proof.table, each.proof.constraint) for each in plan.statements if each.kind == "index")


def gone_leftovers(statements: Iterable[Statement]) -> tuple[str, ...]:
    """How the lines of a recorded catalog's difference begin that tell of a leftover's repair."""
    return tuple(
        f"gone: {beginning}" for each in statements if each.kind == "index" for beginning in index_lines(each.proof)
    )


def index_lines(proof: Proof) -> Iterator[str]:
    """How the line of a recorded catalog begins that tells of this index."""
    for name in spellings(proof.constraint):
        for words in ("CREATE INDEX", "CREATE UNIQUE INDEX"):
            yield f"{proof.table}: index {words} {name} ON "


def _served_ids(relations: Iterable[Relation], catalog: Catalog) -> Iterator[str]:
    """The relations by the names that statements know them by: those on partitions, too."""
    for each in relations:
        yield from (replace(each, table=table).id for table in catalog.family(each.table))


def _told(statement: Statement, served: AbstractSet[str], taken: Mapping[str, str]) -> Statement:
    """The hazards of a key once it is known that an index comes before it, or why none does."""
    kept = tuple(each for each in statement.hazards if not each.startswith(NO_INDEX))
    if len(kept) == len(statement.hazards):
        return statement
    if statement.relation in served:
        return replace(statement, hazards=kept)
    if statement.relation in taken:
        return replace(statement, hazards=(*statement.hazards, f"no index is built: {taken[statement.relation]}"))
    return statement


def _statement(lacking: LackingIndex, catalog: Catalog, writer: IndexWriter) -> Statement:
    locks = (Lock(table=lacking.table, mode="SHARE UPDATE EXCLUSIVE"),)
    return Statement(
        id=f"index:{lacking.table}.{lacking.name}",
        kind="index",
        relation=lacking.relation,
        sql=writer.index(lacking.table, lacking.name, lacking.columns),
        undo=(writer.drop_index(lacking.table, lacking.name),),
        restore=(),
        proof=Proof(table=lacking.table, constraint=lacking.name, state="valid", columns=lacking.columns),
        locks=locks,
        undo_locks=locks,
        lock_timeout_ms=VALIDATE_LOCK_TIMEOUT_MS,
        statement_timeout_ms=0,
        hazards=tuple(_hazards(lacking, catalog)),
    )


def _hazards(lacking: LackingIndex, catalog: Catalog) -> Iterator[str]:
    yield f"reads {lacking.table} twice, and waits for every transaction that is older; nobody waits for it"
    yield "cannot run in a transaction: when it is interrupted an invalid index stays, which is dropped and built again"
    if catalog.tables[lacking.table].partition_of:
        yield "partitions that are made later do not get it"
