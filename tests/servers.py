"""Real PostgreSQL servers for the suite: one cluster per major version, one database per test."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation

if TYPE_CHECKING:
    from pathlib import Path


def cluster(major: int, directory: Path) -> Cluster:
    """A cluster, not yet started, of PostgreSQL 15 (the system's), 16 or 18 (the wheel's).

    Raises ProgramsMissing when that version is not installed.
    """
    return Cluster(directory=directory, installation=server_installation(major))


def fresh_database(admin_url: str, template: str | None = None) -> str:
    """Create a database under a new name, as a copy of `template` if given; returns its URL."""
    name = f"test_{secrets.token_hex(8)}"
    source = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), source))
    return _with_database(admin_url, name)


def drop_database(url: str) -> None:
    """Drop the database that a URL names, ending whoever is still connected to it."""
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(_with_database(url, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def database_name(url: str) -> str:
    """The database that a URL names."""
    return urlsplit(url).path.removeprefix("/")
