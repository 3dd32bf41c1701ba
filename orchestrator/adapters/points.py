"""The points at which the world outside changes: one seam, so that a test can kill the program exactly there.

In production `reached` is a function that does nothing; nothing else is paid for it.
"""

from __future__ import annotations

from collections.abc import Callable


def _nothing(_: str) -> None:
    """What happens at a point in production."""


_visit: Callable[[str], None] = _nothing


def reached(point: str) -> None:
    """The program is at this point, such as `effect:committed`: the name says what has happened."""
    _visit(point)


def visit(visitor: Callable[[str], None]) -> None:
    """Call `visitor` at every point from now on: for the project's own chaos runs, never in production."""
    global _visit  # noqa: PLW0603  one seam for the whole program
    _visit = visitor
