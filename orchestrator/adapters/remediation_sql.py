"""The SQL of remediation: which rows are looked up, what a batch does to them, and how they are put back.

A batch first locks its rows and leaves out those that somebody else has locked; the next statement has a snapshot of
its own and judges them once more, so that what the application repaired or referred to meanwhile is left alone. Between
the two, the keys of the locked rows travel in a setting of the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.orphan_sql import equalities, refers_to_nothing, source
from orchestrator.core.catalog import Catalog
from orchestrator.core.remediation import SCHEMA, TAKES_AWAY, Remedy

Key = Mapping[str, str]
"""A row's primary key, column by column, as text."""

AND, COMMA = sql.SQL(" AND "), sql.SQL(", ")

# Compiling never pays for a few rows. The record reads the three: none of the last batch may be left in a session.
BEGIN = (
    "SELECT set_config('jit', 'off', true), set_config('orchestrator.locked', '[]', true),"
    " set_config('orchestrator.rows', '0', true), set_config('orchestrator.lost', '0', true)"
)
LOCK = (
    "SELECT set_config('orchestrator.locked', coalesce(json_agg(locked.*)::text, '[]'), true)"
    " FROM (SELECT {found} FROM {keys} AS key, {table} AS child WHERE {match} AND {orphan} AND {free}"
    " FOR {strength} OF child SKIP LOCKED) AS locked"
)
CHANGE = (
    "WITH {heir}former AS MATERIALIZED (SELECT {old} FROM {keys} AS key, {table} AS child"
    " WHERE {match} AND {orphan} AND {free}),"
    " done AS (UPDATE {table} AS child SET {sets} FROM {sources} WHERE {again} RETURNING {returned}),"
    " kept AS (INSERT INTO {kept} ({columns}) SELECT {returned_names}, {marks} FROM done)"
    " SELECT set_config('orchestrator.rows', count(*)::text, true) FROM done"
)
TAKE_AWAY = (
    "WITH done AS (DELETE FROM {table} AS child USING {keys} AS key WHERE {match} AND {orphan} AND {free}"
    " RETURNING {old}),"
    " kept AS (INSERT INTO {kept} ({columns}) SELECT {returned_names}, {marks} FROM done)"
    " SELECT set_config('orchestrator.rows', count(*)::text, true) FROM done"
)
CHOSEN = (
    "chosen AS MATERIALIZED (SELECT kept.* FROM {kept} AS kept WHERE kept.{number} = ANY ({numbers}) AND kept.{left}"
    " IS NULL AND NOT EXISTS (SELECT FROM {kept} AS later WHERE {same} AND later.{number} > kept.{number}"
    " AND later.{left} IS NULL))"
)
LOCK_CHANGED = (
    "SELECT set_config('orchestrator.locked', coalesce(json_agg(kept.{number})::text, '[]'), true)"
    " FROM (SELECT kept.{number} FROM {kept} AS kept, {table} AS child WHERE kept.{number} = ANY ({numbers})"
    " AND {match} FOR UPDATE OF child SKIP LOCKED) AS kept"
)
CHANGE_BACK = (
    "WITH locked AS (SELECT value::bigint AS number FROM json_array_elements_text("
    "current_setting('orchestrator.locked')::json)), {chosen},"
    " back AS (UPDATE {table} AS child SET {sets} FROM chosen AS kept WHERE {match} AND {unchanged}"
    " AND kept.{number} IN (SELECT number FROM locked) RETURNING kept.{number} AS number),"
    " cleared AS (DELETE FROM {kept} WHERE {number} IN (SELECT number FROM back)),"
    " lost AS (UPDATE {kept} AS kept SET {left} = CASE WHEN kept.{number} IN (SELECT number FROM locked)"
    " THEN 'changed since' ELSE 'gone' END WHERE kept.{number} = ANY ({numbers}) AND kept.{left} IS NULL"
    " AND kept.{number} NOT IN (SELECT number FROM back) AND kept.{number} IN (SELECT {number} FROM chosen)"
    " AND (kept.{number} IN (SELECT number FROM locked) OR NOT EXISTS (SELECT FROM {table} AS child WHERE {match}))"
    " RETURNING 1)"
    " SELECT set_config('orchestrator.rows', (SELECT count(*) FROM back)::text, true),"
    " set_config('orchestrator.lost', (SELECT count(*) FROM lost)::text, true)"
)
GIVE_BACK = (
    "WITH {chosen},"
    " back AS (INSERT INTO {all} AS child ({writable}) OVERRIDING SYSTEM VALUE"
    " SELECT {kept_writable} FROM chosen AS kept{guard} RETURNING {returned}),"
    " cleared AS (DELETE FROM {kept} AS kept USING chosen, back AS child WHERE kept.{number} = chosen.{number}"
    " AND {match} RETURNING kept.{number} AS number),"
    " lost AS (UPDATE {kept} AS kept SET {left} = 'a row with the same key stands' FROM chosen"
    " WHERE kept.{number} = chosen.{number} AND NOT EXISTS (SELECT FROM back AS child WHERE {match}) RETURNING 1)"
    " SELECT set_config('orchestrator.rows', (SELECT count(*) FROM cleared)::text, true),"
    " set_config('orchestrator.lost', (SELECT count(*) FROM lost)::text, true)"
)
DROP_SCHEMA = (
    "DO $$ BEGIN DROP SCHEMA {schema} RESTRICT;"
    " EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL; END $$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationSql:
    """Writes the statements of one remedy; nothing here depends on a connection."""

    remedy: Remedy
    catalog: Catalog

    def page(self, after: Key | None, limit: int) -> str:
        """The keys of the next orphans that may be touched, in the order of the primary key."""
        remedy = self.remedy
        key = COMMA.join(_column("child", each) for each in remedy.key)
        beyond: sql.Composable = sql.SQL("true")
        if after is not None:
            beyond = sql.SQL("({}) > (SELECT {} FROM json_populate_record(NULL::{}, {}) AS key)").format(
                key, COMMA.join(_column("key", each) for each in remedy.key), self._name, _json(after)
            )
        return _text(
            "SELECT {found} FROM {table} AS child WHERE {orphan} AND {free} AND {beyond} ORDER BY {key} LIMIT {limit}",
            found=self._found,
            beyond=beyond,
            key=key,
            limit=sql.Literal(limit),
            **self._shared,
        )

    def referenced(self) -> str | None:
        """The count of orphans that other rows refer to; None where nothing can."""
        if not self.remedy.referrers:
            return None
        query = "SELECT count(*) AS rows FROM {table} AS child WHERE {orphan} AND NOT ({free})"
        return _text(query, **self._shared)

    def heir_stands(self) -> str:
        """Whether the row that orphans are given to is there."""
        return _text("SELECT EXISTS ({heir}) AS stands", heir=self._heir(lock=False))

    def make(self, *, schema: bool) -> tuple[str, ...]:
        """The table that keeps what is taken away, readable by its owner only; its `schema` too where there is none."""
        remedy, marks = self.remedy, self.remedy.marks
        kept = qualified(remedy.kept)
        added = (
            sql.SQL("ADD COLUMN {} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY").format(_name(marks.number)),
            sql.SQL("ADD COLUMN {} text NOT NULL").format(_name(marks.run)),
            sql.SQL("ADD COLUMN {} timestamptz NOT NULL").format(_name(marks.at)),
            sql.SQL("ADD COLUMN {} text").format(_name(marks.left)),
        )
        columns = COMMA.join(_column("child", each) for each in remedy.columns)
        return (
            *((_text("CREATE SCHEMA {schema}", schema=_name(SCHEMA)),) if schema else ()),
            # As a query and not LIKE: what NOT NULL promises of the table need not hold of what is kept.
            _text("CREATE TABLE {kept} AS SELECT {columns} FROM {table} AS child WITH NO DATA",
                  kept=kept, columns=columns, table=self._shared["table"]),
            _text("ALTER TABLE {kept} {added}", kept=kept, added=COMMA.join(added)),
            _text("CREATE INDEX ON {kept} ({key})", kept=kept, key=COMMA.join(map(_name, remedy.key))),
            _text("REVOKE ALL ON {kept} FROM PUBLIC", kept=kept),
        )  # fmt: skip

    def drop(self) -> tuple[str, ...]:
        """The table is empty; the schema goes with the last of them."""
        kept = qualified(self.remedy.kept)
        return (_text("DROP TABLE {kept}", kept=kept), _text(DROP_SCHEMA, schema=_name(SCHEMA)))

    def change(self, keys: Sequence[Key], *, run: str) -> tuple[str, ...]:
        """One batch: lock what is free, then do it to what is still an orphan, and keep what was there."""
        remedy = self.remedy
        lock = _text(
            LOCK,
            found=self._found,
            keys=self._keys(_json([dict(each) for each in keys])),
            match=self._match("key"),
            strength=sql.SQL("UPDATE" if remedy.strong else "NO KEY UPDATE"),
            **self._shared,
        )
        marks = remedy.marks
        act = _text(
            TAKE_AWAY if remedy.how in TAKES_AWAY else CHANGE,
            keys=self._keys(sql.SQL("current_setting('orchestrator.locked')::json")),
            match=self._match("key"),
            old=COMMA.join(_column("child", each) for each in remedy.columns),
            again=self._match("former"),
            kept=qualified(remedy.kept),
            columns=COMMA.join(map(_name, (*remedy.columns, marks.run, marks.at))),
            returned=COMMA.join(_column("former", each) for each in remedy.columns),
            returned_names=COMMA.join(_column("done", each) for each in remedy.columns),
            marks=sql.SQL("{}, now()").format(sql.Literal(run)),
            **self._changes(),
            **self._shared,
        )
        return BEGIN, lock, act

    def kept_page(self, below: int | None, limit: int) -> str:
        """The numbers of rows that are kept and still to be put back, the last first."""
        marks = self.remedy.marks
        return _text(
            "SELECT {number} AS number FROM {kept} WHERE {left} IS NULL AND {below}"
            " ORDER BY {number} DESC LIMIT {limit}",
            number=_name(marks.number),
            left=_name(marks.left),
            kept=qualified(self.remedy.kept),
            below=sql.SQL("{} < {}").format(_name(marks.number), sql.Literal(below)) if below else sql.SQL("true"),
            limit=sql.Literal(limit),
        )

    def kept_rows(self) -> str:
        """How many rows are kept, and how many of them are still to be put back."""
        return _text(
            "SELECT count(*) AS rows, count(*) FILTER (WHERE {left} IS NULL) AS due FROM {kept}",
            left=_name(self.remedy.marks.left),
            kept=qualified(self.remedy.kept),
        )

    def put_back(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """One batch of the way back."""
        if self.remedy.how in TAKES_AWAY:
            return BEGIN, self._give_back(numbers)
        parts = self._way_back(numbers)
        return BEGIN, _text(LOCK_CHANGED, **parts), _text(CHANGE_BACK, **parts)

    def mark(self, number: int, reason: str) -> tuple[str, ...]:
        """A row that the server refuses to take back, and why."""
        act = _text(
            "UPDATE {kept} SET {left} = {reason} WHERE {number} = {row}",
            kept=qualified(self.remedy.kept),
            left=_name(self.remedy.marks.left),
            number=_name(self.remedy.marks.number),
            reason=sql.Literal(reason),
            row=sql.Literal(number),
        )
        return BEGIN, act, "SELECT set_config('orchestrator.lost', '1', true)"

    def _way_back(self, numbers: Sequence[int]) -> dict[str, sql.Composable]:
        remedy, marks = self.remedy, self.remedy.marks
        shared: dict[str, sql.Composable] = {
            "kept": qualified(remedy.kept),
            "number": _name(marks.number),
            "left": _name(marks.left),
            "numbers": sql.SQL("{}::bigint[]").format(sql.Literal("{" + ",".join(map(str, numbers)) + "}")),
            "same": AND.join(_equal("later", "kept", each) for each in remedy.key),
        }
        return {
            **shared,
            "chosen": sql.SQL(CHOSEN).format(**shared),
            "table": self._shared["table"],
            "match": self._match_now(),
            "unchanged": self._unchanged(),
            "sets": COMMA.join(sql.SQL("{0} = kept.{0}").format(_name(each)) for each in remedy.sets),
        }

    def _give_back(self, numbers: Sequence[int]) -> str:
        remedy, parts = self.remedy, self._way_back(numbers)
        match = self._match("kept")
        # A key that is checked at the commit only cannot arbitrate; then the primary key alone is asked beforehand.
        guard = (
            " ON CONFLICT DO NOTHING" if remedy.immediate else " WHERE NOT EXISTS (SELECT FROM {} AS child WHERE {})"
        )
        return _text(
            GIVE_BACK,
            **{**parts, "match": match},
            all=qualified(remedy.relation.table),
            writable=COMMA.join(map(_name, remedy.writable)),
            kept_writable=COMMA.join(_column("kept", each) for each in remedy.writable),
            returned=COMMA.join(_column("child", each) for each in remedy.key),
            guard=sql.SQL(guard).format(self._shared["table"], match) if not remedy.immediate else sql.SQL(guard),
        )

    @property
    def _name(self) -> sql.Identifier:
        return qualified(self.remedy.relation.table)

    @property
    def _shared(self) -> dict[str, sql.Composable]:
        relation = self.remedy.relation
        return {
            "table": source(relation.table, self.catalog),
            "orphan": sql.SQL("({})").format(refers_to_nothing(relation, self.catalog)),
            "free": self._free(),
        }

    @property
    def _found(self) -> sql.Composed:
        """The key as text, under its own names."""
        return COMMA.join(
            sql.SQL("{}::text AS {}").format(_column("child", each), _name(each)) for each in self.remedy.key
        )

    def _keys(self, given: sql.Composable) -> sql.Composed:
        """Keys given as JSON, in the types of the table's own columns."""
        return sql.SQL("json_populate_recordset(NULL::{}, {})").format(self._name, given)

    def _match(self, other: str) -> sql.Composed:
        return AND.join(_equal("child", other, each) for each in self.remedy.key)

    def _free(self) -> sql.Composable:
        """Nobody refers to the row."""
        referrers = [
            sql.SQL("NOT EXISTS (SELECT FROM {} AS referrer WHERE {})").format(
                source(each.table, self.catalog),
                AND.join(equalities(each, self.catalog, referencing="referrer", referenced="child")),
            )
            for each in self.remedy.referrers
        ]
        return AND.join(referrers) if referrers else sql.SQL("true")

    def _changes(self) -> dict[str, sql.Composable]:
        remedy = self.remedy
        if remedy.how == "reassign":
            pairs = dict(zip(remedy.relation.columns, remedy.relation.referenced_columns, strict=True))
            sets = [sql.SQL("{} = heir.{}").format(_name(mine), _name(pairs[mine])) for mine in remedy.sets]
            heir = sql.SQL("heir AS MATERIALIZED ({}), ").format(self._heir(lock=True))
            return {"heir": heir, "sets": COMMA.join(sets), "sources": sql.SQL("former, heir")}
        nulls = [sql.SQL("{} = NULL").format(_name(each)) for each in remedy.sets]
        return {"heir": sql.SQL(""), "sets": COMMA.join(nulls), "sources": sql.SQL("former")}

    def _heir(self, *, lock: bool) -> sql.Composed:
        """The row that orphans are given to; locked as a key would lock it, so that it stays while we commit."""
        relation = self.remedy.relation
        columns = relation.referenced_columns
        values = _json(dict(zip(columns, self.remedy.to, strict=True)))
        return sql.SQL("SELECT {} FROM {} AS parent WHERE {}{}").format(
            COMMA.join(_column("parent", each) for each in columns),
            source(relation.referenced, self.catalog),
            AND.join(
                sql.SQL("parent.{0} = (SELECT given.{0} FROM json_populate_record(NULL::{1}, {2}) AS given)").format(
                    _name(each), qualified(relation.referenced), values
                )
                for each in columns
            ),
            sql.SQL(" FOR KEY SHARE OF parent" if lock else ""),
        )

    def _match_now(self) -> sql.Composed:
        """The kept row's row as it is now: a column of its key that this run wrote has what it wrote there."""
        remedy = self.remedy
        return AND.join(
            self._as_written(each) if each in remedy.sets else _equal("child", "kept", each) for each in remedy.key
        )

    def _unchanged(self) -> sql.Composed:
        """What this run wrote is still there."""
        return AND.join(map(self._as_written, self.remedy.sets))

    def _as_written(self, column: str) -> sql.Composed:
        remedy = self.remedy
        if remedy.how == "set-null":
            return sql.SQL("{} IS NULL").format(_column("child", column))
        values = _json(dict(zip(remedy.relation.columns, remedy.to, strict=True)))
        return sql.SQL("child.{0} = (SELECT given.{0} FROM json_populate_record(NULL::{1}, {2}) AS given)").format(
            _name(column), self._name, values
        )


def _text(template: str, **parts: sql.Composable) -> str:
    return sql.SQL(template).format(**parts).as_string(None)


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _column(table: str, name: str) -> sql.Identifier:
    return sql.Identifier(table, name)


def _equal(left: str, right: str, name: str) -> sql.Composed:
    return sql.SQL("{} = {}").format(_column(left, name), _column(right, name))


def _json(value: object) -> sql.Composed:
    return sql.SQL("{}::json").format(sql.Literal(json.dumps(value, ensure_ascii=False)))


def shown(statements: Iterable[str]) -> tuple[str, ...]:
    """The statements of a batch as people read them: as one transaction, with its record."""
    record = "SELECT orchestrator.append(…)  -- the record of this batch"
    return ("BEGIN", *statements, record, "COMMIT")
