"""Templates of SQL: what they print is a Composable of the driver, so that nothing can be left unquoted by mistake."""

from __future__ import annotations

from functools import cache
from typing import Final

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from psycopg import sql

from orchestrator.adapters.templates import TEMPLATES

SQL_FOLDER: Final = TEMPLATES / "sql"


def render_sql(template: str, **values: sql.Composable) -> str:
    """A template of the folder `templates/sql/`, filled. Raises TypeError for a value that is not quoted.

    Templates of the user are not looked for: what is executed on a production database is ours.
    """
    return _environment().get_template(template).render(**values).strip()


def _printed(value: object) -> object:
    """Text of the template itself passes through Jinja as it is; every value comes through here."""
    if not isinstance(value, sql.Composable):
        message = f"a template of SQL would print {type(value).__name__}: only sql.Identifier, Literal and SQL may"
        raise TypeError(message)
    return value.as_string(None)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(SQL_FOLDER),
        undefined=StrictUndefined,
        finalize=_printed,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
