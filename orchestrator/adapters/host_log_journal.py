"""Entries of a unit in the journal of systemd, from a cursor on."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.adapters.host_log_lines import LineCounts

ENTRIES: Final = 2_000
"""Entries of the journal's end that tell, the first time, how many errors are usual."""

ERRORS: Final = frozenset({"0", "1", "2", "3"})
"""Priorities of syslog: emergency, alert, critical, error."""

LONGEST: Final = 1 << 20

# Whose journal is seen depends on groups; journalctl says so on its other output (systemd's journalctl.c).
NO_RIGHT: Final = (b"insufficient permissions", b"not seeing messages from other users", b"Permission denied")
RIGHT: Final = "{user} may not read the journal (needs: the group systemd-journal or adm)"


@dataclass(slots=True, kw_only=True)
class JournalLines:
    """Output of journalctl as JSON, entry by entry, counted; `cursor` is where the next sample goes on.

    The entry of `last` comes first again, so that one that is gone is seen.
    """

    last: str
    counts: LineCounts = field(default_factory=LineCounts)
    cursor: str = ""
    why: str = ""
    note: str = ""
    _most: int = 0
    _size: int = 0
    _rest: bytes = b""

    def __post_init__(self) -> None:
        """Where nothing new comes, the place stays."""
        self.cursor = self.last

    def words(self, unit: str, *, most: int) -> str:
        """The command. --output-fields is of systemd 236."""
        self._most = most
        since = f"--cursor={shlex.quote(self.last)}" if self.last else f"-n {ENTRIES}"
        fields = "-o json --output-fields=MESSAGE,PRIORITY --no-pager -q"
        # Without -q the hint about missing rights is told; it is asked for only where there is nothing else.
        return (
            f"LC_ALL=C; export LC_ALL; journalctl -u {shlex.quote(unit)} {since} {fields} 2>&1 | head -c {most};"
            f" journalctl -u {shlex.quote(unit)} -n 1 -o cat --no-pager 2>&1 >/dev/null | sed 's/^/hint /'"
        )

    def take(self, data: bytes) -> None:
        """Take bytes in, in pieces of any size."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def pause(self) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """An entry that was cut off is read again next time."""
        if self._size >= self._most:
            self.note = "; ".join(filter(None, (self.note, "more entries are left for the next sample")))
        if self._size and self.why == RIGHT:
            self.why = ""

    def _line(self, line: bytes) -> None:
        try:
            entry = json.loads(line) if line.startswith(b"{") else None
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or "__CURSOR" not in entry:
            self._said(line)
            return
        cursor, seen = str(entry["__CURSOR"]), self._size
        self._size += len(line) + 1
        if not seen and self.last:
            if cursor == self.last:
                return
            self.note = "the entry that was read last is gone: entries after it may be missing"
        self.cursor = cursor
        self._count(entry)

    def _said(self, line: bytes) -> None:
        """What is no entry is a word of journalctl."""
        if any(each in line for each in NO_RIGHT):
            self.why = RIGHT
        elif b"not found" in line and not self._size:
            self.why = "there is no journalctl (needs: systemd)"
        elif b"Failed to" in line and not self._size:
            self.why = "journalctl cannot read the journal (needs: systemd 236, and a journal on disk)"

    def _count(self, entry: dict[str, Any]) -> None:
        message = _message(entry.get("MESSAGE"))
        level = "error" if str(entry.get("PRIORITY", "")) in ERRORS else ""
        first, *more = message[:LONGEST].split(b"\n")
        self.counts.line(first, level=level)
        self.counts.left = max(self.counts.left, len(more))
        for each in more:
            self.counts.line(each)


def _message(text: object) -> bytes:
    """A message as it was written: what is not UTF-8 comes as numbers, a long one as null.

    An entry may hold the field more than once, and then has a list of such (sd-journal takes it from any process).
    """
    if not isinstance(text, list):
        return str(text or "").encode(errors="replace")
    with suppress(TypeError, ValueError):
        return bytes(text)
    return b"\n".join(_message(each) for each in text if isinstance(each, str | list))
