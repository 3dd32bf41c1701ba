"""`additions.toml` of a runbook's folder: indexes and CHECK constraints that are added beside the keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.adapters.documents import parse, read_toml
from orchestrator.core.additions import Addition, Additions
from orchestrator.core.catalog import TableName
from orchestrator.core.outcome import BadDocument

ADDITIONS = "additions.toml"
BEGINS = {"index": re.compile(r"CREATE (UNIQUE )?INDEX "), "check": re.compile(r"CHECK \(")}
"""How the server's own words begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionLine:
    """One `[[index]]` or `[[check]]` as it is written."""

    table: str
    name: str
    definition: str
    schema: str = "public"

    def addition(self) -> Addition:
        """The line as a value."""
        table = TableName(schema=self.schema, name=self.table)
        return Addition(table=table, name=self.name, definition=self.definition)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionsFile:
    """`additions.toml` as it is written."""

    index: tuple[AdditionLine, ...] = ()
    check: tuple[AdditionLine, ...] = ()


def additions_of(runbook: Path) -> Additions:
    """What a runbook adds beside its keys; nothing without a file. Raises BadDocument, Refused."""
    path = runbook / ADDITIONS
    if not path.exists():
        return Additions()
    found = parse(path, read_toml(path), AdditionsFile)
    for key, lines in (("index", found.index), ("check", found.check)):
        for number, each in enumerate(lines, start=1):
            if not BEGINS[key].match(each.definition):
                problem = f"must be what PostgreSQL itself says of this {key}"
                raise BadDocument(file=str(path), key=f"{key}[{number}].definition", problem=problem)
    return Additions(
        indexes=tuple(each.addition() for each in found.index), checks=tuple(each.addition() for each in found.check)
    )


def additions_lines(additions: Additions) -> Iterator[str]:
    """The file, line by line."""
    for word, each in (
        *(("index", each) for each in additions.indexes),
        *(("check", each) for each in additions.checks),
    ):
        yield f"[[{word}]]"
        for key, value in (
            ("schema", each.table.schema),
            ("table", each.table.name),
            ("name", each.name),
            ("definition", each.definition),
        ):
            yield f"{key} = {toml_text(value)}"
        yield ""


def toml_text(value: object) -> str:
    """A text or a list of texts as TOML writes it: JSON escapes the same way, but for DEL, which only TOML forbids."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
