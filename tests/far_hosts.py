"""Hosts to log in to: an SSH server of asyncssh in a thread, which runs real commands in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from orchestrator.core.inventory import Host

FAKES = {
    # What the real one prints is in the file beside it; a missing file means that the program is not there.
    "systemctl": 'cat "$(dirname "$0")/../systemctl.txt"',
    "pm2": 'cat "$(dirname "$0")/../pm2.json"',
    "df": 'echo "Filesystem 1024-blocks Used Available Capacity Mounted on"; cat "$(dirname "$0")/../df.txt"',
    "date": 'case $2 in +%s.%N) f="$(dirname "$0")/../ahead"; exec /bin/date -u -d "$(cat "$f") seconds" +%s.%N;; esac',
    "sudo": (
        # Asks as sudo -S does, takes one line, and three tries; -n never asks.
        '[ "$1" = -n ] && { shift 2; exec "$@"; }; prompt="$3"; shift 4; n=0; while [ $n -lt 3 ]; do n=$((n+1));'
        ' printf %s "$prompt" >&2; read -r word || exit 1; [ "$word" = open-sesame ] && exec "$@";'
        " echo 'Sorry, try again.' >&2; done; exit 1"
    ),
}


class _Jumping(asyncssh.SSHServer):
    """A server that may be jumped through."""

    def connection_requested(self, *_: object) -> bool:
        """Anywhere."""
        return True


@dataclass(slots=True)
class FarHost:
    """A host in a thread: its keys, its address, and what its programs say."""

    folder: Path
    user_key: Path = field(init=False)
    port: int = field(init=False, default=0)
    commands: list[str] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _thread: threading.Thread = field(init=False)
    _server: Any = field(init=False, default=None)
    _key: asyncssh.SSHKey | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """A folder with its programs; the host is up when it is started."""
        (self.folder / "bin").mkdir(parents=True)
        self.user_key = self.folder / "user_key"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(self.user_key))
        self.reset()

    def reset(self) -> None:
        """Be well again, and known by its own key."""
        for name, text in FAKES.items():
            self.program(name, text)
        self.disk(free_mb=50_000)
        self.clock(ahead_s=0)
        self.systemd("active", "running")
        if self._key is not None:
            self.know(self._key)

    @property
    def known_hosts(self) -> Path:
        """The file with its key."""
        return self.folder / "known_hosts"

    def start(self) -> FarHost:
        """Listen on a port of its own, and let known_hosts have its key."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="far-host", daemon=True)
        self._thread.start()
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._server = self._in_loop(self._listen(self._key))
        self.port = self._server.get_port()
        self.know(self._key)
        return self

    def know(self, key: asyncssh.SSHKey) -> None:
        """Write this key, and no other, into known_hosts."""
        public = key.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n", encoding="utf-8")

    def stop(self) -> None:
        """Be gone, with every connection."""
        self._in_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def host(self, name: str = "api-1", **more: Any) -> Host:
        """The host as adapters see it."""
        told = {"ssh": f"deploy@127.0.0.1:{self.port}", "key_file": str(self.user_key)}
        return Host(name=name, **{**told, "known_hosts": str(self.known_hosts), **more})

    def line(self, name: str = "api-1", more: str = "") -> str:
        """The host's table in an inventory."""
        return f"""
            [[host]]
            name = "{name}"
            ssh = "deploy@127.0.0.1:{self.port}"
            key_file = "{self.user_key}"
            known_hosts = "{self.known_hosts}"
            {more}
            """

    def disk(self, *, free_mb: int, of_mb: int = 100_000) -> None:
        """What df tells."""
        used = (of_mb - free_mb) * 1024
        self._write("df.txt", f"/dev/sda1 {of_mb * 1024} {used} {free_mb * 1024} 0% /\n")

    def clock(self, *, ahead_s: float) -> None:
        """How far its clock is ahead."""
        self._write("ahead", f"{ahead_s}")

    def systemd(self, active: str, sub: str, *, restarts: int = 0, load: str = "loaded") -> None:
        """What systemctl tells of every unit."""
        self._write(
            "systemctl.txt",
            f"LoadState={load}\nActiveState={active}\nSubState={sub}\nNRestarts={restarts}\n"
            "ActiveEnterTimestampMonotonic=1\n",
        )

    def pm2(self, *processes: dict[str, Any]) -> None:
        """What pm2 tells; the secrets of the processes' environment are in it, as in the real one."""
        listed = [
            {"name": "api", "pm2_env": {"DATABASE_URL": "postgres://u:pm2secret@h/d", **each}} for each in processes
        ]
        self._write("pm2.json", "[PM2] Spawning PM2 daemon\n" + json.dumps(listed) + "\n")

    def program(self, name: str, text: str) -> None:
        """Replace a program."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def alive(self, name: str) -> bool:
        """Whether the process whose number stands in that file still runs."""
        number = int((self.folder / name).read_text("utf-8"))
        try:
            state = Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z"

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def _in_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self, key: asyncssh.SSHKey) -> Any:
        trusted = asyncssh.import_authorized_keys(
            asyncssh.read_private_key(str(self.user_key)).export_public_key().decode()
        )
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[key],
            authorized_client_keys=trusted,
            process_factory=self._serve,
            server_factory=_Jumping,
            encoding=None,
        )

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """As sshd: the login's shell runs the command; when the channel is closed its pipes are."""
        command = process.command or "true"
        self.commands.append(command)
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env={"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(self.folder)},
        )
        feeding = asyncio.create_task(_feed(process, child))
        await process.redirect(stdout=child.stdout, stderr=child.stderr)
        code = await child.wait()
        await process.stdout.drain()
        feeding.cancel()
        process.exit(code)


async def _feed(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    """What comes for the command; its end is the command's end of file."""
    assert child.stdin is not None
    try:
        while data := await process.stdin.read(4096):
            child.stdin.write(data)
    except (OSError, asyncssh.Error):
        pass
    finally:
        child.stdin.close()
