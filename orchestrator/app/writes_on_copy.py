"""The performance step of a rehearsal: writes are measured on the copy before its first walk and after its last."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.adapters.copying import vacuum
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.write_load import CLIENTS, SECONDS
from orchestrator.app.copy_steps import skipped, taken
from orchestrator.app.on_copy import OnCopy
from orchestrator.app.performance import STEP, combine, measure
from orchestrator.core.catalog import TableName
from orchestrator.core.checks import Finding
from orchestrator.core.journal import FindingsRecorded
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import HeldBack
from orchestrator.core.performance import Costs
from orchestrator.core.plan import Plan
from orchestrator.core.rehearsal import Walk, all_proved, not_measured

LEFT_OUT = "left out with --no-performance"
NOTHING_NEW = "the plan adds no key; rehearse --like ENV makes the copy lack what that environment lacks"
NOT_WALKED = "the walks did not go well, so that the copy is not to be measured with the keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The concurrent run: so many clients, for so many seconds, once before the walks and once after."""

    clients: int = CLIENTS
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class WritesOnCopy:
    """Both measurements on one copy. Without a `load` they are left out; `tables` are vacuumed after the first."""

    copy: OnCopy
    journal: RunJournal
    load: Load | None
    tables: tuple[TableName, ...]

    def before(self, plan: Plan) -> Costs | str:
        """What writes cost without the keys, or why nothing is measured. Raises OrchestratorError."""
        if self.load is None:
            return LEFT_OUT
        if not any(each.kind == "add" for each in plan.statements):
            return NOTHING_NEW
        with taken(self.journal, STEP) as notes:
            found = self._measured(self.load)
            # Writes that were rolled back leave dead rows, which the walks' statements would read.
            vacuum(self.copy.place, self.tables)
            notes.append(f"{counted(sum(each.rows for each in found.timings), 'write')} measured without the keys")
        return found

    def after(self, before: Costs | str, walks: tuple[Walk, ...]) -> tuple[Finding, ...]:
        """What the keys cost, on record; the last walk has left all of them there. Raises OrchestratorError."""
        reason = before if isinstance(before, str) else "" if all_proved(walks) else NOT_WALKED
        if reason or isinstance(before, str) or self.load is None:
            findings: tuple[Finding, ...] = (not_measured(reason),)
            skipped(self.journal, STEP, reason)
        else:
            findings = self._compared(before, self.load)
        self.journal.record(FindingsRecorded(step=STEP, findings=findings))
        return findings

    def _compared(self, before: Costs, load: Load) -> tuple[Finding, ...]:
        with taken(self.journal, STEP) as notes:
            event, findings = combine(before, self._measured(load))
            self.journal.record(event)
            most = max((each.ms for each in event.overheads if each.ms is not None), default=0.0)
            against = sum(each.counts_against for each in findings)
            notes.append(f"{counted(len(findings), 'table')}, {against} against, at most {most:.2f} ms more per write")
        return findings

    def _measured(self, load: Load) -> Costs:
        """As the copy is now. Raises HeldBack when somebody asked to stop: what was measured then says nothing."""
        on_copy = self.copy.site()
        catalog = on_copy.catalog(STEP).catalog()
        found = measure(on_copy.server, on_copy.contract, catalog, clients=load.clients, seconds=load.seconds)
        if stop := self.journal.stopping():
            raise HeldBack(stop)
        return found
