"""Contract and catalog become a plan.

The order is the one that never mixes ADD and VALIDATE on a table: all keys NOT VALID first, then the validations, then
the keys of partitioned tables that adopt what stands on their partitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from orchestrator.core.catalog import Catalog, ForeignKey, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.locks import Lock, Mode
from orchestrator.core.matching import Match, match, match_all
from orchestrator.core.plan import (
    NO_INDEX,
    NOT_VALID_ON_PARTITIONED_SINCE,
    RANK,
    VALIDATE_LOCK_TIMEOUT_MS,
    ConstraintState,
    DdlWriter,
    Plan,
    PlannedRelation,
    Proof,
    Statement,
    StatementKind,
    plan_digest,
)


def make_plan(
    *,
    runbook: str,
    environment: str,
    contract: Contract,
    catalog: Catalog,
    writer: DdlWriter,
    lock_budget_ms: int,
) -> Plan:
    """The plan for this contract on this catalog; `lock_budget_ms` is the longest that a writer may wait for us."""
    matches = match_all(contract, catalog)
    maker = _Maker(catalog=catalog, writer=writer, budget=lock_budget_ms)
    relations = tuple(_planned(each) for each in matches)
    statements = tuple(maker.statements([each for each in matches if each.status == "missing"]))
    return Plan(
        runbook=runbook,
        environment=environment,
        digest=plan_digest(relations, statements),
        fingerprint=catalog.fingerprint,
        relations=relations,
        statements=statements,
    )


def _planned(found: Match) -> PlannedRelation:
    return PlannedRelation(
        relation=found.relation,
        status=found.status,
        reason=found.reason,
        standing=found.standing.name if found.standing else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A key that is to come or to be made valid, under the name that it stands or will stand under.

    It is written once for all of its statements. `children` and `parents` are the tables of either side, partitions
    included, `adopted` the keys on partitions that it will take for its own.
    """

    relation: Relation
    id: str
    stands: bool
    children: tuple[TableName, ...]
    parents: tuple[TableName, ...]
    adopted: tuple[tuple[TableName, ForeignKey], ...]
    add: str
    drop: str
    undo_locks: tuple[Lock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Turns missing relations into statements."""

    catalog: Catalog
    writer: DdlWriter
    budget: int

    def statements(self, missing: Sequence[Match]) -> Iterator[Statement]:
        """All statements in the order in which they are safe to run."""
        ordered = sorted(missing, key=lambda each: RANK[each.relation.priority])
        keys = [self._key(part) for each in ordered for part in self._parts(each)]
        adds = (self._add(each) for each in keys if not each.stands)
        validations = (self._validate(each) for each in keys)
        adoptions = (self._adopt(self._key(each)) for each in ordered if self._in_parts(each))
        return chain(adds, validations, adoptions)

    def _in_parts(self, found: Match) -> bool:
        early = self.catalog.major < NOT_VALID_ON_PARTITIONED_SINCE
        return early and found.standing is None and self.catalog.tables[found.relation.table].kind == "partitioned"

    def _parts(self, found: Match) -> Iterator[Match]:
        """The relation itself, or one for each partition that does not have the key yet."""
        if not self._in_parts(found):
            yield found
            return
        for leaf in self.catalog.leaves(found.relation.table):
            part = match(replace(found.relation, table=leaf), self.catalog)
            if part.status == "missing":
                yield part

    def _key(self, found: Match) -> _Key:
        relation, standing = found.relation, found.standing
        if standing and standing.name != relation.name:
            relation = replace(relation, name=standing.name)
        children = self.catalog.family(relation.table)
        parents = tuple(name for name in self.catalog.family(relation.referenced) if name not in children)
        return _Key(
            relation=relation,
            id=relation.id,
            stands=standing is not None,
            children=children,
            parents=parents,
            adopted=tuple(self._adopted(relation, children[1:])),
            add=self.writer.add(relation, not_valid=True),
            drop=self.writer.drop(relation.table, relation.name),
            undo_locks=_locks(children, "ACCESS EXCLUSIVE", parents, "ACCESS EXCLUSIVE"),
        )

    def _add(self, key: _Key) -> Statement:
        return self._statement(
            key,
            kind="add",
            sql=key.add,
            undo=self._undo_add(key),
            restore=self._restore(key),
            state="not valid",
            locks=self._add_locks(key, adopts=bool(key.adopted)),
            hazards=tuple(self._hazards(key.relation, adopts=bool(key.adopted))),
        )

    def _adopt(self, key: _Key) -> Statement:
        return self._statement(
            key,
            kind="adopt",
            sql=self.writer.add(key.relation, not_valid=False),
            undo=self._undo_add(key),
            restore=self._restore(key),
            state="valid",
            locks=self._add_locks(key, adopts=True),
            hazards=("takes its locks on every partition too", *self._hazards(key.relation, adopts=True)),
        )

    def _validate(self, key: _Key) -> Statement:
        return self._statement(
            key,
            kind="validate",
            sql=self.writer.validate(key.relation.table, key.relation.name),
            undo=(key.drop, key.add),
            restore=(),
            state="valid",
            locks=_locks(key.children, "SHARE UPDATE EXCLUSIVE", key.parents, "ROW SHARE"),
            hazards=("reads the whole referencing table",),
        )

    def _statement(
        self,
        key: _Key,
        *,
        kind: StatementKind,
        sql: str,
        undo: tuple[str, ...],
        restore: tuple[str, ...],
        state: ConstraintState,
        locks: tuple[Lock, ...],
        hazards: tuple[str, ...],
    ) -> Statement:
        relation = key.relation
        validate = kind == "validate"
        return Statement(
            id=f"{kind}:{relation.table}.{relation.name}",
            kind=kind,
            relation=key.id,
            sql=sql,
            undo=undo,
            restore=restore,
            proof=Proof(table=relation.table, constraint=relation.name, state=state),
            locks=locks,
            undo_locks=key.undo_locks,
            lock_timeout_ms=VALIDATE_LOCK_TIMEOUT_MS if validate else self.budget,
            statement_timeout_ms=0 if validate else self.budget,
            hazards=hazards,
        )

    def _undo_add(self, key: _Key) -> tuple[str, ...]:
        """Drop the key; what its partitions had before is dropped with it, and has to come back."""
        return (key.drop, *(self._as_it_was(key.relation, name, former) for name, former in key.adopted))

    def _as_it_was(self, relation: Relation, partition: TableName, key: ForeignKey) -> str:
        # Before 18 a partition that is partitioned itself takes no NOT VALID key.
        simple = self.catalog.tables[partition].kind == "table"
        not_valid = simple or self.catalog.major >= NOT_VALID_ON_PARTITIONED_SINCE
        return self.writer.add(replace(relation, table=partition, name=key.name), not_valid=not_valid)

    def _restore(self, key: _Key) -> tuple[str, ...]:
        return tuple(self.writer.validate(name, former.name) for name, former in key.adopted if former.validated)

    def _adopted(self, relation: Relation, partitions: tuple[TableName, ...]) -> Iterator[tuple[TableName, ForeignKey]]:
        """The keys on partitions that the key of the partitioned table will take for its own."""
        for name in partitions:
            keys = self.catalog.tables[name].foreign_keys
            fitting = [key for key in keys if relation.same_link(key) and not relation.differences(key)]
            # Of several PostgreSQL adopts the first by name; before 18 only among those that are valid.
            late = self.catalog.major >= NOT_VALID_ON_PARTITIONED_SINCE
            first = min(fitting, key=lambda key: (not (late or key.validated), key.name), default=None)
            if first and not first.inherited:
                yield name, first

    def _add_locks(self, key: _Key, *, adopts: bool) -> tuple[Lock, ...]:
        """The locks of ADD on both sides, the referencing table first.

        A partition's own key that is taken along loses its triggers, which takes the strongest lock on their tables.
        Those are the referenced ones; where these are partitions, too, the referencing partitions besides. Source:
        RemoveTriggerById in PostgreSQL's trigger.c; seen in pg_locks on 15, 16 and 18.
        """
        locks = _locks(key.children, "SHARE ROW EXCLUSIVE", key.parents, "SHARE ROW EXCLUSIVE")
        if not adopts:
            return locks
        parents = self.catalog.family(key.relation.referenced)
        strongest = {*parents, *(key.children[1:] if len(parents) > 1 else ())}
        return tuple(replace(each, mode="ACCESS EXCLUSIVE") if each.table in strongest else each for each in locks)

    def _hazards(self, relation: Relation, *, adopts: bool) -> Iterator[str]:
        table = self.catalog.tables[relation.table]
        yield f"writers of both tables wait up to {self.budget} ms"
        if not any(index.supports(relation.columns) for index in table.indexes):
            yield f"{NO_INDEX} {', '.join(relation.columns)}: deleting a referenced row scans {relation.table}"
        if heirs := self.catalog.heirs.get(relation.table):
            yield f"tables that inherit from {relation.table} are not covered: {', '.join(map(str, heirs))}"
        if relation.on_delete == "set null":
            hit = set(relation.on_delete_columns or relation.columns)
            fixed = sorted(each.name for each in table.columns if each.not_null and each.name in hit)
            if fixed:
                yield f"ON DELETE SET NULL would fail: {', '.join(fixed)} cannot be null"
        if adopts:
            yield f"readers of {relation.referenced} wait, too"


def _locks(
    children: tuple[TableName, ...], child: Mode, parents: tuple[TableName, ...], parent: Mode
) -> tuple[Lock, ...]:
    """Locks on both sides; the referencing table first."""
    return (*(Lock(table=name, mode=child) for name in children), *(Lock(table=name, mode=parent) for name in parents))
