"""Gathers what the gates judge: the decision, staging's ledger and catalog, the marker, the hour. Reads only."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import psycopg

from orchestrator.adapters import events, ledger
from orchestrator.adapters.identity import kinship
from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.marker import marker_of, read_marker
from orchestrator.adapters.postgres import Connection, Server, plain_line, plainly
from orchestrator.adapters.runbooks import RunbookFolder
from orchestrator.core.chain import chain_flaw, head_flaw
from orchestrator.core.contract import Contract
from orchestrator.core.drift_lines import plan_lines
from orchestrator.core.evidence import Evidence
from orchestrator.core.gate_facts import Facts, GoRun, Rehearsed, go_runs
from orchestrator.core.inventory import Environment
from orchestrator.core.journal import EvidenceRecorded
from orchestrator.core.outcome import OrchestratorError, Refused
from orchestrator.core.plan import Plan
from orchestrator.core.resumption import strangers
from orchestrator.core.run import Run
from orchestrator.core.snapshot import recorded
from orchestrator.core.windows import Opening, opening


def evidence_of_file(path: Path, environment: Environment) -> Evidence:
    """Evidence that travelled as a file, signed by the key of `[evidence]`. Raises Refused for anything else."""
    try:
        # It loads the library of the signatures, which most commands do without.
        reader: Any = import_module("orchestrator.adapters.evidence")
    except ModuleNotFoundError as missing:
        message = "--evidence: this version does not read evidence from files"
        raise Refused(message) from missing
    return cast(Evidence, reader.read_evidence(path, reader.verifying_key(environment)))


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """`reach` leads to the server of another environment and raises OrchestratorError when it cannot.

    `clock` gives the time, aware of its zone. `file` is evidence that travelled.
    """

    environment: Environment
    where: str
    folder: RunbookFolder
    contract: Contract
    server: Server
    reach: Callable[[str], Server]
    clock: Callable[[], datetime]
    file: Path | None = None
    only: tuple[str, ...] = ()

    def gather(self, run: Run) -> Facts:
        """Everything. Raises OrchestratorError when the target itself cannot be read."""
        plan = run.plan
        if plan is None:
            message = "the gates are asked for a plan, and none is on record"
            raise OrchestratorError(message)
        with self.server.session("gates", read_only=True) as connection, plainly("asking the gates", reading=True):
            row = connection.execute("select pg_is_in_recovery() as standby").fetchone() or {}
            now = self.clock()
            catalog = read_catalog(connection)
            return Facts(
                environment=self.environment,
                where=self.where,
                runbook=self.folder.runbook,
                plan=plan,
                decision=self.folder.decision,
                now=now,
                zone=self._zone(),
                opening=self._opening(now),
                server_version=connection.info.server_version,
                recovering=bool(row["standby"]),
                here=marker_of(connection, self.environment.name),
                marker=read_marker(connection),
                mine=plan_lines(catalog, plan),
                rows={str(name): table.rows for name, table in catalog.tables.items()},
                rehearsed=self._rehearsed(connection, plan),
                steps=_left(run, after="gates"),
                task="resume" if run.changed else "deploy",
                only=shlex.quote(",".join(self.only)) if self.only else "",
            )

    def again(self, facts: Facts, run: Run, *, step: str) -> Facts:
        """The hour, what is left to do, and what others did to the tables. Raises OrchestratorError."""
        now = self.clock()
        return replace(
            facts,
            now=now,
            opening=self._opening(now),
            steps=(step, *_left(run, after=step)),
            strangers=self._strangers(run) if step != "apply" else (),
            task="resume" if run.changed else "deploy",
        )

    def _zone(self) -> tzinfo:
        window = self.environment.policy.window
        return ZoneInfo(window.timezone) if window else UTC

    def _opening(self, now: datetime) -> Opening:
        policy = self.environment.policy
        return opening(policy.window, policy.freeze, zone=self._zone(), now=now)

    def _strangers(self, run: Run) -> tuple[str, ...]:
        """What others changed since the plan was made; apply looks at it by itself."""
        before = run.catalogs.get("before")
        if before is None:
            return ()
        with self.server.session("gates", read_only=True) as connection, plainly("asking the gates", reading=True):
            catalog = read_catalog(connection)
        return strangers(run, catalog, before, recorded(catalog, "before", self.contract))

    def _rehearsed(self, mine: Connection, plan: Plan) -> Rehearsed | None:
        """What the environment of the evidence shows; that it cannot be reached is a finding, not an end."""
        name = self.environment.environment.evidence_from
        file = self._file(name)
        if name is None:
            problem = "the inventory names no environment.evidence_from"
            return replace(file, problem=problem) if file else None
        shown = file or Rehearsed(environment=name)
        try:
            with self.reach(name).session("gates", read_only=True) as theirs:
                return self._read(shown, mine, theirs, plan)
        except OrchestratorError as error:
            return replace(shown, problem=str(error).removeprefix(f"{name}: "))
        except psycopg.Error as error:
            return replace(shown, problem=plain_line(error))

    def _file(self, name: str | None) -> Rehearsed | None:
        """What `--evidence` shows, or why it shows nothing."""
        if self.file is None:
            return None
        try:
            evidence = evidence_of_file(self.file, self.environment)
        except Refused as error:
            return Rehearsed(environment=name or "staging", file=str(self.file), file_problem=str(error))
        there, runbook = name or evidence.environment, self.folder.runbook.name
        wrong = ""
        if evidence.environment != there:
            wrong = f"{self.file}: evidence of {evidence.environment}, and environment.evidence_from is {name}"
        elif evidence.runbook != runbook:
            # The same keys may be another runbook's, with checks and steps of its own: so it is with a ledger's, too.
            wrong = f"{self.file}: evidence of runbook {evidence.runbook}, and this is {runbook}"
        # What is not about this proves nothing to any other gate either.
        return Rehearsed(
            environment=there, evidence=() if wrong else (evidence,), file=str(self.file), file_problem=wrong
        )

    def _read(self, shown: Rehearsed, mine: Connection, theirs: Connection, plan: Plan) -> Rehearsed:
        name = shown.environment
        evidence = _evidence(theirs, name, self.folder.runbook.name)
        runs = _go_runs(theirs, name, plan)
        # Only what the gates look at is examined: a rehearsal of a large contract has many events.
        asked = (*_newest(evidence, plan), *_newest(runs, plan))
        return replace(
            shown,
            kinship=kinship(mine, theirs),
            lines=plan_lines(read_catalog(theirs), plan),
            evidence=(*shown.evidence, *evidence),
            runs=runs,
            flaws=_flaws(theirs, asked),
        )


def _left(run: Run, *, after: str) -> tuple[str, ...]:
    """The steps that come after one, as far as `--until` lets them."""
    started = run.started
    if started is None or after not in started.steps:
        return ()
    until = started.options.get("until") or started.steps[-1]
    return started.steps[started.steps.index(after) + 1 : started.steps.index(until) + 1]


def _evidence(connection: Connection, environment: str, runbook: str) -> tuple[Evidence, ...]:
    """All evidence of a runbook in a ledger, oldest first. A version of it that is not known is passed over.

    What names another run than the one that holds it is passed over, too: that one's chain would be examined.
    """
    if ledger.version_of(connection) is None:
        return ()
    rows = connection.execute(
        "select run, kind, data::text as data from orchestrator.event where kind = 'evidence_recorded'"
    ).fetchall()
    found = [(row["run"], events.decode(row["kind"], row["data"])) for row in rows]
    known = [each.evidence for run, each in found if isinstance(each, EvidenceRecorded) and each.evidence.run == run]
    # A time without a zone is written by none of ours, and cannot be compared.
    mine = (
        each for each in known if (each.environment, each.runbook) == (environment, runbook) and each.finished.tzinfo
    )
    return tuple(sorted(mine, key=lambda each: each.finished))


def _newest(found: Sequence[Evidence] | Sequence[GoRun], plan: Plan) -> Iterator[str]:
    """The runs that the gates may look at: the one that ended last, and every other that says the same time."""
    mine = [each for each in found if each.digest == plan.digest]
    last = max((each.finished for each in mine), default=None)
    yield from (each.run for each in mine if each.finished == last)


def _flaws(connection: Connection, runs: Iterable[str]) -> Mapping[str, str]:
    """Those runs whose chain is not whole: run to what is wrong with it."""
    found: dict[str, str] = {}
    for run in runs:
        entries = tuple(ledger.entries(connection, run))
        flaw = chain_flaw(run, entries) or head_flaw(entries, ledger.head(connection, run))
        if flaw is not None:
            found[run] = flaw.problem
    return found


def _go_runs(connection: Connection, environment: str, plan: Plan) -> tuple[GoRun, ...]:
    """The GO runs of a ledger for this plan, or when there is none, the last one for another; oldest first."""
    if ledger.version_of(connection) is None:
        return ()
    undone = connection.execute(
        "select distinct data ->> 'of' as run from orchestrator.event where kind = 'statement_undone'"
    ).fetchall()
    rows = connection.execute(
        "select distinct run, data -> 'plan' ->> 'digest' = %s as mine from orchestrator.event e"
        " where kind = 'plan_recorded' and exists (select from orchestrator.run r where r.id = e.run"
        " and r.environment = %s and r.closed) order by run",
        (plan.digest, environment),
    ).fetchall()
    gone = [row["run"] for row in undone]
    for names in ([row["run"] for row in rows if row["mine"]], [row["run"] for row in rows if not row["mine"]][-1:]):
        runs = [events.fold_entries(name, ledger.entries(connection, name)) for name in names]
        found = tuple(go_runs(runs, undone=gone, environment=environment))
        if found:
            return found
    return ()
