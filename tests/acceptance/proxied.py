"""A primary behind an address that can lead elsewhere, fall silent, or cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from orchestrator.adapters.embedded import Cluster
from tests import servers, waiting
from tests.acceptance.desk import MASTER, execute
from tests.chaos.proxy import Proxy

At = Callable[[int, Callable[[], None]], None]
"""Do something when the n-th effect has been committed, before the run knows of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A primary of its own behind an address that can lead elsewhere; `name` is the database."""

    primary: Cluster
    proxy: Proxy
    name: str

    def leads_to(self, port: int) -> None:
        """From now on the address leads to another server."""
        self.proxy.target = port
        self.proxy.cut()


def with_tables(cluster: Cluster, name: str | None = None) -> str:
    """A database with the base migration; its URL."""
    url = servers.fresh_database(cluster.url())
    if name is not None:
        execute(cluster.url(), f'alter database "{servers.database_name(url)}" rename to "{name}"')
        url = cluster.url(name)
    for path in sorted((MASTER / "migrations").glob("*/migration.sql")):
        execute(url, path.read_text("utf-8"))
    return url


def until(url: str, query: str, *values: object) -> None:
    """Until the one value that a query finds is true."""
    with psycopg.connect(url, autocommit=True) as connection:
        while not (connection.execute(query.encode(), values or None).fetchone() or (False,))[0]:
            waiting.pause()
