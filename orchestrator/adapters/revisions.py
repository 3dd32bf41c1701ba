"""Migrations that are Python files, Alembic's and Django's: read as text, never run.

Neither tool has to be installed, and a migration is somebody's program.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.adapters.documents import read_text
from orchestrator.core.outcome import BadDocument, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One migration: its name, what it comes after, what it stands for, and its SQL where nothing else is in it.

    Django's are called `app.name`. `follows` are those of Alembic's whose place it takes in the tool's table.
    """

    name: str
    after: tuple[str, ...]
    follows: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    statements: tuple[str, ...] | None = None


def alembic_revisions(folder: Path) -> tuple[Revision, ...]:
    """The revisions of a versions folder. Raises Refused, BadDocument."""
    found = []
    for path, tree in _modules(folder):
        values = dict(_assigned(tree.body))
        name = _value(values.get("revision"))
        if not isinstance(name, str):
            continue
        down = _value(values.get("down_revision"))
        also = _value(values.get("depends_on"))
        if not all(isinstance(each, str) for each in (*_names(down), *_names(also))):
            raise BadDocument(file=str(path), key="down_revision", problem="is neither a revision nor None")
        follows = _names(down)
        after = (*follows, *_names(also))
        found.append(Revision(name=name, after=after, follows=follows, statements=_of_alembic(tree)))
    return tuple(found)


def django_migrations(folder: Path, app: str) -> tuple[Revision, ...]:
    """The migrations of an app. Raises Refused, BadDocument."""
    found = []
    for path, tree in _modules(folder):
        body = next(
            (each.body for each in tree.body if isinstance(each, ast.ClassDef) and each.name == "Migration"), None
        )
        if body is None:
            continue
        values = dict(_assigned(body))
        found.append(
            Revision(
                name=f"{app}.{path.stem}",
                after=tuple(_pairs(path, "dependencies", values.get("dependencies"))),
                replaces=tuple(_pairs(path, "replaces", values.get("replaces"))),
                statements=_of_django(values.get("operations")),
            )
        )
    return tuple(found)


def leaf(revisions: Iterable[Revision], folder: Path, what: str) -> str | None:
    """The name that nothing comes after; None in an empty folder. Raises Refused when there are several."""
    known = tuple(revisions)
    gone = {name for each in known for name in (*each.after, *each.replaces)}
    ends = sorted(each.name for each in known if each.name not in gone)
    if len(ends) > 1:
        message = f"{folder}: {len(ends)} {what}: {', '.join(ends)}; merge them first"
        raise Refused(message)
    return ends[0] if ends else None


def python_files(folder: Path) -> list[Path]:
    """The folder's Python files, sorted. Raises Refused when there is no such folder."""
    if not folder.is_dir():
        message = f"{folder}: no such folder"
        raise Refused(message)
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def _modules(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in python_files(folder):
        try:
            yield path, ast.parse(read_text(path))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            raise BadDocument(file=f"{path}:{line}" if line else str(path), key="", problem="is no Python") from error


def _assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for each in body:
        if isinstance(each, ast.Assign):
            yield from ((target.id, each.value) for target in each.targets if isinstance(target, ast.Name))
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is not None:
            yield each.target.id, each.value


def _value(node: ast.expr | None) -> Any:
    """What a literal says; None for anything else."""
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _names(value: Any) -> tuple[Any, ...]:
    return () if value is None else tuple(value) if isinstance(value, list | tuple | set) else (value,)


def _pairs(path: Path, key: str, node: ast.expr | None) -> Iterator[str]:
    """`(app, name)` pairs. One that only settings know (`swappable_dependency`) says nothing about a name."""
    if node is not None and not isinstance(node, ast.List | ast.Tuple):
        raise BadDocument(file=str(path), key=key, problem="is no list")
    for each in node.elts if isinstance(node, ast.List | ast.Tuple) else ():
        match _value(each):
            case (str() as app, str() as name) if not name.startswith("__"):
                yield f"{app}.{name}"
            case _:
                continue


def _of_alembic(tree: ast.Module) -> tuple[str, ...] | None:
    """The SQL of `upgrade`, when all that it does is `op.execute` of plain texts."""
    upgrade = next((each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "upgrade"), None)
    found = []
    for each in upgrade.body if upgrade else ():
        if isinstance(each, ast.Pass) or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)):
            continue
        call = each.value if isinstance(each, ast.Expr) else None
        text = (
            _value(call.args[0]) if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords else None
        )
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "op.execute" and isinstance(text, str)):
            return None
        found.append(text.replace("\\:", ":"))
    return tuple(found)


def _of_django(node: ast.expr | None) -> tuple[str, ...] | None:
    """The SQL of all operations, when each of them is a RunSQL of plain texts."""
    found: list[str] = []
    for each in node.elts if isinstance(node, ast.List | ast.Tuple) else ():
        if not (isinstance(each, ast.Call) and ast.unparse(each.func) in {"migrations.RunSQL", "RunSQL"}):
            return None
        given = {keyword.arg: keyword.value for keyword in each.keywords}
        if "state_operations" in given:
            return None
        text = _value(each.args[0] if each.args else given.get("sql"))
        texts = (text,) if isinstance(text, str) else text
        if not (isinstance(texts, list | tuple) and all(isinstance(one, str) for one in texts)):
            return None
        found += texts
    return tuple(found)
