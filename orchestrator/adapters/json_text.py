"""Documents as JSON text, for scripts and for people who search it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator.core.answers import Document

AS_TEXT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""What JSON has no form for is written as Python prints it, by either encoder."""


def json_text(document: Document) -> Iterator[str]:
    """The document as JSON, piece by piece: an item of a list to a line, so that a large plan is never one text."""
    opening = "{"
    for key, value in document.items():
        yield f"{opening}\n  {encoded(key)}: "
        opening = ","
        if isinstance(value, list) and value:
            yield from (f"{',' if number else '['}\n    {encoded(each)}" for number, each in enumerate(value))
            yield "\n  ]"
        else:
            yield encoded(value)
    yield "{}\n" if opening == "{" else "\n}\n"


def encoded(value: Any) -> str:
    """One value as JSON on one line."""
    try:
        return orjson.dumps(value, default=str, option=AS_TEXT).decode()
    except TypeError:
        # Half of a surrogate pair (the name of a file), a number past 64 bits: rare, and Python's own has no limit.
        return json.dumps(value, ensure_ascii=False, default=str)
