"""Foreign-key violations in the text of a server's log, in each of its three formats.

jsonlog and csvlog name the SQLSTATE, the database and the application in fields of their own. A log of plain text is
words: only English ones can be told, and database and application only where `log_line_prefix` names them (%d, %a).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

Format = Literal["jsonlog", "csvlog", "stderr"]

STATES: Final = ("23503", "23001")
"""foreign_key_violation; since PostgreSQL 18 what ON DELETE RESTRICT refuses is restrict_violation."""

OURS: Final = "orchestrator/"

DATABASE, STATE, APPLICATION = 2, 12, 22
"""Places of columns in a csvlog (https://www.postgresql.org/docs/current/runtime-config-logging.html)."""

ENGLISH: Final = re.compile(r"ERROR: .*violates (RESTRICT setting of )?foreign key constraint")

ESCAPES: Final = {"d": r"(?P<database>.*?)", "a": r"(?P<application>.*?)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Violations in one database by others, and how many bytes of the text hold whole records."""

    violations: int
    whole: int


def count(text: bytes, form: Format, *, database: str, prefix: str = "") -> Counted:
    """Count in the records that are whole; what a record misses is read again next time."""
    whole = _whole_csv(text) if form == "csvlog" else text.rfind(b"\n") + 1
    lines = text[:whole].decode(errors="replace")
    readers = {"jsonlog": _json, "csvlog": _csv}
    found = readers[form](lines) if form in readers else _plain(lines, prefix)
    others = (each for each in found if each[0] in {database, ""} and not each[1].startswith(OURS))
    return Counted(violations=sum(1 for _ in others), whole=whole)


def names_applications(form: Format, prefix: str) -> bool:
    """Whether our own violations can be told from those of others."""
    return form != "stderr" or "a" in _escapes(prefix)


def names_databases(form: Format, prefix: str) -> bool:
    """Whether those of other databases can be left out."""
    return form != "stderr" or "d" in _escapes(prefix)


def _whole_csv(text: bytes) -> int:
    """A record ends with a line break outside of quotes; a quote within a value is doubled."""
    end = len(text)
    while (end := text.rfind(b"\n", 0, end)) >= 0:
        if text.count(b'"', 0, end) % 2 == 0:
            return end + 1
    return 0


def _json(lines: str) -> Iterator[tuple[str, str]]:
    for line in lines.splitlines():
        if any(state in line for state in STATES):
            with suppress(ValueError):
                record = json.loads(line)
                if record.get("state_code") in STATES:
                    yield str(record.get("dbname", "")), str(record.get("application_name", ""))


def _csv(lines: str) -> Iterator[tuple[str, str]]:
    if not any(state in lines for state in STATES):
        return
    for record in csv.reader(io.StringIO(lines)):
        if len(record) > APPLICATION and record[STATE] in STATES:
            yield record[DATABASE], record[APPLICATION]


def _plain(lines: str, prefix: str) -> Iterator[tuple[str, str]]:
    before = re.compile(_pattern(prefix) + r"ERROR: ")
    for line in lines.splitlines():
        if ENGLISH.search(line):
            named = before.match(line)
            known = named.groupdict() if named else {}
            yield (known.get("database") or "").strip(), (known.get("application") or "").strip()


def _pattern(prefix: str) -> str:
    """`log_line_prefix` as a regular expression; %q only ends it for processes without a session."""
    parts, at = [], 0
    for found in re.finditer(r"%-?\d*([a-zA-Z%])", prefix):
        parts.append(re.escape(prefix[at : found.start()]))
        letter, at = found.group(1), found.end()
        parts.append("%" if letter == "%" else "" if letter == "q" else ESCAPES.get(letter, ".*?"))
    pattern = "".join((*parts, re.escape(prefix[at:])))
    for name in ("database", "application"):
        first = pattern.find(f"(?P<{name}>")
        # A prefix may name a thing twice, a group may not.
        pattern = pattern[: first + 1] + pattern[first + 1 :].replace(f"(?P<{name}>", "(?:")
    return pattern


def _escapes(prefix: str) -> str:
    return "".join(re.findall(r"%-?\d*([a-zA-Z])", prefix))
