"""Following a link: from what a row is bound to, to a parent that agrees with it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.seeding.shape import Link
from orchestrator.core.seeding.sketch import Attribute, Sketch

Bound = dict[Attribute, int]
"""What a row is bound to so far: attribute to row number at its origin, -1 for NULL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A table's rows: how many, and per attribute the row numbers. `ordinals` count the children of one parent."""

    rows: int
    bound: Mapping[Attribute, array[int]]
    ordinals: array[int] | None
    drawn: Mapping[str, array[int]]


class Way:
    """A link, made ready for following: the parent's rows and arrays, and an index of them per question."""

    def __init__(self, link: Link, sketch: Sketch, parent: Chosen, above: Sketch) -> None:
        self.link, self.rows = link, parent.rows
        self.optional = not link.required
        self.pairs = [
            (sketch.own[mine], parent.bound[above.own[theirs]] if theirs in above.own else None)
            for mine, theirs in link.pairs
        ]
        pointed = {attribute for attribute, _ in self.pairs}
        self.passed = [
            (each, values) for each, values in parent.bound.items() if each in above.kept and each not in pointed
        ]
        self.owned = frozenset(sketch.own.values())
        self.nullable = frozenset(each for column, each in sketch.own.items() if column not in sketch.not_null)
        self.strict = True
        self._found: dict[tuple[Attribute, ...], dict[tuple[int, ...], array[int]]] = {}

    @property
    def settled_by(self) -> list[Attribute]:
        """The linked columns: once they are bound, nothing is left to choose."""
        return [attribute for attribute, _ in self.pairs]

    def take(self, bound: Bound, luck: float) -> bool:
        """Choose a parent that agrees with what the row is bound to; False when there is none."""
        known = [bound.get(attribute) for attribute, _ in self.pairs]
        if -1 in known:
            return True
        plain = (v for v, (_, values) in zip(known, self.pairs, strict=True) if values is None and v is not None)
        number = next(plain, None)
        if number is None:
            number = self._pick(bound, luck)
        if number is None or number >= self.rows:
            return False
        return self.bind(bound, number)

    def bind(self, bound: Bound, number: int) -> bool:
        """Bind the row to this parent and to what that is bound to."""
        for attribute, values in self.pairs:
            value = number if values is None else values[number]
            if bound.setdefault(attribute, value) != value or value < 0:
                return False
        for attribute, values in self.passed:
            value = values[number]
            if value >= 0 or attribute in self.nullable:
                bound.setdefault(attribute, value)
        return True

    def _pick(self, bound: Bound, luck: float) -> int | None:
        asked = [(each, values) for each, values in self.pairs if values is not None and each in bound]
        asked += [x for x in self.passed if x[0] in bound and (self.strict or x[0] in self.owned)]
        if not asked:
            return int(self.rows * luck) if self.rows else None
        question = tuple(each for each, _ in asked)
        index = self._found.get(question)
        if index is None:
            index = self._found[question] = _grouped([values for _, values in asked])
        found = index.get(tuple([bound[each] for each in question]))
        if found is None and not self.strict:
            # A parent that is bound to nothing disagrees with nobody.
            pointed = self.settled_by
            found = index.get(tuple(bound[each] if each in pointed else -1 for each in question))
        return found[int(len(found) * luck)] if found else None


def _grouped(columns: Sequence[array[int]]) -> dict[tuple[int, ...], array[int]]:
    groups: dict[tuple[int, ...], array[int]] = {}
    for number, key in enumerate(zip(*columns, strict=True)):
        group = groups.get(key)
        if group is None:
            group = groups[key] = array("i")
        group.append(number)
    return groups
