"""The graph that is filled: tables, the links between them, and where the value of a linked column comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from orchestrator.core.catalog import Catalog, ForeignKey, Table, TableName
from orchestrator.core.contract import Contract, Relation, touched
from orchestrator.core.inventory import EnvironmentHead
from orchestrator.core.outcome import Refused

Origin = tuple[TableName, str]
"""The plain column in which the value of a linked column was born, at the end of a chain of links."""

FAMILIES = ({25, 1043, 1042}, {20, 21, 23, 1700}, {1082, 1114, 1184})
"""Object identifiers of types whose values fit into one another: texts, whole numbers, days and instants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A relation to follow. `required`: no column of it may be NULL; `enforced`: the database has it as a key."""

    table: TableName
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    required: bool
    enforced: bool

    @property
    def to_itself(self) -> bool:
        """Whether the table refers to itself."""
        return self.table == self.parent

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Referencing and referenced column."""
        return zip(self.columns, self.parent_columns, strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Tables in the order in which the contract names them, and all links between them."""

    tables: Mapping[TableName, Table]
    links: tuple[Link, ...]
    origins: Mapping[Origin, Origin]

    def of(self, name: TableName) -> tuple[Link, ...]:
        """The links that leave a table."""
        return tuple(link for link in self.links if link.table == name)

    def origin(self, name: TableName, column: str) -> Origin:
        """Where a column's value comes from; the column itself when it is not linked."""
        return self.origins.get((name, column), (name, column))

    def is_linked(self, name: TableName, column: str) -> bool:
        """Whether the column refers to something."""
        return any(column in link.columns for link in self.of(name))

    def referenced(self, name: TableName) -> frozenset[str]:
        """The columns that something refers to."""
        return frozenset(c for link in self.links if link.parent == name for c in link.parent_columns)

    def sharing(self, origin: Origin) -> tuple[Origin, ...]:
        """All columns that hold values of this origin, itself included."""
        return (origin, *(each for each, found in self.origins.items() if found == origin and each != origin))


def refuse_production(environment: EnvironmentHead) -> None:
    """Keep invented rows out of production. Raises Refused."""
    if environment.kind == "production":
        message = f"{environment.name} is production: seed is for staging and scratch"
        raise Refused(message)


def shape_of(contract: Contract, catalog: Catalog) -> Shape:
    """The tables of a contract, those they refer to by existing keys, and all links.

    Raises Refused with the names of tables that do not exist or cannot hold rows of ours.
    """
    tables = _tables(contract, catalog)
    found = {(each.table, each.columns, each.parent): each for each in _standing(tables)}
    for link in _promised(contract, tables):
        found.setdefault((link.table, link.columns, link.parent), link)
    links = tuple(found.values())
    while more := tuple(_implied(links, tables)):
        links = (*links, *more)
    return Shape(tables=tables, links=links, origins=_origins(links))


def _tables(contract: Contract, catalog: Catalog) -> dict[TableName, Table]:
    waiting = list(dict.fromkeys(n for each in contract.relations for n in (each.table, each.referenced)))
    missing = [str(name) for name in touched(contract.relations) if name not in catalog.tables]
    if missing:
        message = f"tables of the contract do not exist: {', '.join(missing)}"
        raise Refused(message)
    tables: dict[TableName, Table] = {}
    while waiting:
        name = waiting.pop(0)
        if name not in tables:
            tables[name] = _fillable(catalog.tables[name])
            waiting += [key.referenced for key in tables[name].foreign_keys if key.referenced in catalog.tables]
    return tables


def _fillable(table: Table) -> Table:
    if table.kind not in ("table", "partitioned"):
        message = f"{table.name} is a {table.kind}: it cannot be filled"
        raise Refused(message)
    if table.partition_of:
        message = f"{table.name} is a partition of {table.partition_of}: it cannot be filled by itself"
        raise Refused(message)
    return table


def _standing(tables: Mapping[TableName, Table]) -> Iterator[Link]:
    for table in tables.values():
        for key in table.foreign_keys:
            if key.referenced in tables:
                yield _link(table, key, enforced=key.enforced)


def _promised(contract: Contract, tables: Mapping[TableName, Table]) -> Iterator[Link]:
    for each in contract.relations:
        table, parent = tables.get(each.table), tables.get(each.referenced)
        if table and parent and _fits(table, each, parent):
            yield _link(table, each, enforced=False)


def _implied(links: tuple[Link, ...], tables: Mapping[TableName, Table]) -> Iterator[Link]:
    """Links that nobody wrote down: a child repeats, under the same name, a column by which its parent refers.

    A document that names its submission and a workspace means the submission's workspace. A column that others
    refer to is a key of its own, whatever its name.
    """
    linked = {(link.table, column) for link in links for column in link.columns}
    linked |= {(link.parent, column) for link in links for column in link.parent_columns}
    for link in links:
        for above in (each for each in links if each.table == link.parent and len(each.columns) == 1):
            column = above.columns[0]
            mine, theirs = tables[link.table].column(column), tables[link.parent].column(column)
            place = (link.table, column)
            if mine and theirs and mine.base_type == theirs.base_type and place not in linked:
                linked.add(place)
                yield replace(above, table=link.table, required=mine.not_null, enforced=False)


def _fits(table: Table, relation: Relation, parent: Table) -> bool:
    """Whether the relation can hold at all; preflight names those that cannot."""
    for mine, theirs in zip(relation.columns, relation.referenced_columns, strict=True):
        one, other = table.column(mine), parent.column(theirs)
        if one is None or other is None:
            return False
        alike = any({one.base_type, other.base_type} <= family for family in FAMILIES)
        if one.base_type != other.base_type and not alike:
            return False
    return True


def _link(table: Table, key: ForeignKey | Relation, *, enforced: bool) -> Link:
    return Link(
        table=table.name,
        columns=key.columns,
        parent=key.referenced,
        parent_columns=key.referenced_columns,
        required=all(found.not_null for name in key.columns if (found := table.column(name))),
        enforced=enforced,
    )


def _origins(links: tuple[Link, ...]) -> dict[Origin, Origin]:
    """Follow each linked column to its end; a column with two ends makes these twins, which share their values."""
    joined: dict[Origin, Origin] = {}
    for link in sorted(links, key=lambda each: (each.to_itself, not each.required)):
        for mine, theirs in link.pairs:
            one, other = _end(joined, (link.table, mine)), _end(joined, (link.parent, theirs))
            if one != other:
                joined[one] = other
    return {each: _end(joined, each) for each in joined}


def _end(joined: Mapping[Origin, Origin], place: Origin) -> Origin:
    while place in joined:
        place = joined[place]
    return place
