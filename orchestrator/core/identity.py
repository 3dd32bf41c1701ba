"""What a database is, told apart by what it is and not by its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What database this is, told apart by what it is and not by its name."""

    system_identifier: str
    database: str
    server_version: int
    role: str
