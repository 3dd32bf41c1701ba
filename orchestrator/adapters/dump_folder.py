"""The folder of one dump: private, marked unproved until its manifest stands, pruned when newer ones do."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator.adapters import points
from orchestrator.core.journal import BackupProved
from orchestrator.core.outcome import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PRIVATE_FOLDER: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_MANIFEST: Final = "manifest.json"
# Held locked by whoever is at work on the folder; it becomes the manifest by one rename.
_UNPROVED: Final = "manifest.json.unproved"

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFolder:
    """A folder that belongs to one run; `marker` is the open and locked file that becomes the manifest."""

    path: Path
    marker: int

    @property
    def dump(self) -> Path:
        """Where pg_dump writes; pg_dump makes it."""
        return self.path / "dump"

    @property
    def bytes(self) -> int:
        """The size of all files of the dump, in bytes."""
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        """The size of every file of the dump, in bytes."""
        return {file.name: file.stat().st_size for file in sorted(self.dump.iterdir())}

    def prove(self, manifest: Mapping[str, Any]) -> str:
        """Write the manifest, which makes the dump a backup; gives its sha256. Raises OSError."""
        text = json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
        os.ftruncate(self.marker, 0)
        os.lseek(self.marker, 0, os.SEEK_SET)
        with os.fdopen(self.marker, "wb", closefd=False) as file:
            file.write(text)
        os.fsync(self.marker)
        points.reached("backup:manifest written")
        (self.path / _UNPROVED).rename(self.path / _MANIFEST)
        _sync(self.path)
        points.reached("backup:proved")
        return hashlib.sha256(text).hexdigest()


@contextmanager
def dump_folder(*, directory: Path, name: str) -> Iterator[DumpFolder]:
    """A new folder below `directory`, 0700 like every parent that is made; removed when the block raises.

    Raises OrchestratorError when it cannot be made.
    """
    try:
        _make_private(directory)
        path = _fresh(directory, re.sub(r"[^\w.-]+", "_", name))
        marker = os.open(path / _UNPROVED, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    except OSError as error:
        message = f"backup folder {directory}: {error.strerror} (choose another [backup] directory)"
        raise OrchestratorError(message) from error
    try:
        fcntl.flock(marker, fcntl.LOCK_EX)
        points.reached("backup:folder made")
        yield DumpFolder(path=path, marker=marker)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        os.close(marker)


def missing(proved: BackupProved) -> str | None:
    """Why a proved dump cannot be relied upon from here; None when manifest and files are as they were proved."""
    folder = Path(proved.path or "")
    try:
        text = (folder / _MANIFEST).read_bytes()
        sizes = {file.name: file.stat().st_size for file in (folder / "dump").iterdir()}
        promised = json.loads(text)["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{folder} cannot be read here ({error})"
    if hashlib.sha256(text).hexdigest() != proved.manifest_sha256:
        return f"{folder / _MANIFEST} is not the one that was proved"
    return None if sizes == promised else f"files in {folder} are not those that were proved"


def prune(*, directory: Path, keep: int, current: Path, database: str, system_identifier: str) -> None:
    """Remove proved dumps of the same database beyond the `keep` newest, and dumps that nobody will prove.

    0 keeps all; the current one always stays. What cannot be removed is logged: the new backup is good.
    """
    for path in _unproved(directory):
        _remove(path)
    if keep == 0:
        return
    proved = sorted(_proved(directory, database, system_identifier), reverse=True)
    others = [path for _, path in proved if path != current]
    for path in others[keep - 1 :]:
        _remove(path)


def sweep_unproved(directory: Path) -> None:
    """Remove the dumps below `directory` that nobody will prove any more, and the folder when it is empty then."""
    for path in _unproved(directory):
        _remove(path)
    with suppress(OSError):
        directory.rmdir()


def _make_private(directory: Path) -> None:
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)


def _fresh(directory: Path, name: str) -> Path:
    """A run that is taken up again makes another dump; the first one may be a good backup."""
    for number in count(1):
        path = directory / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            path.mkdir(mode=_PRIVATE_FOLDER)
            return path
    raise AssertionError  # count() does not end


def _proved(directory: Path, database: str, system_identifier: str) -> Iterator[tuple[str, Path]]:
    for path in directory.iterdir():
        with suppress(OSError, ValueError, KeyError, TypeError):  # not ours, or not readable: not ours to remove
            manifest = json.loads((path / _MANIFEST).read_bytes())
            if (manifest["database"], manifest["system_identifier"]) == (database, system_identifier):
                yield str(manifest["finished"]), path


def _unproved(directory: Path) -> Iterator[Path]:
    """Leftovers of crashes: marked as ours, and the lock went with the process."""
    for path in sorted(directory.iterdir()):
        with suppress(OSError), (path / _UNPROVED).open("rb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path


def _remove(path: Path) -> None:
    """Unproved first: a removal that breaks off must not leave half a backup that looks like a whole one."""
    try:
        if (path / _MANIFEST).exists():
            (path / _MANIFEST).rename(path / _UNPROVED)
        shutil.rmtree(path)
    except OSError as error:
        _log.warning("old backup %s was not removed: %s", path, error.strerror)


def _sync(folder: Path) -> None:
    """Make a rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
