"""Opening a site: environment, runbook and server, and the embedded server where one is named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
from psycopg import sql

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.inventory import load_environment, resolve
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.terminal import Screen
from orchestrator.app.own_templates import own_templates
from orchestrator.app.request import Request
from orchestrator.app.site import EMBEDDED_DATABASE, RUNBOOKS, Site, embedded_cluster, new_run_id
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Environment, Secret, Source
from orchestrator.core.outcome import OrchestratorError, Refused


def open_site(request: Request, stack: ExitStack, *, read_only: bool, folder: RunbookFolder | None = None) -> Site:
    """Everything that a task needs, with the server known to answer. Raises Refused and CannotConnect.

    `folder` is the runbook where the caller has read it already.
    """
    environment = load_environment(request.inventory, request.env)
    folder = folder or load_runbook(request.runbook, root=RUNBOOKS)
    screen = _screen(request, environment, folder, stack)
    server = _server(request, environment, stack, read_only=read_only)
    return _site(request, environment, folder, screen, server, stack)


def open_with_catalog(request: Request, stack: ExitStack, *, step: str) -> tuple[Site, Catalog]:
    """A site that only reads, and its catalog. Raises Refused, BadDocument, CannotConnect.

    A large contract is read while the server puts a large catalog together: most of the time we would only wait for it.
    """
    environment = load_environment(request.inventory, request.env)
    if _embedded(environment):
        # A server of its own is not started for a runbook that cannot be read.
        site = open_site(request, stack, read_only=True)
        return site, site.catalog(step).catalog()
    with ThreadPoolExecutor(max_workers=1) as beside:
        reading = beside.submit(load_runbook, request.runbook, root=RUNBOOKS)
        try:
            server = _server(request, environment, stack, read_only=True)
            catalog = DatabaseCatalog(server=server, step=step).catalog()
        except OrchestratorError:
            # What is wrong with the runbook is told first, here as everywhere.
            _screen(request, environment, reading.result(), stack)
            raise
        folder = reading.result()
    screen = _screen(request, environment, folder, stack)
    return _site(request, environment, folder, screen, server, stack), catalog


def _screen(request: Request, environment: Environment, folder: RunbookFolder, stack: ExitStack) -> Screen:
    """Where things are told, in the words of the environment and the runbook. Raises Refused."""
    _known_only(request.only, folder.contract)
    screen = Screen(json=request.json)
    stack.enter_context(own_templates(environment, folder.path, screen, keeps=not request.dry_run))
    return screen


def _server(request: Request, environment: Environment, stack: ExitStack, *, read_only: bool) -> Server:
    server = Server(
        environment=environment.name,
        url=_database_url(request, environment, stack, read_only=read_only),
        source=str(environment.database.url),
        run=new_run_id(),
        role=environment.database.role,
        read_only=read_only,
        where=request.where,
    )
    server.interruption.resume = server.resume
    return server


def _site(
    request: Request,
    environment: Environment,
    folder: RunbookFolder,
    screen: Screen,
    server: Server,
    stack: ExitStack,
) -> Site:
    stack.callback(screen.close)
    return Site(
        request=request,
        environment=environment,
        folder=folder,
        run=server.run,
        screen=screen,
        server=server,
        stack=stack,
    )


def _known_only(only: tuple[str, ...], contract: Contract) -> None:
    if not only:
        return
    known = {"critical"} | {word for each in contract.relations for word in (each.table.name, str(each.table))}
    unknown = [word for word in only if word not in known]
    if unknown:
        message = f"--only: no table {unknown[0]!r} in the contract, and it is not the word critical"
        raise Refused(message)


def _embedded(environment: Environment) -> bool:
    url = environment.database.url
    return isinstance(url, Source) and url.embedded is not None


def _database_url(request: Request, environment: Environment, stack: ExitStack, *, read_only: bool) -> Secret:
    url = environment.database.url
    if isinstance(url, Source) and url.embedded is not None:
        cluster = embedded_cluster(request.inventory, url.embedded)
        if (request.dry_run or read_only) and not cluster.made:
            what = "a dry run" if request.dry_run else "a task that only reads"
            message = f"{environment.name}: its embedded server does not exist yet; {what} makes nothing, seed does"
            raise Refused(message)
        stack.enter_context(cluster)
        return Secret(_with_database(cluster))
    return resolve(url, place=f"{environment.name}: database.url")


def _with_database(cluster: Cluster) -> str:
    """The URL of the cluster's database for applications, made when it is not there."""
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        found = connection.execute("select from pg_database where datname = %s", (EMBEDDED_DATABASE,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(EMBEDDED_DATABASE)))
    return cluster.url(EMBEDDED_DATABASE)
