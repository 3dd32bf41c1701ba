"""A count with its noun, as people say it: `1 row`, `2 rows`."""

from __future__ import annotations


def noun(count: int, one: str, many: str = "") -> str:
    """The noun for so many: `one` for one, otherwise `many`, by default with an s."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`; `1 index`, `2 indexes` with `many`."""
    return f"{count} {noun(count, one, many)}"
