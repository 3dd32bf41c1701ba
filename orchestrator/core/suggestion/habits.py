"""What the schema's own habits say: where people index what refers, a column without an index is less likely to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.suggestion.candidate import Candidate
from orchestrator.core.suggestion.shards import Shards

HABIT = 0.45
"""Share of the candidates that an index covers, from which on it is the schema's habit."""

ENOUGH = 5
"""Candidates from which on there is a habit."""

UNCOVERED, DERIVABLE = 0.8, 0.62
"""What is left of a confidence without an index; and when another table that is referred to leads there as well."""

HALF = 0.5
"""From which confidence on a candidate counts as a way from table to table."""

Ways = Mapping[TableName, frozenset[TableName]]


def weighed(
    candidates: Iterable[Candidate], others: Iterable[Candidate], catalog: Catalog, parts: Shards
) -> tuple[list[Candidate], list[Candidate]]:
    """Candidates and less likely readings, less sure where the habit of the former speaks against them."""
    known = [_beside_siblings(each, catalog, parts) for each in candidates]
    rest = [_beside_siblings(each, catalog, parts) for each in others]
    covered = sum(_covered(each, catalog, primary=False) for each in known)
    if len(known) < ENOUGH or covered < HABIT * len(known):
        return known, rest
    ways = _ways(known)
    return _with_habit(known, catalog, ways), _with_habit(rest, catalog, ways)


def _with_habit(known: Iterable[Candidate], catalog: Catalog, ways: Ways) -> list[Candidate]:
    return [
        each
        if _covered(each, catalog, primary=True) or not _indexed_at_all(each.table, catalog)
        else _doubted(each, ways)
        for each in known
    ]


def _doubted(candidate: Candidate, ways: Ways) -> Candidate:
    reason = "no index has it, although most such columns of this schema have one"
    factor = UNCOVERED
    near = ways.get(candidate.table, frozenset()) - {candidate.referenced, candidate.table}
    through = sorted(str(each) for each in near if candidate.referenced in ways.get(each, frozenset()))
    if through:
        factor = DERIVABLE
        reason += f", and {through[0]} leads there as well: it may be a copy"
    return _doubt(candidate, factor, reason)


def _beside_siblings(candidate: Candidate, catalog: Catalog, parts: Shards) -> Candidate:
    """Less sure where most other parts of a divided table have an index and this one has none."""
    others = parts.siblings.get(candidate.table, ())
    indexed = [each for each in others if _indexed_at_all(each, catalog)]
    if len(indexed) * 2 <= len(others) or _indexed_at_all(candidate.table, catalog):
        return candidate
    reason = f"the table has no index, although {len(indexed)} of the same shape have some"
    return _doubt(candidate, DERIVABLE, reason)


def _doubt(candidate: Candidate, factor: float, reason: str) -> Candidate:
    confidence = round(candidate.confidence * factor, 2)
    return replace(candidate, confidence=confidence, reasons=(*candidate.reasons, reason))


def _ways(candidates: Iterable[Candidate]) -> Ways:
    """To which tables each table leads."""
    found: dict[TableName, set[TableName]] = defaultdict(set)
    for each in candidates:
        if each.confidence >= HALF:
            found[each.table].add(each.referenced)
    return {name: frozenset(tables) for name, tables in found.items()}


def _covered(candidate: Candidate, catalog: Catalog, *, primary: bool) -> bool:
    """Whether an index has the columns."""
    indexes = catalog.tables[candidate.table].indexes
    return any(set(candidate.columns) <= set(each.columns) for each in indexes if primary or not each.primary)


def _indexed_at_all(table: TableName, catalog: Catalog) -> bool:
    """Whether people made indexes for the table, besides its primary key."""
    return any(not each.primary for each in catalog.tables[table].indexes)
