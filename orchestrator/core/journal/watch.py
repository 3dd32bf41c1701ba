"""The watch after a deployment: the baseline in the deployment's own run, everything else in a run of the watch."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.watch import Sample, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTaken:
    """What writes and errors were like before anything was changed; `unknown` says why there is none."""

    sample: Sample | None
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchBegan:
    """Run `of` is watched for so many seconds; `before` is what its own journal has as a baseline."""

    of: str
    for_s: float
    before: Sample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTaken:
    """A sample."""

    sample: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchJudged:
    """The thresholds say something else than before. `command` is what to type; `automatic` when the policy does it."""

    word: Word
    was: Word
    reasons: tuple[str, ...] = ()
    command: str = ""
    automatic: bool = False

    @property
    def worse(self) -> bool:
        """Whether somebody has to be called."""
        return self.word != "go" and (self.was == "go" or self.word == "roll back")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEnded:
    """The watch is over: the worst word that it gave, the time that was watched without gaps in s, and how it ended.

    `last` is the word that it ended with.
    """

    word: Word
    watched_s: float
    samples: int
    gaps: int
    reason: str = ""
    last: Word = "go"
