"""Physical copies of a running cluster: the same system identifier on another server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from orchestrator.adapters.child import die_with_us
from orchestrator.adapters.postmaster import free_port
from orchestrator.adapters.programs import reachable, server_installation, unprivileged_account
from tests import places, waiting

READY_WITHIN_S = 60.0


class PhysicalCopy:
    """A copy by pg_basebackup of the PostgreSQL 16 cluster behind a URL: a standby of it, or a primary of its own."""

    def __init__(self, url: str, *, standby: bool) -> None:
        """Copy nothing yet."""
        self._original, self._standby = url, standby
        self._account = unprivileged_account()
        self._programs = reachable(server_installation(16), account=self._account)
        self._folder = Path(tempfile.mkdtemp(prefix="physical-", dir=places.scratch()))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """The URL of a database of the copy."""
        return make_conninfo(self._original, host="127.0.0.1", port=self._port, dbname=database)

    def start(self) -> None:
        """Copy, start, and wait until it lets readers in."""
        self._take()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        command: list[str | Path] = [self._programs.program("postgres"), "-D", self._folder / "data"]
        for name, setting in settings.items():
            command += ["-c", f"{name}={setting}"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._programs.environment(),
                user=self._account.uid if self._account else None,
                group=self._account.gid if self._account else None,
                extra_groups=[] if self._account else None,
                preexec_fn=die_with_us(signal.SIGINT),  # noqa: PLW1509  calls nothing but prctl
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            said = (self._folder / "log").read_text()
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            waiting.pause()

    @property
    def port(self) -> int:
        """Its port."""
        return self._port

    def stop(self) -> None:
        """Stop it and remove its data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(READY_WITHIN_S)
        shutil.rmtree(self._folder)

    def _take(self) -> None:
        data = self._folder / "data"
        command: list[str | Path] = [self._programs.program("pg_basebackup"), "--pgdata", data]
        command += [
            "--dbname",
            self._original,
            "--checkpoint",
            "fast",
            "--no-sync",
            *(["--write-recovery-conf"] if self._standby else []),
        ]
        subprocess.run(command, check=True, capture_output=True, env=self._programs.environment())
        if self._account:
            for path in (self._folder, data, *data.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True
