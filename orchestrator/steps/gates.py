"""Gates: production is opened by evidence. Asked once before the first change, and before every later step again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.core.checks import Finding
from orchestrator.core.gate_facts import Facts
from orchestrator.core.gate_list import DRIFT, GATES, Overrides
from orchestrator.core.journal import FindingsRecorded, GatesOverridden, TimesPredicted
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.ports import FactGatherer, Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName


@dataclass(slots=True, kw_only=True)
class Gates:
    """Reads only. `kind` is the environment's; every kind but production is open.

    It is the run's Gatekeeper, too: what it gathered is kept, and only what moves is looked at again.
    """

    kind: str
    gatherer: FactGatherer
    overrides: Overrides
    by: str
    name: StepName = "gates"
    changes: bool = False
    _facts: Facts | None = field(init=False, default=None)

    def due(self, _: Run) -> str | None:
        """In production always, on a resume once more."""
        return None if self.kind == "production" else f"{self.kind} has no gates, production has"

    def act(self, recorder: Recorder) -> Outcome:
        """Ask all of them, whatever the first ones say: a person wants the whole list at once."""
        facts = self._facts = self.gatherer.gather(recorder.run)
        if facts.evidence and facts.prediction:
            recorder.record(
                TimesPredicted(
                    rehearsal=facts.evidence.run,
                    planned=facts.prediction.steps,
                    rehearsed=facts.evidence.steps,
                    way_back=facts.prediction.way_back,
                )
            )
        found = tuple(gate.find(facts) for gate in GATES)
        used = self.overrides.used(found)
        if used:
            recorder.record(GatesOverridden(gates=used, reason=self.overrides.reason, by=self.by))
        findings = tuple(self.overrides.over(each) for each in found)
        recorder.record(FindingsRecorded(step=self.name, findings=findings))
        closed = sum(each.counts_against and each.severity == "critical" for each in findings)
        told = f", {len(used)} overridden" if used else ""
        return Done(note=f"{len(findings) - closed - len(used)} of {counted(len(findings), 'gate')} open{told}")

    def preview(self, _: Run) -> Iterator[str]:
        """The gates that are asked."""
        yield from (f"gate {each.name}: {each.expected}" for each in GATES if self.kind == "production")

    def findings(self, step: str, run: Run) -> tuple[Finding, ...]:
        """Before a later step: the hour, the time that is left, and whether others changed the tables."""
        if self._facts is None or not self._later(step, run):
            return ()
        facts = self._facts = self.gatherer.again(self._facts, run, step=step)
        asked = (*(gate for gate in GATES if gate.timed), DRIFT)
        return tuple(self.overrides.over(gate.find(facts)) for gate in asked)

    def _later(self, step: str, run: Run) -> bool:
        steps = run.started.steps if run.started else ()
        return step in steps and self.name in steps and steps.index(step) > steps.index(self.name)
