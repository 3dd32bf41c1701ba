"""What became of the messages to people: where each stands, and what cannot be delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["run", "line", "alert", "report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivered:
    """A message stands in Slack. `message` is its own name, `channel` and `ts` are Slack's for it.

    The run's message is delivered once and changed in place later: only the first time is on record.
    """

    message: str
    part: Part
    channel: str
    ts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryGivenUp:
    """Slack refuses for good, and this run asks it no more; without a `message` that is so for all that was to come."""

    reason: str
    message: str = ""
