"""Which columns a remediation writes, and by which it finds a row again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from orchestrator.core.catalog import Column, Index, Table
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import Refused

How = Literal["set-null", "delete", "reassign", "quarantine"]
HOWS: tuple[How, ...] = get_args(How)
TAKES_AWAY: frozenset[How] = frozenset({"delete", "quarantine"})
"""What makes the row itself disappear."""


class NoKey(Refused):
    """A table whose rows cannot be told apart."""

    def __init__(self, table: str) -> None:
        """The table as people write it."""
        super().__init__(
            f"{table} has no primary key, and no unique index over NOT NULL columns (immediate, valid, not partial):"
            " its rows cannot be told apart, so nothing could be put back"
        )


def row_key(table: Table) -> tuple[str, ...] | None:
    """The columns of the primary key, or of the narrowest unique index that tells all rows apart."""
    usable = [each for each in table.indexes if each.primary or _tells_apart(each, table)]
    best = min(usable, key=lambda each: (not each.primary, len(each.columns), each.name), default=None)
    return tuple(column for column in best.columns if column) if best else None


def _tells_apart(index: Index, table: Table) -> bool:
    """A unique index lets any number of NULLs in, a deferred one two equal rows until the commit."""
    columns = [table.column(each) if each else None for each in index.columns]
    usable = index.unique and index.valid and index.immediate and not index.partial and not index.exclusion
    return usable and all(each is not None and each.not_null for each in columns)


def written(relation: Relation, how: How, table: Table, others: Iterable[Relation]) -> tuple[str, ...]:
    """The columns that are written; `others` are relations of the same table. Raises Refused when they cannot be."""
    if how in TAKES_AWAY:
        return ()
    reasons = {name: _reason(table, table.column(name), how) for name in relation.columns}
    sets = relation.columns
    if how == "set-null" and relation.match == "simple":
        sets = relation.on_delete_columns or _enough(relation, reasons, others)
    for name in sets:
        if reasons.get(name):
            choice = ", ".join(each for each in HOWS if each in TAKES_AWAY or (each != how and how == "set-null"))
            full = (
                " (MATCH FULL: all columns have to be NULL)" if how == "set-null" and relation.match == "full" else ""
            )
            message = f"--how {how} cannot be: {table.name}.{name} {reasons[name]}{full}; choose {choice}"
            raise Refused(message)
    return sets


def _enough(relation: Relation, reasons: dict[str, str], others: Iterable[Relation]) -> tuple[str, ...]:
    """MATCH SIMPLE lets a row pass when any column is NULL: those that can be, and first those of nobody else."""
    nullable = tuple(name for name in relation.columns if not reasons[name])
    elsewhere = {name for each in others for name in each.columns}
    own = tuple(name for name in nullable if name not in elsewhere)
    return own or nullable or relation.columns


def _reason(table: Table, column: Column | None, how: How) -> str:
    """Why a column cannot be written; empty when it can."""
    primary = next((each.columns for each in table.indexes if each.primary), ())
    if column is None:
        return ""
    if how == "set-null" and column.name in primary:
        return "is in the primary key"
    if how == "set-null" and column.not_null:
        return "is NOT NULL"
    if column.generated:
        return "is generated"
    return "is an identity column (GENERATED ALWAYS)" if column.identity == "always" else ""
