"""Real PostgreSQL servers for the suite: one cluster per major version, one database per test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

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
    # A hash of one round for the roles that tests make; version 15 has no such setting.
    settings = {"scram_iterations": "1"} if major > 15 else {}
    return Cluster(directory=directory, installation=server_installation(major), settings=settings)


def start(cluster: Cluster) -> str:
    """Start a cluster of a test; its URL. To connect costs half of what it costs with a hash of 4096 rounds."""
    cluster.start()
    url = cluster.url()
    password = unquote(urlsplit(url).password or "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(_verifier(password)))
    return url


def _verifier(password: str) -> sql.Literal:
    """What pg_authid keeps of a password (RFC 5803), here with a single round."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    kept = (base64.b64encode(each).decode() for each in (salt, stored, hmac.digest(salted, b"Server Key", "sha256")))
    return sql.Literal("SCRAM-SHA-256$1:{}${}:{}".format(*kept))


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
