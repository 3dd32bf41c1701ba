"""Columns that name a role instead of a table: who did it (`created_by`), and what is above or before (`parent_id`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from orchestrator.core.catalog import TableName
from orchestrator.core.suggestion.clues import Clue, Place
from orchestrator.core.suggestion.column import ENDINGS, stem
from orchestrator.core.suggestion.directory import Directory, Target
from orchestrator.core.suggestion.words import Words

PEOPLE: Mapping[str, int] = {
    "user": 6, "account": 4, "person": 4, "employee": 4, "member": 3, "staff": 4, "principal": 3, "operator": 2,
    "profile": 2, "customer": 1, "contact": 1,
}  # fmt: skip
"""Words for people, and how likely they stand for everybody who acts."""

NAMED_SO, MOST_MENTIONS, PER_MENTION = 3, 12, 0.25
"""What it counts that a table is called so and no more, and that columns name it."""

CLEAR, CLOSE, EVEN, CLEARLY = 1.0, 0.85, 0.7, 2
"""How sure the first table of people is when the next is behind by so much, by less, by nothing."""

PERSONS = frozenset({
    "owner", "creator", "author", "editor", "inviter", "invitee", "approver", "reviewer", "assignee", "assigner",
    "requester", "requestor", "submitter", "reporter", "sender", "receiver", "recipient", "admin", "administrator",
    "moderator", "uploader", "organizer", "follower", "followee", "voter", "commenter", "manager", "supervisor", "rep",
    "agent", "mentor", "initiator", "updater", "modifier", "deleter", "grantor", "grantee", "superior", "boss", "lead",
    "leader", "coach", "representative", "seller", "buyer", "participant", "attendee", "host",
    "winner",
})  # fmt: skip

ACTIONS = frozenset({
    "create", "write", "update", "modify", "delete", "edit", "approve", "assign", "insert", "change", "created",
    "updated", "modified", "deleted", "edited", "approved", "assigned", "inserted", "changed",
})  # fmt: skip
"""With the ending uid these say which user did it."""

ABOVE = frozenset({
    "parent", "ancestor", "predecessor", "successor", "previous", "prev", "preceding", "next", "original", "root",
    "duplicate", "superseded", "replaced", "superior", "child", "descendant", "sibling", "forked", "cloned", "copied",
    "replacement", "head",
})  # fmt: skip
UPWARDS = frozenset({"report", "reply", "respond", "answer"})
"""`reports_to`, `in_reply_to_id`; words are in the singular."""

ORIGINS = frozenset({"forked", "copied", "cloned", "derived", "duplicated", "branched", "inherited"})
"""`forked_from_id`."""

ACTED, PERSON, FREE_TEXT, COLLEAGUE = 0.78, 0.72, 0.25, 0.06
"""`created_by`; `owner_id`; what is lost when it may be a name; what is won among people: `manager_id` of employees."""

SELF, SELF_BARE, SELF_LINK, SELF_UPWARDS = 0.88, 0.78, 0.7, 0.8
"""`parent_id`; `parent`; `copy_of`; `reports_to`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The tables of people, as seen from each schema, with how sure that is; "" is any other schema."""

    people: Mapping[str, tuple[Target, float]]
    found: Directory

    def clues(self, at: Place) -> Iterator[Clue]:
        """Readings of a column as a role."""
        for clue in _selves(at):
            yield from self._through_key(at, clue)
        yield from self._persons(at)

    def _through_key(self, at: Place, clue: Clue) -> Iterator[Clue]:
        """Another row of the same table; where the table has the identity of another, a row of that one."""
        key = next(iter(at.owner.singles), None)
        named = stem(key.columns[0]).text if key else ""
        others = [each for each in self.found.by_name.under(named, at.schema) if each is not at.owner]
        if not others:
            yield clue
        for target in others:
            yield replace(clue, target=target, reason=f"{clue.reason}, whose key is that of {target.name.name}")

    def _persons(self, at: Place) -> Iterator[Clue]:
        known = self.people.get(at.schema) or self.people.get("")
        acted, named = _acted(at), _person(at)
        if known is None or not (acted or named):
            return
        target, sure = known
        free = at.is_text and at.stem.ending not in ENDINGS
        weight = (ACTED if acted else PERSON) * sure - (FREE_TEXT if free else 0)
        weight += COLLEAGUE if target is at.owner and not acted else 0
        reason = f"{at.column.name} says who, and {target.name.name} is the table of those who act here"
        if free:
            reason = f"{at.column.name} says who, but a text may hold a name instead of a row of {target.name.name}"
        yield Clue(target=target, weight=weight, reason=reason)


def roles(found: Directory, mentions: Mapping[TableName, int]) -> Roles:
    """Which tables hold people: by their names, and by how many columns refer to them."""
    ranked: dict[str, list[tuple[float, Target]]] = {"": []}
    for target in found.targets.values():
        rank = PEOPLE.get(target.words[-1], 0) if target.words and target.keys else 0
        if rank:
            rank += NAMED_SO if len(target.bare) == 1 else 0
            points = rank + min(mentions.get(target.name, 0), MOST_MENTIONS) * PER_MENTION
            ranked[""].append((points, target))
            ranked.setdefault(target.name.schema, []).append((points, target))
    most = max((points for points, _ in ranked[""]), default=0.0)
    # A schema's own table of people stands back where that of another schema is clearly the likelier.
    people = {
        schema: _first(known)
        for schema, known in ranked.items()
        if known and max(known, key=_order)[0] > most - CLEARLY
    }
    return Roles(found=found, people=people)


def _first(known: list[tuple[float, Target]]) -> tuple[Target, float]:
    ordered = sorted(known, key=_order, reverse=True)
    if len(ordered) == 1:
        return ordered[0][1], CLEAR
    behind = ordered[0][0] - ordered[1][0]
    return ordered[0][1], CLEAR if behind >= CLEARLY else CLOSE if behind else EVEN


def _order(each: tuple[float, Target]) -> tuple[float, str]:
    return each[0], str(each[1].name)


def _acted(at: Place) -> bool:
    words, ending = at.stem.words, at.stem.ending
    whole = words if ending in ENDINGS else (*words, ending)
    return (
        whole[-1:] == ("by",) or whole[-2:] == ("assigned", "to") or (ending == "uid" and bool(ACTIONS & {*words[-1:]}))
    )


def _person(at: Place) -> bool:
    words, ending = at.stem.words, at.stem.ending
    return bool(words) and words[-1] in PERSONS and (ending in ENDINGS or not ending)


def _selves(at: Place) -> Iterator[Clue]:
    """Up, down, before or after in the same table."""
    words, ending = at.stem.words, at.stem.ending
    said = [word for word in words if word in ABOVE]
    rest = {word for word in words if word not in ABOVE and word != "by"}
    if said and rest <= set(at.owner.words) and ending in ENDINGS | {"", "of"}:
        weight = SELF if ending in ENDINGS else SELF_BARE
        yield Clue(target=at.owner, weight=weight, reason=f"{' '.join(said)} is another row of the same table")
    elif weight := _link(words, ending):
        reason = f"{at.column.name} points at another row of the same table"
        yield Clue(target=at.owner, weight=weight, reason=reason)


def _link(words: Words, ending: str) -> float:
    """The weight of `copy_of`, `reply_to`, `forked_from`, with _id at the end or without; 0 for anything else."""
    whole = words if ending in ENDINGS else (*words, ending)
    before, link = whole[:-1], whole[-1] if whole else ""
    if not before:
        return 0.0
    if link == "of":
        return SELF_UPWARDS if before[0] in ABOVE else SELF_LINK
    upwards = link == "to" and set(before) & UPWARDS
    return SELF_UPWARDS if upwards or (link == "from" and set(before) & ORIGINS) else 0.0
