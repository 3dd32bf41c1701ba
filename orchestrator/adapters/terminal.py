"""What a person sees while a run goes on: a live view on a terminal, plain stable lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from orchestrator.adapters.host_words import host_lines, not_taken_back, on_hosts_only
from orchestrator.adapters.live import LiveView, printable
from orchestrator.adapters.redaction import redacted
from orchestrator.adapters.remediation_words import remediation_lines
from orchestrator.core.checklist import CheckedPhase
from orchestrator.core.checks import Finding
from orchestrator.core.journal import (
    BlockerTerminated,
    Event,
    FindingsRecorded,
    LockAttemptFailed,
    RunStarted,
    StatementDone,
    StatementFailed,
    StatementPostponed,
    StatementUndone,
    StepFinished,
    TableVacuumed,
    UndoPassedOver,
    VerdictGiven,
    WalkBackBegan,
    WalkedBack,
    WorkersChanged,
)
from orchestrator.core.nouns import counted
from orchestrator.core.plan import Plan
from orchestrator.core.ports import Orphans
from orchestrator.core.run import Run
from orchestrator.core.summary import ENDED, Summary

STYLES: Mapping[str, str] = {
    "GO": "green",
    "HOLD": "yellow",
    "NO-GO": "red",
    "done": "green",
    "skipped": "dim",
    "held": "yellow",
    "failed": "red",
    "refused": "red",
    "FAIL": "red",
    "UNKNOWN": "yellow",
    "note": "dim",
}

EVERY = 10
"""On plain output every tenth statement is told, on a terminal the live view shows each."""

COUNTED_TO = (StepFinished, StatementFailed, WalkedBack, WalkBackBegan)
"""Before these the count so far is told."""


class _PatientConsole(Console):
    """A console whose reader may go away (`deploy | head`): it falls silent, where rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Say nothing any more; the work goes on."""
        self.quiet = True


class Screen:
    """Tells a run as it goes. With `--json` everything goes to stderr, so that stdout is one document."""

    def __init__(self, *, json: bool = False, stream: TextIO | None = None) -> None:
        """Write to stdout, or to stderr when stdout belongs to a document."""
        self.console = _PatientConsole(
            file=stream or (sys.stderr if json else sys.stdout), highlight=False, soft_wrap=True, emoji=False
        )
        # Asked of the stream itself: FORCE_COLOR makes rich take a pipe for a terminal.
        alive = self.console.is_terminal and not self.console.is_dumb_terminal and self.console.file.isatty()
        self._view = LiveView(console=self.console) if alive else None
        self._untold = ""

    def line(self, text: str = "", *, status: str = "") -> None:
        """One line; a status word in front of it gets its colour."""
        word = f"[{STYLES.get(status.strip(), 'bold')}]{escape(status)}[/] " if status else ""
        try:
            self.console.print(word + escape(printable(redacted(text), self.console.encoding, keep="\n\t")))
        except (OSError, ValueError):
            # A full disk behind a redirection, a closed stream: telling never breaks the work.
            self.console.quiet = True

    def close(self) -> None:
        """Give the terminal back, also when a run stopped in the middle of a step."""
        if self._view:
            self._view.close()

    def preview(self, step: str, text: str) -> None:
        """A line of a dry run."""
        self.line(f"  {step:<10} {text}")

    def listen(self, event: Event, run: Run) -> None:
        """Tell an event that is on record."""
        if self._view and not self.console.quiet:
            self._view.see(event, run)
        if isinstance(event, COUNTED_TO):
            self._tell_rest()
        match event:
            case RunStarted():
                self._started(event, run)
            case StepFinished():
                self._step_finished(event)
            case FindingsRecorded():
                self._findings(event.findings)
            case VerdictGiven():
                self.line(event.gate, status=event.word)
            case _:
                self._work(event, run)

    def orphans(self, found: Orphans, *, show_sample: bool) -> None:
        """A relation with orphans: how many, the query, and a few keys where the policy shows them."""
        self.line(f"  {found.relation.id}: {counted(found.count, 'orphan')}")
        self.line(f"    {found.query};")
        for key in found.sample if show_sample else ():
            self.line("    " + ", ".join(f"{column}={value}" for column, value in key.items()))

    def plan(self, plan: Plan) -> None:
        """A plan for people: what each relation is, then the statements in their order."""
        for each in plan.relations:
            told = f" ({each.reason})" if each.reason else ""
            self.line(f"{each.relation.id}{told}", status=f"{each.status:<10}")
        self.line()
        for statement in plan.statements:
            self.line(statement.shown)
            for hazard in statement.hazards:
                self.line(f"  note: {hazard}")
        self.line(
            f"{counted(len(plan.statements), 'statement')}, digest {plan.digest[:16]}, catalog {plan.fingerprint[:16]}"
        )

    def checklist(self, phases: Iterable[CheckedPhase]) -> None:
        """Phases with their boxes: ticked by which run or person, or what will tick them."""
        for phase in phases:
            self.line(f"  {phase.name}")
            for box in phase.boxes:
                self.line(f"    {'[x]' if box.ticked else '[ ]'} {box.item.title} ({box.item.planned}): {box.told}")

    def ending(self, summary: Summary, report: str | None) -> None:
        """The last lines: what happened, what stands now, what to type next."""
        counts = ", ".join(f"{count} {fate}" for fate, count in summary.counts.items() if count or fate != "missing")
        self.line()
        self.line(f"run {summary.run} of {summary.task} on {summary.environment}", status=summary.state)
        if summary.relations:
            self.line(f"  relations: {counts}")
            self.line(f"  {standing_keys(summary)}")
        if summary.reason:
            self.line(f"  because: {summary.reason}")
        for told in summary.overridden:
            self.line(f"  gates overridden: {told}")
        for told in summary.taken_up:
            self.line(f"  taken up: {told}")
        for answer in summary.answers_told:
            self.line(f"  {answer}")
        for difference in summary.differences:
            self.line(f"  differs from before: {difference}")
        for other in summary.elsewhere:
            self.line(f"  changed by others meanwhile, and left as it is: {other}")
        safe = f"  {safety(summary)}"
        after = [f"  next: {step}" for step in summary.next_steps] + ([f"  report: {report}"] if report else [])
        # Exit code 1 promises it: the last line of a run that failed says what is left of it.
        for told in (*after, safe) if summary.state == "failed" else (safe, *after):
            self.line(told)

    def _started(self, event: RunStarted, run: Run) -> None:
        dry = " (dry run: nothing is changed)" if event.dry_run else ""
        self.line(f"run {run.id}: {event.task} {event.runbook} on {event.environment}{dry}")

    def _step_finished(self, event: StepFinished) -> None:
        self.line(f"{event.step:<10} {event.note} ({event.duration_ms / 1000:.1f} s)", status=f"{event.state:<8}")

    def _findings(self, findings: tuple[Finding, ...]) -> None:
        """What is not as expected; notes that say the same are told once."""
        notes: dict[str, list[str]] = {}
        for finding in findings:
            if finding.status != "pass" and finding.severity == "optional":
                notes.setdefault(finding.observed, []).append(finding.id)
            elif finding.status != "pass":
                self._finding(finding)
        for observed, names in notes.items():
            self.line(f"{', '.join(names)}: {observed}", status="  note")

    def _finding(self, finding: Finding) -> None:
        word = "FAIL" if finding.status == "fail" else "UNKNOWN"
        self.line(f"{finding.id} ({finding.severity}): {finding.observed}", status=f"  {word}")
        if finding.remedy:
            self.line(f"       do: {finding.remedy}")

    def _work(self, event: Event, run: Run) -> None:
        total = len(run.plan.statements) if run.plan else 0
        match event:
            case StatementDone():
                self._advance(f"{len(run.done)} of {counted(total, 'statement')}", len(run.done), total)
            case StatementUndone():
                self._advance(f"{len(run.undone)} walked back", len(run.undone), total)
            case StatementFailed():
                self.line(f"  {event.id}: {event.message}", status="FAIL")
            case LockAttemptFailed():
                self.line(
                    f"  waiting to lock for {event.statement} (attempt {event.attempt}): blocked by {event.blocker}"
                )
            case StatementPostponed() | BlockerTerminated() | TableVacuumed() | WorkersChanged():
                self._online(event)
            case UndoPassedOver():
                self.line(f"  not walked back: {event.id}: {event.reason}")
            case _:
                for line in (*host_lines(event), *remediation_lines(event)):
                    self.line(line)

    def _online(self, event: StatementPostponed | BlockerTerminated | TableVacuumed | WorkersChanged) -> None:
        """What is done so that the application does not feel us."""
        match event:
            case StatementPostponed():
                told = f"  {event.statement} waits for others, other work goes on: {event.blocker}"
            case BlockerTerminated():
                told = f"  ended by policy.terminate_blockers: {event.blocker}"
            case TableVacuumed():
                told = f"  vacuumed {event.table} first ({event.duration_ms / 1000:.1f} s): its keys validate quicker"
            case WorkersChanged():
                told = f"  {counted(event.workers, 'validation at a time', 'validations side by side')}: {event.reason}"
        self.line(told)

    def _advance(self, text: str, count: int, total: int) -> None:
        if self._view is not None:
            return
        self._untold = text
        if count % EVERY == 0 or count == total:
            self._tell_rest()

    def _tell_rest(self) -> None:
        """The last count before something else is told: it is seldom a round one."""
        if self._untold:
            self.line(f"  {self._untold}")
        self._untold = ""


def standing_keys(summary: Summary) -> str:
    """How many of the promised keys stand; with none of them promised, why."""
    if not summary.promised:
        return "no key is promised: every relation is deferred, each for its reason"
    return f"{summary.holding} of {counted(summary.promised, 'promised key stands', 'promised keys stand')}"


ONLY_READ: Mapping[str, str] = {
    "rehearse": "nothing was changed but a copy, which is gone",
    "preflight": "the database was only read",
    "audit": "no row of a table was changed, and the audit is on record",
    "backup": "the database was only read",
    "validate": "what was tried was rolled back, and no row is left of it",
    "docs": "the database was only read",
    "monitor": "a watch only looks, and every sample is on record",
}
"""What is safe after a task that changes nothing but its own record."""


WAITS = frozenset({"held", "interrupted"})
GOES_ON = "resume goes on from there"


def _walked_back(summary: Summary, same: str) -> str:
    """A way back that did not come to its end has not restored the catalog."""
    if summary.differences:
        return "the catalog is not what it was before"
    if summary.state == "done":
        return same
    given = sum(each.back == "done" for each in summary.hosts)
    hosts = f", {counted(given, 'command')} taken back on hosts" if given else ""
    rest = f"; {GOES_ON}" if summary.state in WAITS else ""
    if not summary.undone and not given:
        return f"nothing was walked back yet{rest}"
    return f"{counted(summary.undone, 'statement')} walked back{hosts}, each is on record{rest}"


def safety(summary: Summary) -> str:
    """What is safe now, in one line."""
    if summary.dry_run or summary.task in ONLY_READ:
        return "nothing was changed" if summary.dry_run else ONLY_READ[summary.task]
    same = "the catalog is what it was before" + (", but for tables of others" if summary.elsewhere else "")
    if summary.task == "rollback":
        return _walked_back(summary, same)
    if summary.rolled_back:
        end = "but the catalog differs from before" if summary.differences else same
        return f"everything that this run added was walked back: {end}"
    lost = not_taken_back(summary.hosts)
    if summary.differences or lost:
        return f"this run was walked back as far as it could be, and {lost or 'the catalog differs from before'}"
    half = f"; an index may stand that is not ready: {', '.join(summary.leftovers)}" if summary.leftovers else ""
    if not summary.statements and not half:
        ended = sum(each.startswith(ENDED) for each in summary.blockers)
        told = f", but {counted(ended, 'session was', 'sessions were')} ended" if ended else ""
        return summary.remediation.safe if summary.remediation else on_hosts_only(summary.hosts) + told
    rest = GOES_ON if summary.state in WAITS else "another deploy does what is left"
    whole = summary.holding == summary.promised or summary.state == "running"
    back = f", {summary.undone} of them are walked back" if summary.undone else ""
    return f"{counted(len(summary.statements), 'statement')} took effect{back}, each is on record{half}" + (
        "" if whole else f"; {rest}"
    )
