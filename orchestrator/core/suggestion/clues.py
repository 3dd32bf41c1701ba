"""What a column's name says about the table it refers to. Each clue has a weight (0..1) and a reason in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.catalog import Column
from orchestrator.core.suggestion.column import ENDINGS, NATURAL, Stem, stem
from orchestrator.core.suggestion.directory import Directory, Key, Target
from orchestrator.core.suggestion.words import Words, abbreviates, nouns, split

EXACT, ROLE, TAIL, BEGINNING, SHORT = 0.92, 0.86, 0.62, 0.48, 0.62
"""The whole name; after words that tell a role; its last words; its first ones; an abbreviation of it."""

PART_OF_OWNER = 0.92
"""The column's word behind the owner's whole name: `stop` in `route`, for `route_stop`."""

QUALIFIED = 0.95
"""The name of the schema before the table's."""

BARE_NUMBER, BARE_TEXT, BARE_COUNT = 0.12, 0.35, 0.5
"""What a name without an ending such as _id loses: it may be a text of its own, or in the plural a count."""

TEXTS = ("text", "character", "citext", "varchar")
FEWEST_INITIALS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """One way to read a column's name. `key` when the name of a key was recognised, not only the table's.

    `shared` when the key is the identity of several tables.
    """

    target: Target
    weight: float
    reason: str
    key: Key | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A column and the table it stands in."""

    owner: Target
    column: Column
    stem: Stem

    @property
    def schema(self) -> str:
        """The schema of its table."""
        return self.owner.name.schema

    @property
    def is_text(self) -> bool:
        """Whether it holds letters."""
        return self.column.type_name.startswith(TEXTS)


def place(owner: Target, column: Column) -> Place:
    """A column with its name taken apart."""
    return Place(owner=owner, column=column, stem=stem(column.name))


def by_table(at: Place, found: Directory) -> Iterator[Clue]:
    """The table's name, alone or after words that tell its role."""
    words, loss = at.stem.words, _bareness(at)
    for start in range(len(words)):
        text = "".join(words[start:])
        known = [each for each in found.by_name.under(text, at.schema) if start or each is not at.owner]
        for target in known:
            weight = (ROLE if start else EXACT) - (0 if text == "".join(target.words) else 0.05) - loss
            role = f" in the role {' '.join(words[:start])}" if start else ""
            if start and words[:start] == nouns(target.name.schema):
                weight, role = QUALIFIED, f" of schema {target.name.schema}"
            yield Clue(target=target, weight=weight, reason=f"the name says {' '.join(target.bare)}{role}")
        if known:
            return


def by_part(at: Place, found: Directory) -> Iterator[Clue]:
    """Some words of a table's name, the last one among them; or its first, where no name ends so."""
    if not _refers(at):
        return
    last = at.stem.words[-1]
    alike = [each for each in found.by_head.under(last, at.schema) if len(each.bare) > 1 and each is not at.owner]
    # Most words in common first, then fewest beside them.
    fits = {each: (-_in_order(at.stem.words, each.words), len(each.words)) for each in alike}
    best = [each for each in alike if fits[each] == min(fits.values())]
    for target in alike:
        yield _part(at, target, alone=len(alike) == 1, clear=best == [target])
    begun = [each for each in found.by_first.under(last, at.schema) if each.words[-1] != last]
    if not alike and len(begun) == 1:
        reason = f"it names the beginning of {begun[0].name.name}"
        yield Clue(target=begun[0], weight=BEGINNING, reason=reason)


def by_abbreviation(at: Place, found: Directory) -> Iterator[Clue]:
    """First letters of the table's words, or words that are cut; only where no table has the word as it stands."""
    words, text = at.stem.words, at.stem.text
    if not _refers(at) or found.by_name.under(text, at.schema) or found.by_head.under(words[-1], at.schema):
        return
    for target in found.by_initials.under(text, at.schema) if len(text) >= FEWEST_INITIALS else ():
        reason = f"{text} are the first letters of {' '.join(target.words)}"
        yield Clue(target=target, weight=SHORT + 0.02 * len(target.words), reason=reason)
    for target in found.by_letter.under(f"{words[0][0]}{len(words)}", at.schema):
        whole = target.words if len(target.words) == len(words) else target.bare
        pairs = zip(words, whole, strict=True)
        if all(mine == theirs or abbreviates(mine, theirs) for mine, theirs in pairs):
            reason = f"{' '.join(words)} is short for {' '.join(whole)}"
            yield Clue(target=target, weight=SHORT, reason=reason)


def _refers(at: Place) -> bool:
    return bool(at.stem.words) and at.stem.ending in ENDINGS | NATURAL


def _part(at: Place, target: Target, *, alone: bool, clear: bool) -> Clue:
    words = at.stem.words
    named = [word for word in target.words if word in words]
    dropped = [word for word in target.words if word not in words]
    near = set(dropped) <= set(at.owner.words)
    matched = _in_order(words, target.words)
    weight = TAIL + 0.08 * (matched - 1) - 0.03 * (len(dropped) - 1)
    weight += (0.13 if near else 0) + (0.08 if alone else 0)
    # Other tables end in the same word, none of them shorter: nothing but the number of their uses tells them apart.
    weight -= 0 if clear or near else 0.06
    weight -= 0.1 if matched < len(words) else 0
    if (*at.owner.words, words[-1]) == target.words:
        weight = PART_OF_OWNER
    reason = f"it names {' '.join(named)} of {target.name.name}"
    reason += f", and {at.owner.name.name} has the rest in its own name" if near else ""
    reason += ", the only such table" if alone else ""
    return Clue(target=target, weight=min(weight, PART_OF_OWNER), reason=reason)


def _bareness(at: Place) -> float:
    if at.stem.ending:
        return 0.0
    if split(at.column.name)[-1:] != nouns(at.column.name)[-1:]:
        return BARE_COUNT
    return BARE_TEXT if at.is_text else BARE_NUMBER


def _in_order(words: Words, target: Words) -> int:
    """How many of the column's last words stand in the target's name, in order, counted from the end."""
    at, matched = len(target) - 1, 0
    for word in reversed(words):
        spot = next((spot for spot in range(at, -1, -1) if target[spot] == word), None)
        if spot is None:
            break
        at, matched = spot - 1, matched + 1
    return matched
