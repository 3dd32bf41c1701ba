"""Generated guards on disk: rendered from the contract, written, and compared with what lies there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.adapters.templates import render
from orchestrator.core.contract import Contract
from orchestrator.core.guarded import contract_digest
from orchestrator.core.outcome import Refused

FILES: Final = ("guard.ts", "guard.test.ts", "guard.py", "test_guard.py")
"""What is generated; each is made by the template of its name."""

MARK: Final = "Made by invoke generate"
DIGEST: Final = re.compile(r"^\S+ Contract digest: ([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One file with its text."""

    name: str
    text: str


def guards(contract: Contract, *, name: str) -> tuple[Generated, ...]:
    """All files of a runbook of that name. Equal contracts give equal bytes."""
    digest = contract_digest(contract)
    values = {"name": name, "digest": digest, "relations": contract.promised}
    return tuple(Generated(name=each, text=render(f"{each}.j2", **values)) for each in FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardFolder:
    """Where the guards lie. Only files of our names are written, and only over those that we made."""

    path: Path

    def stale(self, made: Iterable[Generated]) -> Iterator[tuple[Path, str]]:
        """Each file that is not as it would be made now, and why. Raises Refused when one cannot be read."""
        for each in made:
            path = self.path / each.name
            there = self._text(path)
            if there is None:
                yield path, "missing"
            elif there != each.text:
                yield path, _difference(there, each.text)

    def write(self, made: Iterable[Generated]) -> tuple[Path, ...]:
        """Write each file in one step. Raises Refused when the folder cannot be written, or a file is not ours."""
        files = tuple(made)
        for each in files:
            there = self._text(self.path / each.name)
            if there is not None and MARK not in there.partition("\n")[0]:
                message = f"--out {self.path}: {each.name} was not made by invoke generate; move it, or choose another"
                raise Refused(message)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for each in files:
                _replace(self.path / each.name, each.text)
        except OSError as error:
            message = f"--out {self.path}: cannot be written ({error.strerror})"
            raise Refused(message) from error
        return tuple(self.path / each.name for each in files)

    def _text(self, path: Path) -> str | None:
        try:
            return path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"--out {self.path}: {path.name} cannot be read ({error.strerror})"
            raise Refused(message) from error


def _difference(there: str, wanted: str) -> str:
    """Why a file is stale: another contract, or the same one told by another version or hand."""
    old, new = DIGEST.search(there), DIGEST.search(wanted)
    if old and new and old[1] != new[1]:
        return f"made from another contract ({old[1][:12]}, now {new[1][:12]})"
    return "was edited, or made by another version"


def _replace(path: Path, text: str) -> None:
    """Write beside it and rename."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(text.encode())
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
