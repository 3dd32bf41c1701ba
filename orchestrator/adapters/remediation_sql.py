"""The SQL of remediation: which rows are looked up, what a batch does to them, and how they are put back.

A batch first locks its rows and leaves out those that somebody else has locked; the next statement has a snapshot of
its own and judges them once more, so that what the application repaired or referred to meanwhile is left alone. Between
the two, the keys of the locked rows travel in a setting of the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.orphan_sql import equalities, refers_to_nothing, source
from orchestrator.adapters.remediation_parts import AND, BEGIN, COMMA, as_json, column, match, name, text
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Relation
from orchestrator.core.remediation import SCHEMA, TAKES_AWAY, Remedy

Key = Mapping[str, str]
"""A row's primary key, column by column, as text."""


LOCK = (
    "SELECT set_config('orchestrator.locked', coalesce(json_agg(locked.*)::text, '[]'), true)"
    " FROM (SELECT {found} FROM {keys} AS key, {table} AS child WHERE {match} AND {orphan} AND {free}"
    " FOR {strength} OF child SKIP LOCKED) AS locked"
)
CHANGE = (
    "WITH {heir}former AS MATERIALIZED (SELECT {old} FROM {keys} AS key, {table} AS child"
    " WHERE {match} AND {orphan} AND {free}),"
    " done AS (UPDATE {table} AS child SET {sets} FROM {sources} WHERE {again}"
    " RETURNING {returned}, {changed} AS {took}),"
    # A trigger may have kept what was there: such a row was not changed, whatever the server says of the update.
    " kept AS (INSERT INTO {kept} ({columns}) SELECT {returned_names}, {marks} FROM done WHERE done.{took})"
    " SELECT set_config('orchestrator.rows', count(*)::text, true) FROM done WHERE done.{took}"
)
TAKE_AWAY = (
    "WITH done AS (DELETE FROM {table} AS child USING {keys} AS key WHERE {match} AND {orphan} AND {free}"
    " RETURNING {old}),"
    " kept AS (INSERT INTO {kept} ({columns}) SELECT {returned_names}, {marks} FROM done)"
    " SELECT set_config('orchestrator.rows', count(*)::text, true) FROM done"
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
        key = COMMA.join(column("child", each) for each in remedy.key)
        beyond: sql.Composable = sql.SQL("true")
        if after is not None:
            beyond = sql.SQL("({}) > (SELECT {} FROM json_populate_record(NULL::{}, {}) AS key)").format(
                key, COMMA.join(column("key", each) for each in remedy.key), self._name, as_json(after)
            )
        return text(
            "SELECT {found} FROM {table} AS child WHERE {orphan} AND {free} AND {beyond} ORDER BY {key} LIMIT {limit}",
            found=self._found,
            beyond=beyond,
            key=key,
            limit=sql.Literal(limit),
            **self._shared,
        )

    def touched(self) -> sql.Composed:
        """The condition that `child` is an orphan and may be touched."""
        return sql.SQL("{orphan} AND {free}").format(**self._shared)

    def referenced(self) -> str | None:
        """Orphans that other rows refer to, counted as a whole and by each referrer in turn; None where nothing can."""
        refer = [
            sql.SQL("count(*) FILTER (WHERE NOT {})").format(self._free_of(each)) for each in self.remedy.referrers
        ]
        if not refer:
            return None
        query = "SELECT count(*) AS rows, ARRAY[{refer}] AS by FROM {table} AS child WHERE {orphan} AND NOT ({free})"
        return text(query, refer=COMMA.join(refer), **self._shared)

    def rules(self) -> str:
        """Rules that would rewrite a batch or its way back: the server refuses both within WITH, or does nothing."""
        wanted = ("3", "4") if self.remedy.how in TAKES_AWAY else ("2",)
        return text(
            "SELECT rulename FROM pg_rewrite WHERE ev_class = {table}::regclass AND ev_type::text = ANY ({events})"
            " AND ev_enabled IN ('O', 'A') ORDER BY rulename",
            table=sql.Literal(self._name.as_string(None)),
            events=sql.SQL("{}::text[]").format(sql.Literal("{" + ",".join(wanted) + "}")),
        )

    def heir_stands(self) -> str:
        """Whether the row that orphans are given to is there."""
        return text("SELECT EXISTS ({heir}) AS stands", heir=self.heir())

    def make(self, *, schema: bool) -> tuple[str, ...]:
        """The table that keeps what is taken away, for its owner's eyes only; with its `schema` where there is none."""
        remedy, marks = self.remedy, self.remedy.marks
        kept = qualified(remedy.kept)
        added = (
            sql.SQL("ADD COLUMN {} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY").format(name(marks.number)),
            sql.SQL("ADD COLUMN {} text NOT NULL").format(name(marks.run)),
            sql.SQL("ADD COLUMN {} timestamptz NOT NULL").format(name(marks.at)),
            sql.SQL("ADD COLUMN {} text").format(name(marks.left)),
        )
        columns = COMMA.join(column("child", each) for each in remedy.columns)
        return (
            *((text("CREATE SCHEMA {schema}", schema=name(SCHEMA)),) if schema else ()),
            # As a query and not LIKE: what NOT NULL promises of the table need not hold of what is kept.
            text("CREATE TABLE {kept} AS SELECT {columns} FROM {table} AS child WITH NO DATA",
                  kept=kept, columns=columns, table=self._shared["table"]),
            text("ALTER TABLE {kept} {added}", kept=kept, added=COMMA.join(added)),
            text("CREATE INDEX ON {kept} ({key})", kept=kept, key=COMMA.join(map(name, remedy.key))),
            text("REVOKE ALL ON {kept} FROM PUBLIC", kept=kept),
        )  # fmt: skip

    def drop(self) -> tuple[str, ...]:
        """The table is empty; the schema goes with the last of them."""
        kept = qualified(self.remedy.kept)
        return (text("DROP TABLE {kept}", kept=kept), text(DROP_SCHEMA, schema=name(SCHEMA)))

    def change(self, keys: Sequence[Key], *, run: str) -> tuple[str, ...]:
        """One batch: lock what is free, then do it to what is still an orphan, and keep what was there."""
        remedy = self.remedy
        lock = text(
            LOCK,
            found=self._found,
            keys=self._keys(as_json([dict(each) for each in keys])),
            match=match(self.remedy, "key"),
            strength=sql.SQL("UPDATE" if remedy.strong else "NO KEY UPDATE"),
            **self._shared,
        )
        marks = remedy.marks
        act = text(
            TAKE_AWAY if remedy.how in TAKES_AWAY else CHANGE,
            keys=self._keys(sql.SQL("current_setting('orchestrator.locked')::json")),
            match=match(self.remedy, "key"),
            old=COMMA.join(column("child", each) for each in remedy.columns),
            again=match(self.remedy, "former"),
            kept=qualified(remedy.kept),
            columns=COMMA.join(map(name, (*remedy.columns, marks.run, marks.at))),
            returned=COMMA.join(self._returned(each) for each in remedy.columns),
            returned_names=COMMA.join(column("done", each) for each in remedy.columns),
            marks=sql.SQL("{}, now()").format(sql.Literal(run)),
            took=name(marks.number),
            changed=self._changed(),
            **self._changes(),
            **self._shared,
        )
        return BEGIN, lock, act

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
            sql.SQL("{}::text AS {}").format(column("child", each), name(each)) for each in self.remedy.key
        )

    def _keys(self, given: sql.Composable) -> sql.Composed:
        """Keys given as JSON, in the types of the table's own columns."""
        return sql.SQL("json_populate_recordset(NULL::{}, {})").format(self._name, given)

    def _free(self) -> sql.Composable:
        """Nobody refers to the row."""
        referrers = [self._free_of(each) for each in self.remedy.referrers]
        return AND.join(referrers) if referrers else sql.SQL("true")

    def _free_of(self, referrer: Relation) -> sql.Composed:
        return sql.SQL("NOT EXISTS (SELECT FROM {} AS referrer WHERE {})").format(
            source(referrer.table, self.catalog),
            AND.join(equalities(referrer, self.catalog, referencing="referrer", referenced="child")),
        )

    def _returned(self, kept: str) -> sql.Identifier:
        """What is kept is what was there; a row that a trigger moved is found again by the key that it has now."""
        return column("former" if kept in self.remedy.sets or kept not in self.remedy.key else "child", kept)

    def _changed(self) -> sql.Composable:
        """Whether a written column has another value than before."""
        differ = [
            sql.SQL("{} IS DISTINCT FROM {}").format(column("child", each), column("former", each))
            for each in self.remedy.sets
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(differ))

    def _changes(self) -> dict[str, sql.Composable]:
        remedy = self.remedy
        if remedy.how == "reassign":
            pairs = dict(zip(remedy.relation.columns, remedy.relation.referenced_columns, strict=True))
            sets = [sql.SQL("{} = heir.{}").format(name(mine), name(pairs[mine])) for mine in remedy.sets]
            heir = sql.SQL("heir AS MATERIALIZED ({}), ").format(self.heir(lock=True))
            return {"heir": heir, "sets": COMMA.join(sets), "sources": sql.SQL("former, heir")}
        nulls = [sql.SQL("{} = NULL").format(name(each)) for each in remedy.sets]
        return {"heir": sql.SQL(""), "sets": COMMA.join(nulls), "sources": sql.SQL("former")}

    def heir(self, *, lock: bool = False) -> sql.Composed:
        """The row that orphans are given to; locked as a key would lock it, so that it stays while we commit."""
        relation = self.remedy.relation
        columns = relation.referenced_columns
        values = as_json(dict(zip(columns, self.remedy.to, strict=True)))
        return sql.SQL("SELECT {} FROM {} AS parent WHERE {}{}").format(
            COMMA.join(column("parent", each) for each in columns),
            source(relation.referenced, self.catalog),
            AND.join(
                sql.SQL("parent.{0} = (SELECT given.{0} FROM json_populate_record(NULL::{1}, {2}) AS given)").format(
                    name(each), qualified(relation.referenced), values
                )
                for each in columns
            ),
            sql.SQL(" FOR KEY SHARE OF parent" if lock else ""),
        )


def shown(statements: Iterable[str]) -> tuple[str, ...]:
    """The statements of a batch as people read them: as one transaction, with its record."""
    record = "SELECT orchestrator.append(…)"
    return ("BEGIN", *statements, record, "COMMIT")
