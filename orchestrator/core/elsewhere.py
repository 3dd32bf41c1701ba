"""What the remediation of one relation does to another that shares a column with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.matching import match
from orchestrator.core.nouns import counted

ACCEPT = "accept-new-orphans"
"""The option by which a person wants what happens elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Rows of another relation, among those that are touched.

    `orphans` were none before and are now; `unheld` referred to a row that is there and refer to nothing any more,
    because a column of theirs is NULL.
    """

    relation: str
    orphans: int
    unheld: int

    def told(self, *, would: bool) -> str:
        """One line."""
        parts = []
        if self.orphans:
            rows = counted(self.orphans, "new orphan")
            parts.append(f"{self.relation} {'would have' if would else 'has'} {rows}")
        if self.unheld:
            rows = counted(self.unheld, "row")
            parts.append(f"{self.relation} {'would hold' if would else 'holds'} {rows} no longer")
        return "; ".join(parts)


def grown(found: Iterable[Elsewhere]) -> int:
    """New orphans of all other relations."""
    return sum(each.orphans for each in found)


def harmed(found: Iterable[Elsewhere]) -> tuple[Elsewhere, ...]:
    """Those to which something happens."""
    return tuple(each for each in found if each.orphans or each.unheld)


def sharing(relation: Relation, contract: Contract, catalog: Catalog) -> Iterator[Relation]:
    """Other relations over a column of this one, each once: of the contract, and keys that stand.

    What a partitioned table promises its partitions keep.
    """
    tables = {relation.table, *ancestors(relation.table, catalog)}
    seen = {(relation.referenced, relation.pairs)}
    for each in (*(replace(each, deferred=None) for each in contract.relations), *standing_keys(catalog)):
        known = (each.referenced, each.pairs)
        if each.table not in tables or known in seen or not set(each.columns) & set(relation.columns):
            continue
        if match(each, catalog).status != "impossible":
            seen.add(known)
            yield replace(each, table=relation.table)


def ancestors(name: TableName, catalog: Catalog) -> Iterator[TableName]:
    """What a table is a partition of, at any height."""
    table = catalog.tables.get(name)
    while table is not None and table.partition_of is not None:
        yield table.partition_of
        table = catalog.tables.get(table.partition_of)


def standing_keys(catalog: Catalog) -> Iterator[Relation]:
    """Keys that stand, as if the contract promised them."""
    for table in catalog.tables.values():
        for key in table.foreign_keys:
            if not key.inherited and key.match != "partial":
                yield Relation(
                    table=table.name,
                    columns=key.columns,
                    referenced=key.referenced,
                    referenced_columns=key.referenced_columns,
                    on_delete=key.on_delete,
                    on_update=key.on_update,
                    match=key.match,
                    name=key.name,
                )
