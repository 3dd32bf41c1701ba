"""The history that another tool keeps of a schema: which migrations there are, which are in effect, and what is wrong.

A run that adds what a migration would add writes that migration's row, as its last statement; the way back takes it
back. Then the tool neither applies it again nor misses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Relation
from orchestrator.core.locks import Lock
from orchestrator.core.matching import LEFT_OUT
from orchestrator.core.migration import spelled, spelled_all
from orchestrator.core.plan import Plan, Proof, Statement, plan_digest

Tool = Literal["prisma", "alembic", "django"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One migration of the folder, Django's as `app.name`.

    `checksums` are those of its file with either kind of line end, the one as it is first; only Prisma keeps them.
    `after` is what it comes after, `follows` the revision whose place it takes in Alembic's table. `statements` is its
    SQL, None where it is more than SQL.
    """

    name: str
    after: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    checksums: tuple[str, ...] = ()
    statements: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Which tool keeps the history, in which table, of which folder, and the migration that a run stands for.

    `tried` when the migration was run on a copy and did nothing but what the contract says: then nobody compares texts.
    """

    tool: Tool
    table: TableName
    folder: str
    migration: Migration
    known: tuple[Migration, ...]
    app: str = ""
    tried: bool = False

    @property
    def line(self) -> str:
        """How a run remembers it: a migration that was edited is another one."""
        checksum = f" (sha256 {self.migration.checksums[0][:16]})" if self.migration.checksums else ""
        return f"history of {self.tool}: {self.migration.name}{checksum}"

    def known_as(self, name: str) -> Migration | None:
        """The migration of that name, or one that replaces it."""
        return next((each for each in self.known if name in {each.name, *each.replaces}), None)

    def before(self, name: str) -> frozenset[str]:
        """All migrations of the folder that come before that one, however far."""
        found: set[str] = set()
        due = [name]
        while due:
            one = self.known_as(due.pop())
            for each in one.after if one else ():
                if each not in found:
                    found.add(each)
                    due.append(each)
        return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A row of the tool's table. `finished` and `rolled_back` are Prisma's."""

    name: str
    checksum: str = ""
    finished: bool = True
    rolled_back: bool = False

    @property
    def stands(self) -> bool:
        """Whether the tool takes it for applied."""
        return self.finished and not self.rolled_back


def in_effect(history: History, rows: Iterable[Applied]) -> frozenset[str]:
    """The migrations that the tool takes for applied; Alembic keeps the last only, which stands for all before it."""
    standing = frozenset(each.name for each in rows if each.stands)
    if history.tool == "alembic":
        return standing.union(*(history.before(name) for name in standing))
    return standing.union(*(each.replaces for each in history.known if each.name in standing))


def edited(history: History, rows: Iterable[Applied]) -> Iterator[str]:
    """Migrations whose file is not the one that was applied."""
    for each in rows:
        known = history.known_as(each.name)
        if each.stands and known and known.checksums and each.checksum not in known.checksums:
            yield f"{each.name} was applied with checksum {each.checksum[:16]}, its file has {known.checksums[0][:16]}"


def unknown(history: History, rows: Iterable[Applied]) -> Iterator[str]:
    """What was applied and is not in the folder; of Django's rows those of other apps say nothing."""
    for each in rows:
        ours = history.tool != "django" or each.name.startswith(f"{history.app}.")
        if ours and not each.rolled_back and history.known_as(each.name) is None:
            what = "revision" if history.tool == "alembic" else "migration"
            yield f"{what} {each.name} was applied and is not in {history.folder}"


def unfinished(rows: Iterable[Applied]) -> Iterator[str]:
    """Migrations that began and neither ended nor were given up."""
    for each in rows:
        if not each.finished and not each.rolled_back:
            yield f"{each.name} failed, or is being applied"


def lacking(history: History, rows: Sequence[Applied]) -> Iterator[str]:
    """What the migration comes after and is not in effect."""
    standing = in_effect(history, rows)
    if history.migration.name in standing:
        return
    far = history.tool != "django"
    needed = history.before(history.migration.name) if far else frozenset(history.migration.after)
    yield from sorted(needed - standing)
    here = [each.name for each in rows]
    for each in history.migration.follows:
        if each in standing and each not in here:
            yield f"{each} as the last revision: {history.table} is at {', '.join(here)}"


def others(history: History, rows: Sequence[Applied]) -> Iterator[str]:
    """Further migrations of the folder that are not in effect."""
    standing = in_effect(history, rows)
    own = {history.migration.name, *lacking(history, rows)}
    yield from (each.name for each in history.known if each.name not in standing and each.name not in own)


def foreign(history: History, promised: Iterable[str]) -> Iterator[str]:
    """Statements of the migration that a run of this contract would not carry out; `promised` has those it would."""
    texts = frozenset(promised)
    # What generate wrote is the very text: only the rest is worth a closer look.
    rest = [each for each in history.migration.statements or () if each not in texts]
    known = spelled_all(texts) if rest else frozenset()
    yield from (each for each in rest if spelled(each) not in known)


def left_out(history: History, missing: Iterable[tuple[Relation, str]]) -> Iterator[str]:
    """Relations that the run adds and the migration does not: relation and statement of each that is missing."""
    if history.migration.statements is None:
        return
    texts = frozenset(history.migration.statements)
    rest = [(each, text) for each, text in missing if text not in texts]
    written = spelled_all(texts) if rest else frozenset()
    yield from (each.id for each, text in rest if spelled(text) not in written)


class HistoryWriter(Protocol):
    """Writes statements about the tool's table."""

    def record(self, history: History) -> str:
        """The row is written, unless it is there; an error where the migration cannot be the next."""

    def take_back(self, history: History) -> str:
        """The row tells that the migration is not applied any more; an error where others were built on it."""


Writes = Callable[[Relation], str]


def with_history(
    plan: Plan, history: History, rows: Sequence[Applied], *, writer: HistoryWriter, writes: Writes, budget_ms: int
) -> Plan:
    """The plan with the migration's row as its last statement, when with it every key of the migration stands."""
    if not_written(plan, history, rows, writes):
        return plan
    lock = (Lock(table=history.table, mode="SHARE ROW EXCLUSIVE"),)
    statement = Statement(
        id=f"history:{history.tool}.{history.migration.name}",
        kind="history",
        relation="",
        sql=writer.record(history),
        undo=(writer.take_back(history),),
        restore=(),
        proof=Proof(table=history.table, constraint=history.migration.name, state="valid"),
        locks=lock,
        undo_locks=lock,
        lock_timeout_ms=budget_ms,
        statement_timeout_ms=budget_ms,
        hazards=(f"{history.tool} takes {history.migration.name} for applied from then on",),
    )
    statements = (*plan.statements, statement)
    return replace(plan, statements=statements, digest=plan_digest(plan.relations, statements))


def not_written(plan: Plan, history: History, rows: Sequence[Applied], writes: Writes) -> str:
    """Why the plan has no statement for the row; empty when it has."""
    if history.migration.name in in_effect(history, rows):
        return f"{history.migration.name} is recorded already"
    bad = [each.relation.id for each in plan.relations if each.status in {"different", "impossible"}]
    if bad:
        return f"not every key will stand: {bad[0]}"
    deferred = [each.relation for each in plan.relations if each.status == "deferred"]
    if history.migration.statements is None or history.tried:
        # Nobody reads what is in it: what a contract defers for good is taken to be no part of it.
        left = [each.id for each in deferred if each.deferred == LEFT_OUT]
    else:
        own = spelled_all(history.migration.statements) if deferred else frozenset()
        left = [each.id for each in deferred if spelled(writes(each)) in own]
    return f"not every key of {history.migration.name} is added by this run: {left[0]}" if left else ""
