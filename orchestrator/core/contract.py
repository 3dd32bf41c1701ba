"""The relations that must hold: what a runbook promises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from orchestrator.core.catalog import Action, Deferrable, ForeignKey, TableName

Priority = Literal["critical", "high", "medium", "low"]

NAME_LIMIT = 63
"""Bytes of an identifier that PostgreSQL keeps (NAMEDATALEN - 1); the rest is cut off in silence."""

NAME_STEM = 54

SUGGESTED = "suggested, not confirmed by a person"
"""Why a line with `suggested = true` is not part of a release: a guess is deployed by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One line of the contract: a foreign key that must stand, or the reason why it is deferred."""

    table: TableName
    columns: tuple[str, ...]
    referenced: TableName
    referenced_columns: tuple[str, ...]
    on_delete: Action = "no action"
    on_update: Action = "no action"
    match: Literal["simple", "full"] = "simple"
    deferrable: Deferrable = "not"
    name: str
    priority: Priority = "medium"
    deferred: str | None = None
    on_delete_columns: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The stable name of the relation in plans, journals and reports."""
        return f"{self.table}({', '.join(self.columns)}) -> {self.target}"

    @property
    def target(self) -> str:
        """What it refers to, as people write it."""
        return f"{self.referenced}({', '.join(self.referenced_columns)})"

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Which column refers to which."""
        return frozenset(zip(self.columns, self.referenced_columns, strict=True))

    def same_link(self, key: ForeignKey) -> bool:
        """Whether a key ties the same columns to the same columns, whatever it does about it."""
        if key.columns == self.columns:
            # As most keys are written; otherwise the pairs may stand in another order.
            return key.referenced_columns == self.referenced_columns and key.referenced == self.referenced
        return key.referenced == self.referenced and key.pairs == self.pairs

    def differences(self, key: ForeignKey) -> tuple[str, ...]:
        """In what a key with the same link differs from the promise; empty when it keeps it."""
        wanted: tuple[tuple[str, object, object], ...] = (
            ("on delete", self.on_delete, key.on_delete),
            ("on update", self.on_update, key.on_update),
            ("match", self.match, key.match),
            ("deferrable", self.deferrable, key.deferrable),
            ("on delete columns", sorted(self.on_delete_columns), sorted(key.on_delete_columns)),
        )
        period = ("it is a PERIOD key",) if key.period else ()
        return (*period, *(f"{what} is {has}, not {wants}" for what, wants, has in wanted if wants != has))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """All relations, in the order in which people wrote them.

    `road` names the decision by which keys that are missing are not added but audited; empty when they are added.
    `beside` has the tables that get an index or a check and may have no relation.
    """

    relations: tuple[Relation, ...]
    road: str = ""
    beside: tuple[TableName, ...] = ()

    @property
    def promised(self) -> tuple[Relation, ...]:
        """The relations that are part of this release."""
        return tuple(relation for relation in self.relations if relation.deferred is None)

    @property
    def tables(self) -> tuple[TableName, ...]:
        """Every table that is touched, each once, sorted."""
        return tuple(sorted({*touched(self.promised), *self.beside}))


def touched(relations: Iterable[Relation]) -> tuple[TableName, ...]:
    """The tables on either side of these relations, each once, sorted."""
    return tuple(sorted({name for each in relations for name in (each.table, each.referenced)}))


def default_name(table: str, columns: Iterable[str]) -> str:
    """`fk_{table}_{columns}`; past 63 bytes whole characters up to 54 bytes, `_`, and 8 digits of its SHA-256."""
    return _shortened("_".join(["fk", table, *columns]))


def index_name(table: str, columns: Iterable[str]) -> str:
    """`ix_{table}_{columns}`, shortened like the name of a key."""
    return _shortened("_".join(["ix", table, *columns]))


def _shortened(full: str) -> str:
    if len(full.encode()) <= NAME_LIMIT:
        return full
    stem = full.encode()[:NAME_STEM].decode(errors="ignore")
    return f"{stem}_{sha256(full.encode()).hexdigest()[:8]}"
