"""Preflight: every item of the list is asked, and each answer is a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog
from orchestrator.core.checks import Answer, Check, Finding, Subject
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Environment
from orchestrator.core.journal import FindingsRecorded, PlanRecorded
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.plan import Plan
from orchestrator.core.ports import CatalogReader, Prober, Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName
from orchestrator.steps.hosts import HostWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """Reads only."""

    environment: Environment
    contract: Contract
    checks: tuple[Check, ...]
    catalog: CatalogReader
    prober: Prober
    make_plan: Callable[[Catalog], Plan]
    hosts: HostWatch | None = None
    name: StepName = "preflight"
    changes: bool = False

    def due(self, _: Run) -> str | None:
        """Always."""
        return None

    def act(self, recorder: Recorder) -> Outcome:
        """Ask everything, whatever the first answers are: a person wants the whole list at once."""
        catalog = self.catalog.catalog()
        plan = self.make_plan(catalog)
        subject = Subject(environment=self.environment, contract=self.contract, catalog=catalog, plan=plan)
        findings = tuple(self._findings(subject))
        findings += self.hosts.findings(recorder, "before") if self.hosts else ()
        against = sum(each.counts_against and each.severity != "optional" for each in findings)
        if against and not (recorder.run.done or recorder.run.intended):
            # A run that ends here still has to say what is the matter with each relation; a plan that has begun stays.
            recorder.record(PlanRecorded(plan=plan))
        recorder.record(FindingsRecorded(step=self.name, findings=findings))
        return Done(note=f"{counted(len(findings), 'check')}, {against} against")

    def preview(self, _: Run) -> Iterator[str]:
        """The checks that are asked."""
        yield from (f"check {check.id} ({check.severity})" for check in self.checks)
        yield from (f"look at host {each.name}" for each in (self.hosts.hosts if self.hosts else ()))

    def _findings(self, subject: Subject) -> Iterator[Finding]:
        answers: dict[str, Answer] = {}
        for check in self.checks:
            if check.probe and check.probe not in answers:
                answers[check.probe] = self.prober.ask(check.probe)
            yield check.find(subject, answers[check.probe] if check.probe else Answer())
