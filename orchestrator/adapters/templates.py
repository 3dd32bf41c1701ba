"""Templates of the folder `templates/` and the user's own: strict, sandboxed, and escaped where they make a page."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from jinja2 import BytecodeCache, StrictUndefined

from orchestrator.adapters import words
from orchestrator.adapters.charts import share
from orchestrator.adapters.compiled import kept
from orchestrator.adapters.ddl import lock_table
from orchestrator.adapters.overrides import Overrides, OwnFirst, in_force
from orchestrator.adapters.sandbox import Sandbox
from orchestrator.core.locks import Lock


def templates_folder() -> Path:
    """Inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


TEMPLATES: Final = templates_folder()


def render(template: str, **values: object) -> str:
    """A template, filled: the user's own one where there is one in force, else that of the folder `templates/`.

    A value that it asks for and does not get is an error. One in an own template is told and the built-in template is
    used; the caller sees only errors of the built-in ones. A macro that an own template changes may fail elsewhere, so
    that every error is looked at here.
    """
    overrides = in_force()
    environment, loader = _environment(overrides)
    while True:
        try:
            return environment.get_template(template).render(**values)
        except Exception as error:
            if not overrides.fail(error, frozenset(loader.used)):
                raise
            # What is kept was compiled with the template that failed.
            environment, loader = _environment(overrides, anew=True)


def lock_sql(lock: Lock) -> str:
    """LOCK TABLE, with its names quoted."""
    return lock_table(lock).as_string(None)


PAGES: Final = (".html.j2", ".html", ".css", ".js")
TEXTS: Final = (".md.j2", ".sql.j2", ".txt.j2", ".json.j2", ".py.j2")

OPTIONS: Final = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}

NONE: Final = Overrides()
"""Stands for all tasks without own templates: they share what was compiled, and a changed file is compiled again."""

_made: Final[WeakKeyDictionary[Overrides, tuple[Sandbox, OwnFirst]]] = WeakKeyDictionary()


def _environment(overrides: Overrides, *, anew: bool = False) -> tuple[Sandbox, OwnFirst]:
    """The environment of these overrides; kept, because compiling takes longer than rendering."""
    ours = NONE if overrides.keeps and not overrides.folders else overrides
    made = None if anew else _made.get(ours)
    if made is None:
        loader = OwnFirst(ours, TEMPLATES)
        made = _made[ours] = (_sandbox(loader, kept(OPTIONS) if ours is NONE else None), loader)
    return made


def _sandbox(loader: OwnFirst, cache: BytecodeCache | None) -> Sandbox:
    environment = Sandbox(loader=loader, undefined=StrictUndefined, bytecode_cache=cache, **OPTIONS)

    def escaped(template: str | None) -> bool:
        """Pages and what stands in them; an own part under a name of its own, too, unless its name says text."""
        name = template or ""
        return name.endswith(PAGES) or not (name.endswith(TEXTS) or loader.has_built_in(name))

    environment.autoescape = escaped
    environment.filters |= {
        "commands": words.commands,
        "comment": words.comment,
        "counted": words.counted,
        "duration": words.duration,
        "fate_word": words.fate_word,
        "fenced": words.fenced,
        "grouped": words.grouped,
        "line": words.line,
        "literal": words.literal,
        "lock_sql": lock_sql,
        "moment": words.moment,
        "python": words.python,
        "quoted": words.quoted,
        "shortened": words.shortened,
        "size": words.size,
        "source_hash": words.source_hash,
        "where": words.where,
    }
    environment.globals["share"] = share
    return environment
