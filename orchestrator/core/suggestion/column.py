"""A column's name taken apart: role, thing and ending, as in `billing` `address` `id`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from orchestrator.core.suggestion.words import Words, nouns, singular

ENDINGS = frozenset({"id", "uuid", "guid", "uid", "oid", "fk", "ref", "sk", "pk"})
"""Endings that say: this is a reference or an identity."""

NATURAL = frozenset({"key", "code", "no", "nr", "num", "number", "name", "slug", "handle", "symbol", "abbr"})
"""Endings that may also be a property of the row itself."""

FRONT = frozenset({"id", "fk", "ref", "cod"})
"""The same, where people write it in front: `id_customer`, `fk_order`."""

TECHNICAL = frozenset({"ptr", "fk", "ref"})
"""Words between the thing and the ending that say how, not what: `person_ptr_id`."""

LINKS = frozenset({"by", "of", "to"})
SHORTEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """The words of a column without its ending. `glued` when the name has no separators to split it at."""

    words: Words
    ending: str
    glued: bool = False

    @property
    def text(self) -> str:
        """The words as one."""
        return "".join(self.words)


@lru_cache(maxsize=65536)
def stem(name: str) -> Stem:
    """The stem of a column's name; its words are empty when the name is an ending alone."""
    words = nouns(name)
    if len(words) > 1 and words[-1].isdigit():
        words = words[:-1]
    if len(words) == 1:
        return _glued(words[0])
    front = ""
    if words and words[0] in FRONT and len(words) > 1:
        front, words = words[0], words[1:]
    if len(words) > 1 and words[-1] in ENDINGS | NATURAL | LINKS:
        words, ending = words[:-1], words[-1]
        words = words[:-1] if len(words) > 1 and words[-1] in TECHNICAL else words
        return Stem(words=words, ending=ending)
    return Stem(words=words, ending=front)


def _glued(word: str) -> Stem:
    for ending in sorted(ENDINGS | NATURAL, key=len, reverse=True):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= SHORTEST:
            return Stem(words=(singular(rest),), ending=ending, glued=True)
    return Stem(words=() if word in ENDINGS | NATURAL else (word,), ending="")
