"""A real sshd on a high port of the loopback, with keys and settings of its own; as whoever runs the suite."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from orchestrator.core.inventory import Host
from tests.far_hosts import FarHost

SSHD = Path("/usr/sbin/sshd")
SEPARATION = Path("/run/sshd")
"""Where sshd locks up what is not logged in yet; as root it refuses to start without it."""


class RealHost(FarHost):
    """The same host behind Debian's sshd."""

    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> RealHost:
        """Listen, with a key that known_hosts has. Skips where there is no sshd."""
        if not SSHD.exists():
            pytest.skip("no sshd on this machine (.ci/run installs Debian's openssh-server)")
        if os.getuid() == 0:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._private("host_key", self._key)
        self.know(self._key)
        trusted = asyncssh.read_private_key(str(self.user_key)).export_public_key()
        (self.folder / "authorized_keys").write_bytes(trusted)
        (self.folder / "sshd_config").write_text(self._settings(), encoding="utf-8")
        with (self.folder / "sshd.log").open("wb") as log:
            words = self.started_by([str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")])
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self._process.poll() is None, (self.folder / "sshd.log").read_text("utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def started_by(self, words: list[str]) -> list[str]:
        """The command line that becomes sshd."""
        return words

    def stop(self) -> None:
        """Be gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def host(self, name: str = "api-1", **more: Any) -> Host:
        """Its login is ours: a server that is not root's knows no other."""
        return super().host(name, **{"ssh": f"{getpass.getuser()}@127.0.0.1:{self.port}", **more})

    def _private(self, name: str, key: asyncssh.SSHKey) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())

    def _settings(self) -> str:
        return "\n".join(
            (
                f"Port {self.port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {self.folder / 'host_key'}",
                f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
                f"PidFile {self.folder / 'sshd.pid'}",
                "StrictModes no",
                "UsePAM no",
                "PasswordAuthentication no",
                "PermitRootLogin yes",
                f"SetEnv PATH={self.folder / 'bin'}:{os.environ['PATH']}",
                "",
            )
        )

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
