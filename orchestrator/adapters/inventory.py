"""The folder `inventory/`: one TOML file per environment, and the secrets that they point to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from orchestrator.adapters.documents import nearest, parse, read_toml
from orchestrator.core.inventory import Environment, Secret, Source
from orchestrator.core.outcome import BadDocument, Refused


def environment_names(folder: Path) -> tuple[str, ...]:
    """The environments of an inventory, sorted. Raises Refused when the folder does not exist."""
    if not folder.is_dir():
        message = f"{folder}: no such inventory folder; name another with --inventory"
        raise Refused(message)
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_environment(folder: Path, name: str | None) -> Environment:
    """The environment of that name. Raises Refused, BadDocument."""
    known = environment_names(folder)
    if not name:
        message = f"which environment? --env NAME (known in {folder}: {', '.join(known) or 'none'})"
        raise Refused(message)
    if name not in known:
        message = (
            f"unknown environment {name!r} in {folder}: {nearest(name, known) if known else 'it holds no *.toml file'}"
        )
        raise Refused(message)
    path = folder / f"{name}.toml"
    environment = parse(path, read_toml(path), Environment)
    twin = next(
        (other for other in known if other != name and _claims(folder / f"{other}.toml", environment.name)), None
    )
    if twin:
        problem = f"is {environment.name!r}, and so is that of {twin}.toml: their runs could not be told apart"
        raise BadDocument(file=str(path), key="environment.name", problem=problem, remedy="give each its own name")
    for key, problem, remedy in _mistakes(environment):
        raise BadDocument(file=str(path), key=key, problem=problem, remedy=remedy)
    return environment


def _claims(path: Path, name: str) -> bool:
    """Whether another file calls its environment that; a broken one claims nothing, its own commands will say so."""
    try:
        head = read_toml(path).get("environment")
    except Refused:
        return False
    return isinstance(head, dict) and head.get("name") == name


def resolve(source: str | Source, *, place: str) -> Secret:
    """The value behind a source. Raises Refused when it is not there; never falls back to anything else."""
    if isinstance(source, str):
        return Secret(source)
    if source.env is not None:
        value = os.environ.get(source.env, "")
        if not value:
            message = f"{place}: {source.env} is not set; export {source.env}=postgresql://user@host/database"
            raise Refused(message)
        return Secret(value)
    if source.file is not None:
        return _from_file(Path(source.file).expanduser(), place)
    if source.service is not None:
        return Secret(f"service={source.service}")
    message = f"{place}: an embedded server is started, not looked up"
    raise Refused(message)


def _from_file(path: Path, place: str) -> Secret:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"{place}: {path} cannot be read ({error.strerror})"
        raise Refused(message) from error
    if not value:
        message = f"{place}: {path} is empty"
        raise Refused(message)
    return Secret(value)


def _mistakes(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """What the shape alone does not say: key, problem, remedy."""
    url = environment.database.url
    if isinstance(url, str):
        yield from _literal_url_mistakes(url)
    elif sum(each is not None for each in (url.env, url.file, url.service, url.embedded)) != 1:
        yield "database.url", "needs exactly one of env, file, service, embedded", ""
    policy = environment.policy
    positive = {"lock_timeout_ms": policy.lock_timeout_ms, "give_up_after_s": policy.give_up_after_s}
    for key, value in positive.items():
        if value < 1:
            yield f"policy.{key}", f"is {value}, must be at least 1", ""
    if environment.backup.mode == "external" and not environment.backup.command:
        yield "backup.command", "is missing", 'mode = "external" needs a command that prints a restore point'
    if environment.backup.mode == "none" and environment.is_production:
        yield "backup.mode", "none is never allowed in production", 'use "dump" or "external"'
    if environment.backup.keep < 0:
        yield "backup.keep", "must not be negative", "0 keeps all"
    yield from _window_mistakes(environment)


def _literal_url_mistakes(url: str) -> Iterator[tuple[str, str, str]]:
    try:
        has_password = "password" in conninfo_to_dict(url)
    except ProgrammingError:
        yield "database.url", "cannot be parsed", "postgresql://user@host/database"
        return
    if has_password:
        yield "database.url", "holds a password", 'put the URL into a variable: url = { env = "PROD_DATABASE_URL" }'


def _window_mistakes(environment: Environment) -> Iterator[tuple[str, str, str]]:
    window = environment.policy.window
    if window is None:
        return
    for key, value in (("from", window.start), ("to", window.end)):
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            yield f"policy.window.{key}", f"{value!r} is no time of day", 'write "22:00"'
    try:
        ZoneInfo(window.timezone)
    except (KeyError, ValueError, OSError):
        yield "policy.window.timezone", f"unknown time zone {window.timezone!r}", 'such as "Asia/Jakarta"'
