"""Making a copy like another environment: the contract's keys that it lacks are taken away from the copy first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.matching import match
from orchestrator.core.plan import DdlWriter, Plan


def alike(contract: Contract, *, copy: Catalog, other: Catalog, writer: DdlWriter) -> Iterator[str]:
    """The statements that take from the copy what the other environment lacks.

    Nothing is added but what stands NOT VALID there, and keys of its own that a partition has there.
    """
    for relation in contract.promised:
        theirs = match(relation, other)
        if theirs.status != "missing":
            continue
        yield from _dropped(relation, copy, writer)
        if theirs.standing is not None:
            yield writer.add(replace(relation, name=theirs.standing.name), not_valid=True)
        for part in other.family(relation.table)[1:] if relation.table in copy.tables else ():
            yield from _kept_on_partition(replace(relation, table=part), other, copy, writer)


def unrecorded(mine: Plan, other: Plan) -> Iterator[str]:
    """What takes the row of a migration from the copy that the other environment has yet to get."""
    planned = {each.id for each in mine.statements}
    for each in other.statements:
        if each.kind == "history" and each.id not in planned:
            yield from each.undo


def _dropped(relation: Relation, copy: Catalog, writer: DdlWriter) -> Iterator[str]:
    """What makes the link on the copy, on partitions too; a key that is inherited goes with the table's own."""
    for name in copy.family(relation.table) if relation.table in copy.tables else ():
        for key in copy.tables[name].foreign_keys:
            if relation.same_link(key) and not key.inherited:
                yield writer.drop(name, key.name)


def _kept_on_partition(part: Relation, other: Catalog, copy: Catalog, writer: DdlWriter) -> Iterator[str]:
    """A key of its own that a partition has there."""
    if part.table not in copy.tables:
        return
    for key in other.tables[part.table].foreign_keys:
        if part.same_link(key) and not part.differences(key):
            yield writer.add(replace(part, name=key.name), not_valid=not key.validated)


def plan_differences(mine: Plan, theirs: Plan) -> Iterator[str]:
    """In what two plans differ, by relation, then by statement; nothing when they have one digest."""
    first = {each.relation.id: each.status for each in mine.relations}
    second = {each.relation.id: each.status for each in theirs.relations}
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            yield f"{name} is {first.get(name, 'not there')} on the copy, {second.get(name, 'not there')} there"
    texts = {each.id: (each.sql, each.undo, each.restore) for each in mine.statements}
    others = {each.id: (each.sql, each.undo, each.restore) for each in theirs.statements}
    for name in sorted(texts.keys() & others.keys()):
        if texts[name] != others[name]:
            yield f"{name} has another text or another way back"
    for name in sorted(texts.keys() ^ others.keys()):
        yield f"{name} is planned {'on the copy' if name in texts else 'there'} only"
