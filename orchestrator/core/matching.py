"""Contract against catalog: the state of each relation.

Every relation gets a status and a reason; none is left out. The rules are PostgreSQL's own for ADD FOREIGN KEY
(ATAddForeignKeyConstraint), asked of the catalog instead of the server, so that nothing has to be tried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.core.catalog import Catalog, Column, ForeignKey, Index, Table, TableName
from orchestrator.core.contract import Contract, Relation

Status = Literal["present", "missing", "different", "deferred", "impossible"]

KIND_WORDS = {"foreign": "foreign table", "view": "view", "materialized view": "materialized view"}
COLLATIONS_COMPARED_SINCE = 18
LEFT_OUT = "not in this run (--only)"
"""Why a run defers what `--only` does not name."""

DELETE_COLUMNS_SINCE = 15
"""SET NULL and SET DEFAULT on some columns only came with PostgreSQL 15."""


WRITING = frozenset({"set null", "set default"})
"""Actions that write into the referencing columns."""

LASTING = {"permanent": 0, "unlogged": 1, "temporary": 2}
"""A table may refer to one that lasts as long as itself, or longer."""

Matter = Literal["missing", "kind", "unique", "type", "collation", "persistence", "generated", "version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why the server would refuse a key, and which matter it is."""

    matter: Matter
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A relation and what the catalog says of it. `standing` is the key that already ties these columns."""

    relation: Relation
    status: Status
    reason: str = ""
    standing: ForeignKey | None = None
    obstacles: tuple[Obstacle, ...] = ()


def match_all(contract: Contract, catalog: Catalog) -> tuple[Match, ...]:
    """Every relation of the contract with its status, in the contract's order."""
    return tuple(_on_road(match(relation, catalog), contract.road) for relation in contract.relations)


def _on_road(found: Match, road: str) -> Match:
    """Where it was decided against keys, one that is missing is deferred; one that stands stays what it is."""
    if not road or found.status != "missing":
        return found
    return replace(found, status="deferred", reason="; ".join(filter(None, (road, found.reason))))


def match(relation: Relation, catalog: Catalog) -> Match:
    """One relation with its status."""
    if relation.deferred is not None:
        return Match(relation=relation, status="deferred", reason=relation.deferred)
    table, parent = catalog.table(relation.table), catalog.table(relation.referenced)
    missing = (
        *_missing_parts(relation.table, table, relation.columns),
        *_missing_parts(relation.referenced, parent, relation.referenced_columns),
    )
    if missing or table is None or parent is None:
        return _impossible(relation, missing)
    standing = [_judge_standing(relation, key) for key in table.foreign_keys if relation.same_link(key)]
    if standing:
        # One that contradicts the promise counts, whatever else stands beside it.
        return min(standing, key=lambda each: (each.status != "different", each.status != "present", each.reason))
    if relation.name in table.names_taken():
        reason = f"the name {relation.name} is taken by another constraint of {relation.table}"
        return Match(relation=relation, status="different", reason=reason)
    obstacles = tuple(_obstacles(relation, table, parent, catalog))
    if obstacles:
        return _impossible(relation, obstacles)
    on_part = _judge_partitions(relation, catalog) if table.kind == "partitioned" else None
    return on_part or Match(relation=relation, status="missing")


def differing_types(relation: Relation, catalog: Catalog) -> Iterator[str]:
    """Pairs of columns whose types differ, comparable or not; the relation's tables and columns must exist."""
    table, parent = catalog.tables[relation.table], catalog.tables[relation.referenced]
    for mine, theirs in zip(relation.columns, relation.referenced_columns, strict=True):
        child, key = table.column(mine), parent.column(theirs)
        if child and key and child.type_name != key.type_name:
            yield f"{relation.table}.{mine} is {child.type_name}, {relation.target} is {key.type_name}"


def _impossible(relation: Relation, obstacles: tuple[Obstacle, ...]) -> Match:
    reason = "; ".join(each.text for each in obstacles)
    return Match(relation=relation, status="impossible", reason=reason, obstacles=obstacles)


def narrowed(contract: Contract, only: tuple[str, ...]) -> Contract:
    """The contract for one run: what `only` (`critical` or names of tables) leaves out is deferred, and says so."""

    def kept(relation: Relation) -> bool:
        words = {relation.table.name, str(relation.table)}
        return ("critical" in only and relation.priority == "critical") or bool(words & set(only))

    if not only:
        return contract
    return replace(
        contract,
        relations=tuple(
            each if each.deferred is not None or kept(each) else replace(each, deferred=LEFT_OUT)
            for each in contract.relations
        ),
    )


def _judge_standing(relation: Relation, key: ForeignKey) -> Match:
    differences = list(relation.differences(key))
    differences += [] if key.enforced else ["it stands NOT ENFORCED"]
    differences += [] if key.triggers_enabled else ["its triggers are disabled"]
    under = "" if key.name == relation.name else f"stands as {key.name}"
    if differences:
        reason = "; ".join([*([under] if under else []), *differences])
        return Match(relation=relation, status="different", reason=reason, standing=key)
    if not key.validated:
        reason = f"stands NOT VALID as {key.name}"
        return Match(relation=relation, status="missing", reason=reason, standing=key)
    return Match(relation=relation, status="present", reason=under, standing=key)


def _judge_partitions(relation: Relation, catalog: Catalog) -> Match | None:
    """What stands in the way on a partition: the key of the partitioned table comes to stand there too."""
    for leaf in catalog.leaves(relation.table):
        part = match(replace(relation, table=leaf), catalog)
        if part.status in {"different", "impossible"}:
            return replace(part, relation=relation, reason=f"partition {leaf}: {part.reason}", standing=None)
    return None


def _missing_parts(name: TableName, table: Table | None, columns: tuple[str, ...]) -> Iterator[Obstacle]:
    """What one side of a key lacks."""
    if table is None:
        yield Obstacle(matter="missing", text=f"table {name} does not exist")
    elif table.kind not in {"table", "partitioned"}:
        yield Obstacle(matter="kind", text=f"{name} is a {KIND_WORDS[table.kind]}, which cannot have keys")
    else:
        for each in columns:
            if table.column(each) is None:
                yield Obstacle(matter="missing", text=f"column {name}.{each} does not exist")


def _obstacles(relation: Relation, table: Table, parent: Table, catalog: Catalog) -> Iterator[Obstacle]:
    """Why the server would refuse this key."""
    index = parent.referenced_index(relation.referenced_columns)
    if index is None:
        text = f"{relation.target} is no unique key (immediate, valid, not partial)"
        yield Obstacle(matter="unique", text=text)
    else:
        yield from _type_obstacles(relation, table, parent, index, catalog)
    yield from _persistence_obstacles(table, parent)
    yield from _generated_obstacles(relation, table)
    if relation.on_delete_columns and catalog.major < DELETE_COLUMNS_SINCE:
        yield Obstacle(matter="version", text=f"on_delete_columns needs PostgreSQL {DELETE_COLUMNS_SINCE}")


def _type_obstacles(
    relation: Relation, table: Table, parent: Table, index: Index, catalog: Catalog
) -> Iterator[Obstacle]:
    classes = dict(zip(index.columns, index.operator_classes, strict=True))
    for child_name, parent_name in zip(relation.columns, relation.referenced_columns, strict=True):
        child, key = table.column(child_name), parent.column(parent_name)
        if child is None or key is None:
            continue
        if not catalog.can_compare(classes[parent_name], key, child):
            text = f"{child_name} is {child.type_name}, {parent_name} is {key.type_name}"
            yield Obstacle(matter="type", text=f"types cannot be compared: {text}")
        elif _collations_clash(child, key, catalog.major):
            text = f"{child_name} {child.collation}, {parent_name} {key.collation}"
            yield Obstacle(matter="collation", text=f"collations cannot be compared: {text}")


def _collations_clash(child: Column, key: Column, major: int) -> bool:
    """Two collations of which one calls different strings equal: PostgreSQL 18 refuses, earlier ones go wrong.

    18 also refuses a key with a collation against a column whose type has none.
    """
    if child.collation == key.collation:
        return False
    if None in {child.collation, key.collation}:
        return major >= COLLATIONS_COMPARED_SINCE
    return not (child.deterministic and key.deterministic)


def _persistence_obstacles(table: Table, parent: Table) -> Iterator[Obstacle]:
    if LASTING[parent.persistence] > LASTING[table.persistence]:
        text = f"a {table.persistence} table cannot refer to the {parent.persistence} table {parent.name}"
        yield Obstacle(matter="persistence", text=text)


def _generated_obstacles(relation: Relation, table: Table) -> Iterator[Obstacle]:
    for name in relation.columns:
        column = table.column(name)
        if column is None or not column.generated:
            continue
        if column.generated == "virtual":
            yield Obstacle(matter="generated", text=f"{name} is a virtual generated column")
        elif relation.on_delete in WRITING or relation.on_update in {*WRITING, "cascade"}:
            text = f"{name} is generated and cannot be written by ON DELETE or ON UPDATE"
            yield Obstacle(matter="generated", text=text)
