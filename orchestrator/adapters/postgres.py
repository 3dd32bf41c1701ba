"""Connections to a PostgreSQL server, and what a failed one means to the person who typed the command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from orchestrator.adapters.interruption import Interruption, within
from orchestrator.adapters.redaction import hide, redacted
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import CannotConnect, ConnectionLost, OrchestratorError, Refused

Connection = psycopg.Connection[DictRow]

CONNECT_TIMEOUT_S = 4
"""With the start of the program, a server that does not answer is refused within 5 s."""
APPLICATION_NAME_LIMIT = 63
TRANSACTION_TIMEOUT_SINCE = 170000
IDLE_SESSION_TIMEOUT_SINCE = 140000

SESSION: Mapping[str, str] = {
    # A row that a policy hides would be missed by a count; off turns that into an error.
    "row_security": "off",
    # Timeouts set for the role or the database are not ours to live with; each statement sets its own.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "5000",
    "client_min_messages": "warning",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}

KEEPALIVE: Mapping[str, int] = {
    # A way that is dead is noticed within about 15 s, not after the two hours of most systems.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

HINTS: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "check user and password in {source}"),
    ("no password supplied", "put the password into {source} or a .pgpass file"),
    ('database ".*" does not exist', "check the database name in {source}"),
    ('role ".*" does not exist', "check the user in {source}"),
    ("connection refused", "is the server running, and are host and port right?"),
    ("timeout|timed out", "no answer within {timeout} s: check host, port and firewall"),
    ("translate host name|name or service not known|resolve", "check the host name in {source}"),
    ("unsupported startup parameter", "this is a transaction pooler: connect to the server itself"),
    ("too many (clients|connections)|connection slots", "the server has no free connection: try later"),
    ("no pg_hba.conf entry", "the server does not let this host in: ask for an entry in pg_hba.conf"),
    ("definition of service", "check the name in pg_service.conf"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A database as it is reached: every connection of ours comes from here.

    `source` says where the URL came from, for messages; `run` goes into application_name; `where` has the options that
    a next command has to repeat.
    """

    environment: str
    url: Secret
    source: str
    run: str
    role: str | None = None
    read_only: bool = False
    where: str = ""
    interruption: Interruption = field(default_factory=Interruption, compare=False)

    def parameters(self) -> dict[str, Any]:
        """The URL as libpq's parameters. Raises Refused when it cannot be parsed; the message never holds it."""
        try:
            return dict(conninfo_to_dict(self.url.reveal()))
        except psycopg.ProgrammingError as error:
            message = (
                f"{self.environment}: the URL from {self.source} cannot be parsed (postgresql://user@host/database)"
            )
            raise Refused(message) from error

    @property
    def resume(self) -> str:
        """What to type to go on with a run here."""
        return self.command("resume")

    def command(self, task: str) -> str:
        """Another task for this environment, as it has to be typed here."""
        return f"invoke {task} --env {self.environment}{self.where}"

    @property
    def place(self) -> str:
        """Database, host and port, for messages."""
        known = self.parameters()
        host = known.get("host") or known.get("hostaddr") or "local socket"
        name = known.get("dbname") or known.get("user") or known.get("service") or "the default database"
        return f"{name} at {host}:{known.get('port') or 5432}"

    def connect(self, step: str, *, database: str | None = None, read_only: bool | None = None) -> Connection:
        """An open connection in autocommit mode, read-only where the server or the caller asks for it.

        Raises CannotConnect with one line that says what is wrong and what to do, within 5 s.
        """
        reading = self.read_only if read_only is None else (read_only or self.read_only)
        try:
            connection = psycopg.connect(
                self._conninfo(step, database, reading=reading), autocommit=True, row_factory=dict_row
            )
        except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
            raise CannotConnect(self._explain(error)) from None
        hide(connection.info.password)
        # A way can die between the handshake and the first question; the driver's own limit ends with the handshake.
        with within(connection, CONNECT_TIMEOUT_S):
            self._settle(connection, reading=reading)
        _pids[connection] = connection.info.backend_pid
        self.interruption.watch(connection)
        return connection

    @contextmanager
    def session(self, step: str, *, database: str | None = None, read_only: bool | None = None) -> Iterator[Connection]:
        """A connection that is closed at the end of the block; what it does may be cancelled by an interruption."""
        with (
            self.connect(step, database=database, read_only=read_only) as connection,
            self.interruption.cancelling(connection),
        ):
            yield connection

    def bare(self, step: str) -> Connection:
        """A connection without settings of ours, for one question that a pooler may stand in the way of otherwise.

        Raises CannotConnect.
        """
        name = f"orchestrator/{self.run}/{step}"[:APPLICATION_NAME_LIMIT]
        self.parameters()
        try:
            known = make_conninfo(self.url.reveal(), connect_timeout=CONNECT_TIMEOUT_S, application_name=name)
            return psycopg.connect(known, autocommit=True, row_factory=dict_row)
        except psycopg.Error as error:
            raise CannotConnect(self._explain(error)) from None

    def _conninfo(self, step: str, database: str | None, *, reading: bool) -> str:
        known = self.parameters()
        session = {**SESSION, "default_transaction_read_only": "on" if reading else "off"}
        session |= {"role": self.role} if self.role else {}
        options = [known.get("options") or "", *(f"-c {key}={_escaped(value)}" for key, value in session.items())]
        changes: dict[str, Any] = {
            "options": " ".join(filter(None, options)),
            "connect_timeout": CONNECT_TIMEOUT_S,
            **{name: value for name, value in KEEPALIVE.items() if name not in known},
            "application_name": f"orchestrator/{self.run}/{step}"[:APPLICATION_NAME_LIMIT],
        }
        changes |= {"dbname": database} if database else {}
        return make_conninfo(self.url.reveal(), **changes)

    def _settle(self, connection: Connection, *, reading: bool) -> None:
        """Make sure that the settings arrived: a pooler may drop them, and a read-only run would then write."""
        try:
            row = connection.execute(
                "select current_setting('default_transaction_read_only') = %s"
                " and current_setting('row_security') = 'off' as arrived",
                ("on" if reading else "off",),
            ).fetchone()
            arrived = bool(row and row["arrived"])
            # Behind a pooler these would stay with a session that others use.
            if arrived and connection.info.server_version >= IDLE_SESSION_TIMEOUT_SINCE:
                connection.execute("set idle_session_timeout = 0")
            if arrived and connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
                connection.execute("set transaction_timeout = 0")
            if arrived:
                _notice_our_end(connection)
        except psycopg.Error as error:
            connection.close()
            raise CannotConnect(self._explain(error)) from None
        if not arrived:
            connection.close()
            message = f"{self.environment}: settings sent to {self.place} were dropped on the way"
            raise CannotConnect(f"{message}, as by a transaction pooler: connect to the server itself")

    def _explain(self, error: Exception) -> str:
        text = plain_line(error)
        pooler = "" if "options" not in text else text
        for pattern, hint in HINTS:
            if re.search(pattern, text, re.IGNORECASE) or (pooler and re.search(pattern, pooler)):
                advice = hint.format(source=self.source, timeout=CONNECT_TIMEOUT_S)
                return self._scrubbed(f"{self.environment}: cannot connect to {self.place}: {text} ({advice})")
        return self._scrubbed(f"{self.environment}: cannot connect to {self.place}: {text} (URL from {self.source})")

    def _scrubbed(self, text: str) -> str:
        password = self.parameters().get("password")
        return text.replace(str(password), "***") if password else text


_pids: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()


def pid_of(connection: Connection) -> int:
    """The server's process behind a connection, also after it broke: the driver forgets it then."""
    return _pids.get(connection) or connection.info.backend_pid


@contextmanager
def logged_in(connection: Connection) -> Iterator[None]:
    """As the role that logged in, which may end its own sessions; the role of `database.role` may not.

    Raises psycopg.Error.
    """
    connection.execute("set role none")
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):
            connection.execute("reset role")


def _notice_our_end(connection: Connection) -> None:
    """Let a long statement end soon after we are gone. Since 14; a server on an unfit system refuses the setting."""
    with suppress(psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
        connection.execute("set client_connection_check_interval = 5000")


def is_lost(error: psycopg.Error) -> bool:
    """Whether an error means that the connection is gone, and not that the server said no.

    Class 08, the shutdowns of class 57P, and 25P03/25P04, with which the server ends an idle session; libpq's own
    complaints have no SQLSTATE.
    """
    code = error.sqlstate or ""
    gone = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)
    return gone and (not code or code.startswith(("08", "57P", "25P03", "25P04")))


def is_mendable(error: psycopg.Error) -> bool:
    """Whether the same statement works once a cause outside of it is gone, so that a run is held and not failed.

    insufficient_privilege, class 53 (disk full, out of memory, too many locks), class 58 (the system's errors).
    """
    return (error.sqlstate or "").startswith(("42501", "53", "58"))


def _escaped(value: str) -> str:
    """A value for libpq's `options`, where a backslash protects spaces and backslashes."""
    return re.sub(r"([\\ ])", r"\\\1", value)


def plain_line(error: Exception) -> str:
    """The last thing libpq or the server said, on one line, without its severity word and without a secret in use."""
    return redacted(_last_line(error))


def _dependents(error: psycopg.Error) -> str:
    """Who depends on what was to be dropped: names only. Other details hold rows."""
    known = isinstance(error, psycopg.errors.DependentObjectsStillExist) and error.diag.message_detail
    return f": {'; '.join(error.diag.message_detail.splitlines())}" if known and error.diag.message_detail else ""


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return " ".join(f"{error.diag.message_primary}{_dependents(error)}".split())
    text = next((line for line in reversed(lines) if "failed:" in line or "FATAL" in line), lines[0] if lines else "")
    text = re.sub(r"^.*(?:failed: |FATAL:\s+)", "", text)
    return text.removeprefix("ERROR:").strip() or type(error).__name__


@cache
def statement(name: str) -> sql.SQL:
    """The SQL file of that name in `adapters/sql`, such as `probes/rights`."""
    text = files("orchestrator.adapters").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sql.SQL(text)


@contextmanager
def plainly(doing: str, *, reading: bool = False) -> Iterator[None]:
    """Turn what the server refuses inside the block into one line.

    Raises ConnectionLost, OrchestratorError, or Refused when the block only reads and so leaves nothing begun.
    """
    try:
        yield
    except psycopg.Error as error:
        message = f"{doing}: {plain_line(error)}"
        if is_lost(error):
            raise ConnectionLost(message) from error
        raise (Refused if reading else OrchestratorError)(message) from error
