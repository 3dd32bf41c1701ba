"""An event as the ledger keeps it: who, when, what, and the hash that ties it to the one before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

GENESIS = "0" * 64
"""What stands in place of the previous hash in a journal's first event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event as the ledger keeps it; `data` is the exact text that was hashed."""

    run: str
    seq: int
    at: datetime
    actor: str
    kind: str
    data: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a run's chain as the ledger keeps it beside the events."""

    seq: int
    hash: str
    environment: str
    closed: bool


def entry_hash(*, previous: str, run: str, seq: int, at: datetime, actor: str, kind: str, data: str) -> str:
    """The hash that ties an event to the one before; the ledger's SQL function computes the same."""
    text = "\n".join((previous, run, str(seq), timestamp(at), actor, kind, data))
    return sha256(text.encode()).hexdigest()


def timestamp(at: datetime) -> str:
    """UTC with microseconds, as the ledger writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
