"""pg_dump and pg_restore: run as our children, with a password that no process list shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg.conninfo import make_conninfo

from orchestrator.adapters.child import Child, ChildFailed, Order, run
from orchestrator.core.outcome import ConnectionLost, OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.adapters.postgres import Connection, Server
    from orchestrator.adapters.programs import Installation
    from orchestrator.adapters.scratch import Shape

_LOCK_WAIT: Final = "10s"
_NAME_LIMIT: Final = 63
_BUILTIN_LOCALES_SINCE: Final = 17
# What our own connection has settled (where it went, which server of several), or what changes a dump.
_SETTLED: Final = frozenset(
    {
        "service",
        "servicefile",
        "host",
        "hostaddr",
        "port",
        "user",
        "password",
        "dbname",
        "application_name",
        "client_encoding",
        "target_session_attrs",
        "load_balance_hosts",
        "replication",
    }
)
# What a person has to type besides host, port, user and database; the rest is libpq's default.
_TYPED: Final = (
    "hostaddr",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "sslcrldir",
    "gssencmode",
)
_HINTS: Final = (
    (
        r"no space left|could not extend file|disk full",
        "free space for the dump and for the scratch database",
    ),
    (r"canceling statement due to|lock timeout", "another session holds a table: end it, or try later"),
    (r"row-level security", "use a role with BYPASSRLS, or the owner without FORCE ROW LEVEL SECURITY"),
    (r"extension .* is not available|extension control file", 'set [scratch] on = "same-server" or a url'),
    (r"role .* does not exist", 'set [scratch] on = "same-server" or "embedded", which have that role'),
    (r"permission denied to create|must be superuser", 'set [scratch] on = "embedded"'),
    (r"permission denied|must be owner", "the role must be able to read every table"),
    (r"server version mismatch", "install the client programs of the server's version"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How a program reaches the database that a connection of ours reached: environment and typed part."""

    environment: dict[str, str]
    typed: str
    secrets: tuple[str, ...]


def link(connection: Connection, server: Server) -> Link:
    """The link of an open connection: to the very server that it reached, also when the URL names several."""
    reached = connection.pgconn
    found = {"PGHOST": reached.host, "PGHOSTADDR": reached.hostaddr, "PGPORT": reached.port}
    found |= {"PGUSER": reached.user, "PGDATABASE": reached.db, "PGPASSWORD": reached.password}
    for option in reached.info:
        if option.envvar and option.val and option.keyword.decode() not in _SETTLED:
            found[option.envvar.decode()] = option.val
    environment = {name: value.decode() for name, value in found.items() if value}
    environment |= {"PGAPPNAME": f"orchestrator/{server.run}/backup"[:_NAME_LIMIT], "LC_ALL": "C"}
    given = server.parameters()
    secrets = (environment.get("PGPASSWORD", ""), str(given.get("password") or ""), server.url.reveal())
    return Link(environment=environment, typed=_typed(environment, given), secrets=secrets)


def _typed(environment: dict[str, str], given: dict[str, object]) -> str:
    """A connection string for a person: no password, which comes from PGPASSWORD, .pgpass or the prompt."""
    named = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER"}
    words = {key: environment[name] for key, name in named.items() if name in environment}
    return make_conninfo("", **words, **{key: str(given[key]) for key in _TYPED if given.get(key)})


def dumping(*, tools: Installation, to: Path, way: Link, snapshot: str, jobs: int) -> Child:
    """pg_dump of everything that the snapshot shows into the folder `to`; enter it to start it."""
    options = ["--format=directory", f"--jobs={jobs}", f"--snapshot={snapshot}", f"--file={to}"]
    command = [str(tools.program("pg_dump")), *options, "--no-password", f"--lock-wait-timeout={_LOCK_WAIT}"]
    return Child(_order("pg_dump", command, tools, way))


def restore(
    *, tools: Installation, dump: Path, way: Link, jobs: int, role: str | None, meanwhile: Callable[[], None]
) -> float:
    """Restore into the empty scratch database of `way`; the time in ms. Raises ChildFailed with one line.

    Owners, rights, tablespaces and replication belong to the dump's own server, not to its proof: everything belongs to
    `role`, or to the user of the connection.
    """
    left_out = [
        "--no-owner",
        "--no-privileges",
        "--no-tablespaces",
        "--no-publications",
        "--no-subscriptions",
    ]
    options = [f"--jobs={jobs}", "--exit-on-error", "--no-password", *left_out]
    options += [f"--role={role}"] if role else []
    place = f"--dbname={way.environment['PGDATABASE']}"
    command = [str(tools.program("pg_restore")), *options, place, str(dump)]
    try:
        return run(_order("pg_restore", command, tools, way), meanwhile=meanwhile)[1]
    except ChildFailed as error:
        raise explained(error) from None


def _order(name: str, command: list[str], tools: Installation, way: Link) -> Order:
    environment = tools.environment() | way.environment
    return Order(name=name, command=command, environment=environment, secrets=way.secrets)


_BROKEN: Final = re.compile(
    r"server closed the connection|connection to server|could not receive data|could not send data"
    r"|terminating connection|connection has been closed|no connection to the server",
    re.IGNORECASE,
)


def explained(error: ChildFailed) -> OrchestratorError:
    """The same error with what to do about it, where that is known; ConnectionLost when the server went away."""
    text = str(error)
    if _BROKEN.search(text):
        return ConnectionLost(text)
    hint = next((words for pattern, words in _HINTS if re.search(pattern, text, re.IGNORECASE)), "")
    return ChildFailed(f"{text} ({hint})" if hint else text)


def restore_command(
    *, tools: Installation, dump: Path, way: Link, like: Shape, run: str, role: str | None, jobs: int
) -> str:
    """One shell line, without a password, that restores into a new database beside the old one."""
    database = way.environment["PGDATABASE"]
    name = f"{database.encode()[: _NAME_LIMIT - 1 - len(run.encode())].decode(errors='ignore')}_{run}"
    maintenance = make_conninfo(way.typed, dbname=database)
    create = [str(tools.program("createdb")), f"--maintenance-db={maintenance}", "--template=template0"]
    create += [f"--encoding={like.encoding}", f"--lc-collate={like.collation}", f"--lc-ctype={like.ctype}"]
    create += _provider(like, tools.major)
    create += [f"--owner={role}"] if role else []
    restored = [str(tools.program("pg_restore")), f"--jobs={jobs}", "--exit-on-error"]
    restored += [f"--role={role}"] if role else []
    restored += [f"--dbname={make_conninfo(way.typed, dbname=name)}", str(dump)]
    return f"{shlex.join([*create, name])} && {shlex.join(restored)}"


def _provider(like: Shape, tool_major: int) -> list[str]:
    if like.provider == "i" and like.locale:
        return ["--locale-provider=icu", f"--icu-locale={like.locale}"]
    if like.provider == "b" and like.locale and tool_major >= _BUILTIN_LOCALES_SINCE:
        return ["--locale-provider=builtin", f"--builtin-locale={like.locale}"]
    return []
