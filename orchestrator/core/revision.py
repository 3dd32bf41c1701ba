"""What a script of `alembic upgrade --sql` did to alembic_version: the tool's own history, no change of data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog, TableName

VERSIONS = "alembic_version"
Revisions = Mapping[TableName, frozenset[str]]
"""The revisions that stand in each table of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """From which revision to which; `follows` is empty for the first one, `beside` has the heads that stayed."""

    table: TableName
    revision: str
    follows: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def version_tables(catalog: Catalog) -> Iterator[TableName]:
    """Alembic's tables: of that name, with version_num and nothing else."""
    for name, table in catalog.tables.items():
        if name.name == VERSIONS and [each.name for each in table.columns] == ["version_num"]:
            yield name


def moved(before: Revisions, after: Revisions) -> tuple[Moved | None, str]:
    """How the history moved, and why that cannot be recorded; neither when it stayed where it was."""
    changed = [name for name in before if before[name] != after.get(name, frozenset())]
    if not changed:
        return None, ""
    if len(changed) > 1:
        return None, f"it writes several tables called {VERSIONS}: {', '.join(map(str, sorted(changed)))}"
    (table,) = changed
    gone, come = before[table] - after[table], after[table] - before[table]
    if len(come) != 1 or len(gone) > 1:
        words = f"from {_told(gone)} to {_told(come)}"
        return None, f"it moves {table} {words}: only one revision in the place of one is recorded"
    (revision,) = come
    return Moved(table=table, revision=revision, follows=tuple(gone), beside=tuple(sorted(before[table] - gone))), ""


def _told(revisions: frozenset[str]) -> str:
    return ", ".join(sorted(revisions)) or "nothing"
