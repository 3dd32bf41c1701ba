"""What PostgreSQL makes of names: of one that is too long, and of a foreign key that has none."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from orchestrator.core.contract import NAME_LIMIT


def kept(name: str) -> str:
    """What the server keeps of a name: whole characters up to 63 bytes; the rest is cut off in silence."""
    return whole(name, NAME_LIMIT)


def foreign_key_name(table: str, columns: tuple[str, ...], taken: Collection[str]) -> str:
    """`{table}_{columns}_fkey`, and a number behind it while a constraint of the schema is called that.

    As ChooseForeignKeyConstraintNameAddition and ChooseConstraintName do it.
    """
    joined = whole("_".join(columns), NAME_LIMIT)
    for number in count():
        label = f"fkey{number or ''}"
        name = _object_name(table, joined, label)
        if name not in taken:
            return name
    raise AssertionError  # a count has no end


def _object_name(first: str, second: str, label: str) -> str:
    """makeObjectName: the longer of the two parts is cut, byte by byte, until all fit into 63."""
    room = NAME_LIMIT - len(label) - 2
    lengths = [len(first.encode()), len(second.encode())]
    while sum(lengths) > room:
        lengths[0 if lengths[0] > lengths[1] else 1] -= 1
    return "_".join((whole(first, lengths[0]), whole(second, lengths[1]), label))


def whole(text: str, limit: int) -> str:
    """As many whole characters as fit into that many bytes."""
    return text.encode()[:limit].decode(errors="ignore")
