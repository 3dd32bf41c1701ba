"""Suggestions as lines of a contract: appended with `suggested = true`, everything that people wrote left as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import tomli

from orchestrator.adapters.documents import read_text, read_toml
from orchestrator.adapters.runbooks import CONTRACT, load_contract
from orchestrator.core.contract import Contract
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.suggestion.candidate import Candidate

HEAD = """\
# The keys that must stand. Lines with `suggested = true` are guesses: they are not deployed.
# Remove the mark from what is right, delete what is wrong.
"""

REMEDY = "write each line as [[foreign_key]]"
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def known_contract(folder: Path) -> Contract:
    """The contract in the folder; an empty one where there is no folder or file yet, or one without a line.

    Raises BadDocument, and Refused for a file in the folder's place.
    """
    path = folder / CONTRACT
    if folder.exists() and not folder.is_dir():
        message = f"--runbook {folder}: is a file; name the folder, {CONTRACT} is written there"
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
    before, end = _present(path) if path.exists() else (HEAD, "\n")
    own = [each.replace("\n", end) for each in blocks]
    text = end.join([before if before.endswith("\n") else f"{before}{end}", *own])
    _refuse_closed(path, text)
    new = path.with_name(f"{path.name}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a contract that ends in the middle of a line would be taken for a person's mistake.
        new.write_text(text, encoding="utf-8", newline="")
        new.replace(path)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror})"
        raise Refused(message) from error
    return path


def _present(path: Path) -> tuple[str, str]:
    """What the file has, as it stands, and how its lines end. Raises Refused, BadDocument."""
    read_text(path)
    text = path.read_bytes().decode()
    return text, "\r\n" if "\r\n" in text else "\n"


def _refuse_closed(path: Path, text: str) -> None:
    """A list in brackets cannot grow from behind. Raises BadDocument."""
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        problem = "is a list in brackets, to which nothing can be appended"
        raise BadDocument(file=str(path), key="foreign_key", problem=problem, remedy=REMEDY) from error


def _block(candidate: Candidate, name: str) -> str:
    """One `[[foreign_key]]` with its confidence and reasons above it; a comment ends with its line, a name may not."""
    referenced = candidate.referenced
    target = f"schema = {_text(referenced.schema)}, table = {_text(referenced.name)}"
    reasons = "; ".join(candidate.reasons)
    lines = (
        f"# confidence {candidate.confidence:.2f}: {CONTROL.sub(' ', reasons)}",
        "[[foreign_key]]",
        f"schema = {_text(candidate.table.schema)}",
        f"table = {_text(candidate.table.name)}",
        f"columns = {_texts(candidate.columns)}",
        f"references = {{ {target}, columns = {_texts(candidate.referenced_columns)} }}",
        f"name = {_text(name)}",
        "suggested = true",
    )
    return "".join(f"{line}\n" for line in lines)


def _text(value: str) -> str:
    """A TOML string: JSON's escapes are TOML's, but for the one control character that JSON lets stand."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"
