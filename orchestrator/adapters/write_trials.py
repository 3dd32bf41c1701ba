"""Real writes to measure with: made along a contract from rows that exist, each tried once and rolled back.

An insert copies a row, with new values only where something must be unique; where that cannot be, it is a row that
nothing refers to, deleted and inserted again. An update gives a row the parents of another one. A delete takes away
a copy that was inserted just before, or a row that nothing refers to. All columns are written out, so that no sequence
moves on: those are not rolled back.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from typing import Final

import psycopg

from orchestrator.adapters.postgres import Connection, is_lost, plain_line
from orchestrator.adapters.write_sql import (
    LARGEST_ROW,
    Link,
    Values,
    delete,
    insert,
    links_to,
    referring,
    sampled,
    update,
)
from orchestrator.core.catalog import Catalog, Table, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.fresh_rows import NoFreshRow, fresh_value, renewed
from orchestrator.core.performance import Operation

VARIANTS: Final = 12
"""So many different writes are made for an operation: a few for each client of a concurrent run."""

SAMPLE: Final = 60
"""Rows per table to make them from; some will not do, such as the only active one of its tenant."""

GIVERS: Final = 3
"""So many rows are asked for their parents before a row is left as it is."""

TRY_FOR_S: Final = 1.0
"""A write that takes long is tried a few times only."""

BEGIN: Final = ("BEGIN", "SET CONSTRAINTS ALL IMMEDIATE")
"""A key that is checked at the end of the transaction would otherwise not be checked at all."""

NO_ROWS: Final = f"the table has no rows (of up to {LARGEST_ROW // 1024} kB)"

Made = tuple[tuple["Trial", ...], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One write: what has to happen before it in its transaction, and the statement that is measured."""

    before: tuple[str, ...] = ()
    statement: str

    @property
    def transaction(self) -> tuple[str, ...]:
        """All of it, from BEGIN to ROLLBACK."""
        return (*BEGIN, *self.before, self.statement, "ROLLBACK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The writes of one operation on a table; without any, `unknown` says why."""

    table: TableName
    operation: Operation
    trials: tuple[Trial, ...] = ()
    method: str = ""
    unknown: str = ""


def trials_of(connection: Connection, contract: Contract, catalog: Catalog) -> Iterator[Trials]:
    """The writes that the promised keys have a part in, for every table of the contract.

    Raises psycopg.Error when the connection is lost; whatever else the server refuses makes an operation unknown.
    """
    relations: dict[TableName, list[Relation]] = defaultdict(list)
    for each in contract.relations:
        relations[each.table].append(each)
    referenced = {each.referenced for each in contract.promised}
    for name in contract.tables:
        operations = tuple(_operations(relations[name], is_referenced=name in referenced))
        table = catalog.table(name)
        if table is None or table.kind not in ("table", "partitioned"):
            unknown = "the table does not exist" if table is None else f"it is a {table.kind}"
            yield from (Trials(table=name, operation=operation, unknown=unknown) for operation in operations)
        else:
            making = _Making(
                connection=connection,
                table=table,
                relations=tuple(relations[name]),
                referring=partial(links_to, table, contract, catalog),
            )
            yield from map(making.of, operations)


def _operations(relations: Iterable[Relation], *, is_referenced: bool) -> Iterator[Operation]:
    """A key has a part in writes to the referencing table and in deletes from the referenced one."""
    if any(each.deferred is None for each in relations):
        yield from ("insert", "update")
    if is_referenced:
        yield "delete"


@dataclass(slots=True, kw_only=True)
class _Making:
    """The writes to one table: `relations` leave it, `referring` finds those that lead to it.

    Rows are read once; `refusals` are what the server said to writes that it refused.
    """

    connection: Connection
    table: Table
    relations: tuple[Relation, ...]
    referring: Callable[[], tuple[Link, ...]]
    refusals: dict[str, None] = field(default_factory=dict)
    _rows: list[Values] | None = None
    _copies: tuple[Values, ...] | None = None

    def of(self, operation: Operation) -> Trials:
        """The trials of an operation, or why there is none."""
        self.refusals.clear()
        make: Mapping[Operation, Callable[[], Made]] = {
            "insert": self._inserts,
            "update": self._updates,
            "delete": self._deletes,
        }
        try:
            trials, method = make[operation]() if self._sampled() else ((), "")
        except psycopg.Error as error:
            if is_lost(error):
                raise
            return Trials(table=self.table.name, operation=operation, unknown=plain_line(error))
        if trials:
            return Trials(table=self.table.name, operation=operation, trials=trials, method=method)
        why = "; ".join(list(self.refusals)[:2]) if self._sampled() else NO_ROWS
        return Trials(table=self.table.name, operation=operation, unknown=why or "no row is free to be written")

    def _sampled(self) -> list[Values]:
        if self._rows is None:
            self._rows = sampled(self.connection, self.table, SAMPLE)
        return self._rows

    def _inserts(self) -> Made:
        if copies := self._copied():
            return tuple(Trial(statement=insert(self.table, row)) for row in copies), "copy of a row"
        again = (
            Trial(before=(delete(self.table, row),), statement=insert(self.table, row)) for row in self._childless()
        )
        return self._working(again), "row that nothing refers to, inserted again"

    def _deletes(self) -> Made:
        if copies := self._copied():
            pairs = ((insert(self.table, row), delete(self.table, row)) for row in copies)
            trials = (Trial(before=(first,), statement=then) for first, then in pairs)
            return self._working(trials), "copy of a row, inserted before"
        alone = (Trial(statement=delete(self.table, row)) for row in self._childless())
        return self._working(alone), "row that nothing refers to"

    def _updates(self) -> Made:
        """All referencing columns at once, else those that no unique index holds."""
        mine = [each.columns for each in self.relations if each.deferred is None]
        links = [columns for columns in dict.fromkeys(mine) if all(map(self._is_there, columns))]
        unique = {column for index in self.table.indexes if index.unique for column in index.columns}
        if not links:
            self.refusals.setdefault("the relations' columns do not exist")
        for chosen in (links, [columns for columns in links if not unique & set(columns)]):
            if chosen and (working := self._working(self._exchanges(chosen))):
                return working, f"{', '.join(_each(chosen))} of other rows"
        return (), ""

    def _exchanges(self, links: Sequence[tuple[str, ...]]) -> Iterator[Trial]:
        """Updates that change something: a key is only looked up when it does. Who changes most is tried first.

        One row may give all its parents, or several one each: then also what is unique together stays so.
        """
        columns = _each(links)

        def changes(row: Values, giver: Values) -> int:
            return sum(giver[name] not in (None, row[name]) for name in columns)

        rows = self._sampled()
        for row in rows:
            givers = sorted(rows, key=partial(changes, row), reverse=True)[: max(GIVERS, len(links))]
            mixed = {name: giver[name] for link, giver in zip(links, cycle(givers), strict=False) for name in link}
            offers = [giver for giver in (*givers[:GIVERS], mixed) if changes(row, giver)]
            yield from (Trial(statement=update(self.table, row, columns, giver)) for giver in offers)

    def _is_there(self, column: str) -> bool:
        found = self.table.column(column)
        return found is not None and not found.generated

    def _copied(self) -> tuple[Values, ...]:
        """Rows that are not there yet and that the server takes; none when something unique cannot be kept."""
        if self._copies is None:
            try:
                self._copies = tuple(islice(self._fresh_rows(), VARIANTS))
            except NoFreshRow as error:
                self.refusals.setdefault(str(error))
                self._copies = ()
        return self._copies

    def _fresh_rows(self) -> Iterator[Values]:
        """Each with values of its own, so that two clients never wait for the same one."""
        need, rows = renewed(self.table, self._links()), self._sampled()
        kinds = {name: found.type_name for name in need.fresh if (found := self.table.column(name))}
        sources = islice(cycle(rows), 2 * SAMPLE)
        for number, row in enumerate(sources):
            giver = rows[(number + 1 + number // len(rows)) % len(rows)]
            other = {name: giver[name] for name in need.exchanged}
            fresh = {each: fresh_value(kind, f"{self.table.name}/{each}/{number}") for each, kind in kinds.items()}
            made = {**row, **other, **fresh}
            if self._works((insert(self.table, made),)):
                yield made

    def _links(self) -> tuple[tuple[str, ...], ...]:
        """The referencing columns of each relation, promised or standing."""
        promised = [each.columns for each in self.relations]
        standing = [key.columns for key in self.table.foreign_keys]
        return tuple(columns for columns in dict.fromkeys((*promised, *standing)) if all(map(self._is_there, columns)))

    def _childless(self) -> Iterator[Values]:
        links = self.referring()
        for row in self._sampled():
            query = referring(row, links)
            found = self.connection.execute(query.encode()).fetchone()
            if found and not found["found"]:
                yield row

    def _working(self, trials: Iterable[Trial]) -> tuple[Trial, ...]:
        """Up to so many that the server takes, found within a second or so; with one in hand, never longer."""
        working: list[Trial] = []
        stop = time.monotonic() + TRY_FOR_S
        for each in trials:
            if self._works((*each.before, each.statement)):
                working.append(each)
            if len(working) >= VARIANTS or time.monotonic() > stop:
                break
        return tuple(working)

    def _works(self, statements: tuple[str, ...]) -> bool:
        """Whether the server takes these; they are rolled back in any case. Raises psycopg.Error when it is gone."""
        text = "; ".join((*BEGIN, *statements, "ROLLBACK"))
        try:
            self.connection.execute(text.encode())
        except psycopg.Error as error:
            if is_lost(error):
                raise
            self.connection.execute("ROLLBACK")
            self.refusals.setdefault(plain_line(error))
            return False
        return True


def _each(links: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The columns, each once."""
    return tuple(dict.fromkeys(column for columns in links for column in columns))
