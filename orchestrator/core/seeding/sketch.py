"""One table as it will be filled: its links in the order of choosing, its fields, and how its keys stay unique."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.catalog import Table, TableName
from orchestrator.core.outcome import Refused
from orchestrator.core.seeding.columns import Field
from orchestrator.core.seeding.fields import Kinds, fields_of
from orchestrator.core.seeding.keys import Carrier, Known, Plan, Rule, plan_keys
from orchestrator.core.seeding.proportions import Order
from orchestrator.core.seeding.shape import Link, Origin, Shape

Attribute = int
"""A linked column's name and origin, as a number: two rows agree on it when they name the same row there."""

Attributes = dict[TableName, frozenset[Attribute]]
Owners = Mapping[TableName, Mapping[str, Attribute]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What is decided about a table before its rows are.

    `driving` is the link along which rows are laid out, children of one parent together; `links` are the others,
    deepest parent first. `own` are its linked columns, `kept` what its children will ask of its rows.
    """

    table: Table
    wanted: int
    driving: Link | None
    links: tuple[Link, ...]
    circles: tuple[Link, ...]
    cut: tuple[Link, ...]
    own: Mapping[str, Attribute]
    kept: frozenset[Attribute]
    not_null: frozenset[str]
    fields: Mapping[str, Field]
    carriers: Mapping[str, Carrier]
    rules: tuple[Rule, ...]
    differing: tuple[tuple[str, str], ...]
    most_per_parent: int | None
    most: int | None
    sometimes_null: frozenset[str]

    @property
    def name(self) -> TableName:
        """The table's name."""
        return self.table.name


def sketch_all(shape: Shape, order: Order, wanted: Mapping[TableName, int], kinds: Kinds) -> tuple[Sketch, ...]:
    """Every table's sketch, parents first. Raises Refused for a constraint or type that cannot be satisfied."""
    numbers: dict[tuple[str, Origin], Attribute] = {}
    own = {name: _own(shape, name, numbers) for name in order.tables}
    carried = _carried(shape, order, own)
    kept = _kept(shape, order, own, carried)
    ties = _Ties(shape=shape, order=order, wanted=wanted, own=own, carried=carried, kept=kept)
    return tuple(_sketch(ties, name, kinds) for name in order.tables)


def _own(shape: Shape, name: TableName, numbers: dict[tuple[str, Origin], Attribute]) -> dict[str, Attribute]:
    columns = dict.fromkeys(column for link in shape.of(name) for column in link.columns)
    return {column: numbers.setdefault((column, shape.origin(name, column)), len(numbers)) for column in columns}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ties:
    """What is known of all tables together."""

    shape: Shape
    order: Order
    wanted: Mapping[TableName, int]
    own: Owners
    carried: Attributes
    kept: Attributes


def _followed(shape: Shape, order: Order, name: TableName) -> tuple[Link, ...]:
    return tuple(link for link in shape.of(name) if not link.to_itself and link not in order.cut)


def _carried(shape: Shape, order: Order, own: Owners) -> Attributes:
    """What a row is tied to: by its own columns, and through the parents that it cannot be without."""
    carried: Attributes = {}
    for name in order.tables:
        through = [carried[link.parent] for link in _followed(shape, order, name) if link.required]
        carried[name] = frozenset(own[name].values()).union(*through)
    return carried


def _kept(shape: Shape, order: Order, own: Owners, carried: Attributes) -> Attributes:
    """The part of it that some child can disagree with; the rest need not be remembered."""
    asked: dict[TableName, set[Attribute]] = {name: set() for name in order.tables}
    for name in reversed(order.tables):
        links = _followed(shape, order, name)
        for link in links:
            others = [carried[other.parent] for other in links if other is not link]
            asked[link.parent] |= set(own[name].values()).union(asked[name], *others)
            asked[link.parent] |= {own[link.parent][c] for c in link.parent_columns if c in own[link.parent]}
    return {name: carried[name] & asked[name] for name in order.tables}


def _driving(links: tuple[Link, ...], order: Order, carried: Attributes) -> Link | None:
    """The link to lay rows out by: one that must be there, to the deepest parent, which settles most."""
    return max(
        links,
        key=lambda link: (link.required, order.levels[link.parent], len(carried[link.parent])),
        default=None,
    )


def _sketch(ties: _Ties, name: TableName, kinds: Kinds) -> Sketch:
    shape, order, own = ties.shape, ties.order, ties.own[name]
    table, links = shape.tables[name], _followed(shape, order, name)
    driving = _driving(links, order, ties.carried)
    fields, differing = fields_of(shape, name, kinds)
    plan = plan_keys(table, _known(ties, name, driving, fields))
    rest = [link for link in links if link is not driving]
    rest.sort(key=lambda link: (-order.levels[link.parent], not link.required))
    return Sketch(
        table=table,
        wanted=ties.wanted[name],
        driving=driving,
        links=tuple(rest),
        circles=tuple(link for link in shape.of(name) if link.to_itself),
        cut=_cut(shape, order, name),
        own=own,
        kept=ties.kept[name],
        not_null=frozenset(column.name for column in table.columns if column.not_null and column.name in own),
        fields=fields,
        carriers=plan.carriers,
        rules=plan.rules,
        differing=tuple(pair for pair in differing if set(pair) <= set(own)),
        most_per_parent=plan.most_per_parent,
        most=plan.most,
        sometimes_null=_sometimes_null(ties, name, links, plan),
    )


def _known(ties: _Ties, name: TableName, driving: Link | None, fields: Mapping[str, Field]) -> Known:
    columns = frozenset(driving.columns) if driving else frozenset[str]()
    carried = ties.carried[driving.parent] if driving else frozenset[Attribute]()
    linked = {
        column: None if column in columns or each in carried else ties.wanted.get(ties.shape.origin(name, column)[0], 1)
        for column, each in ties.own[name].items()
    }
    return Known(
        fields=fields,
        linked=linked,
        driving=columns,
        referenced=ties.shape.referenced(name),
        wanted=ties.wanted[name],
    )


def _cut(shape: Shape, order: Order, name: TableName) -> tuple[Link, ...]:
    cut = tuple(link for link in shape.of(name) if link in order.cut)
    for link in cut:
        if link.required and any(shape.is_linked(link.parent, column) for column in link.parent_columns):
            message = f"{name} and {link.parent} need rows of one another first: they cannot be filled"
            raise Refused(message)
    return cut


def _sometimes_null(ties: _Ties, name: TableName, links: tuple[Link, ...], plan: Plan) -> frozenset[str]:
    """Columns that may be NULL although every parent that has them has a value: rows that hold for all."""
    tables, found = ties.shape.tables, set[str]()
    fixed = {*plan.nulls_equal, *ties.shape.referenced(name)}
    for column, attribute in ties.own[name].items():
        parents = [tables[link.parent] for link in links if attribute in ties.own[link.parent].values()]
        held = [own for parent in parents if (own := parent.column(column))]
        mine = tables[name].column(column)
        nullable = mine is not None and not mine.not_null and column not in fixed
        if nullable and held and all(each.not_null for each in held):
            found.add(column)
    return frozenset(found)
