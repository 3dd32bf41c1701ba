"""How good suggestions are: against the keys that really belong to a schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.suggestion.candidate import THRESHOLD, Candidate
from orchestrator.core.suggestion.search import suggest
from tests.suggestion.facts import REAL, catalog_of, facts_of
from tests.suggestion.written import FOLDER, written_facts

Link = tuple[str, str, str, str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Counts for one schema. Precision is the share of suggestions that are keys, recall the share of keys found."""

    schema: str
    keys: int
    suggested: int
    right: int
    absent: int = 0

    @property
    def precision(self) -> float:
        """Between 0 and 1; 1 when nothing is suggested."""
        return self.right / self.suggested if self.suggested else 1.0

    @property
    def recall(self) -> float:
        """Between 0 and 1."""
        return self.right / self.keys


def real_schemas() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The nine, by name, with their facts."""
    for path in sorted(REAL.glob("*.json")):
        yield path.stem, facts_of(REAL, path.stem)


def own_schemas() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those that we wrote, in other styles of naming."""
    for path in sorted(FOLDER.glob("*.txt")):
        yield path.stem, written_facts(path)


def scored(name: str, facts: Mapping[str, Any], *, threshold: float = THRESHOLD) -> Score:
    """The score of a schema without data."""
    found = suggest(catalog_of(facts["catalog"]))
    return score(name, facts, found.over(threshold), absent=len(found.absences))


def score(name: str, facts: Mapping[str, Any], candidates: Iterable[Candidate], *, absent: int = 0) -> Score:
    """Candidates against the keys of a schema; a key counts as found when every pair of columns is right."""
    keys = {link_of(each) for each in facts["foreign_keys"]}
    links = {link(each) for each in candidates}
    return Score(schema=name, keys=len(keys), suggested=len(links), right=len(keys & links), absent=absent)


def macro(scores: Iterable[Score]) -> tuple[float, float]:
    """Mean precision and mean recall over schemas."""
    every = list(scores)
    return sum(each.precision for each in every) / len(every), sum(each.recall for each in every) / len(every)


def link(each: Candidate) -> Link:
    """What a candidate ties."""
    pairs = frozenset(zip(each.columns, each.referenced_columns, strict=True))
    return each.table.schema, each.table.name, each.referenced.schema, each.referenced.name, pairs


def link_of(key: Mapping[str, Any]) -> Link:
    """What a key of the facts ties."""
    pairs = frozenset(zip(key["columns"], key["ref_columns"], strict=True))
    return key["schema"], key["table"], key["ref_schema"], key["ref_table"], pairs
