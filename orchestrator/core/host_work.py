"""What a run saw of hosts and did on them, as its events add up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.hosts import HostFacts
from orchestrator.core.journal import (
    Event,
    HostCommandDone,
    HostCommandFailed,
    HostCommandIntended,
    HostSaid,
    HostSettled,
    HostsSeen,
    HostUndoPassedOver,
)

PlaceKey = tuple[str, str]
"""Item and host."""

LAST_WORDS = 2_000
"""Characters of a command's last output that a report shows."""


@dataclass(slots=True, kw_only=True)
class Place:
    """A command on one host. `cut off` is one whose end nobody knows; `well` is None until health was asked."""

    state: Literal["cut off", "done", "failed", "not begun"] = "cut off"
    way_back: bool = False
    well: bool | None = None
    reason: str = ""
    said: str = ""
    duration_ms: float = 0.0

    @property
    def touched(self) -> bool:
        """Whether anything may have happened there."""
        return self.state != "not begun"


@dataclass(slots=True)
class HostWork:
    """`latest` is the last look at each host: what a later look is held against.

    `places` has the commands given, in their order; `undone` those taken back, with the run whose they were.
    """

    latest: dict[str, HostFacts] = field(default_factory=dict)
    places: dict[PlaceKey, Place] = field(default_factory=dict)
    undone: dict[tuple[str, str, str], Place] = field(default_factory=dict)
    passed_over: list[HostUndoPassedOver] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        """Whether anything was done on any host, forwards or back."""
        return any(each.touched for each in (*self.places.values(), *self.undone.values()))

    def before(self) -> Mapping[str, HostFacts]:
        """The look that the next one is held against."""
        return dict(self.latest)

    def taken_back(self, run: str) -> frozenset[PlaceKey]:
        """The places of that run whose way back this one has gone."""
        return frozenset(
            (item, host) for (of, item, host), place in self.undone.items() if of == run and place.state == "done"
        )

    def to_take_back(self, gone: Collection[PlaceKey]) -> Iterator[PlaceKey]:
        """The places with a way back that are not `gone` yet, last first."""
        for key, place in reversed(self.places.items()):
            if place.touched and place.way_back and key not in gone:
                yield key

    def see(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case HostsSeen():
                self.latest |= {each.host: each for each in event.facts}
            case HostUndoPassedOver():
                self.passed_over.append(event)
            case HostCommandIntended():
                self._put(event, Place(way_back=event.way_back))
            case HostCommandDone() | HostCommandFailed() | HostSettled() | HostSaid():
                self._change(event)
            case _:
                return

    def _put(self, event: HostCommandIntended, place: Place) -> None:
        if event.of:
            self.undone[event.of, event.item, event.host] = place
        else:
            # One that is given again goes to the end, so that the way back is in the other order.
            self.places.pop((event.item, event.host), None)
            self.places[event.item, event.host] = place

    def _change(self, event: HostCommandDone | HostCommandFailed | HostSettled | HostSaid) -> None:
        key = (event.item, event.host)
        place = self.undone.get((event.of, *key)) if event.of else self.places.get(key)
        if place is None:
            return
        match event:
            case HostCommandDone():
                place.state, place.reason, place.duration_ms = "done", "", event.duration_ms
            case HostCommandFailed():
                place.state = "cut off" if event.cut else "failed" if event.begun else "not begun"
                place.reason, place.duration_ms = event.reason, event.duration_ms
            case HostSettled():
                place.well, place.reason = not event.reason, event.reason
            case HostSaid():
                place.said = (place.said + event.text)[-LAST_WORDS:]
