"""Names as words: `parentID`, `parent_id` and `ParentId` are the same two."""

from __future__ import annotations

import re
from functools import lru_cache

Words = tuple[str, ...]

# A capital that begins a word, a run of capitals before another word, digits apart from letters.
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")

IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "indices": "index", "matrices": "matrix",
    "vertices": "vertex", "media": "media", "news": "news", "series": "series", "species": "species",
    "criteria": "criterion", "analyses": "analysis", "statuses": "status", "bonuses": "bonus", "buses": "bus",
    "viruses": "virus", "campuses": "campus", "aliases": "alias", "alias": "alias", "movies": "movie",
    "cookies": "cookie", "caches": "cache", "leaves": "leaf", "shelves": "shelf", "knives": "knife", "wolves": "wolf",
    "mice": "mouse", "quizzes": "quiz", "staff": "staff", "lens": "lens", "atlas": "atlas",
}  # fmt: skip
UNCHANGED = ("ss", "us", "is", "ics")
SHORTEST = 3
"""Letters of a word that is changed or guessed: what is shorter is left as it is."""

LONGEST_CUT = 5
"""Letters of a word that may have been cut by leaving letters out."""


@lru_cache(maxsize=65536)
def split(name: str) -> Words:
    """The words of a name in lower case."""
    return tuple(part.lower() for part in PARTS.findall(name))


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """An English noun in the singular, by the rules that cover names of tables; what is none stays as it is."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) <= SHORTEST or not word.endswith("s") or word.endswith(UNCHANGED):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=65536)
def nouns(name: str) -> Words:
    """The words of a name, each in the singular."""
    return tuple(singular(word) for word in split(name))


def abbreviates(short: str, long: str) -> bool:
    """Whether `short` is a usual way to cut `long`: its beginning (org), or letters in their order (dept, acct)."""
    if len(short) < SHORTEST or len(short) >= len(long) - 1 or short[0] != long[0]:
        return False
    if long.startswith(short):
        return True
    # Letters left out are mostly vowels; a short word is easily found in a long one by chance.
    letters = iter(long)
    consonants = sum(letter not in "aeiou" for letter in short)
    return len(short) <= LONGEST_CUT and consonants >= len(short) - 1 and all(letter in letters for letter in short)
