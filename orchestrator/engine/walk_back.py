"""The way back: what a run added is dropped in reverse, nothing else; then the catalog is compared with before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from orchestrator.core.additions import objection_to_dropping
from orchestrator.core.as_is import NO_WAY_BACK
from orchestrator.core.audit_plan import objection_to_undoing
from orchestrator.core.catalog import Catalog, ForeignKey
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.drift import differences, elsewhere
from orchestrator.core.indexes import gone_leftovers, is_ours
from orchestrator.core.journal import CatalogRecorded, NotificationQueued, UndoPassedOver, WalkedBack
from orchestrator.core.outcome import StatementRejected
from orchestrator.core.plan import OF_AUDITS, Statement
from orchestrator.core.ports import CatalogReader, Dispatch, Recorder
from orchestrator.core.run import Run
from orchestrator.core.snapshot import recorded

UNDEFINED_OBJECT = "42704"
VALIDATING = frozenset({"validate", "validate check"})
NOBODY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkBack:
    """Undoes the statements of one run that still stand."""

    dispatch: Dispatch
    catalog: CatalogReader
    contract: Contract
    recorder: Recorder

    def walk(self, work: Run, *, undone: frozenset[str] = frozenset(), again: Mapping[str, str] = NOBODY) -> WalkedBack:
        """Undo `work` but for the statements already undone, and compare. Raises HeldBack.

        `again` names, per statement, a later run that did the same once more: what stands now is that run's.
        """
        self.recorder.record(NotificationQueued(topic="rollback", about=work.id))
        catalog, rewinds = self.catalog.catalog(), len(self.recorder.run.rewinds)
        with self.dispatch.opened("rollback"):
            # Looked for anew each time: a target that was lost and found may have come back without the last ones.
            passed: set[str] = set()
            while (statement := self._next(work, undone, passed)) is not None:
                if len(self.recorder.run.rewinds) > rewinds:
                    catalog, rewinds = self.catalog.catalog(), len(self.recorder.run.rewinds)
                later = again.get(statement.id)
                reason = f"done again by run {later}" if later else None
                if reason is None and statement.id not in half_undone(work, self.recorder.run):
                    reason = _objection(statement, catalog, work)
                if not self._undo(statement, work, reason):
                    passed.add(statement.id)
        after = recorded(self.catalog.catalog(), "after rollback", self.contract)
        self.recorder.record(after)
        before = work.catalogs.get("before")
        others = elsewhere(before, after, ours=_tables_of(work)) if before else ()
        event = WalkedBack(
            of=work.id,
            before=before.fingerprint if before else "",
            after=after.fingerprint,
            differences=tuple(each for each in _differences(before, after, work) if each not in others),
            elsewhere=others,
        )
        self.recorder.record(event)
        return event

    def _next(self, work: Run, undone: frozenset[str], passed: set[str]) -> Statement | None:
        """The last statement that is neither undone nor passed over in this walk."""
        walking = self.recorder.run
        own = walking if walking.id == work.id else work
        mine = {each.id for each in walking.undone.values() if each.of == work.id}
        due = due_back(own, undone | mine, half_undone(work, walking))
        return next((each for each in due if each.id not in passed), None)

    def _undo(self, statement: Statement, work: Run, reason: str | None) -> bool:
        """Whether it was undone; otherwise why not is on record."""
        if reason:
            self._pass_over(statement, work, reason, stands=statement.kind == "script")
            return False
        try:
            self.dispatch.walk_back(statement, of=work.id)
        except StatementRejected as error:
            gone = error.sqlstate == UNDEFINED_OBJECT
            self._pass_over(statement, work, "gone already" if gone else f"refused: {error}", stands=not gone)
            return False
        return True

    def _pass_over(self, statement: Statement, work: Run, reason: str, *, stands: bool = False) -> None:
        told = {(each.of, each.id) for each in self.recorder.run.passed_over if each.stands == stands}
        if (work.id, statement.id) in told:
            return
        self.recorder.record(
            UndoPassedOver(id=statement.id, relation=statement.relation, of=work.id, reason=reason, stands=stands)
        )


def half_undone(work: Run, walking: Run) -> frozenset[str]:
    """Statements whose undoing the walking run has begun, and has not given back yet what that took along.

    An index that it was about to drop is looked for, whatever is left of it.
    """
    restores = {each.id: len(each.restore) for each in work.plan.statements} if work.plan else {}
    dropping = {each.id for each in walking.dropping.values() if each.of == work.id and each.id not in walking.undone}
    return frozenset(dropping) | frozenset(
        each.id
        for each in walking.undone.values()
        if each.of == work.id and walking.restored[each.id] < restores.get(each.id, 0)
    )


def due_back(work: Run, undone: frozenset[str], begun: frozenset[str] = frozenset()) -> Iterator[Statement]:
    """The statements to undo, last first. A validation goes with the key when the same run added the key.

    Those whose undoing has `begun` without coming to its end are due once more.
    """
    planned: Mapping[str, Statement] = {each.id: each for each in work.plan.statements} if work.plan else {}
    done = [planned[name] for name in work.done if name in planned]
    added = {(each.proof.table, each.proof.constraint) for each in done if each.kind in {"add", "check"}}
    gone = (undone | work.undone.keys()) - begun
    # An index that was begun and is not on record may be there, whole or not.
    begun_only = [planned[each.id] for each in work.leftovers if each.id in planned]
    for statement in reversed([*begun_only, *done]):
        goes_along = statement.kind in VALIDATING and (statement.proof.table, statement.proof.constraint) in added
        if not goes_along and statement.id not in gone:
            yield statement


def standing(statement: Statement, catalog: Catalog) -> ForeignKey | None:
    """The key that a statement left, if it is still there."""
    table = catalog.table(statement.proof.table)
    keys = table.foreign_keys if table else ()
    return next((key for key in keys if key.name == statement.proof.constraint), None)


def objection(statement: Statement, key: ForeignKey | None, work: Run) -> str | None:
    """Why a statement must not be undone: what stands there is not what the run left."""
    if key is None:
        return "gone already"
    if key.inherited:
        return "goes with the partitioned table's key"
    relation = _promise(statement, work)
    if relation is not None and (not relation.same_link(key) or relation.differences(key)):
        return f"{key.name} is no longer the key that this run added"
    return None


def _objection(statement: Statement, catalog: Catalog, work: Run) -> str | None:
    """Why a statement must not be undone, whatever it made. A migration's row has a guard in its own SQL."""
    if statement.kind in {"history", "script"}:
        return NO_WAY_BACK if statement.kind == "script" else None
    if statement.kind in OF_AUDITS:
        return objection_to_undoing(statement, catalog)
    if statement.kind in {"check", "validate check"}:
        return objection_to_dropping(statement, catalog)
    if statement.kind == "index":
        return _objection_to_index(statement, catalog, work)
    return objection(statement, standing(statement, catalog), work)


def _objection_to_index(statement: Statement, catalog: Catalog, work: Run) -> str | None:
    proof = statement.proof
    table = catalog.table(proof.table)
    index = next((each for each in table.indexes if each.name == proof.constraint), None) if table else None
    if index is None:
        # One that is not on record as done is looked for with the table locked: its session may have lingered.
        return "gone already" if table is None or statement.id in work.done else None
    if not is_ours(index.definition, proof.columns, proof.definition):
        return f"{index.name} is no longer the index that this run built"
    return None


def _differences(before: CatalogRecorded | None, after: CatalogRecorded, work: Run) -> tuple[str, ...]:
    """What differs; that a leftover of an earlier build is gone is no loss."""
    if before is None:
        return ("the run recorded no catalog before",)
    mended = gone_leftovers(work.plan.statements) if work.plan else ()
    return tuple(
        each for each in differences(before, after) if not (each.startswith(mended) and each.endswith(" (invalid)"))
    )


def _tables_of(work: Run) -> frozenset[str]:
    """The tables that the run's plan is about, by their printed names: what differs there is never somebody else's."""
    relations = [each.relation for each in work.plan.relations] if work.plan else []
    named = [name for each in relations for name in (each.table, each.referenced)]
    return frozenset(map(str, (*named, *(work.plan.tables if work.plan else ()))))


def _promise(statement: Statement, work: Run) -> Relation | None:
    """The relation that a statement serves; one on a partition serves that of the partitioned table."""
    relations = [each.relation for each in work.plan.relations] if work.plan else []
    exact = next((each for each in relations if each.id == statement.relation), None)
    if exact is not None:
        return exact
    own = (replace(each, table=statement.proof.table) for each in relations)
    return next((each for each in own if each.id == statement.relation), None)
