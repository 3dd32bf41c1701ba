"""What one transaction of ours does: its locks and statements, the event that tells of it, and when it is on record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.audit_plan import audits_before
from orchestrator.core.journal import Event, KeyRestored, StatementDone, StatementUndone
from orchestrator.core.locks import Lock
from orchestrator.core.plan import OF_AUDITS, VALIDATE_LOCK_TIMEOUT_MS, Statement, StatementKind
from orchestrator.core.run import Run

Kind = StatementKind | Literal["drop", "restore", "drop index", "rows"]
CONCURRENT: frozenset[Kind] = frozenset({"index", "drop index"})
"""What PostgreSQL refuses to do inside of a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """Timeouts are in ms; a statement timeout of 0 means none. `of` is the run that is walked back.

    `after` names the transactions that have to be over before. `number` counts the keys that a way back gives back. For
    an index `constraint` is its name, on `columns` or by its whole `definition`.
    """

    id: str
    kind: Kind
    relation: str
    constraint: str
    statements: tuple[str, ...]
    locks: tuple[Lock, ...]
    lock_timeout_ms: int
    statement_timeout_ms: int
    after: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    definition: str = ""
    of: str = ""
    number: int = 0
    short: bool = field(init=False)

    def __post_init__(self) -> None:
        """Short is what writers queue behind, so that it has to be over within the lock budget."""
        object.__setattr__(self, "short", any(lock.blocks_writers for lock in self.locks))

    @property
    def concurrent(self) -> bool:
        """Whether it cannot be one transaction: it needs an intent before it and a probe after it."""
        return self.kind in CONCURRENT

    def event(self, *, attempts: int, way: str = "", why: str = "", predicted_ms: float | None = None) -> Event:
        """The record; what only the server can measure is filled in when it is written."""
        match self.kind:
            case "drop" | "drop index":
                return StatementUndone(
                    id=self.id,
                    relation=self.relation,
                    of=self.of,
                    sql=self.statements,
                    attempts=attempts,
                    duration_ms=0,
                    blocked_ms=0,
                    waited_ms=0,
                )
            case "restore":
                return KeyRestored(
                    id=self.id, relation=self.relation, of=self.of, sql=self.statements[0], duration_ms=0
                )
            case _:
                return StatementDone(
                    id=self.id,
                    relation=self.relation,
                    sql=self.statements[0],
                    attempts=attempts,
                    duration_ms=0,
                    blocked_ms=0,
                    waited_ms=0,
                    way=way,
                    why=why,
                    predicted_ms=predicted_ms,
                )

    def on_record(self, run: Run) -> bool:
        """Whether the journal says that it took effect."""
        match self.kind:
            case "drop" | "drop index":
                return self.id in run.undone
            case "restore":
                return run.restored[self.id] >= self.number
            case _:
                return self.id in run.done


def doing(statements: tuple[Statement, ...]) -> tuple[Transaction, ...]:
    """The way forward, in the plan's order."""
    indexes: dict[str, list[str]] = defaultdict(list)
    for each in statements:
        if each.kind == "index":
            indexes[each.relation].append(each.id)
    audits = audits_before(statements)
    return tuple(
        Transaction(
            id=each.id,
            kind=each.kind,
            relation=each.relation,
            constraint=each.proof.constraint,
            statements=(each.sql,),
            locks=each.locks,
            lock_timeout_ms=each.lock_timeout_ms,
            statement_timeout_ms=each.statement_timeout_ms,
            columns=each.proof.columns,
            definition=each.proof.definition,
            after=frozenset((*_before(each, statements), *_indexes_before(each, indexes)))
            | audits.get(each.id, frozenset()),
        )
        for each in statements
    )


def _before(statement: Statement, statements: tuple[Statement, ...]) -> Iterator[str]:
    """A validation needs its key; a partitioned table's key needs those of its partitions, valid; history needs all."""
    match statement.kind:
        case "validate":
            yield from (each.id for each in statements if each.kind == "add" and _same_key(each, statement))
        case "validate check":
            yield from (each.id for each in statements if each.kind == "check" and _same_key(each, statement))
        case "adopt":
            tables = {lock.table for lock in statement.locks}
            # Whatever the keys of its partitions are called: it takes valid ones for its own.
            keys = (each for each in statements if each.kind not in {"adopt", *OF_AUDITS})
            yield from (each.id for each in keys if each.proof.table in tables)
        case "history":
            yield from (each.id for each in statements if each.kind != "history")
        case "add" | "index" | "install" | "remove" | "check" | "script":
            return


def _indexes_before(statement: Statement, indexes: Mapping[str, list[str]]) -> Iterable[str]:
    """The index on the referencing columns comes before the key: validating and deleting referenced rows profit."""
    return indexes.get(statement.relation, ()) if statement.kind in {"add", "validate"} else ()


def _same_key(left: Statement, right: Statement) -> bool:
    return (left.proof.table, left.proof.constraint) == (right.proof.table, right.proof.constraint)


def undoing(statement: Statement, *, of: str, budget_ms: int) -> tuple[Transaction, ...]:
    """The way back of one statement of run `of`: what drops it, then what gives back each key that went along.

    No writer waits for a piece of schema orphan_audit: its way back has the time that it takes.
    """
    audits = statement.kind in OF_AUDITS
    drop = Transaction(
        id=statement.id,
        kind="drop index" if statement.kind == "index" else "drop",
        relation=statement.relation,
        constraint=statement.proof.constraint,
        statements=statement.undo,
        locks=statement.undo_locks,
        lock_timeout_ms=statement.lock_timeout_ms if audits else budget_ms,
        statement_timeout_ms=statement.statement_timeout_ms if audits else budget_ms,
        columns=statement.proof.columns,
        definition=statement.proof.definition,
        of=of,
    )
    restores = (
        Transaction(
            id=statement.id,
            kind="restore",
            relation=statement.relation,
            constraint=statement.proof.constraint,
            statements=(text,),
            # Which partition it is stands in the text only: each of them may be.
            locks=tuple(Lock(table=lock.table, mode="SHARE UPDATE EXCLUSIVE") for lock in statement.undo_locks),
            lock_timeout_ms=VALIDATE_LOCK_TIMEOUT_MS,
            statement_timeout_ms=0,
            of=of,
            number=number,
        )
        for number, text in enumerate(statement.restore, start=1)
    )
    return (drop, *restores)
