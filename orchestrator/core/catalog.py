"""What a database has, as far as foreign keys care, and its fingerprint.

Object identifiers never enter the fingerprint: two databases with the same definitions have the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import sha256
from typing import Literal, Protocol

from orchestrator.core.audit_objects import AuditObject

Action = Literal["no action", "restrict", "cascade", "set null", "set default"]
Match = Literal["simple", "full", "partial"]
Deferrable = Literal["not", "initially immediate", "initially deferred"]
ConstraintKind = Literal["check", "primary key", "unique", "exclusion", "not null", "trigger"]
DEFAULT_COLLATION = "pg_catalog.default"
TableKind = Literal["table", "partitioned", "foreign", "view", "materialized view"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TableName:
    """A table by schema and name, both taken literally."""

    schema: str
    name: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.schema}.{self.name}"


@cache
def table_name(schema: str, name: str) -> TableName:
    """The one value for a name: where catalog and contract have the same, a look-up compares no words."""
    return TableName(schema=schema, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    `base_type` is the type's object identifier with domains looked through, for comparisons only; `limited` tells of a
    type modifier such as (20). `collation` is None where the type has none.
    """

    name: str
    type_name: str
    base_type: int
    not_null: bool = False
    default: str | None = None
    collation: str | None = None
    deterministic: bool = True
    limited: bool = False
    domain: bool = False
    generated: Literal["", "stored", "virtual"] = ""
    identity: Literal["", "always", "by default"] = ""

    def line(self) -> str:
        """The column as one line of the fingerprint."""
        words = [self.name, self.type_name]
        words += [f"collate {self.collation}"] if self.collation not in {None, DEFAULT_COLLATION} else []
        words += ["not null"] if self.not_null else []
        words += [f"default {self.default}"] if self.default is not None else []
        words += [f"generated {self.generated}"] if self.generated else []
        words += [f"identity {self.identity}"] if self.identity else []
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index. A column is None where the key is an expression; `operator_classes` goes with the columns."""

    name: str
    columns: tuple[str | None, ...]
    operator_classes: tuple[int, ...]
    definition: str
    unique: bool = False
    primary: bool = False
    partial: bool = False
    valid: bool = True
    immediate: bool = True
    exclusion: bool = False
    method: str = "btree"

    def line(self) -> str:
        """The index as one line of the fingerprint."""
        return self.definition + ("" if self.valid else " (invalid)")

    def can_be_referenced(self, columns: tuple[str, ...]) -> bool:
        """Whether a foreign key may point at these columns.

        PostgreSQL asks for a valid, immediate unique index without predicate or expression over exactly these
        columns, in any order (transformFkeyCheckAttrs).
        """
        if not self.unique or len(self.columns) != len(columns):
            return False
        usable = self.valid and self.immediate and not self.partial and not self.exclusion
        return usable and (self.columns == columns or set(self.columns) == set(columns))

    def supports(self, columns: tuple[str, ...]) -> bool:
        """Whether looking up rows by these columns can use the index: they lead it, in any order."""
        leading = self.columns[: len(columns)]
        if leading != columns and (len(leading) != len(columns) or set(leading) != set(columns)):
            return False
        return self.valid and not self.partial and self.method in {"btree", "hash"}

    def plain_over(self, columns: tuple[str, ...]) -> bool:
        """Whether CREATE INDEX over these columns, without further words, made it and came to its end."""
        plain = self.valid and self.method == "btree" and not self.unique and not self.partial
        return plain and self.columns == columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key as the database has it."""

    name: str
    columns: tuple[str, ...]
    referenced: TableName
    referenced_columns: tuple[str, ...]
    on_delete: Action = "no action"
    on_update: Action = "no action"
    match: Match = "simple"
    deferrable: Deferrable = "not"
    on_delete_columns: tuple[str, ...] = ()
    validated: bool = True
    enforced: bool = True
    triggers_enabled: bool = True
    period: bool = False
    inherited: bool = False
    definition: str = ""

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Which column refers to which; their order does not change the meaning."""
        return frozenset(zip(self.columns, self.referenced_columns, strict=True))

    @property
    def holds(self) -> bool:
        """Whether the key is valid, enforced, and its triggers fire."""
        return self.validated and self.enforced and self.triggers_enabled

    def line(self) -> str:
        """The key as one line of the fingerprint."""
        flags = [] if self.enforced else ["not enforced"]
        flags += [] if self.triggers_enabled else ["triggers disabled"]
        flags += ["inherited"] if self.inherited else []
        return f"{self.name} {self.definition}" + "".join(f" ({flag})" for flag in flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """Any other constraint."""

    name: str
    kind: ConstraintKind
    definition: str
    validated: bool = True

    def line(self) -> str:
        """The constraint as one line of the fingerprint."""
        return f"{self.name} {self.definition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger that a person made. `enabled` is PostgreSQL's letter: O, D, R or A."""

    name: str
    definition: str
    enabled: str

    def line(self) -> str:
        """The trigger as one line of the fingerprint."""
        return f"{self.definition} ({self.enabled})"


class _Line(Protocol):
    """A part of a table that is one line of the fingerprint."""

    def line(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with all that a foreign key can meet. `rows` and `bytes` are the server's estimates."""

    name: TableName
    kind: TableKind = "table"
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    partition_of: TableName | None = None
    inherits: tuple[TableName, ...] = ()
    persistence: Literal["permanent", "unlogged", "temporary"] = "permanent"
    row_security: bool = False
    force_row_security: bool = False
    rows: int = 0
    bytes: int = 0

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        for column in self.columns:
            if column.name == name:
                return column
        return None

    def referenced_index(self, columns: tuple[str, ...]) -> Index | None:
        """The index a key to these columns would rely on; the primary key first, as PostgreSQL prefers."""
        usable = [index for index in self.indexes if index.unique and index.can_be_referenced(columns)]
        if len(usable) == 1:
            return usable[0]
        return min(usable, key=lambda index: (not index.primary, index.name), default=None)

    def names_taken(self) -> frozenset[str]:
        """The constraint names that stand on this table."""
        return frozenset([key.name for key in self.foreign_keys] + [other.name for other in self.constraints])

    def lines(self) -> Iterator[str]:
        """The table, line by line, in an order of its own: what the fingerprint is made of."""
        head = f"{self.kind} {self.persistence}"
        head += f" partition of {self.partition_of}" if self.partition_of else ""
        head += "".join(f" inherits {parent}" for parent in self.inherits)
        head += " row security" if self.row_security else ""
        head += " (forced)" if self.force_row_security else ""
        name = str(self.name)
        yield f"{name}: {head}"
        parts: tuple[tuple[str, Iterable[_Line]], ...] = (
            ("column", self.columns),
            ("index", self.indexes),
            ("foreign key", self.foreign_keys),
            # PostgreSQL 18 alone lists NOT NULL as constraints; the columns say it in every version.
            ("constraint", tuple(each for each in self.constraints if each.kind != "not null")),
            ("trigger", self.triggers),
        )
        for word, things in parts:
            yield from sorted(f"{name}: {word} {thing.line()}" for thing in things)

    def fingerprint(self) -> str:
        """64 hexadecimal digits over the table's lines."""
        return digest(self.lines())


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All tables of a database but those of the server and of schema `orchestrator`.

    `comparable` holds pairs of operator class (of a referenced index's column) and base type (of a referencing
    column) between which ADD FOREIGN KEY finds an equality operator; `polymorphic`
    tells of which sort (enum, array, range, multirange) a class is that compares a type with itself only.
    `audit_objects` is what stands in schema `orphan_audit`.
    """

    server_version: int
    tables: Mapping[TableName, Table]
    comparable: frozenset[tuple[int, int]] = field(default=frozenset(), repr=False)
    polymorphic: Mapping[int, str] = field(default_factory=dict, repr=False)
    audit_objects: tuple[AuditObject, ...] = ()

    def table(self, name: TableName) -> Table | None:
        """The table of that name, or None."""
        return self.tables.get(name)

    def can_compare(self, operator_class: int, key: Column, child: Column) -> bool:
        """Whether ADD FOREIGN KEY finds an equality operator for a referencing column and a key's column."""
        sort = self.polymorphic.get(operator_class)
        if sort and key.base_type != child.base_type:
            return False
        # Measured on 15, 16 and 18: the query by which the server checks a key cannot compare these, although the
        # types are the same; NOT VALID would let the key in and then refuse every row.
        if (sort == "array" and (key.limited or child.limited)) or (sort == "enum" and (key.domain or child.domain)):
            return False
        return (operator_class, child.base_type) in self.comparable

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.server_version // 10000

    @cached_property
    def partitions(self) -> Mapping[TableName, tuple[TableName, ...]]:
        """Partitioned table to its direct partitions."""
        found: dict[TableName, list[TableName]] = {}
        for table in self.tables.values():
            if table.partition_of:
                found.setdefault(table.partition_of, []).append(table.name)
        return {name: tuple(sorted(parts)) for name, parts in found.items()}

    @cached_property
    def heirs(self) -> Mapping[TableName, tuple[TableName, ...]]:
        """Table to those that inherit from it directly; a partition is no heir."""
        found: dict[TableName, list[TableName]] = {}
        for table in self.tables.values():
            for parent in table.inherits:
                found.setdefault(parent, []).append(table.name)
        return {name: tuple(heirs) for name, heirs in found.items()}

    def leaves(self, name: TableName) -> tuple[TableName, ...]:
        """The partitions that hold rows, at any depth; none for an ordinary table."""
        return tuple(
            leaf
            for part in self.partitions.get(name, ())
            for leaf in (self.leaves(part) if self.tables[part].kind == "partitioned" else (part,))
        )

    def family(self, name: TableName) -> tuple[TableName, ...]:
        """The table and its partitions at any depth: what a statement on it locks."""
        parts = self.partitions.get(name)
        return (name, *(each for part in parts for each in self.family(part))) if parts else (name,)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprint per table, by its printed name, and per function of schema `orphan_audit`."""
        tables = {str(name): table.fingerprint() for name, table in sorted(self.tables.items())}
        return tables | {each.line: digest((each.definition,)) for each in self.audit_objects if not each.is_table}

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits over all tables."""
        return digest(f"{name} {value}" for name, value in self.fingerprints.items())


def digest(lines: Iterable[str]) -> str:
    """SHA-256 over lines, as 64 hexadecimal digits."""
    return sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
