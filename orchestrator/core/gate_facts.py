"""What the gates of production judge: facts as they were gathered, and the runs of staging that count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Literal

from orchestrator.core.decision import Decision
from orchestrator.core.evidence import Evidence
from orchestrator.core.host_time import HostTime, back, measured_in, there
from orchestrator.core.inventory import Environment
from orchestrator.core.marker import Marker
from orchestrator.core.plan import Plan
from orchestrator.core.prediction import Prediction, predict
from orchestrator.core.run import Run
from orchestrator.core.timeline import Item, Runbook
from orchestrator.core.windows import Opening

Kinship = Literal["same", "copy", "same server", "different"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoRun:
    """A deployment that ended GO and was not walked back. `brought` are the lines of the catalog that it added.

    `on_hosts` has the longest time of each command on a host, in ms.
    """

    run: str
    finished: datetime
    digest: str
    server_version: int
    brought: frozenset[str] = frozenset()
    steps: Mapping[str, float] = field(default_factory=dict)
    on_hosts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What the environment of the evidence shows.

    `problem` tells why it could not be read. `lines` are its catalog where the plan touches it, None when unknown.
    `file` is where the evidence was read from, empty when that was the ledger; `file_problem` why that counts for
    nothing. `flaws` tells of runs whose chain in the ledger is not whole.
    """

    environment: str
    evidence: tuple[Evidence, ...] = ()
    runs: tuple[GoRun, ...] = ()
    lines: tuple[str, ...] | None = None
    kinship: Kinship | None = None
    problem: str = ""
    file: str = ""
    file_problem: str = ""
    flaws: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the gates judge. `where` are the options that a next command has to repeat.

    `mine` is this catalog where the plan touches it, `strangers` what others changed there since the plan was made,
    `steps` the steps that are still to be taken, `here` the marker that this database would write, `task` the command
    that tries the gates again, `rows` the server's estimates by table, `only` how the plan was narrowed.
    """

    environment: Environment
    where: str
    runbook: Runbook
    plan: Plan
    decision: Decision | None
    now: datetime
    zone: tzinfo
    opening: Opening
    server_version: int
    recovering: bool
    here: Marker
    marker: Marker | None
    mine: tuple[str, ...]
    rehearsed: Rehearsed | None
    steps: tuple[str, ...]
    strangers: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    task: Literal["deploy", "resume"] = "deploy"
    only: str = ""

    @property
    def options(self) -> str:
        """`--env NAME` and what else a next command on this environment has to repeat."""
        return f"--env {self.environment.name}{self.where}"

    @property
    def narrowed(self) -> str:
        """The option that narrows another command to this plan."""
        return f" --only {self.only}" if self.only else ""

    def told(self, moment: datetime) -> str:
        """A moment as people of the window's zone write it."""
        return f"{moment.astimezone(self.zone):%a %Y-%m-%d %H:%M %Z}"

    def hours_old(self, evidence: Evidence) -> float:
        """How old evidence is, in hours; another machine's clock may be ahead."""
        return max(0.0, (self.now - evidence.finished).total_seconds() / 3600)

    @property
    def evidence(self) -> Evidence | None:
        """The newest evidence for this very plan, whatever else may be wrong with it."""
        known = self.rehearsed.evidence if self.rehearsed else ()
        mine = [each for each in known if each.digest == self.plan.digest]
        return max(mine, key=lambda each: each.finished, default=None)

    @property
    def prediction(self) -> Prediction | None:
        """What that evidence lets expect for the rows of now."""
        return predict(self.evidence, self.rows, order=self.runbook.steps) if self.evidence else None

    @property
    def commands(self) -> tuple[Item, ...]:
        """The commands that a run of this plan gives to hosts."""
        items = self.runbook.on_hosts(self.decision.option if self.decision else None)
        return tuple(each for each in items if each.on_hosts and (self.plan.statements or each.on_hosts.always))

    @property
    def hosts_there(self) -> HostTime:
        """The commands on hosts that are left, at most."""
        measured = self.go_run.on_hosts if self.go_run else {}
        return there(self.commands, len(self.environment.host), measured) if "hosts" in self.steps else HostTime()

    @property
    def hosts_back(self) -> HostTime:
        """Their way back, at most."""
        return back(self.commands, len(self.environment.host))

    @property
    def go_run(self) -> GoRun | None:
        """The newest GO run for this very plan."""
        known = self.rehearsed.runs if self.rehearsed else ()
        mine = [each for each in known if each.digest == self.plan.digest]
        return max(mine, key=lambda each: each.finished, default=None)


def go_runs(runs: Iterable[Run], *, undone: Iterable[str], environment: str) -> Iterator[GoRun]:
    """Of the runs of a ledger those that deployed everything and were GO; `undone` are runs that were walked back."""
    gone = frozenset(undone)
    for run in runs:
        if run.id not in gone and not run.undone and _went(run, environment):
            before, after = run.catalogs.get("before"), run.catalogs.get("after")
            brought = frozenset(after.lines) - frozenset(before.lines) if before and after else frozenset()
            if run.started and run.plan and run.finished_at:
                yield GoRun(
                    run=run.id,
                    finished=run.finished_at,
                    digest=run.plan.digest,
                    server_version=run.started.target.server_version,
                    brought=brought,
                    steps={name: each.duration_ms for name, each in run.steps.items() if each.duration_ms is not None},
                    on_hosts=measured_in(run),
                )


def _went(run: Run, environment: str) -> bool:
    """Whether it is a deployment of that environment that took every step; `--until` leaves some out."""
    started = run.started
    if started is None or started.task != "deploy" or started.environment != environment or started.dry_run:
        return False
    states = {run.steps[name].state for name in started.steps if name in run.steps}
    return run.finished is not None and run.finished.state == "done" and states <= {"done", "skipped"}


def most_ms(facts: Facts) -> float | None:
    """How long the steps that are left take at most, in ms: by the rehearsal and the rows of now, else as in staging.

    Commands on hosts are counted by themselves: no rehearsal gives them. None when neither is known.
    """
    evidence, run = facts.evidence, facts.go_run
    if evidence is None and run is None:
        return None
    staged = run.steps if run else {}
    predicted = facts.prediction.steps if facts.prediction else {}
    steps = [name for name in facts.steps if name != "hosts"]
    known = sum(predicted[name].most_ms if name in predicted else staged.get(name, 0.0) for name in steps)
    return known + facts.hosts_there.ms
