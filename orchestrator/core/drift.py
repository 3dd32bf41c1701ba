"""What differs between two recorded catalogs, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from orchestrator.core.audit_objects import SCHEMA
from orchestrator.core.journal import CatalogRecorded


def differences(before: CatalogRecorded, after: CatalogRecorded) -> Iterator[str]:
    """Line by line where both kept the lines, else table by table; nothing when the fingerprints are equal."""
    if before.fingerprint == after.fingerprint:
        return
    yield from line_differences(before.lines, after.lines)
    yield from (words for _, words in _by_table(before, after))


def elsewhere(before: CatalogRecorded, after: CatalogRecorded, *, ours: Collection[str]) -> tuple[str, ...]:
    """Of the differences those in tables that no line was kept of and that are none of `ours`, by printed name."""
    return tuple(words for name, words in _by_table(before, after) if name not in ours and not _of_audits(name))


def _of_audits(name: str) -> bool:
    """Whether the catalog's name of a table or function is in schema `orphan_audit`."""
    return name.removeprefix("function ").startswith(f"{SCHEMA}.")


def _by_table(before: CatalogRecorded, after: CatalogRecorded) -> Iterator[tuple[str, str]]:
    """The tables that no line was kept of and that differ: name, and what is told."""
    if before.fingerprint == after.fingerprint:
        return
    told = {line.split(":", 1)[0] for line in (*before.lines, *after.lines)}
    for name in sorted((before.tables.keys() | after.tables.keys()) - told):
        if before.tables.get(name) != after.tables.get(name):
            word = "new" if name not in before.tables else "gone" if name not in after.tables else "changed"
            yield name, f"{word}: table {name}"


def line_differences(before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    """Lines that are gone, then lines that are new."""
    first, second = set(before), set(after)
    yield from (f"gone: {line}" for line in sorted(first - second))
    yield from (f"new: {line}" for line in sorted(second - first))
