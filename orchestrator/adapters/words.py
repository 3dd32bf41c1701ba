"""How numbers, times, names and texts are written for people, in every report and message."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from orchestrator.core.fates import RelationRow
from orchestrator.core.nouns import noun

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

FATE_WORDS: Final[Mapping[str, str]] = {"present": "already there", "missing": "not there"}


def duration(ms: float | None) -> str:
    """`340 ms`, `1.2 s`, `2 min 05 s`, `3 h 20 min`; a dash for what was not measured."""
    if ms is None:
        return "\N{EN DASH}"
    if round(ms) < SECOND:
        return f"{ms:.1f} ms" if 0 < ms < 10 else f"{ms:.0f} ms"  # noqa: PLR2004  two digits tell enough
    if round(ms, -2) < MINUTE:
        return f"{ms / SECOND:.1f} s"
    minutes, seconds = divmod(round(ms / SECOND), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def size(count: int) -> str:
    """`12.3 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1023.95:  # noqa: PLR2004  what would be shown as 1024.0
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def moment(at: datetime) -> str:
    """`2026-12-14 09:30 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def grouped(count: int) -> str:
    """`1234`, `1 234 567`: from five digits on, with spaces that do not break."""
    return str(count) if count < 10_000 else f"{count:,}".replace(",", "\N{NO-BREAK SPACE}")  # noqa: PLR2004


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `12 345 rows`: a grouped count with its noun."""
    return f"{grouped(count)} {noun(count, one, many)}"


def fate_word(fate: str) -> str:
    """A fate as people say it."""
    return FATE_WORDS.get(fate, fate)


def where(row: RelationRow) -> str:
    """Table and columns of a relation."""
    return f"{row.schema}.{row.table}({', '.join(row.columns)})"


def literal(text: object) -> str:
    """Text for one line or table cell of Markdown: what means something to Markdown or HTML is shown, not obeyed."""
    line = " ".join(str(text).splitlines())
    line = re.sub(r"([\\`*\[\]|~])", r"\\\1", line.replace("&", "&amp;"))
    line = line.replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    return re.sub(r"^([#+=-])|^(\d+)([.)])(?=\s|$)", r"\2\\\1\3", line)


def line(text: object) -> str:
    """Text for one line of a message: line breaks within a name or a note make no lines of their own."""
    return " ".join(str(text).split("\n")).replace("\r", " ")


def fenced(text: str, language: str = "") -> str:
    """A code block of Markdown, with a fence longer than any in the text."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def comment(text: object, indent: str = "") -> str:
    """An SQL comment, on each of its lines: a name may hold a line break."""
    return "\n".join(f"-- {indent}{line}" for line in str(text).splitlines())


def commands(text: str) -> list[tuple[bool, str]]:
    """The text in parts: whether it is something to type, and what."""
    parts = re.split(r"(invoke [a-z]+(?: --?[a-z-]+(?: [^\s,;:()-][^\s,;:()]*)?)+)", text)
    return [(part.startswith("invoke "), part) for part in parts if part]


def source_hash(script: str) -> str:
    """What a Content-Security-Policy calls this inline script, so that no other runs."""
    return b64encode(sha256(script.encode()).digest()).decode()


def shortened(text: str, most: int) -> str:
    """A text of at most so many letters: its beginning and its end, where a chart has no room for the whole."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def python(value: object) -> str:
    """A value as Python writes it: a text in quotes, with what would end them escaped."""
    return repr(value)


def quoted(text: str) -> str:
    """A string as TypeScript and Python both read it."""
    return json.dumps(text, ensure_ascii=False)
