"""Schemas of our own, written by hand in lines of text: tables, columns, keys that belong there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "cases/suggestion_schemas"
LONG = {"varchar": "character varying", "char": "character(6)", "timestamptz": "timestamp with time zone"}


def written_facts(path: Path) -> dict[str, Any]:
    """The facts of a file in the form of the real schemas: `catalog` and `foreign_keys`."""
    tables: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if words[0] == "table":
            schema, name = _named(words[1])
            tables.append({
                "schema": schema, "table": name, "columns": [], "primary_key": None, "uniques": [], "indexes": []
            })  # fmt: skip
        elif words[0] == "key":
            keys.append(_key(words[1], words[2]))
        elif words[0] == "primary":
            tables[-1]["primary_key"] = words[1:]
        elif words[0] in {"unique", "index"}:
            tables[-1]["uniques" if words[0] == "unique" else "indexes"].append(words[1:])
        else:
            _column(tables[-1], words)
    return {"catalog": tables, "foreign_keys": keys}


def _column(table: dict[str, Any], words: list[str]) -> None:
    kind = LONG.get(words[1], words[1])
    table["columns"].append(
        {"name": words[0], "type": kind, "base_type": kind.split("(")[0], "not_null": "primary" in words}
    )
    if "primary" in words:
        table["primary_key"] = [words[0]]


def _named(text: str) -> tuple[str, str]:
    schema, dot, name = text.rpartition(".")
    return (schema, name) if dot else ("public", name)


def _key(child: str, parent: str) -> dict[str, Any]:
    table, columns = child.removesuffix(")").split("(")
    ref_table, ref_columns = parent.removesuffix(")").split("(")
    schema, name = _named(table)
    ref_schema, ref_name = _named(ref_table)
    return {
        "schema": schema, "table": name, "columns": columns.split(","),
        "ref_schema": ref_schema, "ref_table": ref_name, "ref_columns": ref_columns.split(","),
    }  # fmt: skip
