"""The plan: ordered statements, each with its way back, its proof, its locks and timeouts, and the digest of it all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol

from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Priority, Relation
from orchestrator.core.locks import Lock
from orchestrator.core.matching import Status
from orchestrator.core.nouns import counted

StatementKind = Literal[
    "add", "validate", "adopt", "index", "history", "install", "remove", "check", "validate check", "script"
]
ConstraintState = Literal["absent", "not valid", "valid"]

OF_AUDITS: frozenset[StatementKind] = frozenset({"install", "remove"})
"""What puts validation functions and orphan audits into schema orphan_audit, or takes them away."""

BESIDE_KEYS: frozenset[StatementKind] = OF_AUDITS | {"index", "history", "check", "validate check", "script"}
"""What makes no key."""

NOT_VALID_ON_PARTITIONED_SINCE = 18
"""Before PostgreSQL 18 a partitioned table refuses a NOT VALID foreign key."""

VALIDATE_LOCK_TIMEOUT_MS = 900
"""How long VALIDATE may queue: no writer waits behind SHARE UPDATE EXCLUSIVE, so this is not the lock budget.

Under deadlock_timeout (1 s), so that an autovacuum is never cancelled because of us."""

NO_INDEX = "no index leads with"
"""How the hazard begins that tells of referencing columns without an index."""

RANK: dict[Priority, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3}


class DdlWriter(Protocol):
    """Writes statements with every identifier quoted."""

    def add(self, relation: Relation, *, not_valid: bool) -> str:
        """ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY."""

    def validate(self, table: TableName, name: str) -> str:
        """ALTER TABLE … VALIDATE CONSTRAINT."""

    def drop(self, table: TableName, name: str) -> str:
        """ALTER TABLE … DROP CONSTRAINT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the catalog shows once a statement took effect; for an index `constraint` is its name, on `columns`.

    Of a migration's row the catalog shows nothing: `constraint` is its name, in `table`. For a piece of schema
    orphan_audit `constraint` is the piece, and `digest` what its objects' comments say.
    `definition` is what the server says of an index or a check that a runbook has beside its keys.
    """

    table: TableName
    constraint: str
    state: ConstraintState
    columns: tuple[str, ...] = ()
    digest: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of the plan. Timeouts are in ms; a statement timeout of 0 means none.

    `undo` is one transaction; `restore` follows it, each in one of its own, because it reads whole tables.
    """

    id: str
    kind: StatementKind
    relation: str
    sql: str
    undo: tuple[str, ...]
    restore: tuple[str, ...]
    proof: Proof
    locks: tuple[Lock, ...]
    undo_locks: tuple[Lock, ...]
    lock_timeout_ms: int
    statement_timeout_ms: int
    hazards: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The SQL for a screen; that of an audit's piece or of a script is long, and told by its length."""
        if self.kind not in {*OF_AUDITS, "script"}:
            return f"{self.sql};"
        return f"-- {self.id}: {counted(len(self.sql.splitlines()), 'line')}: invoke plan --format sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRelation:
    """A line of the contract with its status in this plan. `standing` names the key that already makes the link."""

    relation: Relation
    status: Status
    reason: str = ""
    standing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be executed, and for which catalog it was made."""

    runbook: str
    environment: str
    digest: str
    fingerprint: str
    relations: tuple[PlannedRelation, ...]
    statements: tuple[Statement, ...]

    @property
    def tables(self) -> tuple[TableName, ...]:
        """The tables that the statements change, each once, sorted; what another tool keeps is none of ours."""
        changing = (each for each in self.statements if each.kind != "history")
        return tuple(sorted({lock.table for each in changing for lock in each.locks}))


def plan_digest(relations: Iterable[PlannedRelation], statements: Iterable[Statement]) -> str:
    """SHA-256 over the relations with their status, and over SQL and undo sorted by id.

    Timeouts, order, counts and the names of environments stay out, so that staging and production can have the same.
    """
    document = {
        "relations": sorted([[*_defining(each.relation), each.status] for each in relations]),
        "statements": sorted([[each.id, each.sql, *each.undo, *each.restore] for each in statements]),
    }
    return sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _defining(relation: Relation) -> tuple[str, ...]:
    """What makes a relation this one; priorities and the wording of a deferral may change without another digest."""
    return (
        relation.id,
        relation.name,
        relation.on_delete,
        relation.on_update,
        relation.match,
        relation.deferrable,
        ",".join(relation.on_delete_columns),
    )
