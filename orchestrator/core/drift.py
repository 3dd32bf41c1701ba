"""What differs between two recorded catalogs, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.core.journal import CatalogRecorded


def differences(before: CatalogRecorded, after: CatalogRecorded) -> Iterator[str]:
    """Line by line where both kept the lines, else table by table; nothing when the fingerprints are equal."""
    if before.fingerprint == after.fingerprint:
        return
    yield from line_differences(before.lines, after.lines)
    told = {line.split(":", 1)[0] for line in (*before.lines, *after.lines)}
    for name in sorted((before.tables.keys() | after.tables.keys()) - told):
        if before.tables.get(name) != after.tables.get(name):
            word = "new" if name not in before.tables else "gone" if name not in after.tables else "changed"
            yield f"{word}: table {name}"


def line_differences(before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    """Lines that are gone, then lines that are new."""
    first, second = set(before), set(after)
    yield from (f"gone: {line}" for line in sorted(first - second))
    yield from (f"new: {line}" for line in sorted(second - first))
