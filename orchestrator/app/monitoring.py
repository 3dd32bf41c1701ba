"""`invoke monitor`: the watch after a deployment, sample by sample, until its time is over or somebody stops it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from jinja2 import TemplateError

from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.watch_folder import watching_alone
from orchestrator.adapters.watch_metrics import write_metrics
from orchestrator.adapters.watch_sampler import DatabaseSampler
from orchestrator.app.answer import Answer
from orchestrator.app.baseline import Clock, our_clock, sampler_of
from orchestrator.app.beginning import begin
from orchestrator.app.finishing import write_reports
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.app.telling import telling
from orchestrator.app.walking_back import rollback
from orchestrator.app.watch_keeping import WatchKeeping
from orchestrator.app.watch_opening import deployment_to_watch, going_on, keeping_of
from orchestrator.app.watch_times import Times
from orchestrator.app.work import work_of
from orchestrator.core.answers import run_document
from orchestrator.core.journal import SampleTaken, WatchBegan, WatchEnded, WatchJudged
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, OrchestratorError
from orchestrator.core.run import Run
from orchestrator.core.summary import summarize
from orchestrator.core.watch import AWAY, Sample, with_hosts
from orchestrator.core.watch_rules import RANK, Judgement, judge
from orchestrator.core.watched import ENOUGH_S

STEP: Final = "monitor"

Wait = Callable[[float], None]


def monitor(
    request: Request,
    *,
    run: str | None,
    wanted: Times,
    prometheus: Path | None = None,
    clock: Clock = our_clock,
    wait: Wait | None = None,
) -> Answer:
    """Watch a deployment, by default the last that stands. Raises Refused where there is none, or another one watches.

    Exit 0 while the thresholds say go, 1 when they say something else, 3 when it was stopped before its time.
    """
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=False)
        stack.enter_context(site.interruption.installed())
        known = going_on(site, stack, run, every_s=wanted.every_s)
        if known is None:
            of = deployment_to_watch(site, run)
            stack.enter_context(watching_alone(site.run_folder))
            keeping = keeping_of(site, stack, of.id, every_s=wanted.every_s)
            journal = site.file_journal()
        else:
            site, keeping = known
            journal = site.file_journal()
            journal.file.take_up()
            of = None
            site.screen.line(f"run {keeping.of} is watched by {site.run}: it goes on")
        attach = stack.enter_context(telling(site))
        attach(journal)
        if of is not None:
            _begin(site, journal, of, wanted)
            keeping.bring_beginning(journal)
        sampler = sampler_of(site, clock, hosts=site.environment.host, probes=True)
        sampler.beside = keeping.adds(once=wanted.for_s is None)
        watch = Watch(
            site=site,
            journal=journal,
            sampler=sampler,
            keeping=keeping,
            wanted=wanted,
            prometheus=prometheus,
            clock=clock,
            wait=wait or site.interruption.wait,
        )
        return watch.go_on()


def _begin(site: Site, journal: RunJournal, of: Run, wanted: Times) -> None:
    with site.server.session(STEP, read_only=True) as connection:
        begin(site, journal, connection, task="monitor", steps=())
    taken = of.watched.baseline
    before = taken.sample if taken else None
    journal.record(WatchBegan(of=of.id, for_s=wanted.for_s or ENOUGH_S, before=before))
    how = "its baseline was taken before the deployment" if before else "the first samples are its baseline"
    site.screen.line(f"run {of.id} is watched by {site.run}: {how}")


@dataclass(slots=True, kw_only=True)
class Watch:
    """A watch at work."""

    site: Site
    journal: RunJournal
    sampler: DatabaseSampler
    keeping: WatchKeeping
    wanted: Times
    prometheus: Path | None
    clock: Clock
    wait: Wait

    def go_on(self) -> Answer:
        """Take samples until the time is over, the deployment is gone, or somebody asks to stop."""
        while True:
            self.keeping.still_ours(self.journal.file.entries)
            self._look()
            self.keeping.bring(self.journal.file.entries, last=self.wanted.for_s is None)
            ended = self._over()
            if ended is not None:
                return self._end(ended)
            self._report()
            if self.wanted.for_s is None:
                return self._answer(EXIT_DONE if self.run.watched.word == "go" else EXIT_FAILED)
            self.wait(self.wanted.every_s)
            if self.site.interruption.reason:
                told = f"stopped: {self.site.interruption.reason}; go on with: {self._command(self.wanted.for_s)}"
                self.site.screen.line(told, status="held")
                return self._answer(EXIT_HELD)

    @property
    def run(self) -> Run:
        """The watch as a run."""
        return self.journal.run

    def _look(self) -> None:
        """One sample, and what the thresholds make of it."""
        watched = self.run.watched
        try:
            every_s = self.wanted.every_s
            sample = self.sampler.take(watched.last, watched.log, every_s=every_s, logs=watched.logs)
        except OrchestratorError as error:
            if self.site.interruption.reason:
                return
            sample = self._away(str(error))
        self.journal.record(SampleTaken(sample=sample))
        found = judge(watched.held_against, watched.readings, most_lag_s=self.site.environment.policy.max_replica_lag_s)
        self._say(sample, found)
        if found.word != watched.word or (self._automatic(found) and not watched.words[-1][1].automatic):
            self._judge(found)

    def _away(self, why: str) -> Sample:
        """A sample of a database that does not answer; its hosts may."""
        hosts = self.sampler.hosts.look(self.run.watched.logs)
        return Sample(
            at=self.clock(),
            host=self.sampler.host,
            every_s=self.wanted.every_s,
            method="none",
            hosts=hosts,
            unknown=with_hosts({AWAY: why}, hosts),
        )

    def _say(self, sample: Sample, found: Judgement) -> None:
        keys = f"{counted(sample.keys.standing, 'key stands', 'keys stand')}" if sample.keys else "keys unknown"
        told = self.run.watched.readings[-1].lock_wait_ms
        wait = "lock waits unknown" if told is None else f"longest lock wait {told:.0f} ms"
        said = f"{keys}, writes by {sample.method}, {wait}" if AWAY not in sample.unknown else "nothing could be seen"
        self.site.screen.line(f"{sample.at:%Y-%m-%d %H:%M} UTC: {said}", status=found.word)
        for reason in found.reasons:
            self.site.screen.line(f"  {reason}")
        for subject, why in sample.unknown.items():
            # A reason of the judgement has told it already: while the database is away, both have the server's words.
            if not any(why in reason for reason in found.reasons):
                self.site.screen.line(f"  {subject} unknown: {why}")

    def _judge(self, found: Judgement) -> None:
        """The word is another one: it is on record and told once; the way back is walked where the policy says so."""
        automatic = self._automatic(found)
        back = f"{self.site.server.command('rollback')} --run {self._of}"
        self.journal.record(
            WatchJudged(
                word=found.word,
                was=self.run.watched.word,
                reasons=found.reasons,
                command=back if found.word == "roll back" else "",
                automatic=automatic,
            )
        )
        if found.word == "roll back" and not automatic:
            self.site.screen.line(f"  next: {back}")

    def _automatic(self, found: Judgement) -> bool:
        """Whether the way back is walked without anybody; what only logs say is advice."""
        return found.word == "roll back" and not found.by_logs and self.site.environment.policy.monitor_rollback

    @property
    def _of(self) -> str:
        began = self.run.watched.began
        return began.of if began else ""

    def _over(self) -> str | None:
        """Why the watch has come to its end; None to go on."""
        watched = self.run.watched
        if watched.words and watched.words[-1][1].automatic:
            return self._walk()
        if watched.last and watched.last.keys and watched.last.keys.broken and self._walked_back():
            return f"run {self._of} was walked back"
        first, last = watched.readings[:1], watched.last
        lasts = watched.began.for_s if watched.began else ENOUGH_S
        if first and last and (last.at - first[0].at).total_seconds() >= lasts:
            return "its time is over"
        return None

    def _walk(self) -> str | None:
        """The way back that the policy wants; None where it did not come to its end: the next sample tries again."""
        if self._walked_back():
            return f"run {self._of} was walked back"
        request = replace(self.site.request, json=True)
        try:
            answer = rollback(request, run=self._of, yes=True, confirm=lambda _: False)
        except OrchestratorError as error:
            self.site.screen.line(f"not walked back: {error}", status="FAIL")
            return None
        told = f"walked back by run {answer.document['run']}, which ended {answer.document['state']}"
        if self._walked_back():
            return told
        self.site.screen.line(told, status="FAIL")
        return None

    def _walked_back(self) -> bool:
        """Whether nothing of the deployment is left; a database that cannot be asked has not said so."""
        try:
            with self.site.server.session(STEP, read_only=True) as connection:
                return not work_of(connection, self._of).left
        except OrchestratorError:
            return False

    def _command(self, for_s: float) -> str:
        """What goes on with this watch."""
        where = f" --prometheus {shlex.quote(str(self.prometheus))}" if self.prometheus else ""
        times_ = f"--run {self._of} --for {for_s:.0f}s --every {self.wanted.every_s:.0f}s"
        return f"{self.site.server.command('monitor')} {times_}{where}"

    def _end(self, reason: str) -> Answer:
        watched = self.run.watched
        self.journal.record(
            WatchEnded(
                word=watched.worst,
                watched_s=watched.watched_s,
                samples=len(watched.readings),
                gaps=len(watched.gaps),
                reason=reason,
                last=watched.word,
            )
        )
        self.journal.close("done", "")
        self.keeping.bring(self.journal.file.entries, last=True)
        self._report()
        told = f"the watch of run {self._of} is over: {reason}; at its worst: {watched.worst}"
        self.site.screen.line(told, status=watched.word)
        return self._answer(EXIT_DONE if watched.word == "go" else EXIT_FAILED)

    def _report(self) -> None:
        """The pages of now, and the metrics; what cannot be written stops no watch."""
        try:
            write_reports(self.site.run_folder, summarize(self.run))
            if self.prometheus:
                write_metrics(self.prometheus, self.run)
        except (OSError, OrchestratorError, TemplateError) as error:
            self.site.screen.line(f"not written: {error}", status="FAIL")

    def _answer(self, code: int) -> Answer:
        watched = self.run.watched
        document = run_document(summarize(self.run), report=None, samples={})
        document |= {
            "watches": self._of,
            "word": watched.word,
            "worst": watched.worst,
            "rank": RANK[watched.word],
            "samples": len(watched.readings),
        }
        return Answer(document=document, exit_code=code)
