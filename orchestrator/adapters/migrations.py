"""Writes a migration in the words of the tool that will apply it: Prisma, Alembic, Django, or plain SQL.

The same changes in the same folder under the same name give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from orchestrator.adapters.revisions import alembic_revisions, django_migrations, leaf
from orchestrator.adapters.templates import render
from orchestrator.core.migration import Change, Form
from orchestrator.core.outcome import Refused

USUAL = "foreign_keys"
STAMPED = re.compile(r"\d{14}_.+")
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
REVISION_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A migration as files: what its tool calls it, and each file's text."""

    name: str
    files: Mapping[Path, str]

    def write(self) -> None:
        """Write the files. Raises Refused for one that is there already, or that cannot be written."""
        for path in self.files:
            if path.exists():
                message = f"{path}: is there already; a migration is never written over"
                raise Refused(message)
        for path, text in self.files.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8", newline="\n") as file:
                    file.write(text)
            except OSError as error:
                message = f"{path}: cannot be written ({error.strerror})"
                raise Refused(message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written: the changes of a runbook, where, under which name, at what time."""

    runbook: str
    changes: Sequence[Change]
    folder: Path
    name: str | None
    now: datetime
    app: str | None = None

    @property
    def title(self) -> str:
        """The first line of every file."""
        runbook = re.sub(r"[^\w .-]", "_", self.runbook)
        return f"Foreign keys of runbook {runbook}. On a living database invoke deploy adds the same ones online."

    @property
    def up(self) -> tuple[str, ...]:
        """All statements there."""
        return tuple(text for each in self.changes for text in each.up)

    @property
    def down(self) -> tuple[str, ...]:
        """All statements back, the last change first."""
        return tuple(each.down for each in reversed(self.changes))

    @property
    def plain_name(self) -> str:
        """The name without a time. Raises Refused for one that is no name of a file everywhere."""
        name = self.name or USUAL
        if not NAMES.fullmatch(name):
            message = f"--name {name}: letters, digits, _ and - only"
            raise Refused(message)
        return name

    @property
    def stamped_name(self) -> str:
        """The name behind 14 digits of UTC; one that brings its own keeps them. Raises Refused."""
        name = self.plain_name
        return name if STAMPED.fullmatch(name) else f"{self.now:%Y%m%d%H%M%S}_{name}"


def written(form: Form, wanted: Wanted) -> Written:
    """The files of a migration. Raises Refused when the folder does not tell what it would follow."""
    return {"prisma": _prisma, "alembic": _alembic, "django": _django, "sql": _sql}[form](wanted)


def _script(wanted: Wanted, statements: Sequence[str]) -> str:
    return render("migration.sql.j2", title=wanted.title, statements=statements)


def _prisma(wanted: Wanted) -> Written:
    """Prisma applies folders in the order of their names, so that the new one has to be the last."""
    name = wanted.stamped_name
    last = max((path.parent.name for path in wanted.folder.glob("*/migration.sql")), default="")
    if last > name:
        message = f"{wanted.folder}: {last} stands there, and {name} would come before it"
        raise Refused(message)
    path = wanted.folder / name
    files = {path / "migration.sql": _script(wanted, wanted.up), path / "down.sql": _script(wanted, wanted.down)}
    return Written(name=name, files=files)


def _sql(wanted: Wanted) -> Written:
    name = wanted.stamped_name
    files = {
        wanted.folder / f"{name}.up.sql": _script(wanted, wanted.up),
        wanted.folder / f"{name}.down.sql": _script(wanted, wanted.down),
    }
    return Written(name=name, files=files)


def _alembic(wanted: Wanted) -> Written:
    """After the folder's head. The revision is made of what it does, so that it is the same each time."""
    name = wanted.plain_name
    head = leaf(alembic_revisions(wanted.folder), wanted.folder, "heads")
    revision = sha256("\0".join((head or "", name, *wanted.up)).encode()).hexdigest()[:REVISION_LENGTH]
    text = render(
        "migration_alembic.py.j2",
        title=wanted.title,
        revision=revision,
        down_revision=head,
        up=[_for_sqlalchemy(each) for each in wanted.up],
        down=[_for_sqlalchemy(each) for each in wanted.down],
    )
    return Written(name=revision, files={wanted.folder / f"{revision}_{name}.py": text})


def _for_sqlalchemy(statement: str) -> str:
    """`op.execute` takes `:word` for a parameter, unless there is a backslash before it."""
    return re.sub(r":(?=\w)", r"\\:", statement)


def _django(wanted: Wanted) -> Written:
    """After the app's leaf, with the next number."""
    app = wanted.app or wanted.folder.resolve().parent.name
    if not app.isidentifier():
        message = f"--app {app}: is no label of an app"
        raise Refused(message)
    known = django_migrations(wanted.folder, app)
    before = leaf(known, wanted.folder, "leaf migrations")
    if before is None:
        message = f"{wanted.folder}: no migration of app {app} to come after; makemigrations writes the first"
        raise Refused(message)
    numbers = (re.match(r"\d{4}", each.name.removeprefix(f"{app}.")) for each in known)
    following = max((int(found.group()) for found in numbers if found), default=0) + 1
    name = f"{following:04d}_{wanted.plain_name.replace('-', '_')}"
    text = render(
        "migration_django.py.j2",
        title=wanted.title,
        app=app,
        leaf=before.removeprefix(f"{app}."),
        changes=wanted.changes,
    )
    return Written(name=f"{app}.{name}", files={wanted.folder / f"{name}.py": text})
