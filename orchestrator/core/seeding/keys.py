"""How unique keys stay unique: by a column that carries a number, or by remembering what was used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from orchestrator.core.catalog import Index, Table
from orchestrator.core.seeding.columns import Field
from orchestrator.core.seeding.limits import conditions, mentioned

PLENTY = 1000
"""So many values are enough for a number that counts the children of one parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A column whose value is number // divisor % capacity of its row, of its place under its parent, or drawn."""

    by: Literal["row", "ordinal", "draw"]
    divisor: int = 1
    capacity: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Linked and drawn columns that must not repeat together; `only` where a drawn column has that value.

    `per_parent`: the key holds the driving columns, so that what was used can be forgotten with each parent.
    """

    linked: tuple[str, ...]
    drawn: tuple[str, ...]
    per_parent: bool
    only: tuple[str, int] | None = None
    nulls_equal: bool = False


@dataclass(slots=True, kw_only=True)
class Plan:
    """What all unique keys of a table ask for."""

    carriers: dict[str, Carrier] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    most_per_parent: int | None = None
    most: int | None = None
    nulls_equal: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    linked: tuple[str, ...]
    plain: tuple[str, ...]
    only: tuple[str, int] | None
    nulls_equal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a table's columns before its keys are planned.

    `linked`: how many values a linked column can have, None when the driving parent settles it; `driving`: the
    columns of the driving link; `referenced`: columns that something refers to; `wanted`: rows.
    """

    fields: Mapping[str, Field]
    linked: Mapping[str, int | None]
    driving: frozenset[str]
    referenced: frozenset[str]
    wanted: int


def plan_keys(table: Table, known: Known) -> Plan:
    """Decide for every unique index how it is kept."""
    plan = Plan()
    for each in sorted(_keys(table, known), key=lambda key: (len(key.linked), key.only is not None)):
        _keep(each, plan, known)
    for column in sorted(known.referenced & set(known.fields) - set(plan.carriers)):
        plan.carriers[column] = Carrier(by="row", capacity=known.fields[column].capacity)
    return plan


def narrow(table: Table, linked: Collection[str]) -> bool:
    """Whether a key of linked columns alone limits the rows of a table."""
    return any(x.unique and not x.partial and x.columns and set(x.columns) <= set(linked) for x in table.indexes)


def _keys(table: Table, known: Known) -> Iterator[_Key]:
    fields, linked = known.fields, known.linked
    for index in table.indexes:
        if not index.unique or index.exclusion:
            continue
        columns = _columns(index, table)
        plain = tuple(column for column in columns if column not in linked)
        # A column that the database numbers or leaves NULL keeps the key unique without us.
        if all(column in fields for column in plain):
            yield _Key(
                linked=tuple(column for column in columns if column in linked),
                plain=plain,
                only=_only(index, fields),
                nulls_equal="NULLS NOT DISTINCT" in index.definition,
            )


def _columns(index: Index, table: Table) -> tuple[str, ...]:
    if None not in index.columns:
        return tuple(column for column in index.columns if column is not None)
    keys = index.definition.partition(" USING ")[2].partition(" WHERE ")[0]
    return mentioned(keys, (column.name for column in table.columns))


def _only(index: Index, fields: Mapping[str, Field]) -> tuple[str, int] | None:
    """The value that a partial index is about, when another one can be taken instead."""
    for column, value in conditions(index.definition.partition(" WHERE ")[2]) if index.partial else ():
        options = fields[column].options if column in fields else ()
        if len(options) > 1 and value in options:
            return column, options.index(value)
    return None


def _keep(key: _Key, plan: Plan, known: Known) -> None:
    per_parent = bool(known.driving) and known.driving <= set(key.linked)
    if key.nulls_equal:
        plan.nulls_equal |= frozenset(key.linked)
    if _kept_already(key, plan, known, per_parent=per_parent) or _carried(key, plan, known, per_parent=per_parent):
        return
    room = prod(known.fields[column].capacity for column in key.plain)
    settled = all(known.linked[column] is None for column in key.linked)
    new = not set(key.plain) & set(plan.carriers) and key.only is None
    if new and not key.linked:
        _spread(key.plain, plan, known, "row")
        plan.most = min(plan.most or room, room)
    elif new and per_parent and settled and not set(key.plain) & known.referenced:
        _spread(key.plain, plan, known, "ordinal")
        plan.most_per_parent = min(plan.most_per_parent or room, room)
    else:
        _ruled(key, plan, known, room, per_parent=per_parent)


def _kept_already(key: _Key, plan: Plan, known: Known, *, per_parent: bool) -> bool:
    for column in key.plain:
        carrier = plan.carriers.get(column)
        if carrier and carrier.divisor == 1 and carrier.by == "row" and carrier.capacity >= known.wanted:
            return True
        if carrier and carrier.divisor == 1 and carrier.by == "ordinal" and carrier.capacity >= PLENTY and per_parent:
            return True
    return False


def _carried(key: _Key, plan: Plan, known: Known, *, per_parent: bool) -> bool:
    """Whether one roomy column can carry the key alone."""
    free = {column: known.fields[column] for column in key.plain if column not in plan.carriers}
    for column, each in free.items():
        counts = per_parent and each.counts and column not in known.referenced
        if counts and each.capacity >= min(known.wanted, PLENTY):
            plan.carriers[column] = Carrier(by="ordinal", capacity=each.capacity)
            plan.most_per_parent = min(plan.most_per_parent or each.capacity, each.capacity)
            return True
    roomy = [column for column, each in free.items() if each.capacity >= known.wanted]
    for column in sorted(roomy, key=lambda name: name not in known.referenced)[:1]:
        plan.carriers[column] = Carrier(by="row", capacity=known.fields[column].capacity)
        return True
    return False


def _spread(columns: tuple[str, ...], plan: Plan, known: Known, by: Literal["row", "ordinal"]) -> None:
    """Write one number in several small columns, as its digits."""
    divisor = 1
    for column in columns:
        capacity = known.fields[column].capacity
        plan.carriers[column] = Carrier(by=by, divisor=divisor, capacity=capacity)
        divisor *= capacity


def _ruled(key: _Key, plan: Plan, known: Known, room: int, *, per_parent: bool) -> None:
    """Remember what was used."""
    for column in (*key.plain, *([key.only[0]] if key.only else [])):
        plan.carriers.setdefault(column, Carrier(by="draw", capacity=known.fields[column].capacity))
    rule = Rule(linked=key.linked, drawn=key.plain, per_parent=per_parent, only=key.only, nulls_equal=key.nulls_equal)
    plan.rules += (rule,)
    if per_parent and key.only is None:
        room *= prod(known.linked[column] or 1 for column in key.linked)
        plan.most_per_parent = min(plan.most_per_parent or room, room)
