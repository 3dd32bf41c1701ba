"""The keys that a catalog has, as relations of a contract, beside those of another catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.core.catalog import Catalog, ForeignKey, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.contract_update import LeftOut
from orchestrator.core.matching import match


def keys_of(catalog: Catalog, *, where: str) -> tuple[tuple[Relation, ...], tuple[LeftOut, ...]]:
    """Every key as a relation, by table and name; beside them those that a contract has no words for.

    What a partition has from its table comes with the table's own key and is no relation.
    """
    found: list[Relation] = []
    left_out: list[LeftOut] = []
    for name, table in sorted(catalog.tables.items()):
        for key in table.foreign_keys:
            if key.inherited:
                continue
            reason = _unspeakable(key)
            if reason:
                left_out.append(LeftOut(key=f"{name}: {key.name}", reason=reason))
            else:
                found.append(_relation(name, key, where))
    return tuple(found), tuple(left_out)


def lacking(relations: tuple[Relation, ...], catalog: Catalog, *, where: str) -> Iterator[Relation]:
    """Those that the catalog does not have; what stands there otherwise is deferred, and says what it is."""
    for relation in relations:
        found = match(replace(relation, deferred=None), catalog)
        if found.status == "different":
            yield replace(relation, deferred=f"{where} has it otherwise: {found.reason}")
        elif found.status != "present":
            yield relation


def _unspeakable(key: ForeignKey) -> str | None:
    if key.period:
        return "a PERIOD key, which a contract has no words for"
    return "MATCH PARTIAL, which a contract has no words for" if key.match == "partial" else None


def _relation(table: TableName, key: ForeignKey, where: str) -> Relation:
    return Relation(
        table=table,
        columns=key.columns,
        referenced=key.referenced,
        referenced_columns=key.referenced_columns,
        on_delete=key.on_delete,
        on_update=key.on_update,
        match="full" if key.match == "full" else "simple",
        deferrable=key.deferrable,
        name=key.name,
        deferred=None if key.enforced else f"it stands NOT ENFORCED in {where}",
        on_delete_columns=key.on_delete_columns,
    )
