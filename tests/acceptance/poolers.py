"""A real pgbouncer in front of a database, on a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestrator.adapters.child import die_with_us
from orchestrator.adapters.postmaster import free_port
from orchestrator.adapters.programs import unprivileged_account
from tests import places, waiting

PGBOUNCER = Path("/usr/sbin/pgbouncer")
READY_WITHIN_S = 20.0


class Pooler:
    """One pgbouncer for one database. pgbouncer refuses root as PostgreSQL does: there it runs as nobody."""

    def __init__(self, url: str, *, mode: str, ignore: str = "") -> None:
        """`mode` is session or transaction; `ignore` the startup parameters that are dropped in silence."""
        self._server = conninfo_to_dict(url)
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="pooler-", dir=places.scratch()))
        self._mode, self._ignore = mode, ignore
        self._process: subprocess.Popen[bytes] | None = None
        self.url = make_conninfo(url, host="127.0.0.1", port=self._port)

    def start(self) -> None:
        """Start it and wait until it answers."""
        account = unprivileged_account()
        users, settings = self._folder / "users.txt", self._folder / "pgbouncer.ini"
        users.write_text(f'"{self._server["user"]}" "{self._server["password"]}"\n')
        settings.write_text(self._settings(users))
        for path in (self._folder, users, settings):
            if account:
                os.chown(path, account.uid, account.gid)
        log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [PGBOUNCER, settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=die_with_us(signal.SIGINT),  # noqa: PLW1509  calls nothing but prctl
        )
        log.close()
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            waiting.pause()

    def stop(self) -> None:
        """Stop it and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(READY_WITHIN_S)
        shutil.rmtree(self._folder)

    def _settings(self, users: Path) -> str:
        server = self._server
        lines = [
            "[databases]",
            f"{server['dbname']} = host={server['host']} port={server['port']}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self._port}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            f"pool_mode = {self._mode}",
            f"ignore_startup_parameters = {self._ignore}" if self._ignore else "",
        ]
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
