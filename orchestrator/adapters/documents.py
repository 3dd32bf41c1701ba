"""Reads the TOML that people write: one line for each mistake, with file, key and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tomli
from pydantic import TypeAdapter, ValidationError

from orchestrator.core.outcome import BadDocument, Refused

Value = TypeVar("Value")

BUILT_IN = frozenset({"str", "int", "bool", "float"})
"""What pydantic calls the plain members of a union."""

WRITTEN: Mapping[str, str] = {"from": "start", "to": "end"}
"""Keys of the file that are no names in Python, and what the fields are called instead."""


def read_toml(path: Path) -> dict[str, Any]:
    """The file as a dictionary. Raises BadDocument for a file that is not TOML, Refused for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return tomli.load(file)
    except tomli.TOMLDecodeError as error:
        raise BadDocument(file=str(path), key="", problem=f"not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise BadDocument(file=str(path), key="", problem="not UTF-8 text", remedy="save it as UTF-8") from error
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise Refused(message) from error


def read_text(path: Path) -> str:
    """The file as text. Raises BadDocument for a file that is not UTF-8, Refused for one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadDocument(file=str(path), key="", problem="not UTF-8 text", remedy="save it as UTF-8") from error
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise Refused(message) from error


def parse(path: Path, document: dict[str, Any], shape: type[Value]) -> Value:
    """The document as a value of that shape. Raises BadDocument for the first mistake."""
    adapter = TypeAdapter(shape)
    if _named_as_written(shape):
        # Most documents are right, and then this says so at once; a mistake is looked for afterwards.
        with suppress(ValidationError):
            return adapter.validate_python(document, extra="forbid")
    for key, problem, remedy in _unknown_keys(document, shape, ""):
        raise BadDocument(file=str(path), key=key, problem=problem, remedy=remedy)
    try:
        return adapter.validate_python(_renamed(document))
    except ValidationError as error:
        raise _explained(path, error, document) from error


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """A remedy that names the nearest known word, or all of them when none is near."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"


def _renamed(value: Any) -> Any:
    """The document with names that Python allows."""
    if isinstance(value, dict):
        return {WRITTEN.get(key, key): _renamed(each) for key, each in value.items()}
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def _unknown_keys(value: Any, shape: Any, place: str) -> Iterator[tuple[str, str, str]]:
    """Keys that no field takes, with where they stand and the nearest known one."""
    if isinstance(value, list):
        lists = [each for each in get_args(shape) if get_origin(each) in {list, tuple}]
        shape = lists[0] if lists and get_origin(shape) in {UnionType, Union} else shape
        inner = next((each for each in get_args(shape) if each is not Ellipsis), Any)
        for number, each in enumerate(value, start=1):
            if isinstance(each, list | dict):
                yield from _unknown_keys(each, inner, f"{place}[{number}]")
    if not isinstance(value, dict):
        return
    if get_origin(shape) in {UnionType, Union}:
        shape = next((each for each in get_args(shape) if is_dataclass(each)), shape)
    if is_dataclass(shape) and isinstance(shape, type):
        yield from _unknown_fields(value, shape, place)
    elif get_origin(shape) is not None:
        for key, each in value.items():
            yield from _unknown_keys(each, get_args(shape)[-1], f"{place}.{key}" if place else key)


def _unknown_fields(value: Mapping[str, Any], shape: Any, place: str) -> Iterator[tuple[str, str, str]]:
    known = _known_keys(shape)
    for key, each in value.items():
        where = f"{place}.{key}" if place else key
        if key not in known:
            yield where, "unknown key", nearest(key, tuple(known))
        elif isinstance(each, list | dict):
            yield from _unknown_keys(each, known[key], where)


@cache
def _known_keys(shape: Any) -> Mapping[str, Any]:
    """The keys of a dataclass as they are written, with the shape of each value; worked out once, not for each line."""
    hints = get_type_hints(shape)
    written = {field: key for key, field in WRITTEN.items()}
    return {written.get(field.name, field.name): hints[field.name] for field in fields(shape)}


def _named_as_written(shape: Any) -> bool:
    """Whether every key of the shape, at any depth, is called in Python what it is called in the file."""
    if is_dataclass(shape):
        known = _known_keys(cast("Any", shape))
        return all(key not in WRITTEN and _named_as_written(inner) for key, inner in known.items())
    return all(_named_as_written(inner) for inner in get_args(shape))


def _explained(path: Path, error: ValidationError, document: dict[str, Any]) -> BadDocument:
    # Of the members of a union the one that came furthest is meant; the first of those that came as far.
    first = max(error.errors(include_url=False, include_input=False), key=lambda each: len(each["loc"]))
    written = {field: key for key, field in WRITTEN.items()}
    places = _real_places(first["loc"], document)
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{written.get(part, part)}" for part in places]
    problem = {"missing": "is missing", "missing_argument": "is missing", "missing_keyword_only_argument": "is missing"}
    text = problem.get(first["type"], first["msg"][:1].lower() + first["msg"][1:])
    return BadDocument(file=str(path), key="".join(parts).lstrip("."), problem=text)


def _real_places(loc: tuple[int | str, ...], document: Any) -> list[int | str]:
    """The place without the names that a union adds for its members: what the document has, and what it lacks."""
    found: list[int | str] = []
    here: Any = _renamed(document)
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
        elif isinstance(here, Mapping) and part in here:
            here = here[part]
        elif not (last and isinstance(here, Mapping) and str(part).isidentifier() and part not in BUILT_IN):
            continue
        found.append(part)
    return found
