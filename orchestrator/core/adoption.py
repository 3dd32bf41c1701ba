"""A migration that exists, taken apart by what it did to a copy: keys, indexes and checks go online, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff

from orchestrator.core.catalog import Catalog, ForeignKey, TableName
from orchestrator.core.contract import Relation

MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that stands after the migration and did not before."""

    table: TableName
    key: ForeignKey

    @property
    def relation(self) -> Relation:
        """The same key as a line of a contract."""
        return Relation(
            table=self.table,
            columns=self.key.columns,
            referenced=self.key.referenced,
            referenced_columns=self.key.referenced_columns,
            on_delete=self.key.on_delete,
            on_update=self.key.on_update,
            match="full" if self.key.match == "full" else "simple",
            deferrable=self.key.deferrable,
            name=self.key.name,
            on_delete_columns=self.key.on_delete_columns,
        )

    @property
    def objection(self) -> str:
        """Why a contract cannot say it; empty when it can."""
        if not self.key.holds:
            return f"key {self.key.name} of {self.table} does not hold after it (NOT VALID, or not enforced)"
        return f"key {self.key.name} of {self.table} is a PERIOD key" if self.key.period else ""


def new_keys(before: Catalog, after: Catalog) -> Iterator[NewKey]:
    """The keys of tables that were there; what a partition has from its table goes with that."""
    for name, table in after.tables.items():
        former = before.table(name)
        known = set(former.foreign_keys) if former else set()
        for key in table.foreign_keys if former else ():
            if not key.inherited and key not in known:
                yield NewKey(table=name, key=key)


def leaning(keys: Iterable[NewKey], before: Catalog) -> Iterator[str]:
    """Keys that refer to columns which were not unique before: they need an index that is not there yet."""
    for each in keys:
        referenced = before.table(each.key.referenced)
        if referenced and referenced.referenced_index(each.key.referenced_columns) is None:
            yield f"key {each.key.name} of {each.table}"


def differing(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """Lines of two dumps that differ, as `+ …` or `- …`."""
    lines = unified_diff(tuple(before), tuple(after), n=0, lineterm="")
    return tuple(
        f"{each[0]} {each[1:].strip()}" for each in lines if each[:1] in "+-" and each[:3] not in {"+++", "---"}
    )


def told(lines: tuple[str, ...]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(lines) - MOST_TOLD} more" if len(lines) > MOST_TOLD else ""
    return "; ".join(lines[:MOST_TOLD]) + more
