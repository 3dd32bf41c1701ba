"""What a task gives back."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.adapters.json_text import json_text
from orchestrator.core.answers import Document

JSON_ESCAPE: Final = "json_escape"
"""What a stream cannot show is written as JSON writes it: `backslashreplace` makes `\\xf6`, which no parser reads."""


def _json_escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


codecs.register_error(JSON_ESCAPE, _json_escape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a task gives back: one document, and the exit code that goes with it."""

    document: Document
    exit_code: int

    def text(self) -> Iterator[str]:
        """The document as JSON, piece by piece."""
        return json_text(self.document)
