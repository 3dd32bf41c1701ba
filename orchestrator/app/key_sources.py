"""Where the keys of a contract can come from: a Prisma schema, another database, a framework's models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from orchestrator.adapters.identity import kinship
from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.models import Project, model_keys
from orchestrator.adapters.postgres import plainly
from orchestrator.adapters.prisma import read_prisma
from orchestrator.adapters.runbooks import RunbookFolder
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core.catalog import Catalog
from orchestrator.core.catalog_keys import keys_of, lacking
from orchestrator.core.contract import Contract
from orchestrator.core.contract_update import WHOLE, Source
from orchestrator.core.matching import Status, match_all
from orchestrator.core.outcome import Refused
from orchestrator.core.prisma_keys import relations_of
from orchestrator.core.timeline import standard_runbook

FORMS = "prisma:PATH, database:ENV, django:SETTINGS or sqlalchemy:MODULE:METADATA"


def key_source(
    request: Request, text: str | None, contract: Contract, *, default_schema: str, project: Project
) -> Source:
    """The source that `--from` names, with all its keys. Raises Refused, BadDocument, CannotConnect."""
    kind, _, rest = (text or "").partition(":")
    readers: Mapping[str, Callable[[], Source]] = {
        "prisma": lambda: _prisma(rest, default_schema),
        "database": lambda: _database(request, rest, contract),
        "django": lambda: _django(rest, default_schema, project),
        "sqlalchemy": lambda: _sqlalchemy(rest, default_schema, project),
    }
    if kind not in readers or not rest:
        message = f"--from {text}: known: {FORMS}" if text else f"from what? --from {FORMS}, or --suggest"
        raise Refused(message)
    return readers[kind]()


def _prisma(path: str, default_schema: str) -> Source:
    relations, left_out = relations_of(read_prisma(Path(path)), default_schema=default_schema)
    # Prisma has no word for DEFERRABLE, MATCH FULL and columns to set null.
    speaks_of = ("on_delete", "on_update", "name")
    return Source(name=f"prisma:{path}", relations=relations, speaks_of=speaks_of, left_out=left_out)


def _django(settings: str, default_schema: str, project: Project) -> Source:
    keys = model_keys("django", (settings,), project, default_schema=default_schema)
    return Source(name=f"django:{settings}", relations=keys)


def _sqlalchemy(rest: str, default_schema: str, project: Project) -> Source:
    module, _, attribute = rest.partition(":")
    if not module or not attribute:
        message = f"--from sqlalchemy:{rest}: MODULE:METADATA, such as shop.models:Base.metadata"
        raise Refused(message)
    keys = model_keys("sqlalchemy", (module, attribute), project, default_schema=default_schema)
    return Source(name=f"sqlalchemy:{rest}", relations=keys)


def _database(request: Request, other: str, contract: Contract) -> Source:
    """What the other environment has; with --env only what this one lacks is new."""
    here = request.env
    theirs, ours = _catalogs(request, other, contract)
    keys, left_out = keys_of(theirs, where=other)
    if ours is None or here is None:
        return Source(name=f"database:{other}", relations=keys, left_out=left_out)
    wanted = {each.id: each for each in lacking(keys, ours, where=here)}
    return Source(
        name=f"database:{other}",
        relations=tuple(wanted.get(each.id, each) for each in keys),
        speaks_of=WHOLE,
        left_out=left_out,
        wanted=lambda key: key.id in wanted,
    )


def standing(request: Request, contract: Contract) -> Mapping[Status, int]:
    """How many of a contract's relations are in which state in the environment. Raises Refused, CannotConnect."""
    with ExitStack() as stack:
        catalog = _site(request, stack, contract).catalog("contract").catalog()
        return Counter(each.status for each in match_all(contract, catalog))


def _site(request: Request, stack: ExitStack, contract: Contract) -> Site:
    """The environment with a runbook that need not be there yet: nothing of it but the contract is asked for."""
    name = Path(request.runbook)
    folder = RunbookFolder(path=name, runbook=standard_runbook(name.name), contract=contract)
    return open_site(request, stack, read_only=True, folder=folder)


def _catalogs(request: Request, other: str, contract: Contract) -> tuple[Catalog, Catalog | None]:
    """The other environment's catalog, and this one's where one is named. Raises Refused for one database twice."""
    if request.env == other:
        message = f"--from database:{other} --env {other}: the same environment twice"
        raise Refused(message)
    with ExitStack() as stack:
        site = _site(replace(request, env=request.env or other), stack, contract)
        mine = stack.enter_context(site.server.session("contract", read_only=True))
        if request.env is None:
            return read_catalog(mine), None
        theirs = stack.enter_context(site.reach(other).session("contract", read_only=True))
        with plainly("reading the catalog", reading=True):
            same = kinship(mine, theirs) == "same"
        if same:
            message = f"{request.env} and {other} are one database (proved by an advisory lock): point each at its own"
            raise Refused(message)
        return read_catalog(theirs), read_catalog(mine)
