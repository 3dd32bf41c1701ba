"""The readings of one column, each as a candidate: a key that fits by type, and a confidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from orchestrator.core.catalog import TableName
from orchestrator.core.suggestion.candidate import Candidate
from orchestrator.core.suggestion.clues import TEXTS, Clue, Place
from orchestrator.core.suggestion.column import ENDINGS, LINKS, stem
from orchestrator.core.suggestion.directory import Directory, Key, Target
from orchestrator.core.suggestion.key_names import handle
from orchestrator.core.suggestion.words import nouns

OTHER_TYPE, OTHER_SCHEMA, UNSURE, BESIDE = 0.93, 0.97, 0.7, 0.8
"""What is left of a weight: other types that compare; another schema; a rival; a text of the same name beside it."""

BEHIND = 0.01
CLOSE = 0.05
"""Two readings whose ranks differ by less are as likely as each other."""

SAME_SCHEMA, PER_MENTION, MOST_MENTIONS = 0.06, 0.01, 8
"""What only decides between readings."""

INDEXED, SUREST = 0.02, 0.99

Ranked = tuple[float, float, Clue, Key]
"""Rank, weight, clue and key."""


def readings(
    at: Place, clues: Iterable[Clue], found: Directory, mentions: Mapping[TableName, int]
) -> tuple[Candidate, ...]:
    """What the column may refer to, the likeliest first; that one less sure where another is as likely."""
    best: dict[tuple[TableName, tuple[str, ...]], Ranked] = {}
    for clue in clues:
        key = _key(at, clue, found)
        if key is None:
            continue
        weight = _weight(at, clue, key)
        # Among tables that fit alike, one of the same schema is the likelier, and one that other columns name.
        near = SAME_SCHEMA if clue.target.name.schema == at.schema else 0
        rank = weight + near + min(mentions.get(clue.target.name, 0), MOST_MENTIONS) * PER_MENTION
        known = best.get((clue.target.name, key.columns))
        if known is None or known[0] < rank:
            best[clue.target.name, key.columns] = (rank, weight, clue, key)
    ordered = sorted(best.values(), key=lambda each: (-each[0], each[2].target.name))
    if not ordered:
        return ()
    first = _candidate(at, ordered[0], ordered)
    # What comes after stays behind, however much a rival took from the first.
    most = first.confidence - BEHIND
    others = (_candidate(at, each, []) for each in ordered[1:])
    return first, *(replace(each, confidence=round(min(each.confidence, most), 2)) for each in others)


def _candidate(at: Place, mine: Ranked, ordered: list[Ranked]) -> Candidate:
    rank, weight, clue, key = mine
    theirs = clue.target.column(key)
    same = theirs.base_type == at.column.base_type
    reasons = [clue.reason]
    reasons += [f"both are {theirs.type_name}" if same else f"types differ: {at.column.type_name}, {theirs.type_name}"]
    rivals = sorted({str(each[2].target.name) for each in ordered[1:] if rank - each[0] < CLOSE})
    if rivals:
        weight *= UNSURE
        reasons.append(f"as likely {', '.join(rivals[:3])}")
    beside = _text_beside(at)
    if beside:
        weight *= BESIDE
        reasons.append(f"{beside} beside it may name the same thing of another system")
    if any(index.supports((at.column.name,)) for index in at.owner.table.indexes):
        weight += INDEXED
        reasons.append("an index leads with it")
    return Candidate(
        table=at.owner.name,
        columns=(at.column.name,),
        referenced=clue.target.name,
        referenced_columns=key.columns,
        confidence=round(min(max(weight, 0.0), SUREST), 2),
        reasons=tuple(reasons),
        shared=clue.shared,
    )


def _weight(at: Place, clue: Clue, key: Key) -> float:
    weight = clue.weight
    if clue.target.column(key).base_type != at.column.base_type:
        weight *= OTHER_TYPE
    if clue.target.name.schema != at.schema:
        weight *= OTHER_SCHEMA
    return weight


def _key(at: Place, clue: Clue, found: Directory) -> Key | None:
    """The key that a column with this name and type refers to, or None."""
    options = (clue.key,) if clue.key else tuple(key for key in clue.target.singles if _is_identity(clue.target, key))
    fitting = [key for key in options if _fits(at, clue, key, found)]
    if clue.key or not fitting:
        return next(iter(fitting), None)
    named = [key for key in fitting if _ending(key) == at.stem.ending]
    if named:
        return named[0]
    if at.stem.ending in ENDINGS | LINKS | {""}:
        return next((key for key in fitting if key.index.primary or _ending(key) in ENDINGS), None)
    return None


def _is_identity(target: Target, key: Key) -> bool:
    """Not a reference to a third table that happens to be unique."""
    words = stem(key.columns[0]).words
    return key.index.primary or not words or handle(target, key) != "" or stem(key.columns[0]).ending not in ENDINGS


def _fits(at: Place, clue: Clue, key: Key, found: Directory) -> bool:
    itself = clue.target is at.owner and key.columns == (at.column.name,)
    return not itself and found.comparable(clue.target, key, (at.column,))


def _ending(key: Key) -> str:
    """The ending of a key's column, or its last word."""
    return stem(key.columns[0]).ending or (nouns(key.columns[0]) or ("",))[-1]


def _text_beside(at: Place) -> str:
    """A text with the column's name but for its ending: `maintainer` beside `maintainer_id`."""
    return next(_texts_beside(at), "") if at.stem.ending in ENDINGS else ""


def _texts_beside(at: Place) -> Iterator[str]:
    for other in at.owner.table.columns:
        if other.type_name.startswith(TEXTS) and nouns(other.name) == at.stem.words:
            yield other.name
