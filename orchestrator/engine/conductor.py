"""Takes a runbook's steps in order: intend, act, record, judge; and decides how the run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.journal import NotificationQueued, RunFinished, StepFinished, StepStarted, VerdictGiven
from orchestrator.core.outcome import (
    Failed,
    Held,
    HeldBack,
    OrchestratorError,
    Outcome,
    RunState,
    Skipped,
)
from orchestrator.core.ports import Recorder, Step
from orchestrator.core.verdict import Verdict, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the steps ended, before anything is walked back. `ours` is false when only the data is to blame."""

    state: RunState
    reason: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Conductor:
    """Orders steps. `opened` is called once, when the first gate is GO: from then on there is a ledger.

    `walk_back` undoes what this run did; it is called when the policy asks for it.
    """

    steps: Mapping[str, Step]
    recorder: Recorder
    opened: Callable[[], None]
    walk_back: Callable[[], None]
    auto_rollback: str

    def conduct(self, names: Sequence[str], *, until: str | None = None) -> None:
        """Take the steps in order and finish the run. Raises OrchestratorError when the journal cannot be written."""
        ending = self._take_all(names, until)
        ending = self._walk_back_if_due(ending)
        self.recorder.record(NotificationQueued(topic="finished", about=ending.state))
        self.recorder.record(RunFinished(state=ending.state, reason=ending.reason))

    def rehearse(self, names: Sequence[str], show: Callable[[str, str], None]) -> None:
        """The dry run: steps that only read are taken, the others say what they would do."""
        for name in names:
            step = self.steps[name]
            if step.changes:
                reason = step.due(self.recorder.run)
                for line in step.preview(self.recorder.run) if reason is None else (f"skipped: {reason}",):
                    show(name, line)
                continue
            ending = self._take(step)
            for line in step.preview(self.recorder.run):
                show(name, line)
            if ending:
                self.recorder.record(RunFinished(state=ending.state, reason=ending.reason))
                return
        self.recorder.record(RunFinished(state="done", reason="dry run: nothing was changed"))

    def _take_all(self, names: Sequence[str], until: str | None) -> Ending:
        blamed: Ending | None = None
        for position, name in enumerate(names):
            ending = self._take(self.steps[name])
            # Orphans fail their relations and nothing else: what comes after apply still tells the whole story.
            if ending and (ending.ours or ending.state != "failed"):
                return ending
            blamed = blamed or ending
            if position == 0:
                try:
                    self.opened()
                except OrchestratorError as error:
                    return Ending(state="refused", reason=str(error))
            if name == until:
                break
        stopped = f"stopped after {until} (--until)" if until and until != names[-1] else ""
        return blamed or Ending(state="done", reason=stopped)

    def _take(self, step: Step) -> Ending | None:
        """One step and its gate; None when the run goes on."""
        self.recorder.record(StepStarted(step=step.name))
        started = time.perf_counter()
        outcome = self._act(step)
        self.recorder.record(
            StepFinished(
                step=step.name,
                state=outcome.state,
                note=outcome.note,
                duration_ms=round((time.perf_counter() - started) * 1000, 3),
                remedy=getattr(outcome, "remedy", ""),
            )
        )
        return self._ending(step, outcome) or self._gate(step)

    def _act(self, step: Step) -> Outcome:
        reason = step.due(self.recorder.run)
        if reason is not None:
            return Skipped(note=reason)
        try:
            return step.act(self.recorder)
        except HeldBack as error:
            return Held(note=str(error))
        except KeyboardInterrupt:
            return Held(note="interrupted; what took effect is on record, the rest was not begun")
        except OrchestratorError as error:
            # A step that only looks and could not is no failure of what was added: nothing is walked back for it.
            looked = self.recorder.run.changed and step.name != "apply"
            return Held(note=str(error)) if looked else Failed(note=str(error))

    def _ending(self, step: Step, outcome: Outcome) -> Ending | None:
        if isinstance(outcome, Held):
            self._give(step.name, Verdict(word="HOLD", reasons=(outcome.note,)))
            return Ending(state="held", reason=outcome.note)
        if isinstance(outcome, Failed):
            self._give(step.name, Verdict(word="NO-GO", reasons=(outcome.note,)))
            return Ending(state=self._no_go(), reason=outcome.note, ours=outcome.ours)
        return None

    def _gate(self, step: Step) -> Ending | None:
        """The rules over everything found in this step."""
        findings = self.recorder.run.findings.get(step.name)
        if findings is None:
            return None
        verdict = judge(findings)
        self._give(step.name, verdict)
        if verdict.word == "GO":
            return None
        reason = f"{step.name} is {verdict.word}: {'; '.join(verdict.reasons)}"
        guilty = [each for each in findings if each.counts_against and each.severity != "optional"]
        ours = not all(each.caused_by_data for each in guilty)
        return Ending(state="held" if verdict.word == "HOLD" else self._no_go(), reason=reason, ours=ours)

    def _no_go(self) -> RunState:
        return "failed" if self.recorder.run.changed else "refused"

    def _give(self, gate: str, verdict: Verdict) -> None:
        self.recorder.record(VerdictGiven(gate=gate, word=verdict.word, reasons=verdict.reasons))
        self.recorder.record(NotificationQueued(topic="gate", about=f"{gate}: {verdict.word}"))

    def _walk_back_if_due(self, ending: Ending) -> Ending:
        wanted = self.auto_rollback == "any" or (self.auto_rollback == "failure" and ending.ours)
        if ending.state != "failed" or not wanted or not self.recorder.run.standing:
            return ending
        try:
            self.walk_back()
        except OrchestratorError as error:
            reason = f"{ending.reason}; the way back stopped: {error}"
            return Ending(state="held" if isinstance(error, HeldBack) else "failed", reason=reason)
        return ending
