"""Opening a site: environment, runbook and server, and the embedded server where one is named."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg
from psycopg import sql

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.inventory import load_environment, resolve
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.terminal import Screen
from orchestrator.app.own_templates import own_templates
from orchestrator.app.request import Request
from orchestrator.app.site import EMBEDDED_DATABASE, RUNBOOKS, Site, embedded_cluster, new_run_id
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Environment, Secret, Source
from orchestrator.core.outcome import Refused


def open_site(request: Request, stack: ExitStack, *, read_only: bool, folder: RunbookFolder | None = None) -> Site:
    """Everything that a task needs, with the server known to answer. Raises Refused and CannotConnect.

    `folder` is the runbook where the caller has read it already.
    """
    environment = load_environment(request.inventory, request.env)
    folder = folder or load_runbook(request.runbook, root=RUNBOOKS)
    _known_only(request.only, folder.contract)
    screen = Screen(json=request.json)
    stack.enter_context(own_templates(environment, folder.path, screen))
    run = new_run_id()
    server = Server(
        environment=environment.name,
        url=_database_url(request, environment, stack, read_only=read_only),
        source=str(environment.database.url),
        run=run,
        role=environment.database.role,
        read_only=read_only,
        where=request.where,
    )
    server.interruption.resume = server.resume
    stack.callback(screen.close)
    return Site(
        request=request,
        environment=environment,
        folder=folder,
        run=run,
        screen=screen,
        server=server,
        stack=stack,
    )


def _known_only(only: tuple[str, ...], contract: Contract) -> None:
    known = {"critical"} | {word for each in contract.relations for word in (each.table.name, str(each.table))}
    unknown = [word for word in only if word not in known]
    if unknown:
        message = f"--only: no table {unknown[0]!r} in the contract, and it is not the word critical"
        raise Refused(message)


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
