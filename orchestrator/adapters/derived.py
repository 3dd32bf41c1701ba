"""The runbook folder that a migration is taken apart into, below `runs/`: what every later command goes on with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from orchestrator.adapters.additions import ADDITIONS, additions_lines, toml_text
from orchestrator.adapters.as_is import AS_IS
from orchestrator.adapters.history import HISTORY
from orchestrator.adapters.runbooks import CONTRACT
from orchestrator.core.additions import Additions
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import Refused
from orchestrator.core.revision import Moved

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


def write_derived(
    folder: Path,
    migration: Path,
    script: bytes,
    relations: Sequence[Relation],
    *,
    additions: Additions,
    moved: Moved | None,
    as_is: bool = False,
) -> None:
    """Contract, additions and, for one of Prisma's or Alembic's, history; the contract comes last: then it is whole.

    Raises Refused.
    """
    migration = migration.resolve()
    history = dict(_history(migration, script, moved))
    texts = {
        HISTORY: "".join(f"{key} = {toml_text(value)}\n" for key, value in history.items()),
        ADDITIONS: "\n".join(additions_lines(additions)),
        AS_IS: script.decode() if as_is else "",
        CONTRACT: "\n".join(_lines(migration, relations)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            if text:
                (folder / name).write_bytes(text.encode())
    except OSError as error:
        message = f"{folder}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def _history(migration: Path, script: bytes, moved: Moved | None) -> Iterator[tuple[str, object]]:
    """history.toml, key by key; nothing where no tool keeps one."""
    checksum = sha256(script).hexdigest()
    if moved is not None:
        yield from {"tool": "alembic", "migration": moved.revision, "follows": moved.follows}.items()
        yield from {"beside": moved.beside, "schema": moved.table.schema, "table": moved.table.name}.items()
        yield "tried", checksum
    elif (migration.parent.parent / PRISMA_LOCK_FILE).exists():
        yield from {"tool": "prisma", "folder": str(migration.parent.parent)}.items()
        yield from {"migration": migration.parent.name, "tried": checksum}.items()


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


def _lines(migration: Path, relations: Sequence[Relation]) -> Iterator[str]:
    name = " ".join(f"{migration.parent.name}/{migration.name}".split())
    yield f"# The keys that {name} adds, found by running it on a copy."
    if not relations:
        yield "foreign_key = []"
    for each in relations:
        yield "\n[[foreign_key]]"
        yield f"schema = {toml_text(each.table.schema)}"
        yield f"table = {toml_text(each.table.name)}"
        yield f"columns = {toml_text(each.columns)}"
        target = (("schema", each.referenced.schema), ("table", each.referenced.name))
        inner = ", ".join(f"{key} = {toml_text(word)}" for key, word in target)
        yield f"references = {{ {inner}, columns = {toml_text(each.referenced_columns)} }}"
        for key in ("on_delete", "on_update", "deferrable", "match", "name"):
            yield f"{key} = {toml_text(getattr(each, key))}"
        if each.on_delete_columns:
            yield f"on_delete_columns = {toml_text(each.on_delete_columns)}"
    yield ""
