"""Tables that only join two others, where the columns have no names of their own."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.suggestion.clues import Clue, Place
from orchestrator.core.suggestion.directory import Directory
from orchestrator.core.suggestion.words import nouns

IMPLICIT = 0.95
SIDES = ("A", "B")


def join_clues(at: Place, found: Directory) -> Iterator[Clue]:
    """Prisma's implicit many-to-many: `_AuthorToBook` with columns A and B, in the order of the names."""
    name = at.owner.name.name
    if at.column.name not in SIDES or not name.startswith("_") or len(at.owner.columns) != len(SIDES):
        return
    words = nouns(name)
    for cut in (spot for spot, word in enumerate(words) if word == "to"):
        sides = dict(zip(SIDES, ("".join(words[:cut]), "".join(words[cut + 1 :])), strict=True))
        if all(found.by_name.under(side, at.schema) for side in sides.values()):
            for target in found.by_name.under(sides[at.column.name], at.schema):
                reason = f"the table joins the two in its name, and {at.column.name} stands for {target.name.name}"
                yield Clue(target=target, weight=IMPLICIT, reason=reason)
