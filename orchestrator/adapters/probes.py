"""Asks the world the questions of the preflight list; what cannot be found out comes back as such, never as a pass."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg

from orchestrator.adapters.identity import Others
from orchestrator.adapters.pooler import pooled
from orchestrator.adapters.postgres import Connection, Server, is_lost, plain_line, plainly, statement
from orchestrator.adapters.redaction import without_url_passwords
from orchestrator.core.checks import Answer, Row
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Backup
from orchestrator.core.outcome import ConnectionLost, OrchestratorError

PROBE_TIMEOUT_MS = 10_000


@dataclass(slots=True, kw_only=True)
class Probes:
    """One preflight's questions, on one read-only connection. `check_tools` raises when the backup cannot be taken."""

    server: Server
    contract: Contract
    others: Others
    backup: Backup
    check_tools: Callable[[int], str]
    history: Callable[[Connection], Iterable[Row]] | None = None
    _connection: Connection | None = None
    _oids: dict[str, list[int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Connect with the first question: whoever asks knows what to do when the target does not answer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()

    def ask(self, probe: str) -> Answer:
        """The rows of a probe, or why it could not be answered.

        Raises CannotConnect, ConnectionLost; another try connects anew.
        """
        special: dict[str, Callable[[Connection], Iterable[Row]]] = {
            "identity": self.others.rows,
            "pooler": self._pooler,
            "encryption": self._encryption,
            "backup": self._backup,
        }
        if self.history is not None:
            special["history"] = self.history
        connection = self._connection or self._connect()
        try:
            if probe in special:
                return Answer(rows=tuple(special[probe](connection)))
            found = connection.execute(statement(f"probes/{probe}"), self._oids)
            return Answer(rows=tuple(_plain(row) for row in found))
        except psycopg.Error as error:
            if is_lost(error):
                self._connection = None
                message = f"preflight: {plain_line(error)}"
                raise ConnectionLost(message) from error
            return Answer(problem=f"could not be found out: {plain_line(error)}")
        except OrchestratorError as error:
            return Answer(problem=f"could not be found out: {error}")

    def _connect(self) -> Connection:
        connection = self.server.connect("preflight", read_only=True)
        with plainly("looking the tables up", reading=True):
            connection.execute(f"set statement_timeout = {PROBE_TIMEOUT_MS}".encode())
            self._oids = self._tables(connection)
        self._connection = connection
        return connection

    def _tables(self, connection: Connection) -> dict[str, list[int]]:
        sides = [(each.table, "child") for each in self.contract.promised]
        sides += [(each.referenced, "parent") for each in self.contract.promised]
        rows = connection.execute(
            statement("table_oids"),
            {
                "schemas": [name.schema for name, _ in sides],
                "names": [name.name for name, _ in sides],
                "sides": [side for _, side in sides],
            },
        ).fetchall()
        return {
            "tables": sorted({row["oid"] for row in rows}),
            "children": sorted({row["oid"] for row in rows if row["side"] == "child"}),
            "parents": sorted({row["oid"] for row in rows if row["side"] == "parent"}),
        }

    def _pooler(self, first: Connection) -> Iterable[Row]:
        found = pooled(self.server, first)
        return [{"pooled": found is not None, "observed": found}]

    def _encryption(self, connection: Connection) -> Iterable[Row]:
        """As libpq worked it out, from URL, service file and environment in its own order."""
        host = connection.info.host or "local socket"
        sslmode = connection.info.get_parameters().get("sslmode") or "prefer"
        near = _loopback(host) and _loopback(connection.info.hostaddr or host)
        return [{"sslmode": sslmode, "host": host, "loopback": near}]

    def _backup(self, connection: Connection) -> Iterable[Row]:
        if self.backup.mode == "none":
            return [{"problem": None, "text": "no backup is taken (backup.mode = none)"}]
        if self.backup.mode == "external":
            return [{"problem": None, "text": "external: the command of backup.command"}]
        row = connection.execute("select pg_database_size(current_database()) as bytes").fetchone()
        size = int(row["bytes"]) if row else 0
        rows: list[Row] = [self._disk(size)]
        try:
            rows.append({"problem": None, "text": self.check_tools(connection.info.server_version // 10000)})
        except OrchestratorError as error:
            rows.append({"problem": str(error), "text": ""})
        return rows

    def _disk(self, size: int) -> Row:
        try:
            folder = Path(self.backup.directory).expanduser().absolute()
            while not folder.exists():
                folder = folder.parent
            usage = shutil.disk_usage(folder)
        except (OSError, RuntimeError) as error:
            # Path.expanduser raises RuntimeError for a home that nobody has.
            why = error.strerror if isinstance(error, OSError) else error
            return {"problem": f"{self.backup.directory} cannot be looked into ({why})", "text": ""}
        text = f"{usage.free // 2**20} MiB free in {self.backup.directory}, database {size // 2**20} MiB"
        return {"problem": None if usage.free > size else f"not enough room: {text}", "text": text}


def _plain(row: Mapping[str, Any]) -> Row:
    """A row of the server's without the password of a URL: another session may call itself by its own."""
    return {key: without_url_passwords(value) if isinstance(value, str) else value for key, value in row.items()}


def _loopback(host: str) -> bool:
    if host in {"localhost", "local socket"} or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
