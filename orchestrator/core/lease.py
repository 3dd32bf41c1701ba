"""The lease: which run may work on a target, and when another may take its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

LEASE_S = 20.0
"""How long a lease is good without a heartbeat, in seconds."""

HEARTBEAT_S = 2.0
"""How often it is renewed, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process: `machine` tells one boot of a system from another, `started` one process from the next of its pid."""

    host: str
    machine: str
    pid: int
    started: str
    os_user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The lease as the target has it; times are the server's."""

    token: int
    run: str
    holder: str
    owner: Owner
    taken_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
    released: bool
    now: datetime

    @property
    def expired(self) -> bool:
        """Whether the holder has been silent for too long."""
        return self.now >= self.expires_at

    def told(self) -> str:
        """Who holds it, since when, from which host."""
        silent = (self.now - self.heartbeat_at).total_seconds()
        left = (self.expires_at - self.now).total_seconds()
        return (
            f"run {self.run} from host {self.owner.host} as {self.owner.os_user} ({self.holder}),"
            f" since {self.taken_at:%Y-%m-%d %H:%M:%S} UTC"
            f" (last heard of {max(0.0, silent):.0f} s ago; its lease ends in {max(0.0, left):.0f} s unless renewed)"
        )


def free(lease: Lease | None, *, gone: bool) -> bool:
    """Whether another run may take it: never taken, given back, expired, or its process is known to be `gone`."""
    return lease is None or lease.released or lease.expired or gone
