"""Where a runbook is carried out: one environment, its database, its people and its policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Kind = Literal["scratch", "staging", "production"]


class Secret:
    """A value that cannot be printed, logged, compared by eye or put into JSON; `reveal()` is the one way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Hide the value."""
        self._value = value

    def reveal(self) -> str:
        """Give the value to the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        """Never the value."""
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Two secrets are equal when their values are."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value, so that a frozen value can hold one."""
        return hash(("Secret", self._value))

    def __reduce__(self) -> str:
        """Refuse to be pickled: a pickle is a file with the value in it."""
        message = "a Secret cannot be written anywhere"
        raise TypeError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a value that may be secret comes from; exactly one is set."""

    env: str | None = None
    file: str | None = None
    service: str | None = None
    embedded: str | None = None

    def __str__(self) -> str:
        """Say the place, never the value."""
        if self.env:
            return f"environment variable {self.env}"
        if self.file:
            return f"file {self.file}"
        if self.service:
            return f"service {self.service}"
        return f"embedded server {self.embedded!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHead:
    """Who the environment is."""

    name: str
    kind: Kind
    evidence_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """How its database is reached. `role` is taken with SET ROLE after connecting."""

    url: str | Source
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service that runs on a host."""

    manager: Literal["pm2", "systemd"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLog:
    """A log of an application on a host; exactly one is set: a file or pattern, a unit of the journal, pm2's files."""

    file: str | None = None
    journal: str | None = None
    pm2: str | None = None

    def __str__(self) -> str:
        """What reports call it."""
        return self.file or (f"journal {self.journal}" if self.journal else f"pm2 {self.pm2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host of the environment, reached by SSH. `ssh` and `jump` are `user@host:port`; `disk` are more folders to ask.

    `known_hosts` holds the only keys that are believed; by default the user's and the system's own file. `log` is what
    the watch reads; a text is a file or a pattern.
    """

    name: str
    ssh: str
    service: Service | None = None
    health: str | None = None
    jump: str | None = None
    key_file: str | None = None
    agent: bool = False
    sudo: Source | None = None
    known_hosts: str | None = None
    disk: tuple[str, ...] = ()
    log: str | HostLog | tuple[str | HostLog, ...] = ()

    @property
    def logs(self) -> tuple[HostLog, ...]:
        """Its logs, however they are written."""
        written = self.log if isinstance(self.log, tuple) else (self.log,)
        return tuple(HostLog(file=each) if isinstance(each, str) else each for each in written)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """What a host must keep. Units are in the names; `load_per_core` is the load of the last minute.

    `answer_s` is how long connecting, and then a look, may take; `at_once` how many hosts are asked side by side.
    """

    at_once: int = 8
    answer_s: int = 15
    disk_free_percent: float = 10.0
    disk_free_mb: int = 500
    load_per_core: float = 4.0
    clock_skew_s: float = 2.0
    health_ms: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a deployment may begin."""

    days: tuple[Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ...]
    start: str
    end: str
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Days on which nothing is deployed, both ends included."""

    start: date
    end: date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this environment allows. Times are in the unit of their name."""

    lock_timeout_ms: int = 100
    validate_workers: int | Literal["auto"] = "auto"
    approvals: int = 0
    evidence_max_age_hours: int = 336
    give_up_after_s: int = 1800
    reconnect_within_s: int = 60
    auto_rollback: Literal["failure", "never", "any"] = "failure"
    create_missing_indexes: bool = False
    terminate_blockers: tuple[str, ...] = ()
    max_replica_lag_s: int = 30
    behavioural_checks: bool | None = None
    monitor_rollback: bool = False
    show_samples: Literal["local", "everywhere", "nowhere"] = "local"
    window: Window | None = None
    freeze: tuple[Freeze, ...] = ()
    orphans: Literal["refuse", "leave_not_valid"] = "refuse"
    hosts: HostLimits = field(default_factory=HostLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """How a backup is taken. `keep` counts dumps; 0 keeps all."""

    mode: Literal["dump", "external", "none"] = "dump"
    directory: str = "backups"
    keep: int = 5
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Where copies live; by default the same server, for production the embedded one."""

    on: Literal["same-server", "embedded"] | Database | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Where messages go."""

    channel: str
    token: Source
    app_token: Source | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person and the identities that prove who it is."""

    roles: tuple[str, ...] = ()
    slack: str | None = None
    approver: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceKey:
    """The key that signs evidence which travels as a file."""

    key: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Where the user's own templates lie."""

    directory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One inventory file."""

    environment: EnvironmentHead
    database: Database
    host: tuple[Host, ...] = ()
    policy: Policy = field(default_factory=Policy)
    backup: Backup = field(default_factory=Backup)
    scratch: Scratch = field(default_factory=Scratch)
    slack: Slack | None = None
    people: Mapping[str, Person] = field(default_factory=dict)
    evidence: EvidenceKey = field(default_factory=EvidenceKey)
    templates: Templates = field(default_factory=Templates)

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    @property
    def kind(self) -> Kind:
        """Scratch, staging or production."""
        return self.environment.kind

    @property
    def is_production(self) -> bool:
        """Whether the stricter rules hold."""
        return self.kind == "production"

    @property
    def behavioural_checks(self) -> bool:
        """Whether checks that write (and are rolled back) may run: everywhere but production unless said."""
        allowed = self.policy.behavioural_checks
        return not self.is_production if allowed is None else allowed

    @property
    def scratch_on(self) -> Literal["same-server", "embedded"] | Database:
        """Where copies live, with the default filled in."""
        if self.scratch.on is not None:
            return self.scratch.on
        return "embedded" if self.is_production else "same-server"
