"""The `[[host]]` tables of an inventory: what their shape alone does not say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.core.inventory import Environment, Host, HostLimits

ADDRESS = re.compile(r"(?:[^@\s:]+@)?(?:\[[0-9A-Fa-f:.%\w]+\]|[^@\s:\[\]]+)(?::(\d{1,5}))?")
LARGEST_PORT = 65535
LEAST: dict[str, float] = {
    "at_once": 1,
    "answer_s": 1,
    "disk_free_percent": 0,
    "disk_free_mb": 0,
    "load_per_core": 0,
    "clock_skew_s": 0,
    "health_ms": 1,
}


def host_mistakes(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Key, problem and remedy of each mistake in hosts and their limits."""
    yield from _limit_mistakes(environment.policy.hosts)
    names = Counter(each.name for each in environment.host)
    for number, host in enumerate(environment.host, start=1):
        if not host.name.strip():
            yield f"host[{number}].name", "is empty", ""
        if names[host.name] > 1:
            yield f"host[{number}].name", f"{host.name!r} is the name of {names[host.name]} hosts", "give each its own"
        for key, problem, remedy in _line_mistakes(host):
            yield f"host[{number}].{key}", problem, remedy


def _limit_mistakes(limits: HostLimits) -> Iterator[tuple[str, str, str]]:
    for key, least in LEAST.items():
        value = getattr(limits, key)
        if value < least:
            yield f"policy.hosts.{key}", f"is {value}, must be at least {least}", ""


def _line_mistakes(host: Host) -> Iterator[tuple[str, str, str]]:
    for key, address in (("ssh", host.ssh), ("jump", host.jump)):
        found = ADDRESS.fullmatch(address) if address is not None else None
        if address is not None and (found is None or int(found[1] or 22) not in range(1, LARGEST_PORT + 1)):
            yield key, f"{address!r} is no address", 'write "user@host:port"; user and port may be left out'
    if host.service is not None and not re.fullmatch(r"[\w@.:\\-]+", host.service.name):
        yield "service.name", f"{host.service.name!r} is no name of a service", ""
    if host.health is not None:
        yield from _health_mistakes(host.health)
    for path in host.disk:
        if not path.startswith("/"):
            yield "disk", f"{path!r} is no absolute path", ""
    yield from _log_mistakes(host)


def _log_mistakes(host: Host) -> Iterator[tuple[str, str, str]]:
    """A name goes to a shell there, quoted; a line break in one would be two."""
    known = Counter(map(str, host.logs))
    for log in host.logs:
        if sum(each is not None for each in (log.file, log.journal, log.pm2)) != 1:
            yield "log", "needs exactly one of file, journal, pm2", 'such as log = "/var/log/api/*.log"'
        elif log.file is not None and (not log.file.startswith("/") or not log.file.isprintable()):
            yield "log", f"{log.file!r} is no absolute path", "* and ? stand for the parts that change"
        elif log.file is None and not re.fullmatch(r"[\w@.:\\-]+", log.journal or log.pm2 or ""):
            yield "log", f"{log.journal or log.pm2!r} is no name of a service", ""
        elif known[str(log)] > 1:
            yield "log", f"{log} is named twice", "it would be counted twice"


def _health_mistakes(url: str) -> Iterator[tuple[str, str, str]]:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        yield "health", f"{url.partition('?')[0]!r} is no http or https URL", ""
    elif parts.password is not None:
        yield "health", "holds a password", "a health URL must answer without one"
