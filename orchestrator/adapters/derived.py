"""The runbook folder that a migration is taken apart into, below `runs/`: what every later command goes on with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from orchestrator.adapters.history import HISTORY
from orchestrator.adapters.runbooks import CONTRACT
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import Refused

FOLDER = "migrations"
TRIED = "tried"
"""Has an empty file for each environment."""
PRISMA_LOCK_FILE = "migration_lock.toml"
"""What Prisma keeps beside its folders of migrations."""


def derived_folder(runs: Path, migration: Path, script: bytes) -> Path:
    """Where it lies: named after the migration and its bytes, so that the same file always comes to the same folder."""
    name = migration.parent.name if migration.name == "migration.sql" else migration.stem
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "migration"
    return runs / FOLDER / f"{plain}-{sha256(script).hexdigest()[:8]}"


def write_derived(folder: Path, migration: Path, script: bytes, relations: Iterable[Relation]) -> None:
    """Contract and, for one of Prisma's, history; the contract comes last: with it the folder is whole.

    Raises Refused.
    """
    migration = migration.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (migration.parent.parent / PRISMA_LOCK_FILE).exists():
            lines = {"tool": "prisma", "folder": str(migration.parent.parent), "migration": migration.parent.name}
            lines["tried"] = sha256(script).hexdigest()
            text = "".join(f"{key} = {_quoted(word)}\n" for key, word in lines.items())
            (folder / HISTORY).write_text(text, encoding="utf-8")
        (folder / CONTRACT).write_text("\n".join(_lines(migration, relations)), encoding="utf-8")
    except OSError as error:
        message = f"{folder}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def tried_on(folder: Path, environment: str) -> bool:
    """Whether the migration was run on a copy of that environment's database: another may lack an index, say."""
    return (folder / CONTRACT).exists() and (folder / TRIED / environment).exists()


def remember_trial(folder: Path, environment: str) -> None:
    """So that it is not tried again there. Raises Refused."""
    try:
        (folder / TRIED).mkdir(exist_ok=True)
        (folder / TRIED / environment).touch()
    except OSError as error:
        message = f"{folder}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def _lines(migration: Path, relations: Iterable[Relation]) -> Iterator[str]:
    name = " ".join(f"{migration.parent.name}/{migration.name}".split())
    yield f"# The keys that {name} adds, found by running it on a copy."
    for each in relations:
        yield "\n[[foreign_key]]"
        yield f"schema = {_quoted(each.table.schema)}"
        yield f"table = {_quoted(each.table.name)}"
        yield f"columns = {_quoted(each.columns)}"
        target = (("schema", each.referenced.schema), ("table", each.referenced.name))
        inner = ", ".join(f"{key} = {_quoted(word)}" for key, word in target)
        yield f"references = {{ {inner}, columns = {_quoted(each.referenced_columns)} }}"
        for key in ("on_delete", "on_update", "deferrable", "match", "name"):
            yield f"{key} = {_quoted(getattr(each, key))}"
        if each.on_delete_columns:
            yield f"on_delete_columns = {_quoted(each.on_delete_columns)}"
    yield ""


def _quoted(value: object) -> str:
    """A text or a list of texts as TOML writes it: JSON escapes the same way, but for DEL, which only TOML forbids."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
