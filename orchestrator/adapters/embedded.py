"""An embedded PostgreSQL cluster: made once, started as our child, stopped with us.

The server listens on 127.0.0.1 only and has no Unix socket (temporary paths exceed its 107 bytes). Its data
is throwaway: it is never synchronised to disk.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from orchestrator.adapters.child import die_with_us
from orchestrator.adapters.postmaster import answers, free_port, postmaster
from orchestrator.adapters.programs import (
    Installation,
    reachable,
    server_installation,
    unprivileged_account,
)
from orchestrator.core.outcome import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_START_WITHIN_S: Final = 60.0
_STOP_WITHIN_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.01
_OURS: Final = ("data", ".initdb", "password", "LOCATION", "server.log", ".lock")
_PUBLIC_PLACE: Final = Path("/var/tmp")  # noqa: S108  root's own folder inside
_SETTINGS: Final = {
    "shared_buffers": "64MB",
    "max_connections": "50",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "replica",
    "max_wal_size": "256MB",
    "logging_collector": "off",
}
# A second attempt can mend these: another program took our free port, the last server is still leaving.
_PASSING_TROUBLE: Final = (
    "Address already in use",
    "could not create any TCP/IP sockets",
    "shared memory block",
)


class EmbeddedServerFailed(Refused):
    """The embedded PostgreSQL server could not be made, started or reached; its log says why."""


class Cluster:
    """One PostgreSQL cluster in a folder of its own, also when several processes share it.

    `directory` holds `server.log` and, for an ordinary user, the data and its password. PostgreSQL refuses
    root: there the data belongs to `nobody`, below /var/tmp, and the file LOCATION points to it. Whoever
    removes `directory` gets a new, empty cluster. `installation` defaults to the version of existing data,
    else the newest embedded one; `settings` are server parameters over our own.
    """

    def __init__(
        self,
        *,
        directory: Path,
        installation: Installation | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._installation = installation
        self._settings = {**_SETTINGS, **(settings or {})}
        self._account = unprivileged_account()
        self._place = self._directory if self._account is None else _public_place(self._directory)
        self._data = self._place / "data"
        self._log = self._directory / "server.log"
        self._log_from = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def made(self) -> bool:
        """Whether the cluster's data is there."""
        return (self._data / "PG_VERSION").exists()

    @property
    def running(self) -> bool:
        """Whether the server of this folder accepts connections, whoever started it."""
        if self._process is not None and self._process.poll() is not None:
            return False
        found = postmaster(self._data)
        return found is not None and found.ready

    def start(self) -> None:
        """Make the cluster if it is new, then start it, or attach to the one that already runs.

        Raises EmbeddedServerFailed with the end of the log, and ProgramsMissing without server programs.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with _locked(self._directory / ".lock"):
                self._prepare_place()
                if not self._attached():
                    self._launch(self._made())
        except OSError as error:
            raise EmbeddedServerFailed(f"embedded server in {self._directory}: {error}") from error

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server if this object started it; `immediate` leaves it to recover at its next start."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        # SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
        for order in (signal.SIGQUIT,) if immediate else (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(order)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_WITHIN_S)
                return
        process.kill()
        process.wait()

    def discard(self) -> None:
        """Stop the server and remove what the cluster consists of; other files in its folder stay.

        Raises EmbeddedServerFailed when another process runs it.
        """
        self.stop()
        if postmaster(self._data) is not None:
            raise EmbeddedServerFailed(f"the server of {self._directory} belongs to another process: stop that")
        for folder in dict.fromkeys((self._place, self._directory)):
            for name in _OURS:
                path = folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not there, or it holds what is not ours
                folder.rmdir()

    def url(
        self,
        database: str = "postgres",
        *,
        user: str = "postgres",
        password: str | None = None,
        application: str | None = None,
    ) -> str:
        """The URL of a database; it holds a password. Without one it is that of `postgres`.

        Raises EmbeddedServerFailed when the server does not run.
        """
        found = postmaster(self._data)
        if found is None or not found.ready:
            raise EmbeddedServerFailed(f"embedded server in {self._directory} is not running")
        secret = self._password_file.read_text() if password is None else password
        tail = f"?application_name={quote(application, safe='')}" if application else ""
        who = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{found.port}/{quote(database, safe='')}{tail}"

    @property
    def _password_file(self) -> Path:
        return self._place / "password"

    def _prepare_place(self) -> None:
        """Where root's data lives: entered by nobody, written by us, forgotten when LOCATION is gone."""
        if self._account is None:
            return
        pointer = self._directory / "LOCATION"
        if not pointer.exists() and self._place.exists():
            self._forget_place()
        self._place.mkdir(mode=0o711, exist_ok=True)
        if self._place.lstat().st_uid != os.geteuid() or self._place.is_symlink():
            raise EmbeddedServerFailed(f"{self._place} belongs to someone else: remove it")
        self._place.chmod(0o711)
        pointer.write_text(f"{self._place}\n")

    def _forget_place(self) -> None:
        if postmaster(self._data) is not None:
            raise EmbeddedServerFailed(f"the removed folder {self._directory} still has a server: {self._place}")
        shutil.rmtree(self._place)

    def _attached(self) -> bool:
        """Whether a server runs here already, once it is done with starting or leaving."""
        deadline = time.monotonic() + _START_WITHIN_S
        while (found := postmaster(self._data)) is not None:
            if found.ready and answers(found.port):
                return True
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(f"server {found.pid} of {self._data} is silent: {self._tail()}")
            time.sleep(_LOOK_EVERY_S)
        # PostgreSQL refuses to start when the number in a stale file has gone to another process of ours.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return False

    def _made(self) -> Installation:
        """The programs for this cluster's data, which is made now if there is none."""
        version = self._data / "PG_VERSION"
        kept = int(version.read_text()) if version.exists() else None
        chosen = self._installation or server_installation(kept)
        if kept not in (None, chosen.major):
            raise EmbeddedServerFailed(f"{self._data} is of PostgreSQL {kept}, not {chosen.major}")
        usable = reachable(chosen, account=self._account)
        if kept is None:
            self._initialise(usable)
        return usable

    def _initialise(self, programs: Installation) -> None:
        """A real initdb, so that no two clusters share an identifier; it appears whole, by a rename."""
        work = self._place / ".initdb"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        secret, password = work / "password", secrets.token_urlsafe(24)
        _write_private(secret, password)
        if self._account is not None:
            for path in (work, secret):
                os.chown(path, self._account.uid, self._account.gid)
        self._initdb(programs, work)
        _write_private(self._password_file, password)
        (work / "data").rename(self._data)
        shutil.rmtree(work)

    def _initdb(self, programs: Installation, work: Path) -> None:
        fixed: list[str | Path] = [programs.program("initdb"), "-D", work / "data", "-U", "postgres"]
        fixed += ["-A", "scram-sha-256"]
        fixed += [f"--pwfile={work / 'password'}", "--data-checksums", "--no-sync", "--encoding=UTF8"]
        complaint = ""
        for locale in ("C.UTF-8", "C"):  # older macOS has no C.UTF-8
            command = [*fixed, f"--locale={locale}", "--lc-messages=C"]
            child = self._spawn(command, programs, output=subprocess.PIPE)
            complaint = _one_line(child.communicate()[0])
            if child.returncode == 0:
                return
        raise EmbeddedServerFailed(f"initdb of PostgreSQL {programs.major} failed: {complaint}")

    def _launch(self, programs: Installation) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while not self._tried(programs, deadline):
            trouble = self._tail()
            if time.monotonic() > deadline or not any(words in trouble for words in _PASSING_TROUBLE):
                raise EmbeddedServerFailed(f"PostgreSQL {programs.major} did not start: {trouble}")
            time.sleep(_LOOK_EVERY_S)
        atexit.register(self.stop)

    def _tried(self, programs: Installation, deadline: float) -> bool:
        """One start on a free port: True once the server is ready, False when it gave up."""
        ours = {"listen_addresses": "127.0.0.1", "port": str(free_port()), "unix_socket_directories": ""}
        command: list[str | Path] = [programs.program("postgres"), "-D", self._data]
        for name, value in {**self._settings, **ours}.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._log_from = log.tell()
            self._process = self._spawn(command, programs, output=log.fileno())
        try:
            ready = self._became_ready(self._process, deadline)
        except BaseException:
            self.stop(immediate=True)
            raise
        if not ready:
            self.stop(immediate=True)
        return ready

    def _became_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        while time.monotonic() < deadline:
            found = postmaster(self._data)
            if found is not None and found.pid == process.pid and found.ready:
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_EVERY_S)
                return False
        return False

    def _spawn(
        self,
        command: Sequence[str | Path],
        programs: Installation,
        *,
        output: int,
    ) -> subprocess.Popen[bytes]:
        """A child as the right account, in its own process group: Ctrl-C is ours to handle, not its."""
        account = self._account
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self._place,
            env=programs.environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            process_group=0,
            preexec_fn=die_with_us(signal.SIGINT),  # noqa: PLW1509  calls nothing but prctl
        )

    def _tail(self) -> str:
        """The end of what the log says about the last attempt."""
        return _one_line(self._log.read_bytes()[self._log_from :]) if self._log.exists() else "no log"


def _public_place(directory: Path) -> Path:
    return _PUBLIC_PLACE / f"orchestrator-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held while a cluster starts, so that a second starter finds it ready; the kernel frees it with us."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _one_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing"
