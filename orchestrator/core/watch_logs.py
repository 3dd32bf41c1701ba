"""Logs of hosts in a watch: how far each was read, and what came into it. Counts only: no line of a log is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

FEWEST_LINES: Final = 50
"""A share of fewer lines says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlace:
    """How far a file was read, in bytes; `touched` is when it was written to, in s of the host's files.

    `head` is a checksum of its beginning, so that another file with the same inode is not taken for it. `inside` tells
    of a record that was not at its end. `missed` is not 0 where the file was not found the last time.
    """

    file: str
    inode: int
    offset: int
    touched: int = 0
    head: int = 0
    inside: str = ""
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLogRead:
    """What came into a log since the last sample: lines, those of an error, and foreign-key violations.

    The first time, `lines` and `errors` are those of its end, and nothing is told of violations. `cursor` is the
    journal's, `newest` when a file was last written to. `behind` are bytes that were left for the next sample; `note`
    tells what was missed, `unknown` why nothing could be read: then the place is the one of before.
    """

    host: str
    log: str
    places: tuple[LogPlace, ...] = ()
    cursor: str = ""
    newest: int = 0
    lines: int = 0
    errors: int = 0
    violations: int = 0
    behind: int = 0
    first: bool = False
    note: str = ""
    unknown: str = ""

    @property
    def subject(self) -> str:
        """`/var/log/api.log of api-1`."""
        return f"{self.log} of {self.host}"

    @property
    def begun(self) -> bool:
        """Whether there is a place to go on from."""
        return bool(self.places or self.cursor)

    @property
    def error_share(self) -> float | None:
        """Lines of an error, in per cent; None where too few came."""
        return 100 * self.errors / self.lines if self.lines >= FEWEST_LINES and not self.unknown else None

    @property
    def untold(self) -> str:
        """What this does not tell, and why; empty when it tells all."""
        left = f"{self.behind / 1e6:.1f} MB are left for the next sample" if self.behind else ""
        return "; ".join(each for each in (self.unknown, self.note, left) if each)


def untold(logs: Iterable[HostLogRead]) -> Mapping[str, str]:
    """What the logs do not tell, by subject."""
    return {each.subject: each.untold for each in logs if each.untold}


def violations(logs: Iterable[HostLogRead]) -> int | None:
    """Foreign-key violations in all logs that could be read; None where there is none."""
    read = [each.violations for each in logs if not each.unknown]
    return sum(read) if read else None
