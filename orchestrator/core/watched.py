"""What the events of a watch add up to, as far as it came."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from orchestrator.core.journal.watch import BaselineTaken, SampleTaken, WatchBegan, WatchEnded, WatchJudged
from orchestrator.core.watch import LogRead, Sample, Word
from orchestrator.core.watch_logs import HostLogRead
from orchestrator.core.watch_readings import Baseline, Reading, baseline, reading
from orchestrator.core.watch_rules import RANK

ITEM: Final = "monitor"
"""The item of a checklist that a watch confirms."""

ENOUGH_S: Final = 72 * 3600.0
"""Three days of watching, as the facts ask for."""


@dataclass(slots=True)
class Watched:
    """A watch. `baseline` belongs to a deployment's run, everything else to a run of its own.

    `log` is how far the server's log was read, also when the last sample could not read it; `logs` those of the hosts,
    by host and log.
    """

    baseline: BaselineTaken | None = None
    began: WatchBegan | None = None
    last: Sample | None = None
    log: LogRead | None = None
    logs: dict[tuple[str, str], HostLogRead] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    words: list[tuple[datetime, WatchJudged]] = field(default_factory=list)
    ended: WatchEnded | None = None
    watched_s: float = 0.0

    def see(self, event: object) -> None:
        """Take one event in; those of others are passed over."""
        match event:
            case BaselineTaken():
                self.baseline = event
            case WatchBegan():
                self.began = event
            case SampleTaken():
                self._take(event.sample)
            case WatchJudged() if self.last:
                self.words.append((self.last.at, event))
            case WatchEnded():
                self.ended = event
            case _:
                return

    def _take(self, sample: Sample) -> None:
        found = reading(self.last, sample)
        self.readings.append(found)
        self.last, self.log = sample, sample.log or self.log
        self.logs |= {(each.host, each.log): each for host in sample.hosts for each in host.logs}
        self.watched_s += 0.0 if found.gap else found.seconds

    @property
    def held_against(self) -> Baseline:
        """What the readings are compared with."""
        return baseline(self.began.before if self.began else None, self.readings)

    @property
    def gaps(self) -> tuple[str, ...]:
        """When nobody looked, and why."""
        return tuple(each.gap for each in self.readings if each.gap)

    @property
    def word(self) -> Word:
        """What the thresholds say now."""
        return self.words[-1][1].word if self.words else "go"

    @property
    def worst(self) -> Word:
        """The worst that they said."""
        return max((each.word for _, each in self.words), key=lambda word: RANK[word], default="go")
