"""Which parents each row has: skewed, inside one tenant, and within the unique keys.

Rows are known by their numbers. What is kept of a table is one array of numbers per linked column.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from orchestrator.core.catalog import TableName
from orchestrator.core.seeding.following import Bound, Chosen, Way
from orchestrator.core.seeding.shape import Link
from orchestrator.core.seeding.shares import shares
from orchestrator.core.seeding.sketch import Sketch

NULL_SHARE = 0.15
ROOT_SHARE = 0.4
"""Of the rows of a table that refers to itself, so many have no row above them."""

ATTEMPTS = 24
SCARCE_SHARE = 0.5
"""How often a value is tried that a partial index allows once: most groups shall have their one."""

LOOKS = 4
FAILURES = 2
"""After so many rows in a row that found no free key, a parent counts as full."""

FORWARD = 3
"""A link that closes a circle points at one of the first rows, which exist in any case."""


class _Chooser:
    """Chooses for one table."""

    def __init__(
        self,
        sketch: Sketch,
        sketches: Mapping[TableName, Sketch],
        done: Mapping[TableName, Chosen],
        rng: Random,
    ) -> None:
        self.sketch, self.rng = sketch, rng
        self.driving = self._way(sketch.driving, sketches, done) if sketch.driving else None
        self.ways = [self._way(link, sketches, done) for link in sketch.links]
        self.forward = [
            (sketch.own[mine], sketches[link.parent].wanted)
            for link in sketch.cut
            if link.required
            for mine in link.columns
        ]
        self.remembered = {*sketch.own.values(), *sketch.kept}
        self.bound = {each: array("i") for each in self.remembered}
        draws = [name for name, each in sketch.carriers.items() if each.by == "draw"]
        self.drawn = {name: array("i") for name in draws}
        counting = any(each.by == "ordinal" for each in sketch.carriers.values())
        self.ordinals = array("i") if counting else None
        self.rows = 0
        self.used: list[set[tuple[int, ...]]] = [set() for _ in sketch.rules]
        self.scarce = dict(rule.only for rule in sketch.rules if rule.only is not None)
        self.first = 0
        self.owed = 0
        circular = {mine for link in sketch.circles for mine, theirs in link.pairs if theirs not in sketch.own}
        self.inherited = [each for column, each in sketch.own.items() if column not in circular]

    def _way(self, link: Link, sketches: Mapping[TableName, Sketch], done: Mapping[TableName, Chosen]) -> Way:
        return Way(link, self.sketch, done[link.parent], sketches[link.parent])

    def choose(self) -> Chosen:
        """All rows of the table."""
        limit = self.sketch.wanted if self.sketch.most is None else min(self.sketch.wanted, self.sketch.most)
        for bound, count in self._families(limit):
            self._family(bound, min(count, limit - self.rows))
        bound_by = {each: self.bound[each] for each in self.remembered}
        return Chosen(rows=self.rows, bound=bound_by, ordinals=self.ordinals, drawn=self.drawn)

    def _families(self, limit: int) -> Iterator[tuple[Bound, int]]:
        """Each parent of the driving link with the number of its children; without one, all rows together."""
        if self.driving is None:
            yield {}, limit
            return
        free = int(limit * NULL_SHARE) if self.driving.optional else 0
        parents = self._fit_parents()
        counts = shares(limit - free, len(parents), self.sketch.most_per_parent, self.rng)
        for number, count in zip(parents, counts, strict=True):
            bound: Bound = {}
            if count and self.driving.bind(bound, number):
                yield bound, count
        yield {}, free

    def _fit_parents(self) -> Sequence[int]:
        """The parents under which a row can have all its other parents too, tenants respected at any distance.

        Where there is none, only what both tables have as a column counts.
        """
        assert self.driving is not None
        everyone = range(self.driving.rows)
        if not any(not way.optional for way in self.ways):
            return everyone
        for strict in (True, False):
            for way in self.ways:
                way.strict = strict
            fit = [number for number in everyone if self._fits(number)]
            if fit:
                return fit
        return ()

    def _fits(self, number: int) -> bool:
        assert self.driving is not None
        bound: Bound = {}
        return self.driving.bind(bound, number) and all(way.take(bound, 0.0) for way in self.ways if not way.optional)

    def _family(self, start: Bound, count: int) -> None:
        """The children of one parent."""
        for used, rule in zip(self.used, self.sketch.rules, strict=True):
            if rule.per_parent:
                used.clear()
        self.first = self.rows
        waiting = [way for way in self.ways if not self._settled(way, start)]
        sketch = self.sketch
        if waiting or sketch.rules or self.drawn or sketch.circles or self.forward or sketch.differing:
            self._rows_one_by_one(start, waiting, count)
        else:
            self._alike_rows(start, count)
        if self.ordinals is not None:
            self.ordinals.extend(range(self.rows - len(self.ordinals)))

    def _rows_one_by_one(self, start: Bound, waiting: Sequence[Way], count: int) -> None:
        """What one parent has no room for is owed, and the next ones take more."""
        goal = count + min(count, self.owed)
        if self.sketch.most_per_parent is not None and self.driving is not None:
            goal = max(count, min(goal, self.sketch.most_per_parent))
        first, failures = self.rows, 0
        while self.rows - first < goal and failures < FAILURES:
            failures = 0 if self._row(start, waiting) else failures + 1
        self.owed += count - (self.rows - first)

    def _settled(self, way: Way, start: Bound) -> bool:
        """Whether the driving parent has decided this link; then it is followed once for all its children."""
        return all(each in start for each in way.settled_by) and way.take(start, 0.0)

    def _alike_rows(self, bound: Bound, count: int) -> None:
        if any(bound.get(self.sketch.own[column], -1) < 0 for column in self.sketch.not_null):
            return
        for attribute, values in self.bound.items():
            values.extend(array("i", [bound.get(attribute, -1)]) * count)
        self.rows += count

    def _row(self, start: Bound, waiting: Sequence[Way]) -> bool:
        """One row, tried with ever less skew until its keys are free; left out when they never are."""
        for attempt in range(ATTEMPTS):
            bound = start.copy()
            power = 3 if attempt < ATTEMPTS // 3 else 1
            if not self._tied(bound, waiting, power):
                continue
            drawn = {name: self._draw(name, power) for name in self.drawn}
            keys = self._keys(bound, drawn)
            if keys is not None:
                self._add(bound, drawn, keys)
                return True
        return False

    def _draw(self, name: str, power: int) -> int:
        if name in self.scarce and self.rng.random() < SCARCE_SHARE:
            return self.scarce[name]
        return int(self.sketch.carriers[name].capacity * self.rng.random() ** min(power, 2))

    def _tied(self, bound: Bound, waiting: Sequence[Way], power: int) -> bool:
        random = self.rng.random
        self._look_back(bound)
        for way in waiting:
            if way.optional and random() < NULL_SHARE and not all(each in bound for each in way.settled_by):
                continue
            before = bound.copy() if way.optional else bound
            if not way.take(bound, random() ** power):
                if not way.optional or all(each in before for each in way.settled_by):
                    return False
                bound.clear()
                bound.update(before)
        for attribute, rows in self.forward:
            bound.setdefault(attribute, int(min(FORWARD, rows) * random()))
        own = self.sketch.own
        if any(bound.get(own[column], -1) < 0 for column in self.sketch.not_null):
            return False
        return not any(-1 < bound.get(own[x], -1) == bound.get(own[y], -1) for x, y in self.sketch.differing)

    def _look_back(self, bound: Bound) -> None:
        """Links of a table to itself: an earlier row under the same parent, which is taken after in all else."""
        for link in self.sketch.circles:
            if not link.required and self.rng.random() < ROOT_SHARE:
                continue
            earlier = range(self.first, self.rows)
            for _ in range(LOOKS):
                number = self.rng.choice(earlier) if earlier else self.rows
                if self._takes_after(bound, number):
                    break
            else:
                number = self.rows
            if number < self.rows or link.required:
                self._point_back(bound, link, number)

    def _takes_after(self, bound: Bound, number: int) -> bool:
        """Whether the row can agree with an earlier one; it then does."""
        if number == self.rows:
            return True
        values = {each: self.bound[each][number] for each in self.inherited}
        if any(bound.get(each, value) != value for each, value in values.items()):
            return False
        bound.update(values)
        return True

    def _point_back(self, bound: Bound, link: Link, number: int) -> None:
        for mine, theirs in link.pairs:
            if theirs not in self.sketch.own:
                bound.setdefault(self.sketch.own[mine], number)

    def _keys(self, bound: Bound, drawn: Mapping[str, int]) -> list[tuple[int, ...] | None] | None:
        """What this row would use of each rule, None where it uses nothing; None at all when it is taken."""
        keys: list[tuple[int, ...] | None] = []
        for used, rule in zip(self.used, self.sketch.rules, strict=True):
            if rule.only is not None and drawn[rule.only[0]] != rule.only[1]:
                keys.append(None)
                continue
            linked = [bound.get(self.sketch.own[name], -1) for name in rule.linked]
            if -1 in linked and not rule.nulls_equal:
                keys.append(None)
                continue
            key = (*linked, *(drawn[n] if n in drawn else self._counted(n) for n in rule.drawn))
            if key in used:
                return None
            keys.append(key)
        return keys

    def _counted(self, name: str) -> int:
        """The value, as a number, of a column that does not draw but count."""
        carrier = self.sketch.carriers[name]
        number = self.rows if carrier.by == "row" or self.ordinals is None else self.rows - len(self.ordinals)
        return number // carrier.divisor % carrier.capacity

    def _add(self, bound: Bound, drawn: Mapping[str, int], keys: Sequence[tuple[int, ...] | None]) -> None:
        for used, key in zip(self.used, keys, strict=True):
            if key is not None:
                used.add(key)
        for name, number in drawn.items():
            self.drawn[name].append(number)
        for attribute, values in self.bound.items():
            values.append(bound.get(attribute, -1))
        self.rows += 1


def choose(
    sketch: Sketch, sketches: Mapping[TableName, Sketch], done: Mapping[TableName, Chosen], *, seed: int
) -> Chosen:
    """The rows of a table whose parents are in `done`; the same for the same seed. Fewer where keys allow no more."""
    return _Chooser(sketch, sketches, done, Random(f"{seed}/{sketch.name}")).choose()  # noqa: S311  no secret
