"""Takes a runbook's steps in order: intend, act, record, judge; and decides how the run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.core.approval import open_hold
from orchestrator.core.journal import (
    AnswerHeard,
    FindingsRecorded,
    NotificationQueued,
    StepFinished,
    StepStarted,
    VerdictGiven,
    WalkBackBegan,
)
from orchestrator.core.outcome import (
    CannotConnect,
    ConnectionLost,
    Done,
    Failed,
    Held,
    HeldBack,
    JournalLost,
    OrchestratorError,
    Outcome,
    RunState,
    Skipped,
)
from orchestrator.core.ports import Gatekeeper, Hearing, Recorder, Step
from orchestrator.core.verdict import Verdict, judge

Answered = TypeVar("Answered")

ATTEMPTS = 5
"""How often a step is begun when only the connection broke."""

BEFORE_CHANGES = frozenset({"preflight", "plan", "audit", "gates", "approval", "backup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the steps ended, before anything is walked back. `ours` is false when only the data is to blame."""

    state: RunState
    reason: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Conductor:
    """Orders steps. `opened` is called once, when the first gate is GO or HOLD: from then on there is a ledger.

    `walk_back` undoes what this run did; it is called when the policy asks for it. A rehearsal `passes_hold`: it tells
    a HOLD at a gate and goes on, because nobody's data is at stake.
    """

    steps: Mapping[str, Step]
    recorder: Recorder
    opened: Callable[[], None]
    walk_back: Callable[[], None]
    auto_rollback: str
    hearing: Hearing | None = None
    gatekeeper: Gatekeeper | None = None
    passes_hold: bool = False

    def conduct(self, names: Sequence[str], *, until: str | None = None) -> None:
        """Take the steps in order and finish the run; one that was going backwards goes on backwards.

        Raises JournalLost when the journal cannot be written any more.
        """
        walking = self.recorder.run.walking
        if walking is not None:
            ending = self._walk_back(Ending(state=walking.state, reason=walking.reason))
        else:
            ending = self._walk_back_if_due(self._take_all(names, until))
        self.recorder.record(NotificationQueued(topic="finished", about=ending.state))
        self.recorder.close(ending.state, ending.reason)

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
                self.recorder.close(ending.state, ending.reason)
                return
        self.recorder.close("done", "dry run: nothing was changed")

    def _take_all(self, names: Sequence[str], until: str | None) -> Ending:
        blamed: Ending | None = None
        for position, name in enumerate(names):
            stop = self.recorder.stopping()
            if stop is not None:
                return self._stopped(name, f"{stop}; stopped before {name}")
            denied = self._denied(name)
            if denied is not None:
                return denied
            ending = None if self._stands(self.steps[name]) else self._shut(name) or self._take(self.steps[name])
            if position == 0 and (ending is None or open_hold(self.recorder.run)):
                refusal = self._open()
                if refusal:
                    return refusal
            # Orphans fail their relations and nothing else: what comes after apply still tells the whole story.
            if ending and (ending.ours or ending.state != "failed"):
                return ending
            blamed = blamed or ending
            if name == until:
                break
        stopped = f"stopped after {until} (--until)" if until and until != names[-1] else ""
        return blamed or Ending(state="done", reason=stopped)

    def _open(self) -> Ending | None:
        """Open the ledger: also for a HOLD, which has to be there to be accepted."""
        try:
            self.opened()
        except JournalLost:
            raise
        except OrchestratorError as error:
            return Ending(state="refused", reason=str(error))
        return None

    def _denied(self, name: str) -> Ending | None:
        """How the run ends when somebody denied it before its first change; a later denial walks nothing back.

        Where that cannot be found out, nothing is begun: the run is held.
        """
        run, hearing = self.recorder.run, self.hearing
        if hearing is None or run.changed or not run.in_ledger:
            return None
        try:
            heard = self._patiently(lambda: hearing.denied(self.recorder.run))
        except JournalLost:
            raise
        except OrchestratorError as error:
            return self._stopped(name, f"before {name}: {error}")
        if heard is None:
            return None
        self.recorder.record(heard)
        reason = f"denied by {heard.person} ({heard.proof}): {heard.note}"
        self._give(name, Verdict(word="NO-GO", reasons=(reason,)))
        return Ending(state="refused", reason=reason)

    def _accepted(self, gate: str, verdict: Verdict) -> bool:
        """Whether somebody accepted exactly this HOLD; then that is on record, and the run goes on."""
        run = self.recorder.run
        heard: AnswerHeard | None = None
        if verdict.word == "HOLD" and self.hearing is not None and run.in_ledger:
            with suppress(ConnectionLost, CannotConnect):
                heard = self.hearing.accepted(run, gate, verdict.reasons)
        if heard is None:
            return False
        if heard.id not in {each.id for each in run.answers}:
            self.recorder.record(heard)
        self._give(
            gate, Verdict(word="GO", reasons=(f"HOLD accepted by {heard.person} ({heard.proof}): {heard.note}",))
        )
        return True

    def _stands(self, step: Step) -> bool:
        """Whether this run has done the step already, before it was interrupted, and it need not be done again."""
        run = self.recorder.run
        return bool(run.resumed) and run.steps[step.name].state == "done" and step.due(run) is not None

    def _shut(self, name: str) -> Ending | None:
        """How the run ends because a gate closed before this step; None when all are open."""
        place = f"before {name}"
        keeper = self.gatekeeper
        if keeper is None:
            return None
        try:
            findings = self._patiently(lambda: keeper.findings(name, self.recorder.run))
        except JournalLost:
            raise
        except OrchestratorError as error:
            reason = f"{place}: {error}"
            return self._stopped(name, reason) if self.recorder.run.changed else Ending(state="refused", reason=reason)
        verdict = judge(findings)
        if verdict.word == "GO" and place not in self.recorder.run.findings:
            return None
        self.recorder.record(FindingsRecorded(step=place, findings=findings))
        if verdict.word == "GO":
            return None
        held = self.recorder.run.changed
        self._give(place, Verdict(word="HOLD", reasons=verdict.reasons) if held else verdict)
        return Ending(state="held" if held else "refused", reason=f"{place}: {'; '.join(verdict.reasons)}")

    def _patiently(self, ask: Callable[[], Answered]) -> Answered:
        """An answer, also over a lost connection. Raises OrchestratorError, also when the target does not come back."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return ask()
            except (ConnectionLost, CannotConnect) as error:
                if attempt == ATTEMPTS or self.recorder.stopping() or not self._recovered(str(error)):
                    raise
        raise AssertionError  # the last attempt returns

    def _stopped(self, name: str, reason: str) -> Ending:
        self._give(name, Verdict(word="HOLD", reasons=(reason,)))
        return Ending(state="held", reason=reason)

    def _take(self, step: Step) -> Ending | None:
        """One step and its gate; None when the run goes on."""
        self.recorder.record(StepStarted(step=step.name))
        started = time.perf_counter()
        outcome = self._act(step)
        stop = self.recorder.stopping()
        if stop is not None and not isinstance(outcome, Done | Skipped | Held):
            # What was cut short says nothing about the target.
            outcome = Held(note=stop)
        self.recorder.record(
            StepFinished(
                step=step.name,
                state=outcome.state,
                note=outcome.note,
                duration_ms=round((time.perf_counter() - started) * 1000, 3),
                remedy=getattr(outcome, "remedy", ""),
            )
        )
        ending = self._ending(step, outcome)
        if ending is None and stop is not None:
            return self._stopped(step.name, f"{stop}; stopped after {step.name}")
        return ending or self._gate(step)

    def _act(self, step: Step) -> Outcome:
        """The step, once more when only the connection broke: what reads may be asked again, and apply knows itself."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reason = step.due(self.recorder.run)
                return Skipped(note=reason) if reason is not None else step.act(self.recorder)
            except (ConnectionLost, CannotConnect) as error:
                if attempt == ATTEMPTS or self.recorder.stopping() or not self._recovered(str(error)):
                    return self._failed(step, error)
            except JournalLost:
                raise
            except HeldBack as error:
                return Held(note=str(error))
            except OrchestratorError as error:
                return self._failed(step, error)
        raise AssertionError  # the last attempt returns

    def _recovered(self, reason: str) -> bool:
        """Whether the target was found again; a run that has no ledger yet can end without it. Raises JournalLost."""
        try:
            self.recorder.recover(reason)
        except CannotConnect:
            return False
        return True

    def _failed(self, step: Step, error: OrchestratorError) -> Outcome:
        # A step that only looks and could not is no failure of what was added: nothing is walked back for it.
        looked = self.recorder.run.changed and step.name != "apply"
        lost = self.recorder.run.in_ledger and isinstance(error, ConnectionLost | CannotConnect)
        return Held(note=str(error)) if looked or lost else Failed(note=str(error))

    def _ending(self, step: Step, outcome: Outcome) -> Ending | None:
        if isinstance(outcome, Held):
            self._give(step.name, Verdict(word="HOLD", reasons=(outcome.note,)))
            return Ending(state="held", reason=outcome.note)
        if isinstance(outcome, Failed):
            self._give(step.name, Verdict(word="NO-GO", reasons=(outcome.note,)))
            return Ending(state=self._no_go(step), reason=outcome.note, ours=outcome.ours)
        return None

    def _gate(self, step: Step) -> Ending | None:
        """The rules over everything found in this step."""
        findings = self.recorder.run.findings.get(step.name)
        if findings is None:
            return None
        verdict = judge(findings)
        self._give(step.name, verdict)
        passed = verdict.word == "HOLD" and self.passes_hold
        if verdict.word == "GO" or passed or self._accepted(step.name, verdict):
            return None
        reason = f"{step.name} is {verdict.word}: {'; '.join(verdict.reasons)}"
        guilty = [each for each in findings if each.counts_against and each.severity != "optional"]
        ours = not all(each.caused_by_data for each in guilty)
        return Ending(state="held" if verdict.word == "HOLD" else self._no_go(step), reason=reason, ours=ours)

    def _no_go(self, step: Step) -> RunState:
        run = self.recorder.run
        if not run.changed:
            return "refused"
        # A run that was taken up again looks before it goes on: what it sees then is no failure of what it did.
        return "held" if run.resumed and step.name in BEFORE_CHANGES else "failed"

    def _give(self, gate: str, verdict: Verdict) -> None:
        self.recorder.record(VerdictGiven(gate=gate, word=verdict.word, reasons=verdict.reasons))
        self.recorder.record(NotificationQueued(topic="gate", about=f"{gate}: {verdict.word}"))

    def _walk_back_if_due(self, ending: Ending) -> Ending:
        wanted = self.auto_rollback == "any" or (self.auto_rollback == "failure" and ending.ours)
        run = self.recorder.run
        if ending.state != "failed" or not wanted or not (run.standing or run.leftovers or run.hosts.touched):
            return ending
        # From here on a resume goes backwards, too.
        self.recorder.record(WalkBackBegan(of=run.id, state=ending.state, reason=ending.reason))
        return self._walk_back(ending)

    def _walk_back(self, ending: Ending) -> Ending:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.walk_back()
            except JournalLost:
                raise
            except (ConnectionLost, CannotConnect) as error:
                if attempt == ATTEMPTS or self.recorder.stopping():
                    return Ending(state="held", reason=f"{ending.reason}; the way back stopped: {error}")
                self.recorder.recover(str(error))
            except OrchestratorError as error:
                reason = f"{ending.reason}; the way back stopped: {error}"
                held = isinstance(error, HeldBack) or self.recorder.stopping() is not None
                return Ending(state="held" if held else "failed", reason=reason)
            else:
                return ending
        raise AssertionError  # the last attempt returns
