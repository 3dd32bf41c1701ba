"""What a task gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.answers import Document, json_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a task gives back: one document, and the exit code that goes with it."""

    document: Document
    exit_code: int

    def text(self) -> Iterator[str]:
        """The document as JSON, piece by piece."""
        return json_text(self.document)
