"""Templates of the folder `templates/`: strict, sandboxed, and escaped where they make a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from orchestrator.adapters import words
from orchestrator.adapters.charts import share
from orchestrator.adapters.ddl import lock_table
from orchestrator.core.locks import Lock


def templates_folder() -> Path:
    """Inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


TEMPLATES: Final = templates_folder()


def render(template: str, **values: object) -> str:
    """A template of the folder `templates/`, filled. A value that it asks for and does not get is an error."""
    return _environment().get_template(template).render(**values)


def lock_sql(lock: Lock) -> str:
    """LOCK TABLE, with its names quoted."""
    return lock_table(lock).as_string(None)


def _is_html(template: str | None) -> bool:
    return template is not None and template.endswith(".html.j2")


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=_is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "commands": words.commands,
        "comment": words.comment,
        "duration": words.duration,
        "fate_word": words.fate_word,
        "fenced": words.fenced,
        "grouped": words.grouped,
        "literal": words.literal,
        "lock_sql": lock_sql,
        "moment": words.moment,
        "shortened": words.shortened,
        "size": words.size,
        "source_hash": words.source_hash,
        "where": words.where,
    }
    environment.globals["share"] = share
    return environment
