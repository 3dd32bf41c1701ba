"""What the document set tells of a schema: a snapshot of the contract's tables, as events of a run of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescribed:
    """A table that the contract touches: how many of each kind it has, and its CHECK constraints by name.

    `indexes` are all but the primary key and those that are unique and partial; `refers` tells whether a promised
    relation starts here.
    """

    schema: str
    table: str
    refers: bool
    columns: int
    indexes: int
    partial_unique: tuple[str, ...]
    checks: tuple[str, ...]
    foreign_keys: int

    @property
    def name(self) -> str:
        """The table as people write it."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDescribed:
    """The contract's tables, those that do not exist, and per relation the query that counts its orphans.

    `checks` are the runbook's own: id and title.
    """

    tables: tuple[TableDescribed, ...]
    absent: tuple[str, ...]
    orphan_queries: Mapping[str, str]
    checks: tuple[tuple[str, str], ...]
