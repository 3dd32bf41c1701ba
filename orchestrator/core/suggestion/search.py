"""The search for missing keys: from clues to candidates, which key of which table, how sure, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.suggestion.absence import absent, unnamed
from orchestrator.core.suggestion.candidate import Absence, Candidate, Suggestions
from orchestrator.core.suggestion.clues import Clue, Place, by_abbreviation, by_part, place
from orchestrator.core.suggestion.composite import Option, dependent, joined, named, with_wider
from orchestrator.core.suggestion.directory import Directory, Target, directory
from orchestrator.core.suggestion.habits import weighed
from orchestrator.core.suggestion.joins import join_clues
from orchestrator.core.suggestion.key_names import identity, plain
from orchestrator.core.suggestion.readings import readings
from orchestrator.core.suggestion.roles import Roles, roles
from orchestrator.core.suggestion.shards import Shards, shards

IN_FULL = 0.75
"""From which weight on a clue counts as a mention of its table."""


def suggest(catalog: Catalog) -> Suggestions:
    """All candidates of a catalog, whatever their confidence; keys that stand are left out."""
    found = directory(catalog)
    places = [place(target, column) for target in found.targets.values() for column in target.columns.values()]
    mentions = _mentions(found, places)
    people = roles(found, mentions)
    return _Search(found=found, roles=people, mentions=mentions, shards=shards(catalog)).run(places)


def _mentions(found: Directory, places: Iterable[Place]) -> Mapping[TableName, int]:
    """How many columns of other tables name each table in full, or refer to it."""
    counts = Counter[TableName]()
    for at in places:
        clues = plain(at, found)
        counts.update({each.target.name for each in clues if each.target is not at.owner and each.weight > IN_FULL})
    counts.update(key.referenced for target in found.targets.values() for key in target.table.foreign_keys)
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    found: Directory
    roles: Roles
    mentions: Mapping[TableName, int]
    shards: Shards

    def run(self, places: Iterable[Place]) -> Suggestions:
        """Column by column, then what only several columns tell together."""
        options: list[Option] = []
        others: list[Candidate] = []
        absences: list[Absence] = []
        for at in places:
            if _has_key(at.owner, {at.column.name}):
                continue
            mine, rest = self._options(at)
            reason = next(filter(None, (self._absent(at, each) for each in mine)), "") or unnamed(at)
            if reason:
                absences.append(_absence(at, mine, reason))
            else:
                options.extend(mine)
                others.extend(rest)
        options.extend(
            each
            for owner in self.found.targets.values()
            for each in dependent(owner, self.found)
            if not _has_key(owner, set(each.candidate.columns))
        )
        others.extend(each for owner in self.found.targets.values() for each in joined(owner, self.found))
        candidates, others = weighed(with_wider(options), others, self.found.catalog, self.shards)
        candidates.sort(key=lambda each: (-each.confidence, each.id))
        return Suggestions(candidates=tuple(candidates), absences=tuple(absences), others=tuple(others))

    def _options(self, at: Place) -> tuple[tuple[Option, ...], tuple[Candidate, ...]]:
        """The surest key of one column and keys of several that it names; and less sure readings of it alone."""
        if identity(at, self.found):
            return (), ()
        clues = tuple(self._clues(at))
        known = readings(at, clues, self.found, self.mentions)
        single = (Option(candidate=each, instead_of=frozenset(each.columns)) for each in known[:1])
        return (*named(at, clues, self.found), *single), known[1:]

    def _clues(self, at: Place) -> Iterator[Clue]:
        yield from join_clues(at, self.found)
        yield from plain(at, self.found)
        yield from by_part(at, self.found)
        yield from by_abbreviation(at, self.found)
        yield from self.roles.clues(at)

    def _absent(self, at: Place, option: Option) -> str:
        parts = self.shards.heads.get(at.owner.name, ())
        if parts:
            return f"{parts[0]} and {len(parts) - 1} more have its shape and name: the rows and the keys are theirs"
        target = self.found.targets[option.candidate.referenced]
        return absent(at, target, mentioned=self.mentions.get(at.owner.name, 0) > 0)


def _absence(at: Place, options: tuple[Option, ...], reason: str) -> Absence:
    referenced = options[0].candidate.referenced if options else None
    return Absence(table=at.owner.name, columns=(at.column.name,), referenced=referenced, reason=reason)


def _has_key(owner: Target, columns: set[str]) -> bool:
    """Whether a key stands on all of these columns, alone or with others."""
    return any(columns <= set(key.columns) for key in owner.table.foreign_keys)
