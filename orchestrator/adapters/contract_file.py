"""`foreign_keys.toml` brought up to date: comments, order and every key that people wrote stay as they are."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import tomli
import tomlkit
from tomlkit.items import AoT, Array, Table

from orchestrator.adapters.documents import read_text
from orchestrator.adapters.runbooks import contract_of
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.contract_update import Changed, ContractUpdate
from orchestrator.core.outcome import BadDocument, Refused

HEAD: Final = "# The foreign keys that must hold. `invoke contract` keeps what people write here.\n"
KEY: Final = "foreign_key"
HEADER: Final = re.compile(r"""^[ \t]*\[\[[ \t]*['"]?foreign_key['"]?[ \t]*\]\]""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractText:
    """The file as it stands; `text` is None before there is one."""

    path: Path
    text: str | None
    contract: Contract

    @property
    def line_end(self) -> str:
        """How the file ends its lines."""
        return "\r\n" if self.text and "\r\n" in self.text else "\n"


def read_contract(path: Path) -> ContractText:
    """The contract of a file, an empty one where there is no file or none of its lines. Raises BadDocument, Refused."""
    if not path.exists():
        return ContractText(path=path, text=None, contract=Contract(relations=()))
    read_text(path)
    # Line ends are kept as they are, which reading as text would not do.
    text = path.read_bytes().decode()
    document = _parsed(path, text)
    if KEY in document and not HEADER.search(text):
        raise BadDocument(file=str(path), key=KEY, problem="is one array", remedy=f"write each line as [[{KEY}]]")
    contract = contract_of(path, document) if document else Contract(relations=())
    return ContractText(path=path, text=text, contract=contract)


def updated(stands: ContractText, update: ContractUpdate) -> ContractText:
    """The file with what the update changes and adds, not yet written. Raises BadDocument where that would not hold."""
    if not update.changes:
        return stands
    text = stands.text if stands.text is not None else HEAD
    if update.changed:
        text = _with_changes(text, update.changed, len(stands.contract.relations))
    lines = [line for each in update.added for line in ("", *_block(each))]
    if lines:
        text += "" if not text or text.endswith("\n") else stands.line_end
        text += stands.line_end.join(lines) + stands.line_end
    try:
        contract = contract_of(stands.path, _parsed(stands.path, text))
    except BadDocument as error:
        key = f"{error.key} as it would be" if error.key else ""
        raise BadDocument(file=error.file, key=key, problem=error.problem, remedy=error.remedy) from error
    return ContractText(path=stands.path, text=text, contract=contract)


def write_contract(file: ContractText) -> None:
    """Put the text in the file's place at once; a folder that is not there yet is made. Raises Refused."""
    # A link keeps leading where it leads.
    place = file.path.resolve()
    new = place.with_name(f".{place.name}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8", newline="") as stream:
            stream.write(file.text or "")
            stream.flush()
            os.fsync(stream.fileno())
        if place.exists():
            shutil.copymode(place, new)
        new.replace(place)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        message = f"{file.path}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise BadDocument(file=str(path), key="", problem=f"not valid TOML: {error}") from error


def _with_changes(text: str, changed: tuple[Changed, ...], lines: int) -> str:
    """The text with other values in some of its lines, each of which is read by itself: the rest is not touched."""
    starts = [match.start() for match in HEADER.finditer(text)]
    if len(starts) != lines:
        # A text over several lines holds what looks like a header: then only the whole can be read.
        return _edited(text, {each.position: each for each in changed})
    blocks = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    for each in changed:
        block = blocks[each.position]
        # tomlkit has its own way to write a header.
        header, body = block.split("\n", 1)[0], _edited(block, {0: each}).split("\n", 1)[1]
        blocks[each.position] = f"{header}\n{body}"
    return text[: starts[0]] + "".join(blocks)


def _edited(text: str, changed: Mapping[int, Changed]) -> str:
    line_end = "\r\n" if "\r\n" in text else "\n"
    document = tomlkit.parse(text if text.endswith("\n") else text + line_end)
    tables = cast("AoT", document[KEY])
    for position, each in changed.items():
        for name, _, _ in each.lines:
            if name == "references":
                _refer(tables[position], each.key, line_end)
            else:
                value = getattr(each.key, name)
                _set(tables[position], name, list(value) if isinstance(value, tuple) else value, line_end)
    return tomlkit.dumps(document)


def _refer(table: Table, key: Relation, line_end: str) -> None:
    """Another target, in the form that the line has for it."""
    target = cast("Table", table["references"])
    _set(target, "table", key.referenced.name, line_end)
    _set(target, "columns", list(key.referenced_columns), line_end)
    if "schema" in target or key.referenced.schema != key.table.schema:
        _set(target, "schema", key.referenced.schema, line_end)


def _set(table: Table, key: str, value: Any, line_end: str) -> None:
    """Give a key its value where it stands; a new one goes behind the last, before the comments that follow it."""
    if key in table:
        if not _kept(table[key], value):
            table[key] = value
        return
    body = table.value.body if isinstance(table, Table) else []
    plain = [name for name, item in body if name is not None and not isinstance(item, Table)]
    if not plain:
        table[key] = value
        return
    item = tomlkit.item(value)
    item.trivia.trail = line_end
    # tomlkit's own way would put it behind the comments, which belong to the next line of the contract.
    table.value._insert_after(plain[-1], key, item)  # noqa: SLF001


def _kept(stands: object, value: object) -> bool:
    """Whether what stands can stay: it says the same, or it is a list that takes other names in its places."""
    if stands == value:
        return True
    if not isinstance(stands, Array) or not isinstance(value, list) or len(stands) != len(value):
        return False
    for number, name in enumerate(value):
        if stands[number] != name:
            stands[number] = name
    return True


def _block(relation: Relation) -> Iterator[str]:
    """A new line of the contract; name and actions are always written out."""
    schema, target = relation.table.schema, relation.referenced
    place = {"schema": target.schema} if target.schema != schema else {}
    yield f"[[{KEY}]]"
    parts: Mapping[str, object] = {
        "schema": schema if schema != "public" else None,
        "table": relation.table.name,
        "columns": list(relation.columns),
        "references": {**place, "table": target.name, "columns": list(relation.referenced_columns)},
        "on_delete": relation.on_delete,
        "on_delete_columns": list(relation.on_delete_columns) or None,
        "on_update": relation.on_update,
        "deferrable": relation.deferrable if relation.deferrable != "not" else None,
        "match": relation.match if relation.match != "simple" else None,
        "name": relation.name,
        "priority": relation.priority if relation.priority != "medium" else None,
        "deferred": relation.deferred,
    }
    for key, value in parts.items():
        if value is not None:
            yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return str(tomlkit.item(value).as_string())
