"""The keys of a Django project or a SQLAlchemy MetaData: its own framework is asked, in a process of its own."""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.adapters.child import ChildFailed, Order, run
from orchestrator.adapters.documents import parse
from orchestrator.adapters.runbooks import ContractFile
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import Refused
from orchestrator.core.server_names import foreign_key_name, kept

PROGRAM: Final = Path(__file__).with_name("model_keys.py")
WITHIN_S: Final = 120.0
Framework = Literal["django", "sqlalchemy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where the models' code lives, and the interpreter that has its packages; by default here, and ours."""

    folder: Path = Path()
    python: str | None = None


def model_keys(
    framework: Framework, words: tuple[str, ...], project: Project, *, default_schema: str
) -> tuple[Relation, ...]:
    """Every key of the models, in the framework's order. Raises Refused, BadDocument."""
    name = ":".join((framework, *words))
    keys = _named(_in_schema(_asked(name, framework, words, project), default_schema))
    written = parse(Path(name), {"foreign_key": list(keys)}, ContractFile)
    return tuple(each.relation() for each in written.foreign_key)


def _asked(name: str, framework: Framework, words: tuple[str, ...], project: Project) -> list[dict[str, Any]]:
    if not project.folder.is_dir():
        message = f"--project {project.folder}: no such folder"
        raise Refused(message)
    python = project.python or sys.executable
    if shutil.which(python) is None:
        message = f"--python {python}: no such program"
        raise Refused(message)
    # By its absolute path, but not where its link leads: that would be the interpreter without the project's packages.
    found = str(Path(str(shutil.which(python))).absolute())
    command = (found, "-c", PROGRAM.read_text(encoding="utf-8"), framework, *words)
    try:
        said, _ = run(Order(name=name, command=command, folder=project.folder), within_s=WITHIN_S)
    except ChildFailed as error:
        raise Refused(str(error)) from error
    try:
        answer = json.loads(said)
    except ValueError as error:
        message = f"{name}: the project's code ended the program before it answered"
        raise Refused(message) from error
    if "error" in answer:
        message = f"{name}: {answer['error']}"
        raise Refused(message)
    keys: list[dict[str, Any]] = answer["keys"]
    return keys


def _in_schema(keys: Iterable[Mapping[str, Any]], default: str) -> Iterator[dict[str, Any]]:
    """The keys with the schemas that models leave to the database, its names as it keeps them, and nothing unsaid."""
    for key in keys:
        whole = {**key, **_side(key, default), "references": _side(key["references"], default)}
        yield {name: value for name, value in whole.items() if value is not None}


def _side(place: Mapping[str, Any], default: str) -> dict[str, Any]:
    schema, table = (kept(name) for name in (place["schema"] or default, place["table"]))
    return {"schema": schema, "table": table, "columns": [kept(name) for name in place["columns"]]}


def _named(keys: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The keys with the names that the server chooses for those that have none, one after the other."""
    taken: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        names = taken[key["schema"]]
        if "name" not in key:
            key["name"] = foreign_key_name(key["table"], tuple(key["columns"]), names)
        names.add(key["name"])
        yield key
