"""A program of its own: prints the foreign keys that a project's models make, as JSON.

It runs in the project's interpreter (Python 3.8 or newer, its text handed over with -c), so that the project's code
does not run in our process and its packages need not be ours. It imports nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Key = dict[str, Any]

ACTIONS = r"(CASCADE|RESTRICT|SET NULL|SET DEFAULT|NO ACTION)"


def django_keys(settings: str) -> Iterator[Key]:
    """The keys of every installed app's models, with the words and names of Django's own schema editor."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    import django
    from django.apps import apps
    from django.db import connections, models, router

    django.setup()
    known = sorted(connections, key=lambda alias: alias != "default")
    alias = next((each for each in known if connections[each].vendor == "postgresql"), None)
    if alias is None:
        message = "no database in DATABASES is PostgreSQL"
        raise LookupError(message)
    editor = connections[alias].schema_editor(collect_sql=True)
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy or not router.allow_migrate_model(alias, model):
            continue
        for field in model._meta.local_fields:
            if isinstance(field, models.ForeignKey):
                yield _django_key(editor, model, field)
            elif isinstance(field, models.ForeignObject):
                yield _without_constraint(model, field)


def _django_key(editor: Any, model: Any, field: Any) -> Key:
    statement = editor._create_fk_sql(model, field, "_fk_%(to_table)s_%(to_column)s")
    # What the editor says behind the referenced columns.
    tail = str(statement).rpartition(")")[2]
    deferred = None
    if not field.db_constraint:
        deferred = "Django makes no constraint for it (db_constraint=False)"
    elif not model._meta.managed:
        deferred = "Django does not manage its table (managed=False)"
    return {
        **_place(model, [field.column]),
        "references": _place(field.target_field.model, [field.target_field.column]),
        "on_delete": _action(tail, "DELETE"),
        "on_update": _action(tail, "UPDATE"),
        "deferrable": "initially deferred" if "INITIALLY DEFERRED" in tail else "not",
        "name": _unquoted(str(statement.parts["name"])),
        "deferred": deferred,
    }


def _without_constraint(model: Any, field: Any) -> Key:
    """A ForeignObject ties columns that are fields of their own, and nothing in the database."""
    target = field.related_fields[0][1].model
    return {
        **_place(model, [mine.column for mine, _ in field.related_fields]),
        "references": _place(target, [theirs.column for _, theirs in field.related_fields]),
        "deferred": "Django makes no constraint of a ForeignObject",
    }


def _place(model: Any, columns: list[str]) -> Key:
    from django.db.backends.utils import split_identifier

    schema, table = split_identifier(model._meta.db_table)
    return {"schema": schema or None, "table": table, "columns": columns}


def sqlalchemy_keys(module: str, attribute: str) -> Iterator[Key]:
    """The keys of a MetaData, in the order in which create_all makes them; None is the name the server will choose."""
    from sqlalchemy import MetaData
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import sort_tables_and_constraints

    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    metadata = found if isinstance(found, MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, MetaData):
        message = f"{module}:{attribute} is no MetaData and has none"
        raise TypeError(message)
    # With this paramstyle a per cent sign in a name is not doubled.
    dialect: Any = postgresql.dialect
    preparer = dialect(paramstyle="named").identifier_preparer
    in_order: Any = sort_tables_and_constraints
    for table, constraints in in_order(list(metadata.tables.values())):
        own = sorted(constraints, key=lambda each: each._creation_order) if table is not None else constraints
        for constraint in own:
            yield _sqlalchemy_key(preparer, constraint)


def _sqlalchemy_key(preparer: Any, constraint: Any) -> Key:
    target = constraint.elements[0].column.table
    name = preparer.format_constraint(constraint) if constraint.name is not None else None
    action = (constraint.ondelete or "NO ACTION").strip()
    columns = re.search(r"\((.+)\)", action)
    initially = (constraint.initially or "").upper()
    deferrable = "not"
    if constraint.deferrable or initially == "DEFERRED":
        deferrable = "initially deferred" if initially == "DEFERRED" else "initially immediate"
    only = getattr(getattr(constraint, "_ddl_if", None), "dialect", None) or "postgresql"
    return {
        "schema": constraint.table.schema,
        "table": str(constraint.table.name),
        "columns": [str(each.parent.name) for each in constraint.elements],
        "references": {
            "schema": target.schema,
            "table": str(target.name),
            "columns": [str(each.column.name) for each in constraint.elements],
        },
        "on_delete": " ".join(action.partition("(")[0].split()).lower(),
        "on_delete_columns": [_unquoted(each.strip()) for each in columns.group(1).split(",")] if columns else [],
        "on_update": " ".join((constraint.onupdate or "NO ACTION").split()).lower(),
        "deferrable": deferrable,
        "match": (constraint.match or "SIMPLE").lower(),
        "name": None if name is None else _unquoted(str(name)),
        "deferred": None if "postgresql" in only else "SQLAlchemy makes it for another database (ddl_if)",
    }


def _action(text: str, of: str) -> str:
    found = re.search(rf"ON {of} {ACTIONS}", text)
    return found.group(1).lower() if found else "no action"


def _unquoted(name: str) -> str:
    quoted = name.startswith('"') and name.endswith('"') and len(name) > 1
    return name[1:-1].replace('""', '"') if quoted else name


def answer(kind: str, words: list[str]) -> dict[str, Any]:
    """The keys, or in one line why there are none: whatever the project's code raises is the user's to read."""
    make = django_keys if kind == "django" else sqlalchemy_keys
    try:
        return {"keys": list(make(*words))}
    except (Exception, SystemExit) as error:  # noqa: BLE001  the project's code may raise anything
        return {"error": f"{type(error).__name__}: {error}"}


def main(words: list[str]) -> None:
    """Answer on the real stdout; what the project's code prints goes to stderr."""
    out = os.dup(1)
    os.dup2(2, 1)
    text = json.dumps(answer(words[0], words[1:]))
    with os.fdopen(out, "w") as stream:
        stream.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
