"""Lines of an application's log: how many there are, how many are errors, and how often a foreign key refused a write.

Three kinds of lines are known: JSON with a level (pino, winston, bunyan, zap, structlog and others), requests in the
common or combined format with their status, and plain text with a level in words. Nothing of a line is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LONGEST: Final = 1 << 20
"""Bytes of a line that are looked at; the rest of a longer one is passed over."""

LOOKED_AT: Final = 256
"""Bytes of a line in which its level stands."""

BELONGS: Final = 100
"""So many lines without a time of their own belong at most to the one with a time before them: a stack trace."""

# foreign_key_violation, and since PostgreSQL 18 restrict_violation. A number alone may be anything: it counts where it
# is called a state or a code. The words are those of the server (in English), Prisma (P2003), psycopg, asyncpg,
# SQLAlchemy and Django (which tell psycopg's), Sequelize, and Npgsql (the state before a colon).
VIOLATION: Final = re.compile(
    rb"violates (?:restrict setting of )?foreign key constraint|foreign key constraint (?:violated|failed)"
    rb"|foreignkey(?:constraint)?(?:violation|error)|restrictviolation|\bp2003\b"
    rb"|(?<!zip )(?<!postal )\b(?:sql_?state|pgcode|code|state)[\"'\\\s\[\](:=]{1,6}(?:23503|23001)\b"
    rb"|\b(?:23503|23001): "
)
HINTS: Final = (b"foreign key", b"foreignkey", b"p2003", b"23503", b"23001", b"restrictviolation")
"""Without one of these, in small letters, no line tells of a violation."""

COLOURS: Final = re.compile(rb"\x1b\[[0-9;]*m")
REQUEST: Final = re.compile(
    rb"\S+ \S+ [^\[\"]{1,200}\[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:]+ [+-]\d{4}\] \"(?:[^\"\\]|\\.)*\" (\d{3})\b"
)
STAMP: Final = re.compile(
    rb"[^\w\s]{0,3}(?:\d{4}[-/.]\d\d[-/.]\d\d|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\D|[A-Z][a-z]{2},? +\d|\d\d:\d\d:\d\d|\d{10}"
    rb"|[DIWEF]\d{4} |[DIWEFA], \[|\[?Nest\])"
)
WORDS: Final = rb"trace|debug|info|notice|warn(?:ing)?|error|err|fatal|crit(?:ical)?|severe|panic|emerg(?:ency)?|alert"
LEVEL: Final = re.compile(
    rb"(?:^|(?<=[\s\[|(\"'=<:/-]))(" + WORDS.upper() + rb")(?=[\s\]|):,;>\"'/-]|$)"
    rb"|[\[<](" + WORDS + rb")[\]>]|\b(?:level|lvl|severity)=[\"']?(" + WORDS + rb")\b"
    rb"|(?:^|\s)(" + WORDS + rb"):(?=\s)|^([DIWEF])\d{4} "
)
ERRORS: Final = frozenset(
    (
        b"error", b"err", b"fatal", b"crit", b"critical", b"severe", b"panic", b"emerg", b"emergency", b"alert",
        b"e", b"f",
    )
)  # fmt: skip
CHAIN: Final = (b"The above exception was the direct cause", b"During handling of the above exception")
CONTINUED: Final = (
    b" ", b"\t", b"}", b")", b"]", b"Caused by:", b"DETAIL:", b"HINT:", b"CONTEXT:", b"[SQL", b"[parameters",
    b"(Background", b"LINE ", b"Traceback (most", b"STATEMENT:",
)  # fmt: skip

NAMES: Final = ("level_name", "levelname", "level", "severity", "log.level", "lvl", "@l", "loglevel", "PRIORITY")
PINO_ERROR: Final = 50
PYTHON_ERROR: Final = 40
SYSLOG_ERROR: Final = 3
SERVER_ERROR: Final = range(500, 600)


@dataclass(slots=True, kw_only=True)
class LineCounts:
    """What came so far; `whole` are the bytes of whole lines. With `cut` the first line is only the end of one."""

    cut: bool = False
    lines: int = 0
    errors: int = 0
    violations: int = 0
    whole: int = 0
    told: bool = False
    left: int = 0
    chained: bool = False
    _rest: bytes = b""
    _over: bool = False

    @property
    def inside(self) -> str:
        """What the next line has to know of those before."""
        return f"{self.told:d}{self.chained:d}{self.left}" if self.told or self.left else ""

    def go_on(self, inside: str) -> LineCounts:
        """From where the last lines left off."""
        if inside:
            self.told, self.chained, self.left = inside[0] == "1", inside[1] == "1", int(inside[2:] or 0)
        return self

    def take(self, data: bytes) -> None:
        """Take bytes in, in pieces of any size."""
        text = self._rest + data
        end = text.rfind(b"\n") + 1
        block, self._rest = text[:end], text[end:]
        self.whole += end
        if block:
            self._count(block)
        if len(self._rest) > LONGEST:
            # There may be no end to it: what stands at its beginning counts once.
            self.whole += len(self._rest)
            if not self._over:
                self._count(self._rest)
            self._rest, self._over = b"", True

    def pause(self) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """A line without its end is read again next time."""

    def _count(self, block: bytes) -> None:
        small = block.lower()
        suspect = any(each in small for each in HINTS)
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if (self.cut or self._over) and lines:
            # The rest of a line whose beginning was not seen, or has been counted.
            lines, self.cut, self._over = lines[1:], False, False
        for line in lines:
            self.line(line, suspect=suspect)

    def line(self, line: bytes, *, suspect: bool = True, level: str = "") -> None:
        """Count one line; `level` is what stands beside it, in a journal."""
        if b"\x1b" in line[:LOOKED_AT]:
            line = COLOURS.sub(b"", line)
        bad = suspect and VIOLATION.search(line[:LONGEST].lower()) is not None
        found = _error_of(line) if not level else None
        if found is None and not level:
            self._text(line.rstrip(b"\r"), bad=bad)
            return
        self._record(error=bool(found) or level == "error", bad=bad)

    def _record(self, *, error: bool, bad: bool) -> None:
        """A line that is a record by itself."""
        self.lines += 1
        self.errors += error
        self.violations += bad
        self.told, self.left, self.chained = bad, 0, False

    def _text(self, line: bytes, *, bad: bool) -> None:
        if not line:
            return
        if STAMP.match(line):
            self._record(error=_says_error(line), bad=bad)
            self.left = BELONGS
            return
        inside, self.left = self.left > 0, max(0, self.left - 1)
        if line.startswith(CHAIN):
            self.chained = True
            return
        if inside or self.chained or line.startswith(CONTINUED):
            self.violations += bad and not self.told
            self.told = self.told or bad
            # Of two exceptions that are one only the first counts; what comes after the second is another matter.
            self.chained = self.chained and not bad
            return
        self._record(error=_says_error(line), bad=bad)


def _says_error(line: bytes) -> bool:
    """The first level of a line is its own: later ones belong to its text."""
    found = LEVEL.search(line[:LOOKED_AT])
    return found is not None and (found[found.lastindex or 0]).lower() in ERRORS


def _error_of(line: bytes) -> bool | None:
    """Whether a line of JSON or a request is an error; None when it is neither."""
    if line.startswith(b"{"):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            # Whoever may write into a log must not be able to end its reading: such a line is text.
            return None
        return _json_error(document) if isinstance(document, dict) else None
    found = REQUEST.match(line)
    return int(found[1]) in SERVER_ERROR if found else None


def _json_error(document: Mapping[str, Any]) -> bool:
    nested = document.get("log")
    answer = document.get("res")
    if isinstance(nested, dict) and "level" in nested:
        document = {**document, "log.level": nested["level"]}
    if _status(document) in SERVER_ERROR or (isinstance(answer, dict) and _status(answer) in SERVER_ERROR):
        return True
    number = document.get("levelno")
    if isinstance(number, int):
        return number >= PYTHON_ERROR
    level = next((document[name] for name in NAMES if name in document), None)
    if isinstance(level, int | float):
        # GELF has the numbers of syslog, where less is worse; pino and bunyan have 50 for an error.
        return level <= SYSLOG_ERROR if "short_message" in document else level >= PINO_ERROR
    return isinstance(level, str) and COLOURS.sub(b"", level.encode(errors="replace")).strip().lower() in ERRORS


def _status(document: Mapping[str, Any]) -> int:
    for name in ("status", "statusCode", "status_code"):
        value = document.get(name)
        if isinstance(value, int):
            return value
        if isinstance(value, str) and re.fullmatch(r"[1-5]\d\d", value):
            return int(value)
    return 0
