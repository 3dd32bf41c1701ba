"""`history.toml` of a runbook's folder: which tool keeps the schema's history, and which migration is the runbook's.

The folder of migrations is read, nothing in it is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestrator.adapters.documents import nearest, parse, read_toml
from orchestrator.adapters.revisions import Revision, alembic_revisions, django_migrations
from orchestrator.core.catalog import TableName
from orchestrator.core.history import History, Migration, Tool
from orchestrator.core.migration import split
from orchestrator.core.outcome import BadDocument, Refused

HISTORY = "history.toml"
TABLES: Mapping[Tool, str] = {
    "prisma": "_prisma_migrations",
    "alembic": "alembic_version",
    "django": "django_migrations",
}
NAMES = re.compile(r"[A-Za-z0-9_.-]+")
MANY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """`history.toml` as it is written. `folder` counts from the file; `table` is the tool's usual one.

    `tried` is the checksum of a migration that was run on a copy; an edited one has to be read again. A script of
    Alembic's has no folder: `follows` is the revision before it, `beside` has the other heads.
    """

    tool: Tool
    folder: str | None = None
    migration: str
    app: str | None = None
    schema: str = "public"
    table: str | None = None
    tried: str | None = None
    follows: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def history_of(runbook: Path) -> History | None:
    """The history that a runbook keeps; None without a file. Raises BadDocument, Refused."""
    path = runbook / HISTORY
    if not path.exists():
        return None
    found = parse(path, read_toml(path), HistoryFile)
    if found.folder is None:
        return _scripted(path, found)
    if found.follows or found.beside:
        raise BadDocument(file=str(path), key="follows", problem="goes without a folder only")
    folder = (path.parent / Path(found.folder).expanduser()).resolve()
    if not folder.is_dir():
        raise BadDocument(file=str(path), key="folder", problem=f"{folder} is no folder")
    app = found.app or folder.parent.name
    for key, value in (("migration", found.migration), ("app", app)):
        if not NAMES.fullmatch(value):
            raise BadDocument(file=str(path), key=key, problem=f"{value!r} has other signs than letters, digits, _ . -")
    if found.app is not None and found.tool != "django":
        raise BadDocument(file=str(path), key="app", problem='goes with tool = "django" only')
    readers: Mapping[Tool, Callable[[], tuple[Migration, ...]]] = {
        "prisma": lambda: _prisma(folder),
        "alembic": lambda: tuple(map(_python, alembic_revisions(folder))),
        "django": lambda: tuple(map(_python, django_migrations(folder, app))),
    }
    known = readers[found.tool]()
    name = found.migration
    if found.tool == "django":
        name = f"{app}.{name.removesuffix('.py').removeprefix(f'{app}.')}"
    chosen = _chosen(path, name, known, found.tool)
    return History(
        tool=found.tool,
        table=TableName(schema=found.schema, name=found.table or TABLES[found.tool]),
        folder=str(folder),
        migration=chosen,
        known=known,
        app=app if found.tool == "django" else "",
        tried=found.tried in chosen.checksums,
    )


def _scripted(path: Path, found: HistoryFile) -> History:
    """The history of a script that Alembic wrote: it tells two revisions, and no more is known. Raises BadDocument."""
    if found.tool != "alembic" or found.tried is None:
        raise BadDocument(file=str(path), key="folder", problem="is missing", remedy="name the folder of migrations")
    for key, value in (("migration", found.migration), *(("follows", each) for each in found.follows)):
        if not NAMES.fullmatch(value):
            raise BadDocument(file=str(path), key=key, problem=f"{value!r} has other signs than letters, digits, _ . -")
    if len(found.follows) >= MANY:
        raise BadDocument(file=str(path), key="follows", problem="names several revisions")
    own = Migration(name=found.migration, after=found.follows, follows=found.follows)
    return History(
        tool="alembic",
        table=TableName(schema=found.schema, name=found.table or TABLES["alembic"]),
        folder="what the script knows",
        migration=own,
        known=(own, *(Migration(name=each) for each in (*found.follows, *found.beside))),
        tried=True,
    )


def _chosen(path: Path, name: str, known: tuple[Migration, ...], tool: Tool) -> Migration:
    """The migration that the runbook stands for. Raises BadDocument."""
    chosen = next((each for each in known if each.name == name), None)
    if chosen is None:
        hint = nearest(name, [each.name for each in known]) if known else "the folder has none"
        what = "revision" if tool == "alembic" else "migration"
        raise BadDocument(file=str(path), key="migration", problem=f"unknown {what} {name}", remedy=hint)
    if len(chosen.follows) >= MANY:
        raise BadDocument(file=str(path), key="migration", problem=f"{name} comes after several revisions")
    return chosen


def _prisma(folder: Path) -> tuple[Migration, ...]:
    """Each folder with a migration.sql; it comes after the one before it by name."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*/migration.sql"), key=lambda each: each.parent.name):
        try:
            script = path.read_bytes()
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror})"
            raise Refused(message) from error
        found.append(
            Migration(
                name=path.parent.name,
                after=(found[-1].name,) if found else (),
                checksums=checksums(script),
                statements=tuple(split(script.decode(errors="replace"))),
            )
        )
    return tuple(found)


def checksums(script: bytes) -> tuple[str, ...]:
    """As the file is, then with either kind of line end: Prisma takes them for the same, and so does git."""
    unix = script.replace(b"\r\n", b"\n")
    every = (script, unix, unix.replace(b"\n", b"\r\n"))
    return tuple(dict.fromkeys(sha256(each).hexdigest() for each in every))


def _python(revision: Revision) -> Migration:
    return Migration(
        name=revision.name,
        after=revision.after,
        follows=revision.follows,
        replaces=revision.replaces,
        statements=revision.statements,
    )
