"""The folder `inventory/`: one TOML file per environment, and the secrets that they point to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestrator.adapters.documents import nearest, parse, read_toml
from orchestrator.adapters.host_lines import host_mistakes
from orchestrator.adapters.redaction import hidden
from orchestrator.core.inventory import Database, Environment, Secret, Source
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


SECRET_WORDS = (".token", ".app_token", ".key", ": sudo")
"""How the places of secrets end that are no URL of a database."""


def resolve(source: str | Source, *, place: str) -> Secret:
    """The value behind a source. Raises Refused when it is not there; never falls back to anything else.

    From then on no line of log or screen shows it.
    """
    return hidden(_resolved(source, place))


def _resolved(source: str | Source, place: str) -> Secret:
    if isinstance(source, str):
        return Secret(source)
    if source.env is not None:
        value = os.environ.get(source.env, "").strip()
        if not value:
            like = "…" if place.endswith(SECRET_WORDS) else "postgresql://user@host/database"
            message = f"{place}: {source.env} is not set; export {source.env}={like}"
            raise Refused(message)
        return Secret(value)
    if source.file is not None:
        return _from_file(source.file, place)
    if source.service is not None:
        return Secret(make_conninfo(service=source.service))
    message = f"{place}: an embedded server is started, not looked up"
    raise Refused(message)


def _from_file(path: str, place: str) -> Secret:
    try:
        value = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        message = f"{place}: {path} cannot be read ({why})"
        raise Refused(message) from error
    if not value:
        message = f"{place}: {path} is empty"
        raise Refused(message)
    return Secret(value)


def _mistakes(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """What the shape alone does not say: key, problem, remedy."""
    yield from _source_mistakes(environment)
    policy = environment.policy
    for key, least in LEAST.items():
        value = getattr(policy, key)
        if isinstance(value, int) and value < least:
            yield f"policy.{key}", f"is {value}, must be at least {least}", ""
    for number, freeze in enumerate(policy.freeze, start=1):
        if freeze.end < freeze.start:
            yield f"policy.freeze[{number}].to", f"{freeze.end} is before {freeze.start}", ""
    if environment.backup.mode == "external" and not environment.backup.command:
        yield "backup.command", "is missing", 'mode = "external" needs a command that prints a restore point'
    if environment.backup.mode == "none" and environment.is_production:
        yield "backup.mode", "none is never allowed in production", 'use "dump" or "external"'
    if not _has_home(environment.backup.directory):
        yield "backup.directory", "names a home that nobody has", ""
    if environment.backup.keep < 0:
        yield "backup.keep", "must not be negative", "0 keeps all"
    yield from _window_mistakes(environment)
    yield from host_mistakes(environment)


LEAST = {
    "lock_timeout_ms": 1,
    "give_up_after_s": 1,
    "reconnect_within_s": 1,
    "validate_workers": 1,
    "approvals": 0,
    "evidence_max_age_hours": 0,
    "max_replica_lag_s": 0,
}


def _has_home(path: str) -> bool:
    try:
        Path(path).expanduser()
    except RuntimeError:
        return False
    return True


def _source_mistakes(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Every place that points to a value: exactly one way to it, and no password written out."""
    places: list[tuple[str, str | Source | None]] = [("database.url", environment.database.url)]
    if isinstance(environment.scratch.on, Database):
        places.append(("scratch.on.url", environment.scratch.on.url))
    if environment.slack:
        places += [("slack.token", environment.slack.token), ("slack.app_token", environment.slack.app_token)]
    places += [(f"host[{number}].sudo", host.sudo) for number, host in enumerate(environment.host, start=1)]
    places.append(("evidence.key", environment.evidence.key))
    for key, place in places:
        if isinstance(place, str):
            yield from _literal_url_mistakes(key, place)
        elif place and sum(x is not None for x in (place.env, place.file, place.service, place.embedded)) != 1:
            yield key, "needs exactly one of env, file, service, embedded", ""
        elif place is not None and key != "database.url" and place.embedded is not None:
            yield key, "an embedded server is only a database", ""


def _literal_url_mistakes(key: str, url: str) -> Iterator[tuple[str, str, str]]:
    try:
        known = conninfo_to_dict(url)
    except ProgrammingError:
        yield key, "cannot be parsed", "postgresql://user@host/database"
        return
    ports = str(known.get("port") or "1").split(",")
    if not known or not all(port.isdecimal() for port in ports if port):
        yield key, "leads nowhere", "postgresql://user@host/database"
    if {"password", "sslpassword"} & known.keys():
        yield key, "holds a password", 'put the URL into a variable: url = { env = "PROD_DATABASE_URL" }'


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
