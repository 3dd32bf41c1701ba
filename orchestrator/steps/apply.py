"""Apply: every statement of the plan, each with its record, within the lock budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.journal import StatementFailed
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Failed, Held, Outcome, StatementRejected
from orchestrator.core.plan import Statement
from orchestrator.core.ports import CatalogReader, Dispatch, Recorder
from orchestrator.core.resumption import strangers
from orchestrator.core.run import Run
from orchestrator.core.snapshot import recorded
from orchestrator.core.timeline import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Changes the target. Orphans fail their relation and nothing else; any other refusal stops the step."""

    dispatch: Dispatch
    catalog: CatalogReader
    contract: Contract
    name: StepName = "apply"
    changes: bool = True

    def due(self, run: Run) -> str | None:
        """Not when the plan is empty."""
        return None if run.plan and run.plan.statements else "everything that is promised stands already"

    def act(self, recorder: Recorder) -> Outcome:
        """Carry the plan out in its order, passing over what is done."""
        plan = recorder.run.plan
        statements = plan.statements if plan else ()
        catalog = self.catalog.catalog()
        changed = self._changed_by_others(recorder.run, catalog)
        if changed is not None:
            return changed
        expected = self._expected(statements, catalog)
        with self.dispatch.opened(self.name):
            refusal = self.dispatch.carry_out(
                statements, expected=expected, hopeless=lambda each: self._hopeless(each, recorder)
            )
        if refusal:
            return self._left(recorder.run, statements, refusal) or Failed(
                note=self._named(refusal, recorder), ours=True
            )
        return self._outcome(recorder.run, statements)

    def _left(self, run: Run, statements: tuple[Statement, ...], refusal: StatementRejected) -> Held | None:
        """When what option B installed could not go: all else is done, and valid keys are not dropped for it."""
        left = [each for each in statements if each.id not in run.done]
        going = [each.id for each in left if each.kind == "remove"]
        if not going or any(each.kind not in {"remove", "history"} for each in left):
            return None
        rest = f"{counted(len(going), 'piece')} of option B left to remove: {', '.join(going)}"
        return Held(
            note=f"{going[0]} was refused: {refusal}; what is done stands, {rest}",
            remedy="put out of the way what depends on it (nothing is dropped with CASCADE), then resume",
        )

    def _named(self, refusal: StatementRejected, recorder: Recorder) -> str:
        """The refusal with its statement: the server's words seldom say which of many they are about."""
        said = str(refusal)
        guilty = next((each.id for each in recorder.run.failures.values() if each.message == said), "")
        return f"{guilty}: {said}" if guilty and not said.startswith(guilty) else said

    def _expected(self, statements: tuple[Statement, ...], catalog: Catalog) -> Mapping[str, float]:
        """The rows that each reads: a validation or an index its whole table, anything else none."""
        tables = catalog.tables
        return {
            each.id: float(tables[each.proof.table].rows) if each.proof.table in tables else 0.0
            for each in statements
            if each.kind in {"validate", "index", "validate check"}
        }

    def _changed_by_others(self, run: Run, catalog: Catalog) -> Failed | Held | None:
        """The tables must be as the plan found them, but for what this run has done to them since."""
        before = run.catalogs.get("before")
        changed = strangers(run, catalog, before, recorded(catalog, "before", self.contract)) if before else ()
        if not changed:
            return None
        note = f"the tables changed since the plan was made: {'; '.join(changed)}"
        if run.changed:
            return Held(note=note, remedy="put it right and resume, or close this run with resume --abandon and deploy")
        return Failed(note=note, remedy="deploy again")

    def preview(self, run: Run) -> Iterator[str]:
        """The statements in their order."""
        for each in run.plan.statements if run.plan else ():
            locks = ", ".join(f"{lock.table} {lock.mode}" for lock in each.locks)
            yield f"{each.shown} -- locks: {locks}; lock timeout {each.lock_timeout_ms} ms"

    def _record_failure(self, statement: Statement, refusal: StatementRejected, recorder: Recorder) -> None:
        recorder.record(
            StatementFailed(
                id=statement.id,
                relation=statement.relation,
                sqlstate=refusal.sqlstate,
                message=str(refusal),
                because_of_orphans=refusal.because_of_orphans,
            )
        )

    def _hopeless(self, statement: Statement, recorder: Recorder) -> bool:
        """What would build on a failed statement: a parent's key on its partitions', a history, the end of audits."""
        failed = recorder.run.failures.values()
        if statement.kind == "remove" and any(each.id != statement.id for each in failed):
            # The audits stay until every key is valid: the next deployment takes them away.
            return True
        plan = recorder.run.plan
        if statement.kind == "history":
            return self._unproved(statement, recorder)
        if statement.kind != "adopt" or plan is None:
            return False
        name = statement.proof.constraint
        guilty = {each.id for each in failed if each.because_of_orphans}
        tables = {lock.table for lock in statement.locks}
        parts = [
            each
            for each in plan.statements
            if each.id in guilty and each.proof.constraint == name and each.proof.table in tables
        ]
        if not parts:
            return False
        self._record_failure(
            statement,
            StatementRejected("a partition holds orphans, so the key cannot be adopted", sqlstate="23503"),
            recorder,
        )
        return True

    def _unproved(self, statement: Statement, recorder: Recorder) -> bool:
        """A migration is not recorded as applied while orphans keep one of its keys from being valid."""
        failed = [each.id for each in recorder.run.failures.values() if each.because_of_orphans]
        if failed:
            told = counted(len(failed), "statement")
            reason = f"{told} failed because of orphans, so the migration is not recorded as applied"
            self._record_failure(statement, StatementRejected(reason, sqlstate="23503"), recorder)
        return bool(failed)

    def _outcome(self, run: Run, statements: tuple[Statement, ...]) -> Outcome:
        failed = [each for each in statements if each.id in run.failures and each.kind != "history"]
        if failed:
            told = f"{len(failed)} of {counted(len(statements), 'statement')}"
            note = f"{told} failed because of orphans; their keys stand NOT VALID"
            return Failed(note=note, ours=False)
        return Done(note=counted(len(statements), "statement"))
