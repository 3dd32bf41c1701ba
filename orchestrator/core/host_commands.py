"""A command on hosts: what a runbook says about it, how it is given to one host, and how it ended there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from orchestrator.core.inventory import Host

Settled = Literal["done", "again"]
"""What a person says of a command that was cut off: it took effect, or it is to be given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommand:
    """A command for every host of an environment, `batch` hosts at a time. Times are in seconds.

    With `health` the next batch waits until service and health URL of this one are well, for `settle_s` at most. `undo`
    is its way back. When it was cut off, `probe` tells by exit code 0 that it took effect; otherwise it is given again
    only when it is `repeatable`. `always` gives it also when a run changed nothing.
    """

    command: str
    batch: int = 1
    timeout_s: float = 300.0
    sudo: bool = False
    health: bool = True
    settle_s: float = 30.0
    undo: str | None = None
    probe: str | None = None
    repeatable: bool = False
    always: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be carried out."""
        for name in ("command", "undo", "probe"):
            text = getattr(self, name)
            if text is not None and (not text.strip() or "\0" in text):
                message = f"on_hosts: {name} is empty, or holds a NUL"
                raise ValueError(message)
        if self.batch < 1 or self.timeout_s <= 0 or self.settle_s < 0:
            message = "on_hosts: batch must be at least 1, timeout_s more than 0, settle_s at least 0"
            raise ValueError(message)

    @property
    def digest(self) -> str:
        """What tells an edited command from the one that a run began with."""
        return sha256(repr(self).encode()).hexdigest()[:16]

    def batches(self, hosts: Sequence[Host]) -> Iterator[tuple[Host, ...]]:
        """The hosts in their order, so many at a time: the same ones on a resume."""
        for start in range(0, len(hosts), self.batch):
            yield tuple(hosts[start : start + self.batch])


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOrder:
    """A command for one host."""

    host: Host
    command: str
    timeout_s: float
    sudo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEnd:
    """How it ended. The time is in ms; without `reason` it did what it should.

    `begun` is false when it never ran there, `cut` is true when it was ended in the middle, or nobody knows: `stopped`
    because the run was asked to stop, `lost` when the connection broke.
    """

    reason: str = ""
    code: int | None = None
    duration_ms: float = 0.0
    begun: bool = True
    cut: bool = False
    stopped: bool = False
    lost: bool = False
