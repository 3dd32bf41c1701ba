"""What a source of keys and a contract make of one another: which lines are new, which change, which stand alone.

A source decides what a key is; people decide what becomes of it. Priorities and deferrals are never taken from a source
but for a line that is new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.core.contract import Contract, Relation

WHOLE: Final = ("on_delete", "on_update", "deferrable", "match", "on_delete_columns", "name")
"""What a key is beside its columns, by the names that the contract's lines have for it."""

Line = tuple[str, object, object]
"""A key of a line, what it says now, and what the source says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A key of the source that is not taken as it is, and why."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The keys a source knows of.

    `speaks_of` names what it decides about a key: a Prisma schema has no word for DEFERRABLE, so a line that says it is
    not contradicted. Relations of which `wanted` is false only bring lines up to date that stand already.
    """

    name: str
    relations: tuple[Relation, ...]
    speaks_of: tuple[str, ...] = WHOLE
    left_out: tuple[LeftOut, ...] = ()
    wanted: Callable[[Relation], bool] = field(default=lambda _: True, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A line of the contract by its place, the relation it had, the source's key, and what differs."""

    position: int
    relation: Relation
    key: Relation
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractUpdate:
    """What a source does to a contract.

    `alone` are lines that the source does not know, `doubted` those that it would defer and people do not.
    """

    added: tuple[Relation, ...] = ()
    changed: tuple[Changed, ...] = ()
    unchanged: tuple[Relation, ...] = ()
    alone: tuple[Relation, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    doubted: tuple[LeftOut, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether the file has to be written."""
        return bool(self.added or self.changed)


def update_of(contract: Contract, source: Source) -> ContractUpdate:
    """The source's keys laid beside the contract's lines."""
    keys, doubles = _each_link_once(source.relations)
    pairs = _pairs(contract.relations, keys)
    changed, unchanged = list[Changed](), list[Relation]()
    for position, relation in enumerate(contract.relations):
        if position not in pairs:
            continue
        key = keys[pairs[position]]
        lines = tuple(_differing(relation, key, source.speaks_of))
        if lines:
            changed.append(Changed(position=position, relation=relation, key=key, lines=lines))
        else:
            unchanged.append(relation)
    known = set(pairs.values())
    doubts = ((contract.relations[line], keys[key].deferred) for line, key in sorted(pairs.items()))
    return ContractUpdate(
        added=tuple(key for number, key in enumerate(keys) if number not in known and source.wanted(key)),
        changed=tuple(changed),
        unchanged=tuple(unchanged),
        alone=tuple(each for position, each in enumerate(contract.relations) if position not in pairs),
        left_out=(*source.left_out, *doubles),
        doubted=tuple(LeftOut(key=each.id, reason=why) for each, why in doubts if why and each.deferred is None),
    )


def _each_link_once(keys: Iterable[Relation]) -> tuple[tuple[Relation, ...], tuple[LeftOut, ...]]:
    """A contract has one line for the same columns and the same target: the first key under any name is taken."""
    first: dict[Hashable, Relation] = {}
    doubles: list[LeftOut] = []
    for key in keys:
        link = _link(key)
        if link in first:
            doubles.append(LeftOut(key=f"{key.id} as {key.name}", reason=f"{first[link].name} is the same key"))
        first.setdefault(link, key)
    return tuple(first.values()), tuple(doubles)


def _pairs(lines: tuple[Relation, ...], keys: tuple[Relation, ...]) -> Mapping[int, int]:
    """Which line is which key: by what it ties; else by its name; else by its columns, where they name one of each."""
    found: dict[int, int] = {}
    for mark in (_link, _name, _columns):
        mine = _by(mark, {number: each for number, each in enumerate(lines) if number not in found})
        taken = set(found.values())
        theirs = _by(mark, {number: each for number, each in enumerate(keys) if number not in taken})
        for value, positions in mine.items():
            if len(positions) == len(theirs.get(value, ())) == 1:
                found[positions[0]] = theirs[value][0]
    return found


def _by(mark: Callable[[Relation], Hashable], relations: Mapping[int, Relation]) -> Mapping[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = defaultdict(list)
    for number, each in relations.items():
        found[mark(each)].append(number)
    return found


def _link(relation: Relation) -> Hashable:
    return relation.table, relation.referenced, relation.pairs


def _name(relation: Relation) -> Hashable:
    return relation.table, relation.name


def _columns(relation: Relation) -> Hashable:
    return relation.table, frozenset(relation.columns)


def _differing(line: Relation, key: Relation, speaks_of: tuple[str, ...]) -> Iterator[Line]:
    if _link(line) != _link(key):
        # Columns that are only in another order mean another pairing, so both sides are told.
        if line.columns != key.columns:
            yield "columns", line.columns, key.columns
        if line.target != key.target:
            yield "references", line.target, key.target
    for name in WHOLE:
        now, then = getattr(line, name), getattr(key, name)
        same = set(now) == set(then) if name == "on_delete_columns" else now == then
        if name in speaks_of and not same:
            yield name, now, then
