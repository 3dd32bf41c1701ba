"""The commands on hosts as a part of what is approved: a digest of their own beside the plan's, where there are any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator.core.catalog import digest

MARK: Final = "on hosts "
"""How the line of a command begins in the definition of a runbook, as a run keeps it."""

DIGITS: Final = 16
FEWEST: Final = 12
"""Digits of each digest that name it."""


def commands_in(definition: Iterable[str]) -> tuple[str, ...]:
    """The lines of the commands on hosts, in the order in which they are given."""
    return tuple(line for line in definition if line.startswith(MARK))


def with_commands(told: str, lines: tuple[str, ...]) -> str:
    """The digest of a plan, or a fingerprint, with that of the commands; alone where there is no command."""
    return f"{told}.{digest(lines)[:DIGITS]}" if lines else told


def apart(told: str) -> tuple[str, str]:
    """The two parts of such a text; the second is empty where there is no command."""
    first, _, second = told.partition(".")
    return first, second


def names(given: str, whole: str) -> bool:
    """Whether the beginnings that somebody typed name that plan, and its commands where it has any."""
    wanted = apart(whole)
    return all(
        part.startswith(begun) and (len(begun) >= FEWEST or not part)
        for begun, part in zip(apart(given), wanted, strict=True)
    )
