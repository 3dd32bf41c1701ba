"""A real sshd on a machine with real sudo and users of its own: /etc is a copy that nothing outside of it sees."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.inventory import Host
from tests import places
from tests.sshd import RealHost

ASKED, TRUSTED = "asked", "trusted"
"""Who has to give a password, and who does not."""

SUDOERS = f"{ASKED} ALL=(root) ALL\n{TRUSTED} ALL=(root) NOPASSWD: ALL\n"

NAMESPACE = ("unshare", "--mount", "--propagation", "private")


class SudoHost(RealHost):
    """The host behind sshd, whose logins are ordinary users that may become root."""

    @classmethod
    def there(cls, password: str) -> SudoHost:
        """A host whose user gives that password. Skips with the reason where there cannot be one."""
        if os.getuid() != 0:
            pytest.skip("only root can make users with a password and start an sshd for them")
        if shutil.which("sudo") is None or shutil.which("chpasswd") is None:
            pytest.skip("no sudo on this machine (.ci/run installs Debian's)")
        if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount, and its own /etc is left alone")
        # Outside of pytest's folders, which only their owner may enter.
        folder = Path(tempfile.mkdtemp(prefix="sudo-host-", dir=places.scratch()))
        folder.chmod(0o755)
        made = cls(folder)
        made._make_users(password)
        return made

    def reset(self) -> None:
        """Be well again; sudo is the real one."""
        super().reset()
        (self.folder / "bin" / "sudo").unlink()

    def started_by(self, words: list[str]) -> list[str]:
        """Sshd in a namespace of its own, where our copy is /etc."""
        return [*NAMESPACE, "sh", "-c", f'mount --bind "$0" /etc && exec {shlex.join(words)}', str(self._etc)]

    def host(self, name: str = "api-1", **more: Any) -> Host:
        """Who has to give a password logs in, unless it is said otherwise."""
        return super().host(name, **{"ssh": f"{ASKED}@127.0.0.1:{self.port}", **more})

    def line(self, name: str = "api-1", more: str = "") -> str:
        """The same in an inventory."""
        return super().line(name, more).replace('"deploy@', f'"{ASKED}@')

    def stop(self) -> None:
        """Be gone, with the copy."""
        super().stop()
        shutil.rmtree(self.folder)

    @property
    def _etc(self) -> Path:
        return self.folder / "etc"

    def _make_users(self, password: str) -> None:
        """In the copy: by the programs that do it on a real machine, with the password through their input."""
        shutil.copytree("/etc", self._etc, symlinks=True)
        users = " && ".join(f"useradd --no-create-home --home-dir {self.folder} {each}" for each in (ASKED, TRUSTED))
        subprocess.run(
            [*NAMESPACE, "sh", "-c", f'mount --bind "$0" /etc && {users} && chpasswd', str(self._etc)],
            input=f"{ASKED}:{password}\n{TRUSTED}:{password[::-1]}\n".encode(),
            capture_output=True,
            check=True,
        )
        rules = self._etc / "sudoers.d" / "hosts"
        rules.write_text(SUDOERS, encoding="utf-8")
        rules.chmod(0o440)
