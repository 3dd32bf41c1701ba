"""A migration: the missing keys as plain statements with their way back, for the tool that keeps a schema's history.

On an empty database nobody waits, so that each key is one statement; on a living one the same keys are deployed online.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.plan import Plan, PlannedRelation, Statement

Form = Literal["prisma", "alembic", "django", "sql"]

ONLINE, PLAIN = "CREATE INDEX CONCURRENTLY", "CREATE INDEX"
"""A migration is one transaction, in which PostgreSQL builds no index concurrently; the index is the same."""

TAKEN_FOR_GRANTED = re.compile(
    r"""\bon \s update \s no \s action\b | \bon \s delete \s no \s action\b | \bmatch \s simple\b"""
    r""" | \bnot \s deferrable\b | (?<![\w"])public \s? \. | \s""",
    re.VERBOSE,
)
"""What may be written or left out without meaning anything else."""


class ChangeWriter(Protocol):
    """Writes statements with every identifier quoted."""

    def add(self, relation: Relation, *, not_valid: bool) -> str:
        """ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY."""

    def drop(self, table: TableName, name: str) -> str:
        """ALTER TABLE … DROP CONSTRAINT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key or index: the statements that make it, and the one that takes it away."""

    up: tuple[str, ...]
    down: str


def changes_of_contract(contract: Contract, writer: ChangeWriter) -> tuple[Change, ...]:
    """Every key that is promised, for a database that has none of them."""
    return tuple(_key(each, writer) for each in contract.promised)


def changes_of_plan(plan: Plan, writer: ChangeWriter) -> tuple[Change, ...]:
    """What a plan would add, indexes first, keys in the contract's order."""
    indexes = (_index(each) for each in plan.statements if each.kind == "index")
    keys = (_planned(each, writer) for each in plan.relations if each.status == "missing")
    checks = (_check(each) for each in plan.statements if each.kind == "check")
    return (*indexes, *keys, *checks)


def _key(relation: Relation, writer: ChangeWriter) -> Change:
    return Change(up=(writer.add(relation, not_valid=False),), down=writer.drop(relation.table, relation.name))


def _planned(planned: PlannedRelation, writer: ChangeWriter) -> Change:
    """A key that stands NOT VALID is dropped first: the migration has to work with it and without it."""
    if planned.standing is None:
        return _key(planned.relation, writer)
    made = _key(replace(planned.relation, name=planned.standing), writer)
    gone = made.down.replace(" DROP CONSTRAINT ", " DROP CONSTRAINT IF EXISTS ", 1)
    return replace(made, up=(gone, *made.up))


def _index(statement: Statement) -> Change:
    return Change(up=(plain_index(statement.sql),), down=_plain(statement.undo[0], "DROP INDEX"))


def _check(statement: Statement) -> Change:
    """On an empty database a check is valid at once."""
    return Change(up=(statement.sql.removesuffix(" NOT VALID"),), down=statement.undo[0])


def plain_index(text: str) -> str:
    """CREATE INDEX without CONCURRENTLY."""
    return text.replace(" INDEX CONCURRENTLY", " INDEX", 1)


def _plain(text: str, words: str) -> str:
    return words + text.removeprefix(f"{words} CONCURRENTLY")


PART = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | \$(\w*)\$.*?\$\1\$ | ; | [^;'"$/-]+ | .""",
    re.DOTALL | re.VERBOSE,
)
"""A string, a quoted name, a comment, a dollar-quoted body, the end of a statement, or anything else."""

PLAIN_NAME = re.compile(r'"([a-z_][a-z0-9_]*)"')


def split(script: str) -> Iterator[str]:
    """The statements of a script, without comments. It finds where each ends, and understands nothing of it."""
    gathered: list[str] = []
    for found in PART.finditer(script + "\n;"):
        part = found.group()
        if part == ";":
            if text := "".join(gathered).strip():
                yield text
            gathered = []
        elif not part.startswith(("--", "/*")):
            gathered.append(part)


def spelled(statement: str) -> str:
    """A statement without what means nothing: case, space, quotes that are not needed, clauses that are the default."""
    parts = []
    for found in PART.finditer(statement):
        part = found.group()
        if part.startswith('"'):
            parts.append(_kept(PLAIN_NAME.sub(r"\1", part)))
        elif part.startswith("'"):
            parts.append(_kept(part))
        else:
            parts.append(re.sub(r"\s+", " ", part.lower()))
    return TAKEN_FOR_GRANTED.sub("", "".join(parts))


def _kept(name: str) -> str:
    """A name or a string whose space means something."""
    return re.sub(r"\s", lambda space: f"\\{ord(space.group())}", name)


def spelled_all(statements: Iterable[str]) -> frozenset[str]:
    """The same for many."""
    return frozenset(map(spelled, statements))
