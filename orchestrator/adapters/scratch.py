"""Where scratch databases live: on a server that is there already, or on an embedded one for the moment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from orchestrator.adapters import points
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.leftovers import FOLDER, MAKER, STEP, drop_leftovers, scratch_name, sweep
from orchestrator.adapters.postgres import Connection, Server, plain_line, statement
from orchestrator.adapters.processes import this_process
from orchestrator.adapters.programs import Installation, ProgramsMissing, installations
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_THROWAWAY: Final = {
    "autovacuum": "off",
    "max_wal_senders": "0",  # what wal_level = minimal asks for
    "wal_level": "minimal",
    "maintenance_work_mem": "128MB",
}
_HINTS: Final = (
    (errors.InsufficientPrivilege, 'grant CREATEDB to the role, or set [scratch] on = "embedded"'),
    (errors.DiskFull, "free space on the scratch server, or put [scratch] elsewhere"),
)
# Another server may lack a locale by that name, or be too old for its provider.
_NO_SUCH_LOCALE: Final = (
    errors.InvalidParameterValue,
    errors.WrongObjectType,
    errors.FeatureNotSupported,
    errors.SyntaxError,
    errors.UndefinedObject,
)


class NoScratchDatabase(OrchestratorError):
    """No scratch database could be made; the line says why and where to put it instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a copy of a database needs: server major version, encoding, locale, extensions and roles.

    `provider` is pg_database's letter (c libc, i ICU, b built in); `roles` are those that policies name.
    """

    major: int
    encoding: str
    collation: str
    ctype: str
    provider: str = "c"
    locale: str | None = None
    icu_rules: str = ""
    system_identifier: str = ""
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class ScratchSource(Protocol):
    """Where scratch databases live."""

    def database(self, *, like: Shape) -> AbstractContextManager[Server]:
        """An empty database of that shape, gone after the block. Raises NoScratchDatabase."""


def shape(connection: Connection) -> Shape:
    """The shape of the database that the connection is in. Raises psycopg.Error."""
    row = connection.execute(statement("scratch_shape")).fetchone() or {}
    parts = {**row, "extensions": tuple(row["extensions"]), "roles": tuple(row["roles"])}
    return Shape(major=connection.info.server_version // 10000, **parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerScratch:
    """Scratch databases on a server that is there already: the target's own, or another one.

    The database of `server` is only what we connect to while we create and drop.
    """

    server: Server

    @contextmanager
    def database(self, *, like: Shape) -> Iterator[Server]:
        """An empty database of that shape, dropped after the block. Raises NoScratchDatabase."""
        name = scratch_name(self.server.run)
        drop_leftovers(self.server)
        try:
            with self._explained(), self.server.session(STEP, read_only=False) as connection:
                _refuse_missing(connection, like)
                _create(connection, name, like)
                points.reached("scratch:created")
                _sign(connection, name, self.server.run)
            points.reached("scratch:signed")
            yield elsewhere(self.server, name)
        except BaseException:
            with suppress(OrchestratorError):  # what stopped us is what has to be told
                self._drop(name)
            raise
        self._drop(name)

    def _drop(self, name: str) -> None:
        with self._explained(), self.server.session(STEP, read_only=False) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            hint = next((f" ({words})" for kind, words in _HINTS if isinstance(error, kind)), "")
            place = f"{self.server.environment}: scratch database at {self.server.place}"
            message = f"{place}: {plain_line(error)}{hint}"
            raise NoScratchDatabase(message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedScratch:
    """Scratch databases on a temporary server of this machine, which is removed after the block.

    Without an `installation` it is the nearest major version that is not older than the source.
    """

    run: str
    installation: Installation | None = None

    @contextmanager
    def database(self, *, like: Shape) -> Iterator[Server]:
        """An empty database of that shape. Raises NoScratchDatabase or EmbeddedServerFailed."""
        programs = self.installation or nearest_installation(like.major)
        sweep(Path(tempfile.gettempdir()))
        directory = signed_folder()
        cluster = Cluster(directory=directory, installation=programs, settings=_THROWAWAY)
        try:
            cluster.start()
            server = self._server(cluster)
            _create_roles(server, like.roles)
            # The cluster goes as a whole, but the database is made in the same way as anywhere else.
            with ServerScratch(server=server).database(like=like) as place:
                yield place
        finally:
            cluster.discard()
            shutil.rmtree(directory, ignore_errors=True)

    def _server(self, cluster: Cluster) -> Server:
        place = "the embedded scratch server"
        return Server(environment="scratch", url=Secret(cluster.url()), source=place, run=self.run)


def signed_folder() -> Path:
    """A new temporary folder that says who made it, so that `sweep` finds it when its maker was killed."""
    directory = Path(tempfile.mkdtemp(prefix=FOLDER))
    (directory / MAKER).write_text(json.dumps(asdict(this_process())), encoding="utf-8")
    return directory


def nearest_installation(major: int) -> Installation:
    """Server programs of the lowest version that is not older than `major`.

    Of two with one version the system's: it has the contrib extensions that the wheel lacks.
    Raises ProgramsMissing.
    """
    able = [one for one in installations() if one.has("initdb", "postgres") and one.major >= major]
    if not able:
        message = f"no server programs of PostgreSQL {major} or newer for an embedded scratch database"
        remedy = f'install postgresql-{major}, or set [scratch] on = "same-server"'
        raise ProgramsMissing(f"{message}: {remedy}")
    return min(able, key=lambda one: (one.major, one.source == "embedded"))


def elsewhere(server: Server, database: str) -> Server:
    """The same server, another database, and writing allowed."""
    url = make_conninfo(server.url.reveal(), dbname=database)
    return replace(server, url=Secret(url), read_only=False)


def _refuse_missing(connection: Connection, like: Shape) -> None:
    """Say what could not be restored before a long dump, not after it."""
    rows = connection.execute("SELECT name::text FROM pg_catalog.pg_available_extensions").fetchall()
    missing = sorted({*like.extensions} - {row["name"] for row in rows})
    if missing:
        message = f"the scratch server lacks extension {', '.join(missing)}"
        remedy = 'install it there, or set [scratch] on = "same-server" or a url'
        raise NoScratchDatabase(f"{message}: {remedy}")
    if connection.info.server_version // 10000 < like.major:
        message = f"the scratch server is older ({connection.info.server_version // 10000}) than the database"
        raise NoScratchDatabase(f"{message} ({like.major}): set [scratch] to one that is not")


def _create(connection: Connection, name: str, like: Shape) -> None:
    """CREATE DATABASE with the source's locale, else with the nearest that the server has.

    Nobody may connect until it is signed: whoever came in before the REVOKE would stay.
    """
    for options in _locales(like):
        try:
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), options))
        except _NO_SUCH_LOCALE as error:
            refused: psycopg.Error = error
        else:
            return
    raise refused


def _locales(like: Shape) -> Iterator[sql.Composed]:
    known = {"template": "template0", "encoding": like.encoding, "connections": "false"}
    yield _options(known | {"lc_collate": like.collation, "lc_ctype": like.ctype} | _provided(like))
    for locale in ("C.UTF-8", "C") if like.encoding == "UTF8" else ("C",):
        yield _options(known | {"lc_collate": locale, "lc_ctype": locale})


def _provided(like: Shape) -> dict[str, str]:
    if like.provider == "i" and like.locale:
        rules = {"icu_rules": like.icu_rules} if like.icu_rules else {}
        return {"locale_provider": "icu", "icu_locale": like.locale, **rules}
    if like.provider == "b" and like.locale:
        return {"locale_provider": "builtin", "builtin_locale": like.locale}
    return {}


def _options(values: dict[str, str]) -> sql.Composed:
    pairs = [sql.SQL("{} {}").format(sql.SQL(_KEYWORDS[key]), sql.Literal(text)) for key, text in values.items()]
    return sql.SQL(" ").join(pairs)


_KEYWORDS: Final = {
    "template": "TEMPLATE",
    "connections": "ALLOW_CONNECTIONS",
    "encoding": "ENCODING",
    "lc_collate": "LC_COLLATE",
    "lc_ctype": "LC_CTYPE",
    "locale_provider": "LOCALE_PROVIDER",
    "icu_locale": "ICU_LOCALE",
    "icu_rules": "ICU_RULES",
    "builtin_locale": "BUILTIN_LOCALE",
}


def _sign(connection: Connection, name: str, run: str) -> None:
    """Nobody else gets in, and the database says who made it: a leftover can be told from one in use.

    From then on it may be connected to.
    """
    place = sql.Identifier(name)
    maker = {"run": run, "host": socket.gethostname(), "pid": os.getpid()}
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(place))
    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(place, sql.Literal(json.dumps(maker))))
    connection.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(place))


def _create_roles(server: Server, names: Iterable[str]) -> None:
    """Roles that policies name, on a server that has none but its own superuser."""
    with server.session(STEP) as connection:
        for name in names:
            with suppress(errors.DuplicateObject, errors.ReservedName):
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
