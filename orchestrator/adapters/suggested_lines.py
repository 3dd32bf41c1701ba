"""Suggestions as lines of a contract: appended with `suggested = true`, everything that people wrote left as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import tomlkit

from orchestrator.adapters.documents import read_text, read_toml
from orchestrator.adapters.runbooks import CONTRACT, load_contract
from orchestrator.core.contract import Contract
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.suggestion.candidate import Candidate

HEAD = """\
# The keys that must stand. Lines with `suggested = true` are guesses: they are not deployed.
# Remove the mark from what is right, delete what is wrong.
"""


def known_contract(folder: Path) -> Contract:
    """The contract in the folder; an empty one where there is no file yet, or one without a line.

    Raises BadDocument, and Refused when the folder does not exist.
    """
    path = folder / CONTRACT
    if not folder.is_dir():
        message = f"{folder}: no such folder; make it, and {CONTRACT} is written there"
        raise Refused(message)
    if not path.exists() or not read_toml(path).get("foreign_key"):
        return Contract(relations=())
    return load_contract(path)


def append(folder: Path, candidates: Iterable[Candidate], names: Iterable[str]) -> Path:
    """Write candidates under these names of keys behind what the contract has; returns the file.

    Raises BadDocument when the file has its lines in a form that nothing can be appended to, Refused when it cannot
    be written.
    """
    path = folder / CONTRACT
    blocks = [_block(each, name) for each, name in zip(candidates, names, strict=True)]
    if not blocks:
        return path
    before = _before(path)
    new = path.with_name(f"{path.name}.new")
    try:
        # Whole or not at all: a contract that ends in the middle of a line would be taken for a person's mistake.
        new.write_text("\n".join([before, *blocks]), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror})"
        raise Refused(message) from error
    return path


def _before(path: Path) -> str:
    """What stands in the file, to its last letter."""
    if not path.exists():
        return HEAD
    lines = read_toml(path).get("foreign_key", [])
    text = read_text(path)
    if "foreign_key" in read_toml(path) and not isinstance(tomlkit.parse(text)["foreign_key"], tomlkit.items.AoT):
        remedy = "write each as [[foreign_key]]"
        raise BadDocument(file=str(path), key="foreign_key", problem=f"{len(lines)} lines in one list", remedy=remedy)
    return text if text.endswith("\n") else f"{text}\n"


def _block(candidate: Candidate, name: str) -> str:
    """One `[[foreign_key]]` with its confidence and reasons above it."""
    target = tomlkit.inline_table()
    target.update(
        {
            "schema": candidate.referenced.schema,
            "table": candidate.referenced.name,
            "columns": list(candidate.referenced_columns),
        }
    )
    line = tomlkit.table()
    line.update(
        {
            "schema": candidate.table.schema,
            "table": candidate.table.name,
            "columns": list(candidate.columns),
            "references": target,
            "name": name,
            "suggested": True,
        }
    )
    return "".join([*_comment(candidate), "[[foreign_key]]\n", tomlkit.dumps(line)])


def _comment(candidate: Candidate) -> Iterator[str]:
    """A name may hold a line break; a comment ends with its line."""
    yield f"# confidence {candidate.confidence:.2f}: {' '.join('; '.join(candidate.reasons).split())}\n"
