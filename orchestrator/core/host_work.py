"""What a run saw of hosts and did on them, as its events add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.hosts import HostFacts
from orchestrator.core.journal import Event, HostsSeen


@dataclass(slots=True)
class HostWork:
    """`latest` is the last look at each host before the run's end: what a later look is held against."""

    latest: dict[str, HostFacts] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case HostsSeen():
                self.latest |= {each.host: each for each in event.facts}
            case _:
                return

    def before(self) -> Mapping[str, HostFacts]:
        """The look that the next one is held against."""
        return dict(self.latest)
