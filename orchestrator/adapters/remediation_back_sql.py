"""The SQL of a remediation's way back: which rows are kept, and how they become again what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.orphan_sql import source
from orchestrator.adapters.remediation_parts import AND, BEGIN, COMMA, as_json, column, equal, match, name, text
from orchestrator.core.catalog import Catalog
from orchestrator.core.remediation import TAKES_AWAY, Remedy

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
    " AND kept.{number} IN (SELECT number FROM locked) RETURNING kept.{number} AS number, {same_again} AS took),"
    # A trigger may have kept what was there: such a row is not put back, whatever the server says of the update.
    " cleared AS (DELETE FROM {kept} WHERE {number} IN (SELECT number FROM back WHERE took)),"
    " lost AS (UPDATE {kept} AS kept SET {left} = CASE"
    " WHEN EXISTS (SELECT FROM {table} AS child WHERE {match} AND {unchanged}) THEN 'a trigger keeps it as it is'"
    " WHEN kept.{number} IN (SELECT number FROM locked) THEN 'changed since' ELSE 'gone' END"
    " WHERE kept.{number} = ANY ({numbers}) AND kept.{left} IS NULL"
    " AND kept.{number} NOT IN (SELECT number FROM back WHERE took)"
    " AND kept.{number} IN (SELECT {number} FROM chosen)"
    " AND (kept.{number} IN (SELECT number FROM locked) OR NOT EXISTS (SELECT FROM {table} AS child WHERE {match}))"
    " RETURNING 1)"
    " SELECT set_config('orchestrator.rows', (SELECT count(*) FROM back WHERE took)::text, true),"
    " set_config('orchestrator.lost', (SELECT count(*) FROM lost)::text, true)"
)
GIVE_BACK = (
    "WITH {chosen},"
    " back AS (INSERT INTO {all} AS child ({writable}) OVERRIDING SYSTEM VALUE"
    " SELECT {kept_writable} FROM chosen AS kept{guard} RETURNING {returned}),"
    " cleared AS (DELETE FROM {kept} AS kept USING chosen, back AS child WHERE kept.{number} = chosen.{number}"
    " AND {match} RETURNING kept.{number} AS number),"
    " lost AS (UPDATE {kept} AS kept SET {left} = CASE WHEN EXISTS (SELECT FROM {table} AS child WHERE {match})"
    " THEN 'a row with the same key stands'"
    " ELSE 'a trigger keeps it out, or a row with the same unique value stands' END FROM chosen"
    " WHERE kept.{number} = chosen.{number} AND NOT EXISTS (SELECT FROM back AS child WHERE {match}) RETURNING 1)"
    " SELECT set_config('orchestrator.rows', (SELECT count(*) FROM cleared)::text, true),"
    " set_config('orchestrator.lost', (SELECT count(*) FROM lost)::text, true)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBackSql:
    """Writes the statements that put back what one remedy took; nothing here depends on a connection."""

    remedy: Remedy
    catalog: Catalog

    def kept_page(self, below: int | None, limit: int) -> str:
        """The numbers of rows that are kept and still to be put back, the last first."""
        marks = self.remedy.marks
        return text(
            "SELECT {number} AS number FROM {kept} WHERE {left} IS NULL AND {below}"
            " ORDER BY {number} DESC LIMIT {limit}",
            number=name(marks.number),
            left=name(marks.left),
            kept=qualified(self.remedy.kept),
            below=sql.SQL("{} < {}").format(name(marks.number), sql.Literal(below)) if below else sql.SQL("true"),
            limit=sql.Literal(limit),
        )

    def kept_rows(self) -> str:
        """How many rows are kept, and how many of them are still to be put back."""
        return text(
            "SELECT count(*) AS rows, count(*) FILTER (WHERE {left} IS NULL) AS due FROM {kept}",
            left=name(self.remedy.marks.left),
            kept=qualified(self.remedy.kept),
        )

    def put_back(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """One batch of the way back."""
        if self.remedy.how in TAKES_AWAY:
            return BEGIN, self._give_back(numbers)
        parts = self._way_back(numbers)
        return BEGIN, text(LOCK_CHANGED, **parts), text(CHANGE_BACK, **parts)

    def still_written(self) -> sql.Composed:
        """The condition that `child` is the row of `kept`, and has what this run wrote."""
        return sql.SQL("{} AND {}").format(self._match_now(), self._unchanged())

    def mark(self, number: int, reason: str) -> tuple[str, ...]:
        """A row that the server refuses to take back, and why."""
        act = text(
            "UPDATE {kept} SET {left} = {reason} WHERE {number} = {row}",
            kept=qualified(self.remedy.kept),
            left=name(self.remedy.marks.left),
            number=name(self.remedy.marks.number),
            reason=sql.Literal(reason),
            row=sql.Literal(number),
        )
        return BEGIN, act, "SELECT set_config('orchestrator.lost', '1', true)"

    def _way_back(self, numbers: Sequence[int]) -> dict[str, sql.Composable]:
        remedy, marks = self.remedy, self.remedy.marks
        shared: dict[str, sql.Composable] = {
            "kept": qualified(remedy.kept),
            "number": name(marks.number),
            "left": name(marks.left),
            "numbers": sql.SQL("{}::bigint[]").format(sql.Literal("{" + ",".join(map(str, numbers)) + "}")),
            "same": AND.join(equal("later", "kept", each) for each in remedy.key),
        }
        return {
            **shared,
            "chosen": sql.SQL(CHOSEN).format(**shared),
            "table": self._table,
            "match": self._match_now(),
            "unchanged": self._unchanged(),
            "same_again": sql.SQL("({})").format(AND.join(map(_same_again, remedy.sets))),
            "sets": COMMA.join(sql.SQL("{0} = kept.{0}").format(name(each)) for each in remedy.sets),
        }

    def _give_back(self, numbers: Sequence[int]) -> str:
        remedy, parts = self.remedy, self._way_back(numbers)
        same = match(self.remedy, "kept")
        # A key that is checked at the commit only cannot arbitrate; then the primary key alone is asked beforehand.
        guard = (
            " ON CONFLICT DO NOTHING" if remedy.immediate else " WHERE NOT EXISTS (SELECT FROM {} AS child WHERE {})"
        )
        return text(
            GIVE_BACK,
            **{**parts, "match": same},
            all=qualified(remedy.relation.table),
            writable=COMMA.join(map(name, remedy.writable)),
            kept_writable=COMMA.join(column("kept", each) for each in remedy.writable),
            returned=COMMA.join(column("child", each) for each in remedy.key),
            guard=sql.SQL(guard).format(self._table, same) if not remedy.immediate else sql.SQL(guard),
        )

    @property
    def _table(self) -> sql.Composed:
        return source(self.remedy.relation.table, self.catalog)

    def _match_now(self) -> sql.Composed:
        """The kept row's row as it is now: a column of its key that this run wrote has what it wrote there."""
        remedy = self.remedy
        return AND.join(
            self._as_written(each) if each in remedy.sets else equal("child", "kept", each) for each in remedy.key
        )

    def _unchanged(self) -> sql.Composed:
        """What this run wrote is still there."""
        return AND.join(map(self._as_written, self.remedy.sets))

    def _as_written(self, written: str) -> sql.Composed:
        remedy = self.remedy
        if remedy.how == "set-null":
            return sql.SQL("{} IS NULL").format(column("child", written))
        values = as_json(dict(zip(remedy.relation.columns, remedy.to, strict=True)))
        return sql.SQL("child.{0} = (SELECT given.{0} FROM json_populate_record(NULL::{1}, {2}) AS given)").format(
            name(written), qualified(remedy.relation.table), values
        )


def _same_again(written: str) -> sql.Composed:
    """A column has its former value, which may be NULL."""
    return sql.SQL("{} IS NOT DISTINCT FROM {}").format(column("child", written), column("kept", written))
