"""Columns that have the name of a key: `author_id` where authors have that key, `isbn` where books have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from orchestrator.core.suggestion.clues import ROLE, Clue, Place, by_table
from orchestrator.core.suggestion.column import stem
from orchestrator.core.suggestion.directory import GENERIC, Directory, Key, Target, flat
from orchestrator.core.suggestion.words import nouns

OWN_KEY, PART_KEY, NATURAL_KEY, OTHER_KEY = 0.93, 0.82, 0.62, 0.5
"""A key named after its table; after a part of it; after nothing, primary; and merely unique."""

AMBIGUOUS = 0.55
"""One of several tables that share an identity, for no other reason than that the key has its name."""

NAMESAKES = 3
"""From how many tables on that have one primary key by name, they share one identity."""

GLUED_END = 6
"""Letters that a name without separators must share with a key: shorter ends are found by chance."""

SHORTEST_PART = 3

REFERRING = frozenset({"key", "code", "no", "nr", "number"})
"""Endings of what may refer to a key that is not the primary one: a name is a copy, an id a reference itself."""

Handle = Literal["own", "part", ""]


def plain(at: Place, found: Directory) -> Iterator[Clue]:
    """Readings in which a table or its key is named in full; none for what the own table is known by."""
    if identity(at, found):
        return
    shared = tuple(_namesakes(at, found))
    if shared:
        yield from shared
        return
    yield from _by_key(at, found)
    yield from by_table(at, found)


def identity(at: Place, found: Directory) -> bool:
    """Whether its own table is known by it: `book_id` of books, `region_id` alone of sales_region."""
    if at.stem.text in at.owner.texts:
        return True
    key = at.owner.primary
    if key is None or key.columns != (at.column.name,) or handle(at.owner, key) != "part":
        return False
    # A table that ends in the same word may be meant: `party_id` alone of party_student.
    named = (*found.by_name.under(at.stem.text, at.schema), *found.by_head.under(at.stem.words[-1], at.schema))
    return all(each is at.owner for each in named)


def handle(target: Target, key: Key) -> Handle:
    """Whether a key's name holds its table's: `own` when whole, `part` when some of its words, else nothing."""
    mine = stem(key.columns[0])
    if not mine.ending:
        return ""
    if mine.text in target.texts:
        return "own"
    words = "".join(target.words)
    return (
        "part" if len(mine.text) > SHORTEST_PART and (words.startswith(mine.text) or words.endswith(mine.text)) else ""
    )


def _namesakes(at: Place, found: Directory) -> Iterator[Clue]:
    """Of tables that share one identity: the one that the owner is named after, or the one that the key is."""
    name = flat(at.column.name)
    alike = () if name in GENERIC else found.by_key.under(name, at.schema)
    known = [(each, key) for each, key in alike if key.index.primary]
    if len(known) < NAMESAKES:
        return
    others = [(each, key) for each, key in known if each is not at.owner]
    nearest = _within_name(at.owner, [each for each, _ in others])
    reason = f"{len(known)} tables have the key {at.column.name}"
    for target, key in others:
        if target is nearest:
            told = f"{reason}, and {at.owner.name.name} is named after {target.name.name}"
            yield Clue(target=target, key=key, weight=OWN_KEY, reason=told, shared=True)
        else:
            own = handle(target, key) == "own" and nearest is None
            told = f"{reason}, and it has this one's name" if own else f"{reason}, this is one of them"
            weight = AMBIGUOUS if own else AMBIGUOUS / 2
            yield Clue(target=target, key=key, weight=weight, reason=told, shared=True)


def _by_key(at: Place, found: Directory) -> Iterator[Clue]:
    """The name of another table's key, alone or after words that tell its role."""
    whole = flat(at.column.name)
    if whole not in GENERIC:
        yield from _same(at, found)
    for name in _ends(at):
        known = () if name in GENERIC else found.by_key.under(name, at.schema)
        owners = [(each, key) for each, key in known if handle(each, key) == "own"]
        if len(known) == 1 and known[0][1].index.primary:
            owners = list(known)
        for target, key in owners:
            reason = f"it ends like the key {target.name}({key.columns[0]}), in the role {whole.removesuffix(name)}"
            yield Clue(target=target, key=key, weight=ROLE - 0.02, reason=reason)
        if owners:
            return


def _same(at: Place, found: Directory) -> Iterator[Clue]:
    alike = found.by_key.under(flat(at.column.name), at.schema)
    known = [(each, key) for each, key in alike if each is not at.owner]
    unique_here = any(key.columns == (at.column.name,) for key in at.owner.singles)
    # A key that is named after a third table refers to that one itself.
    elsewhere = bool(found.by_name.under(at.stem.text, at.schema))
    for target, key in known:
        how = handle(target, key)
        reason = f"it has the name of the key {target.name}({key.columns[0]})"
        if how == "own":
            yield Clue(target=target, key=key, weight=OWN_KEY, reason=reason)
        elif elsewhere:
            continue
        elif how == "part" and key.index.primary and not _ends_elsewhere(at, target, found):
            yield Clue(target=target, key=key, weight=PART_KEY, reason=reason)
        elif len(known) == 1 and not unique_here and (key.index.primary or at.stem.ending in REFERRING):
            weight = NATURAL_KEY if key.index.primary else OTHER_KEY
            yield Clue(target=target, key=key, weight=weight, reason=f"{reason}, of no other")


def _ends_elsewhere(at: Place, target: Target, found: Directory) -> bool:
    """Whether a third table ends in the column's word, so that the key may refer to it as well."""
    return any(each not in (target, at.owner) for each in found.by_head.under(at.stem.words[-1], at.schema))


def _ends(at: Place) -> Iterator[str]:
    """The ends of a name that may be a key's, the longest first."""
    words = nouns(at.column.name)
    words = words[:-1] if len(words) > 1 and words[-1].isdigit() else words
    if len(words) > 1:
        yield from ("".join(words[start:]) for start in range(1, len(words)))
    elif at.stem.glued:
        yield from (words[0][start:] for start in range(1, len(words[0]) - GLUED_END + 1))


def _within_name(owner: Target, known: Iterable[Target]) -> Target | None:
    """The table whose name begins or ends the owner's: the longest, `bookshop` for `bookshop_hours`."""
    mine = "".join(owner.words)
    names = {"".join(each.words): each for each in known}
    within = [name for name in names if name != mine and (mine.startswith(name) or mine.endswith(name))]
    return names[max(within, key=len)] if within else None
