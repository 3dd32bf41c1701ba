"""Approvals: people other than the initiator have approved this plan on this database, or the run waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core import approval
from orchestrator.core.approval import SHOWN, Asked, Weighed
from orchestrator.core.host_approval import commands_in
from orchestrator.core.inventory import Person
from orchestrator.core.journal import AnswerHeard
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Failed, Held, Outcome
from orchestrator.core.ports import AnswerReader, Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What the conductor hears between steps: a denial, and the acceptance of a HOLD."""

    answers: AnswerReader
    people: Mapping[str, Person]
    needed: int

    def denied(self, run: Run) -> AnswerHeard | None:
        """The denial that ends the run. Raises ConnectionLost, CannotConnect."""
        # A run that nobody has to approve and that never stopped was not waiting for a word.
        if not self.needed and not run.resumed:
            return None
        return approval.denied(self.answers.said(run), run, self.people, approvals=self.needed)

    def accepted(self, run: Run, gate: str, reasons: tuple[str, ...]) -> AnswerHeard | None:
        """Who accepted exactly this HOLD. Raises ConnectionLost, CannotConnect."""
        if not run.resumed:
            return None
        return approval.accepted(self.answers.said(run), run, gate, reasons, self.people, approvals=self.needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Asks nobody itself: it reads what was said, and holds the run until it is enough.

    `needed` is policy.approvals; `how` is what an approver types.
    """

    answers: AnswerReader
    people: Mapping[str, Person]
    needed: int
    how: str
    name: StepName = "approval"
    # Not in a dry run, which nobody approves.
    changes: bool = True

    def due(self, run: Run) -> str | None:
        """Not where nobody has to approve, and not again once a statement has taken effect."""
        if not self.needed:
            return "policy.approvals is 0"
        if run.plan is not None and not run.plan.statements:
            return "nothing will change"
        return "approved before its first statement" if run.changed else None

    def act(self, recorder: Recorder) -> Outcome:
        """Weigh the answers against the people of now; what counts is taken into the run's own record."""
        run = recorder.run
        role = run.started.target.role if run.started else ""
        problem = approval.unproved(role, self.people)
        if problem:
            return Failed(
                note=f"who began this run is not known: {problem}",
                remedy="log in as a role that [people] gives to one person; database.role may take on another after",
            )
        weighed = self._weighed(run)
        if weighed.denied is not None:
            person, said = weighed.denied
            recorder.record(approval.heard(person, said))
            return Failed(note=f"denied by {person} ({approval.proof_of(said)}): {said.note}")
        if len(weighed.approved) < self.needed:
            return Held(note=self._missing(run, weighed), remedy=self.how)
        known = {each.id for each in run.answers}
        for person, said in weighed.approved:
            if said.id not in known:
                recorder.record(approval.heard(person, said))
        return Done(note=f"approved by {', '.join(person for person, _ in weighed.approved)}")

    def preview(self, run: Run) -> Iterator[str]:
        """What would be waited for."""
        yield f"wait for {counted(self.needed, 'approval')} of {_asked(run)} by others than the initiator"

    def _weighed(self, run: Run) -> Weighed:
        plan = run.plan.digest if run.plan else ""
        asked = Asked(run=run.id, digest=plan, fingerprint=approval.touched(run), target=self.answers.target())
        initiator = approval.initiator_of(run, self.people)
        return approval.weigh(self.answers.said(run), asked, self.people, initiator=initiator)

    def _missing(self, run: Run, weighed: Weighed) -> str:
        there = ", ".join(person for person, _ in weighed.approved)
        needed = counted(self.needed, "approval")
        note = f"{len(weighed.approved)} of {needed} of {_asked(run)}" + (f" ({there})" if there else "")
        return f"{note}; void: {'; '.join(weighed.void)}" if weighed.void else note


def _asked(run: Run) -> str:
    """What has to be approved: the plan, and the commands on hosts that come with it."""
    commands = commands_in(run.started.definition if run.started else ())
    beside = f" and {counted(len(commands), 'command')} on hosts" if commands else ""
    return f"plan {run.plan.digest[:SHOWN] if run.plan else ''}{beside}"
