"""One environment and one runbook, wired: servers, steps, journal."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from orchestrator.adapters.as_is import ran
from orchestrator.adapters.attempts import Looker
from orchestrator.adapters.audit_sql import AuditSql
from orchestrator.adapters.backup import DumpBackup, ExternalBackup
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.hosts import HostEyes, server_clock
from orchestrator.adapters.identity import Others
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.inventory import environment_names, load_environment, resolve
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.ledger_answers import LedgerAnswers
from orchestrator.adapters.log import RunLog
from orchestrator.adapters.orphans import OrphanQueries, TenantQueries
from orchestrator.adapters.postgres import Connection, Server
from orchestrator.adapters.probes import Probes
from orchestrator.adapters.processes import os_user
from orchestrator.adapters.programs import dump_installation
from orchestrator.adapters.runbooks import RunbookFolder
from orchestrator.adapters.runs import FileJournal, RunFolder, Samples
from orchestrator.adapters.scratch import EmbeddedScratch, ServerScratch, nearest_installation
from orchestrator.adapters.suite import CheckSuite
from orchestrator.adapters.terminal import Screen
from orchestrator.app import histories
from orchestrator.app.request import Request
from orchestrator.core.additions import with_additions
from orchestrator.core.as_is import with_script
from orchestrator.core.audit_plan import with_audits
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.decision import road_without_keys
from orchestrator.core.indexes import with_indexes
from orchestrator.core.inventory import Database, Environment, Secret, Source
from orchestrator.core.matching import narrowed
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.plan import Plan
from orchestrator.core.plan_making import make_plan
from orchestrator.core.ports import Orphans
from orchestrator.core.preflight import CHECKS
from orchestrator.core.resumption import command_lines, definition
from orchestrator.core.run import Run
from orchestrator.steps.approvals import Approvals, Hearing
from orchestrator.steps.audit import Audit
from orchestrator.steps.backup import TakeBackup
from orchestrator.steps.hosts import HostWatch
from orchestrator.steps.plan import MakePlan
from orchestrator.steps.preflight import Preflight
from orchestrator.steps.validate import TENANT, Validate

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
EMBEDDED_DATABASE = "app"


def new_run_id() -> str:
    """A name that sorts by time and does not collide: UTC to the millisecond and four hexadecimal digits."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{secrets.token_hex(2)}"


@dataclass(slots=True, kw_only=True)
class Site:
    """An environment with a runbook, opened for one run. Embedded servers live as long as it is open."""

    request: Request
    environment: Environment
    folder: RunbookFolder
    run: str
    screen: Screen
    server: Server
    stack: ExitStack
    looker: Looker | None = None
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        """Leave out what `--only` leaves out, and take the road that was decided for."""
        self.contract = narrowed(self.promised, self.request.only)

    @property
    def promised(self) -> Contract:
        """The runbook's contract, on the road that was decided for."""
        return replace(self.folder.contract, road=road_without_keys(self.folder.runbook, self.folder.decision))

    @property
    def run_folder(self) -> RunFolder:
        """Where this run keeps its files."""
        return RunFolder(root=self.request.runs, run=self.run)

    def make_plan(self, catalog: Catalog) -> Plan:
        """The plan for this contract on a catalog."""
        made = make_plan(
            runbook=self.folder.runbook.name,
            environment=self.environment.name,
            contract=self.contract,
            catalog=catalog,
            writer=QuotedDdl(),
            lock_budget_ms=self.environment.policy.lock_timeout_ms,
        )
        indexes = self.environment.policy.create_missing_indexes
        made = with_indexes(made, catalog, QuotedDdl()) if indexes else made
        road = bool(self.contract.road)
        made = with_audits(made, catalog=catalog, whole=self.promised, writer=AuditSql(), wanted=road)
        history, budget_ms = self.folder.history, self.environment.policy.lock_timeout_ms
        if script := self.folder.script:
            made = with_script(made, script, ran=ran(self.server, script), lock_timeout_ms=budget_ms)
        made = with_additions(made, self.folder.additions, catalog, QuotedDdl(), budget_ms=budget_ms)
        # Where the keys are kept out, another tool's migration of them is not applied.
        if history is None or road:
            return made
        return histories.recorded_last(made, history, self.server, budget_ms=budget_ms)

    def catalog(self, step: str = "catalog") -> DatabaseCatalog:
        """The reader of this database's catalog."""
        return DatabaseCatalog(server=self.server, step=step)

    @property
    def interruption(self) -> Interruption:
        """Whether somebody asked this run to stop."""
        return self.server.interruption

    def file_journal(self, connection: Connection | None = None) -> RunJournal:
        """A journal that has no ledger yet; with a connection its events carry the server's time and its role."""
        ahead, actor = _server_clock(connection) if connection else (timedelta(), os_user())
        journal = FileJournal(folder=self.run_folder, actor=actor, clock=lambda: datetime.now(UTC) + ahead)
        return RunJournal(
            file=journal,
            interruption=self.interruption,
            listeners=[self.screen.listen, RunLog(self.run_folder).listen],
        )

    def taking_up(self, run: Run) -> Site:
        """The same site for a run that began before, with the options that it began with."""
        options = run.started.options if run.started else {}
        only = tuple(filter(None, options.get("only", "").split(",")))
        server = replace(self.server, run=run.id)
        request = replace(self.request, only=only, passage=self.request.passage.resumed(run))
        return replace(self, run=run.id, server=server, request=request)

    def definition(self) -> tuple[str, ...]:
        """What the runbook says to do, line by line, as a run keeps it from its beginning."""
        checks = ((each.id, each.sql) for each in self.folder.checks)
        history = self.folder.history
        lines = (*definition(self.folder.steps, self.promised, checks), *self.folder.additions.lines)
        lines += (self.folder.script.id,) if self.folder.script else ()
        return (*lines, *((history.line,) if history else ()), *command_lines(self.folder.on_hosts))

    def scratch(self) -> ServerScratch | EmbeddedScratch:
        """Where copies live."""
        place = self.environment.scratch_on
        if isinstance(place, Database):
            name = f"{self.environment.name}: scratch.on.url"
            secret = resolve(place.url, place=name)
            return ServerScratch(server=replace(self.server, environment=name, url=secret, source=str(place.url)))
        return EmbeddedScratch(run=self.run) if place == "embedded" else ServerScratch(server=self.server)

    def preflight(self, prober: Probes) -> Preflight:
        """The preflight step."""
        return Preflight(
            environment=self.environment,
            contract=self.contract,
            checks=(*CHECKS, *histories.checks_of(self.folder, self.request.env or "")),
            catalog=self.catalog("preflight"),
            prober=prober,
            make_plan=self.make_plan,
            hosts=self.host_watch(),
        )

    def host_watch(self) -> HostWatch:
        """The hosts, whose clocks are held against the database's."""
        limits = self.environment.policy.hosts
        eyes = HostEyes(limits=limits, clock=server_clock(self.server), interruption=self.interruption)
        return HostWatch(hosts=self.environment.host, limits=limits, looker=eyes, clock="the database's clock")

    def probes(self) -> Probes:
        """The questions of the preflight list, unanswered."""
        return Probes(
            server=self.server,
            contract=self.contract,
            others=Others(servers=dict(self.others())),
            backup=self.environment.backup,
            check_tools=self._check_tools,
            history=histories.probe_of(self.folder),
        )

    def plan_step(self) -> MakePlan:
        """The plan step."""
        return MakePlan(contract=self.contract, catalog=self.catalog("plan"), make_plan=self.make_plan)

    def audit(self) -> Audit:
        """The audit step."""
        return Audit(
            contract=self.contract,
            catalog=self.catalog("audit"),
            counter=OrphanQueries(server=self.server, step="audit"),
            samples=Samples(folder=self.run_folder, policy=self.environment.policy.show_samples),
            refuse=self.environment.policy.orphans == "refuse",
            found=self.show_orphans,
        )

    def approvals(self) -> Approvals:
        """The approval step."""
        return Approvals(
            answers=LedgerAnswers(server=self.server),
            people=self.environment.people,
            needed=self.environment.policy.approvals,
            how=f'invoke approve --env {self.environment.name}{self.server.where} --run {self.run} --note "why"',
        )

    def hearing(self) -> Hearing:
        """What is heard between the steps."""
        step = self.approvals()
        return Hearing(answers=step.answers, people=step.people, needed=step.needed)

    def show_orphans(self, found: Orphans) -> None:
        """Tell a relation with orphans on the screen; samples as the policy says."""
        self.screen.orphans(found, show_sample=self.environment.policy.show_samples != "nowhere")

    def backup(self, *, always: bool = False) -> TakeBackup:
        """The backup step."""
        settings = self.environment.backup
        if settings.mode == "none":
            return TakeBackup(tool=None, description="no backup (backup.mode = none)", always=always)
        if settings.mode == "external":
            hidden = (self.server.url.reveal(), str(self.server.parameters().get("password") or ""))
            tool = ExternalBackup(command=settings.command or "", secrets=hidden)
            return TakeBackup(
                tool=tool,
                description="run the command of backup.command, which must print a restore point",
                always=always,
            )
        dump = DumpBackup(
            server=self.server,
            scratch=self.scratch(),
            directory=Path(settings.directory).expanduser(),
            keep=settings.keep,
            run=self.run,
        )
        where = self.environment.scratch_on
        told = (
            f"pg_dump to {settings.directory}, restored and compared ({where if isinstance(where, str) else 'scratch'})"
        )
        return TakeBackup(tool=dump, description=told, always=always)

    def validate(self, *, dry: bool = False) -> Validate:
        """The validate step."""
        return Validate(
            contract=self.contract,
            whole=self.promised,
            catalog=self.catalog("validate"),
            counter=OrphanQueries(server=self.server, step="validate"),
            samples=Samples(folder=self.run_folder, policy=self.environment.policy.show_samples),
            suite=CheckSuite(
                server=self.server,
                checks=self.folder.checks,
                lock_timeout_ms=self.environment.policy.lock_timeout_ms,
            ),
            tenants=TenantQueries(server=self.server, column=TENANT),
            behavioural=self.environment.behavioural_checks and not dry,
            hosts=self.host_watch(),
        )

    def _check_tools(self, server_major: int) -> str:
        """The programs a backup would use. Raises OrchestratorError when there are none."""
        found = dump_installation(server_major=server_major, restore_major=self._restore_major(server_major))
        return f"pg_dump {found.major} ({found.source})"

    def _restore_major(self, server_major: int) -> int:
        scratch = self.scratch()
        if isinstance(scratch, EmbeddedScratch):
            return nearest_installation(server_major).major
        with scratch.server.session("scratch", read_only=True) as connection:
            return connection.info.server_version // 10000

    def others(self) -> Iterator[tuple[str, Callable[[], Server]]]:
        """Every other environment that stands in the inventory."""
        for name in environment_names(self.request.inventory):
            if name != self.request.env:
                yield name, partial(self.reach, name)

    def reach(self, name: str) -> Server:
        """The server of another environment of the inventory. Raises OrchestratorError."""
        other = load_environment(self.request.inventory, name)
        url = other.database.url
        if isinstance(url, Source) and url.embedded is not None:
            cluster = embedded_cluster(self.request.inventory, url.embedded)
            if not cluster.running:
                if not cluster.made:
                    message = "an embedded server of its own, which does not exist yet: invoke seed makes it"
                    raise OrchestratorError(message)
                # No command keeps one running for another: left alone, the gates of production could never open.
                self.stack.enter_context(cluster)
            secret = Secret(cluster.url(EMBEDDED_DATABASE))
        else:
            secret = resolve(url, place=name)
        return Server(environment=name, url=secret, source=str(url), run=self.run, role=other.database.role)


def embedded_cluster(inventory: Path, name: str) -> Cluster:
    """The embedded server of that name; its data lie beside the inventory folder."""
    return Cluster(directory=inventory.absolute().parent / ".embedded" / name)


def _server_clock(connection: Connection) -> tuple[timedelta, str]:
    """How far the server's clock is ahead of ours, and the role that we are there."""
    row = connection.execute("select clock_timestamp() as now, session_user as role").fetchone() or {}
    return row["now"] - datetime.now(UTC), row["role"]
