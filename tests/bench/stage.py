"""The stage: a server, a filled template made once, and a fresh copy of it for every trial, in a known state."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from orchestrator.adapters import loading
from orchestrator.adapters.ddl import QuotedDdl, qualified
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.programs import Installation, installations, server_installation
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import touched
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import Refused
from orchestrator.core.plan import Plan
from orchestrator.core.plan_making import make_plan
from orchestrator.core.seeding.proportions import BROAD, TREE, Proportions
from tests import servers
from tests.bench.writing import Target, targets

ROOT = Path(__file__).parents[2]
RUNBOOK = "master_tables"
RUN = "20260101T000000000-beef"
BUDGET_MS = 100
CHANGED_SHARE = 0.2
FILE_COPY_SINCE = 150000
"""Before 15 CREATE DATABASE copies files anyway and has no word for it."""

State = Literal["vacuumed", "changed"]
STATES: tuple[State, ...] = get_args(State)

Shape = Literal["tree", "broad"]
SHAPES: Mapping[Shape, Proportions] = {"tree": TREE, "broad": BROAD}
"""How rows are spread over the tables: most of them in one, or many large tables."""

SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "fsync": "on",
    "full_page_writes": "on",
}


@dataclass(slots=True, kw_only=True)
class Stage:
    """A server with the template. `admin` is the URL of any database of it.

    Without `cluster` the server is someone else's: its settings are left alone, and the template is dropped at the end.
    """

    admin: str
    rows: int
    version: str
    shape: Shape = "tree"
    cluster: Cluster | None = None
    template: str = ""
    catalog: Catalog = field(init=False)
    plan: Plan = field(init=False)
    targets: tuple[Target, ...] = ()
    runbook: RunbookFolder = field(default_factory=lambda: load_runbook(RUNBOOK, root=ROOT / "runbooks"))

    @property
    def major(self) -> int:
        """The server's major version."""
        return int(self.version.split(".")[0])

    def prepare(self) -> None:
        """Fill the template, or find it where an earlier bench kept it, and look at what is in it; once."""
        if self.template:
            return
        name = self._name()
        with psycopg.connect(self.admin, autocommit=True) as connection:
            there = connection.execute("select from pg_database where datname = %s", (name,)).fetchone()
        if there is None:
            self._fill(name)
        self.template = name
        self.catalog = DatabaseCatalog(server=self.server(self._url(name))).catalog()
        self.plan = self.plan_of(self.catalog)
        with psycopg.connect(self._url(name), autocommit=True) as connection:
            self.targets = targets(connection, self.runbook.contract, self.catalog)

    def leave(self) -> None:
        """Nothing stays behind on someone else's server."""
        if self.cluster is None and self.template:
            servers.drop_database(self._url(self.template))

    def server(self, url: str) -> Server:
        """A database of the stage as adapters see it."""
        return Server(environment="bench", url=Secret(url), source="the bench", run=RUN)

    def programs(self) -> Installation:
        """The installation whose psql fits the server: the same major version before a newer one. Raises Refused."""
        able = [one for one in installations() if one.has("psql")]
        fitting = [one for one in able if one.major >= self.major] or able
        if not fitting:
            message = "no psql found: install the PostgreSQL client programs"
            raise Refused(message)
        return min(fitting, key=lambda one: one.major)

    @property
    def children(self) -> tuple[TableName, ...]:
        """The referencing tables, the one with the most pages first."""
        names = {each.table for each in self.runbook.contract.promised}
        return tuple(sorted(names, key=lambda name: -self.catalog.tables[name].bytes))

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database with the base migration and no rows."""
        url = servers.fresh_database(self.admin)
        try:
            loading.apply_migrations(self.server(url), self.runbook.migrations(), self.runbook.contract)
            yield url
        finally:
            servers.drop_database(url)

    @contextmanager
    def trial(self, state: State) -> Iterator[str]:
        """The URL of a fresh copy in that state, with a checkpoint behind it; dropped afterwards."""
        url = self._copied()
        try:
            # A copy brings no statistics about activity: after this the server knows when each table was vacuumed.
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("vacuum (analyze)")
                if state == "changed":
                    self.change(connection, CHANGED_SHARE)
                connection.execute("checkpoint")
            yield url
        finally:
            servers.drop_database(url)

    def change(self, connection: psycopg.Connection[Any], share: float) -> None:
        """Update this share of the rows of every referencing table at random, and vacuum nothing."""
        columns = {each.name: each.column for each in self.targets}
        connection.execute("select setseed(0.5)")
        for name in sorted(self.children):
            column = sql.Identifier(columns[name])
            query = sql.SQL("update {} set {} = {} where random() < {}")
            connection.execute(query.format(qualified(name), column, column, sql.Literal(share)))

    def _name(self) -> str:
        """One name for the same rows of the same tables under the same contract."""
        told = [*self.runbook.migrations(), *(each.id for each in self.runbook.contract.promised)]
        return f"bench_{self.shape}_{self.rows}_{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]}"

    def _fill(self, name: str) -> None:
        url = servers.fresh_database(self.admin)
        server = self.server(url)
        loading.apply_migrations(server, self.runbook.migrations(), self.runbook.contract)
        loading.fill(server, self.runbook.contract, rows=self.rows, proportions=SHAPES[self.shape])
        with psycopg.connect(url, autocommit=True) as connection:
            for table in touched(self.runbook.contract.relations):
                # On a server of others it cannot be switched off; where it is the obstacle it is switched on.
                off = sql.SQL("alter table {} set (autovacuum_enabled = off, toast.autovacuum_enabled = off)")
                connection.execute(off.format(qualified(table)))
            connection.execute("vacuum (analyze)")
        with psycopg.connect(self.admin, autocommit=True) as connection:
            # The name appears only when all is there: an interrupted filling is never taken for a template.
            rename = sql.SQL("alter database {} rename to {}")
            old = sql.Identifier(servers.database_name(url))
            connection.execute(rename.format(old, sql.Identifier(name)))

    def _copied(self) -> str:
        name = f"bench_trial_{secrets.token_hex(6)}"
        with psycopg.connect(self.admin, autocommit=True) as connection:
            # The default writes every page to the WAL, which the load would then have to wait for.
            how = " strategy file_copy" if connection.info.server_version >= FILE_COPY_SINCE else ""
            query = sql.SQL("create database {} template {}" + how)
            connection.execute(query.format(sql.Identifier(name), sql.Identifier(self.template)))
        return self._url(name)

    def plan_of(self, catalog: Catalog) -> Plan:
        """The plan of the runbook for that catalog."""
        return make_plan(
            runbook=RUNBOOK,
            environment="bench",
            contract=self.runbook.contract,
            catalog=catalog,
            writer=QuotedDdl(),
            lock_budget_ms=BUDGET_MS,
        )

    def _url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.admin)._replace(path=f"/{database}"))


@contextmanager
def opened(
    *, folder: Path, rows: int, major: int, url: str | None, keep: Path | None, shape: Shape = "tree"
) -> Iterator[Stage]:
    """A stage on the server of that URL, or on an embedded one whose data is kept in `keep` or goes with `folder`.

    Raises Refused when another bench is at work on the data in `keep`.
    """
    with ExitStack() as stack:
        cluster = None
        if url is None:
            cluster = stack.enter_context(_cluster((keep or folder) / f"postgresql-{major}", major, kept=bool(keep)))
            url = cluster.url()
        with psycopg.connect(url, autocommit=True) as connection:
            number = connection.info.server_version
        version = f"{number // 10000}.{number % 10000}"
        stage = Stage(admin=url, rows=rows, shape=shape, cluster=cluster, version=version)
        stack.callback(stage.leave)
        yield stage


@contextmanager
def _cluster(place: Path, major: int, *, kept: bool) -> Iterator[Cluster]:
    cluster = Cluster(directory=place, installation=server_installation(major), settings=SETTINGS)
    if cluster.running:
        message = f"a server already runs in {place}: another bench is at work there"
        raise Refused(message)
    try:
        cluster.start()
        _quiet(cluster.url())
        yield cluster
    finally:
        (cluster.stop if kept else cluster.discard)()


def _quiet(url: str) -> None:
    """No autovacuum but where a trial calls it, and nothing left of a bench that was killed."""
    with psycopg.connect(url, autocommit=True) as connection:
        # ALTER SYSTEM and not the command line, which nothing could change later.
        connection.execute("alter system set autovacuum = off")
        connection.execute("select pg_reload_conf()")
        left = r"select datname from pg_database where datname like 'bench\_trial\_%' or datname like 'test\_%'"
        for (name,) in connection.execute(left).fetchall():
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
