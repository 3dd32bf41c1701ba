"""What the rows say about candidates: how many values of a column the other table has, and what follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from orchestrator.core.catalog import TableName
from orchestrator.core.nouns import counted
from orchestrator.core.suggestion.candidate import Candidate, Suggestions

ASKED = 0.25
"""From which confidence on the rows are asked about a candidate."""

NOBODY = 0.62
"""What is left of a confidence when there are no rows: whoever asks for data wants what the data confirm."""

TOLERATED = 0.1
"""Share of orphans that a key may have gathered while nobody kept it."""

HOPELESS = 0.25
"""Share of orphans in a sample from which on nothing is counted exactly any more."""

FEW = 3
"""So few different values are found in another table by chance."""

SURER, SURER_BY_CHANCE, LESS, MUCH_LESS = 0.35, 0.7, 0.6, 0.25
"""What is left of the doubt when rows confirm, or do so where chance would, too; else of the confidence."""

NAMED_SURELY, CLEARLY_SMALLER = 0.8, 0.8
"""From which confidence on the names have told which table it is; and how small the smallest must be to tell."""

NEAREST = 0.85
"""Of tables that share one identity, the smallest that has all values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """The rows of a candidate: those without NULL, those of them that refer to nothing, their different values.

    `exact` when all rows were read, else a sample was; `distinct` is None where that would have cost too much.
    `keys` counts the rows to refer to; `dense` when these are whole numbers with hardly a gap, so that small numbers
    are found among them by chance. `note` says why something was not read.
    """

    rows: int
    orphans: int
    keys: int
    exact: bool
    distinct: int | None = None
    dense: bool = False
    note: str = ""

    @property
    def share(self) -> float:
        """Orphans as a share of rows."""
        return self.orphans / self.rows if self.rows else 0.0

    @property
    def tells(self) -> bool:
        """Whether there are rows on both sides to tell anything."""
        return bool(self.rows and self.keys)

    @property
    def confirms(self) -> bool:
        """Whether nearly all rows refer to something; among a few rows one orphan is nearly none."""
        return self.tells and self.orphans <= TOLERATED * self.rows + 1 and self.orphans * 2 < self.rows

    @property
    def hopeless(self) -> bool:
        """Whether so many refer to nothing that their exact number does not matter."""
        return self.tells and not self.confirms and self.share > HOPELESS

    @property
    def by_chance(self) -> bool:
        """Whether a column of other numbers would look the same."""
        return self.dense or (self.distinct is not None and self.distinct <= FEW)

    def words(self) -> str:
        """What was found, for people."""
        if self.note:
            return self.note
        if not self.tells:
            return "no rows to ask" if not self.rows else "the other table is empty"
        seen = "rows" if self.exact else "sampled rows"
        lost = f"{self.orphans} of {self.rows} {seen} refer to nothing ({self.share:.1%})"
        if self.distinct is None:
            return f"{lost}; {counted(self.keys, 'key')} to refer to"
        return f"{lost}; {counted(self.distinct, 'different value')}, {counted(self.keys, 'key')} to refer to"


Measured = Mapping[str, Inclusion]
"""Inclusions by the candidate's id."""


def questions(found: Suggestions) -> Iterator[Candidate]:
    """The candidates whose rows are worth a look, also those that another one of the same columns stands before."""
    yield from (each for each in (*found.candidates, *found.others) if each.confidence >= ASKED)


def with_data(found: Suggestions, measured: Measured) -> Suggestions:
    """The suggestions after the rows were asked: surer, less sure, or another table for the same columns."""
    if not any(each.tells for each in measured.values()):
        return found
    judged = [_judged(each, measured.get(each.id)) for each in found.candidates]
    spare = [_judged(each, measured.get(each.id)) for each in found.others]
    wide = [each for each in judged if len(each.columns) > 1]
    pairs = [each for each in spare if len(each.columns) > 1 and _telling(each, measured)]
    groups: dict[tuple[TableName, str], list[Candidate]] = defaultdict(list)
    for each in (*judged, *spare):
        if len(each.columns) == 1:
            groups[each.table, each.columns[0]].append(each)
    # Columns that are only allowed in pairs refer to the pair; the pair's own table refers further.
    gone = {(each.table, column) for each in pairs for column in each.columns}
    singles = [_best(group, measured) for place, group in groups.items() if place not in gone]
    kept = sorted((*singles, *wide, *pairs), key=lambda each: (-each.confidence, each.id))
    return Suggestions(candidates=tuple(kept), absences=found.absences)


def _judged(candidate: Candidate, seen: Inclusion | None) -> Candidate:
    if seen is None:
        return candidate
    reasons = (*candidate.reasons, seen.words())
    confidence = candidate.confidence
    if candidate.shared and seen.confirms:
        return replace(candidate, reasons=reasons)
    if seen.confirms:
        confidence = 1 - (1 - confidence) * (SURER_BY_CHANCE if seen.by_chance else SURER)
    elif seen.tells:
        confidence *= MUCH_LESS if seen.hopeless else LESS
    elif not seen.note:
        confidence *= NOBODY
    return replace(candidate, confidence=round(min(confidence, 0.99), 2), reasons=reasons)


def _telling(candidate: Candidate, measured: Measured) -> bool:
    """Whether the rows confirm, and by more than chance."""
    return _confirmed(candidate, measured) and not measured[candidate.id].by_chance


def _best(group: list[Candidate], measured: Measured) -> Candidate:
    """Of the readings of one column the surest; among tables with one identity the smallest that has all values."""
    best = max(group, key=lambda each: (each.confidence, each.id))
    alike = sorted((each for each in group if each.shared and _confirmed(each, measured)), key=_size(measured))
    if not best.shared or best.confidence >= NAMED_SURELY or not alike:
        return best
    nearest, larger = alike[0], alike[1:]
    if larger and measured[nearest.id].keys > CLEARLY_SMALLER * measured[larger[0].id].keys:
        return best
    words = f"the smallest of {len(alike)} tables" if larger else "the only table"
    reason = f"{words} with this identity that has these values"
    return replace(nearest, confidence=NEAREST, reasons=(*nearest.reasons, reason))


def _size(measured: Measured) -> Callable[[Candidate], tuple[int, str]]:
    return lambda each: (measured[each.id].keys, each.id)


def _confirmed(candidate: Candidate, measured: Measured) -> bool:
    return candidate.id in measured and measured[candidate.id].confirms
