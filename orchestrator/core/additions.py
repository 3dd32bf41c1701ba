"""Indexes and CHECK constraints that a runbook has beside its keys, added online like these.

They are told by the server's own words, pg_get_indexdef and pg_get_constraintdef, with every name written in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from orchestrator.core.catalog import Catalog, Constraint, Index, Table, TableName
from orchestrator.core.locks import Lock
from orchestrator.core.outcome import Refused
from orchestrator.core.plan import VALIDATE_LOCK_TIMEOUT_MS, Plan, Proof, Statement, StatementKind, plan_digest

NOT_VALID = " NOT VALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """An index or a CHECK constraint of one table, by its definition."""

    table: TableName
    name: str
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """All of a runbook's, in the order in which they are written."""

    indexes: tuple[Addition, ...] = ()
    checks: tuple[Addition, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.indexes or self.checks)

    @property
    def tables(self) -> tuple[TableName, ...]:
        """The tables that they stand on, each once, sorted."""
        return tuple(sorted({each.table for each in (*self.indexes, *self.checks)}))

    @property
    def lines(self) -> tuple[str, ...]:
        """How a run remembers them, sorted."""
        indexes = (f"index {each.definition}" for each in self.indexes)
        checks = (f"check {each.name} of {each.table}: {each.definition}" for each in self.checks)
        return tuple(sorted((*indexes, *checks)))


NO_ADDITIONS = Additions()


class AdditionWriter(Protocol):
    """Writes statements with every identifier quoted."""

    def drop_index(self, table: TableName, name: str) -> str:
        """DROP INDEX CONCURRENTLY; the index is in its table's schema."""

    def add_check(self, table: TableName, name: str, definition: str) -> str:
        """ALTER TABLE … ADD CONSTRAINT … with the definition as it is."""

    def validate(self, table: TableName, name: str) -> str:
        """ALTER TABLE … VALIDATE CONSTRAINT."""

    def drop(self, table: TableName, name: str) -> str:
        """ALTER TABLE … DROP CONSTRAINT."""


def new_additions(before: Catalog, after: Catalog) -> Additions:
    """What stands after a migration on tables that were there, and did not before.

    An index that a constraint owns is none of these, nor is what tables with partitions, partitions and heirs have.
    """
    indexes: list[Addition] = []
    checks: list[Addition] = []
    for name, table in after.tables.items():
        former = before.table(name)
        parts = table.partition_of or table.inherits or after.heirs.get(name)
        if former is None or table.kind != "table" or parts:
            continue
        owned = {each.name for each in table.constraints}
        indexes += (
            Addition(table=name, name=each.name, definition=each.definition)
            for each in table.indexes
            if each not in former.indexes and each.name not in owned
        )
        checks += (
            Addition(table=name, name=each.name, definition=each.definition)
            for each in table.constraints
            if each.kind == "check" and each not in former.constraints
        )
    return Additions(indexes=tuple(indexes), checks=tuple(checks))


def concurrently(definition: str) -> str:
    """The definition of an index as a statement that builds it while others write."""
    return re.sub(r"^(CREATE (?:UNIQUE )?INDEX) ", r"\1 CONCURRENTLY ", definition)


def with_additions(
    plan: Plan, additions: Additions, catalog: Catalog, writer: AdditionWriter, *, budget_ms: int
) -> Plan:
    """The plan with what is missing of them: indexes first, checks are validated last. Raises Refused for a name.

    `budget_ms` is the longest that a writer may wait for a check to be added.
    """
    maker = _Maker(catalog=catalog, writer=writer, budget=budget_ms)
    indexes = tuple(maker.index(each) for each in additions.indexes if maker.lacks_index(each))
    found = [(each, maker.standing_check(each)) for each in additions.checks]
    adds = tuple(maker.check(each) for each, standing in found if standing is None)
    validations = tuple(maker.validation(each) for each, standing in found if not (standing and standing.validated))
    if not (indexes or adds or validations):
        return plan
    statements = (*indexes, *adds, *plan.statements, *validations)
    return replace(plan, statements=statements, digest=plan_digest(plan.relations, statements))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Turns additions into statements."""

    catalog: Catalog
    writer: AdditionWriter
    budget: int

    def lacks_index(self, wanted: Addition) -> bool:
        """Whether it has to be built, or built again over what an interruption left. Raises Refused."""
        for table, index in self._indexes(wanted.table.schema):
            if index.name != wanted.name:
                continue
            if table == wanted.table and index.definition == wanted.definition:
                return not index.valid
            raise _taken(wanted, f"an index of {table}: {index.definition}")
        if TableName(schema=wanted.table.schema, name=wanted.name) in self.catalog.tables:
            raise _taken(wanted, "a table")
        self._table(wanted)
        return True

    def standing_check(self, wanted: Addition) -> Constraint | None:
        """The same check, valid or not; None when it is missing. Raises Refused."""
        for each in self._table(wanted).constraints:
            if each.name == wanted.name:
                if each.kind == "check" and each.definition.removesuffix(NOT_VALID) == wanted.definition:
                    return each
                raise _taken(wanted, f"{each.name} {each.definition}")
        if wanted.name in self._table(wanted).names_taken():
            raise _taken(wanted, "a foreign key")
        return None

    def index(self, wanted: Addition) -> Statement:
        """CREATE INDEX CONCURRENTLY."""
        lock = (Lock(table=wanted.table, mode="SHARE UPDATE EXCLUSIVE"),)
        return _statement(
            wanted,
            kind="index",
            sql=concurrently(wanted.definition),
            undo=(self.writer.drop_index(wanted.table, wanted.name),),
            proof=Proof(table=wanted.table, constraint=wanted.name, state="valid", definition=wanted.definition),
            locks=(lock, lock),
            timeouts_ms=(VALIDATE_LOCK_TIMEOUT_MS, 0),
            hazards=(
                f"reads {wanted.table} twice, and waits for every transaction that is older; nobody waits for it",
                "cannot run in a transaction: when it is interrupted an invalid index stays, which is dropped and"
                " built again",
            ),
        )

    def check(self, wanted: Addition) -> Statement:
        """ADD CONSTRAINT … NOT VALID: every new row is held to it from then on."""
        lock = (Lock(table=wanted.table, mode="ACCESS EXCLUSIVE"),)
        return _statement(
            wanted,
            kind="check",
            sql=self.writer.add_check(wanted.table, wanted.name, wanted.definition + NOT_VALID),
            undo=(self.writer.drop(wanted.table, wanted.name),),
            proof=_of_check(wanted, valid=False),
            locks=(lock, lock),
            timeouts_ms=(self.budget, self.budget),
            hazards=(f"readers and writers of {wanted.table} wait up to {self.budget} ms",),
        )

    def validation(self, wanted: Addition) -> Statement:
        """VALIDATE CONSTRAINT: the rows that are there already."""
        again = self.writer.add_check(wanted.table, wanted.name, wanted.definition + NOT_VALID)
        return _statement(
            wanted,
            kind="validate check",
            sql=self.writer.validate(wanted.table, wanted.name),
            undo=(self.writer.drop(wanted.table, wanted.name), again),
            proof=_of_check(wanted, valid=True),
            locks=(
                (Lock(table=wanted.table, mode="SHARE UPDATE EXCLUSIVE"),),
                (Lock(table=wanted.table, mode="ACCESS EXCLUSIVE"),),
            ),
            timeouts_ms=(VALIDATE_LOCK_TIMEOUT_MS, 0),
            hazards=("reads the whole table",),
        )

    def _table(self, wanted: Addition) -> Table:
        table = self.catalog.table(wanted.table)
        if table is None:
            message = f"{wanted.name}: table {wanted.table} does not exist"
            raise Refused(message)
        return table

    def _indexes(self, schema: str) -> Iterator[tuple[TableName, Index]]:
        """Names of indexes share one space in each schema."""
        for name, table in self.catalog.tables.items():
            if name.schema == schema:
                yield from ((name, each) for each in table.indexes)


def _of_check(wanted: Addition, *, valid: bool) -> Proof:
    return Proof(
        table=wanted.table,
        constraint=wanted.name,
        state="valid" if valid else "not valid",
        definition=wanted.definition,
    )


def _statement(
    wanted: Addition,
    *,
    kind: StatementKind,
    sql: str,
    undo: tuple[str, ...],
    proof: Proof,
    locks: tuple[tuple[Lock, ...], tuple[Lock, ...]],
    timeouts_ms: tuple[int, int],
    hazards: tuple[str, ...],
) -> Statement:
    """`locks` there and on the way back; the timeouts are those of the lock and of the statement."""
    return Statement(
        id=f"{kind.replace(' ', '-')}:{wanted.table}.{wanted.name}",
        kind=kind,
        relation="",
        sql=sql,
        undo=undo,
        restore=(),
        proof=proof,
        locks=locks[0],
        undo_locks=locks[1],
        lock_timeout_ms=timeouts_ms[0],
        statement_timeout_ms=timeouts_ms[1],
        hazards=hazards,
    )


def _taken(wanted: Addition, what: str) -> Refused:
    return Refused(f"{wanted.name} of {wanted.table} cannot be added: the name is that of {what}")


def check_of(statement: Statement, catalog: Catalog) -> Constraint | None:
    """The check that a statement is about, as it stands; None when nothing of that name and meaning does."""
    table = catalog.table(statement.proof.table)
    for each in table.constraints if table else ():
        if each.name == statement.proof.constraint:
            return each if each.definition.removesuffix(NOT_VALID) == statement.proof.definition else None
    return None


def check_stands(statement: Statement, catalog: Catalog) -> bool:
    """Whether what the statement is to leave is there."""
    found = check_of(statement, catalog)
    return found is not None and (found.validated or statement.proof.state != "valid")


def objection_to_dropping(statement: Statement, catalog: Catalog) -> str | None:
    """Why a check must not be dropped on a way back: it is gone, or another one has its name."""
    proof = statement.proof
    table = catalog.table(proof.table)
    if table is None or proof.constraint not in table.names_taken():
        return "gone already"
    changed = check_of(statement, catalog) is None
    return f"{proof.constraint} is no longer the check that this run added" if changed else None
