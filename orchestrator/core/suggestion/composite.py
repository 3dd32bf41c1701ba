"""Keys of several columns: `(tenant_id, order_id)` to `orders (tenant_id, id)`, or a line and what hangs on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.core.catalog import Column, TableName
from orchestrator.core.suggestion.candidate import Candidate
from orchestrator.core.suggestion.clues import Clue, Place
from orchestrator.core.suggestion.column import stem
from orchestrator.core.suggestion.directory import GENERIC, Directory, Key, Target, flat, identifies
from orchestrator.core.suggestion.words import nouns

NAMED, DEPENDENT, JOINED = 0.7, 0.78, 0.3
"""From which weight on a reading of one column may stand for a whole key; weights of columns with a key's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A candidate, and the columns whose own candidates it stands for."""

    candidate: Candidate
    instead_of: frozenset[str]


def named(at: Place, clues: Iterable[Clue], found: Directory) -> Iterator[Option]:
    """Keys of which this column is the part that names the table, and others are beside it."""
    for clue in clues:
        if clue.weight < NAMED or (clue.key is not None and len(clue.key.columns) > 1):
            continue
        for key in clue.target.keys:
            if len(key.columns) > 1 and _meant(clue.target, key):
                columns = _beside(at, clue.target, key)
                if columns and _differ(at, clue.target, key, columns) and found.comparable(clue.target, key, columns):
                    reasons = (clue.reason, f"{clue.target.name} has the key ({', '.join(key.columns)})")
                    yield Option(
                        candidate=_candidate(at.owner, columns, clue.target, key, clue.weight, reasons),
                        instead_of=frozenset({at.column.name}),
                    )


def dependent(owner: Target, found: Directory) -> Iterator[Option]:
    """Keys whose columns all stand here under the same names, one of which belongs to that table alone."""
    for target, key in _same_names(owner, found):
        if any(_own_part(target, each, found) for each in key.columns):
            candidate = _by_names(owner, target, key, DEPENDENT)
            yield Option(candidate=candidate, instead_of=frozenset(key.columns))


def joined(owner: Target, found: Directory) -> Iterator[Candidate]:
    """The same where each column refers to another table already: only rows can tell a pair that must be allowed."""
    for target, key in _same_names(owner, found):
        if not any(_own_part(target, each, found) for each in key.columns):
            yield _by_names(owner, target, key, JOINED)


def _same_names(owner: Target, found: Directory) -> Iterator[tuple[Target, Key]]:
    """Primary keys of several columns, all of which stand here, of no two tables the same."""
    seen: dict[int, tuple[Target, Key]] = {}
    for name in owner.columns:
        for target, key in found.by_key_columns.under(name, owner.name.schema):
            if target is not owner and key.index.primary and set(key.columns) <= set(owner.columns):
                seen[id(key)] = (target, key)
    for target, key in seen.values():
        columns = tuple(owner.columns[name] for name in key.columns)
        twins = sum(set(key.columns) == set(other.columns) for _, other in seen.values())
        if twins == 1 and not _is_own_key(owner, key) and found.comparable(target, key, columns):
            yield target, key


def _by_names(owner: Target, target: Target, key: Key, weight: float) -> Candidate:
    reason = f"it has all columns of the key {target.name}({', '.join(key.columns)}), of no other"
    columns = (owner.columns[name] for name in key.columns)
    return _candidate(owner, columns, target, key, weight, (reason,))


def with_wider(options: Iterable[Option]) -> Iterator[Candidate]:
    """One candidate for each column: keys of several columns instead of those of one that they contain."""
    best: dict[tuple[TableName, frozenset[str]], Option] = {}
    singles: list[Candidate] = []
    for each in options:
        if len(each.candidate.columns) == 1:
            singles.append(each.candidate)
            continue
        place = (each.candidate.table, each.instead_of)
        if place not in best or best[place].candidate.confidence < each.candidate.confidence:
            best[place] = each
    gone = {(table, column) for table, columns in best for column in columns}
    yield from (each for each in singles if (each.table, each.columns[0]) not in gone)
    yield from (each.candidate for each in best.values())


def _meant(target: Target, key: Key) -> bool:
    """Whether the key is there to be referred to: the primary one, or one wider than it need be to be unique."""
    return key.index.primary or any(set(other.columns) < set(key.columns) for other in target.keys)


def _beside(at: Place, target: Target, key: Key) -> tuple[Column, ...]:
    """The column for the part of the key that is the table's own identity, and for the others columns beside it."""
    own = [name for name in key.columns if identifies(target.texts, name)]
    if len(own) != 1:
        return ()
    found: list[Column] = []
    for name in key.columns:
        column = at.column if name == own[0] else _named_beside(at, target, name)
        if column is None:
            return ()
        found.append(column)
    return tuple(found) if len({each.name for each in found}) == len(found) else ()


def _named_beside(at: Place, target: Target, name: str) -> Column | None:
    """The column for another part of the key: in the same role, or of the same name."""
    words = (*at.stem.words, *nouns(name))
    for column in at.owner.table.columns:
        if nouns(column.name) == words:
            return column
    return None if target is at.owner and flat(name) in GENERIC else at.owner.columns.get(name)


def _differ(at: Place, target: Target, key: Key, columns: tuple[Column, ...]) -> bool:
    """A row does not refer to itself."""
    return target is not at.owner or tuple(each.name for each in columns) != key.columns


def _own_part(target: Target, name: str, found: Directory) -> bool:
    """A column that numbers the rows of its own table, and is no reference to another."""
    mine = stem(name)
    counts = target.columns[name].type_name in {"smallint", "integer", "bigint"}
    if flat(name) in GENERIC or not (mine.ending or counts):
        return False
    ends = ("".join(mine.words[start:]) for start in range(len(mine.words)))
    return all(each is target for end in ends for each in found.by_name.under(end, target.name.schema))


def _is_own_key(owner: Target, key: Key) -> bool:
    return any(set(each.columns) == set(key.columns) and each.index.primary for each in owner.keys)


def _candidate(
    owner: Target, columns: Iterable[Column], target: Target, key: Key, weight: float, reasons: tuple[str, ...]
) -> Candidate:
    return Candidate(
        table=owner.name,
        columns=tuple(each.name for each in columns),
        referenced=target.name,
        referenced_columns=key.columns,
        confidence=round(weight, 2),
        reasons=reasons,
    )
