"""Templates of the user's own: which folders are searched before the built-in one, and what became of each file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_tb
from typing import Final

from jinja2 import BaseLoader, Environment, FileSystemLoader, TemplateNotFound, TemplateSyntaxError
from jinja2.loaders import split_template_path

from orchestrator.core.inventory import Environment as Inventory
from orchestrator.core.outcome import BadDocument, Refused

BUILT_IN: Final = "builtin/"
"""`{% include "builtin/report.css" %}` in an own template means the built-in one, whatever overrides it."""

RUNBOOK_FOLDER: Final = "templates"
KINDS: Final = (".j2", ".css", ".js")


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Overrides:
    """Own templates by name, the first folder first; one that fails is told once and not asked again.

    What was compiled of the built-in ones is kept for the next process where `keeps` says so: a dry run writes nothing.
    """

    folders: tuple[Path, ...] = ()
    keeps: bool = True
    tell: Callable[[str], None] = lambda _: None
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """What failed, for the answer of a task."""
        return [f"own template {each}" for each in self.failures.values()]

    def path(self, name: str) -> Path | None:
        """Where a template's own file lies; None when there is none, or when it failed before."""
        if name in self.failures:
            return None
        try:
            parts = split_template_path(name)
        except TemplateNotFound:
            return None  # a way out of the folder
        return next((path for folder in self.folders if (path := folder.joinpath(*parts)).is_file()), None)

    def fail(self, error: Exception, used: frozenset[str]) -> bool:
        """Find the own template that an error comes from and leave it out; False when it is none of ours.

        The traceback holds templates by file and line: Jinja rewrites it so. An error on a line of a built-in template
        still comes from an own one when there are some: a macro that is missing shows where it is called.
        """
        places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        if isinstance(error, TemplateSyntaxError) and error.filename:
            places.append((error.filename, error.lineno))
        names = {str(path): name for name in used if (path := self.path(name))}
        told = " ".join(str(error).split()) or type(error).__name__
        for file, line in reversed(places):
            if file in names:
                self._note(names[file], f"{file}, line {line}: {told}")
                return True
        inside = (f"{Path(file).name}, line {line}" for file, line in reversed(places) if file.endswith(KINDS))
        place = next(inside, "what includes it")
        for file, name in names.items():
            self._note(name, f"{file} does not fit {place}: {told}")
        return bool(names)

    def _note(self, name: str, problem: str) -> None:
        self.failures[name] = problem
        self.tell(f"own template {problem}; the built-in one is used")


class OwnFirst(BaseLoader):
    """Finds a template among the own ones, then among the built-in ones."""

    def __init__(self, overrides: Overrides, built_in: Path) -> None:
        """Search in this order."""
        self.used: set[str] = set()
        self._overrides = overrides
        self._built_in = FileSystemLoader(built_in)
        self._known = frozenset(self._built_in.list_templates())

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool] | None]:
        """The text of a template. Raises TemplateNotFound, and TemplateSyntaxError when it cannot be read."""
        path = self._overrides.path(template)
        if path is None:
            return self._built_in.get_source(environment, template.removeprefix(BUILT_IN))
        self.used.add(template)
        try:
            return path.read_text(encoding="utf-8"), str(path), None
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot be read ({error})"
            raise TemplateSyntaxError(message, 1, template, str(path)) from error

    def has_built_in(self, template: str) -> bool:
        """Whether there is a built-in template of that name."""
        return template.removeprefix(BUILT_IN) in self._known


def own_folders(environment: Inventory | None, runbook: Path | None) -> tuple[Path, ...]:
    """The folders to search, the user's before the runbook's. Raises Refused, BadDocument for one that cannot be read.

    A relative `directory` is seen from where the command is given, like that of the backups.
    """
    found: list[Path] = []
    if environment and environment.templates.directory is not None:
        problem = _problem(folder := _home(environment.templates.directory))
        if problem:
            raise BadDocument(
                file=environment.name,
                key="templates.directory",
                problem=f"{folder} {problem}",
                remedy="name a folder with templates, or leave it out",
            )
        found.append(folder)
    if runbook and os.path.lexists(own := runbook / RUNBOOK_FOLDER):
        if problem := _problem(own):
            message = f"{own} {problem}: it is where the runbook's own templates lie"
            raise Refused(message)
        found.append(own)
    return tuple(each.absolute() for each in found)


def _home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _problem(folder: Path) -> str:
    if not folder.exists():
        return "does not exist"
    if not folder.is_dir():
        return "is no folder"
    return "" if os.access(folder, os.R_OK | os.X_OK) else "cannot be read"


_stack: list[Overrides] = [Overrides()]


def in_force() -> Overrides:
    """The overrides that hold now, in every thread: a process carries out one task at a time."""
    return _stack[-1]


@contextmanager
def using(overrides: Overrides) -> Iterator[Overrides]:
    """Render with these overrides until the block ends."""
    _stack.append(overrides)
    try:
        yield overrides
    finally:
        _stack.remove(overrides)
