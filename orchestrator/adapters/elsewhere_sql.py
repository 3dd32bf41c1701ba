"""The SQL that counts what a remedy does to other relations of its table, before it is done and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.orphan_sql import refers_to_nothing, source
from orchestrator.adapters.remediation_back_sql import WayBackSql
from orchestrator.adapters.remediation_parts import AND, COMMA, column, name, text
from orchestrator.adapters.remediation_sql import RemediationSql
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Relation
from orchestrator.core.remediation import Remedy

# Of the rows that are touched alone: each is judged twice, by an index of what it refers to.
COUNTED = (
    "SELECT count(*) FILTER (WHERE later.lost AND NOT former.lost) AS orphans,"
    " count(*) FILTER (WHERE former.whole AND NOT former.lost AND NOT later.whole AND NOT later.lost) AS unheld"
    " FROM {rows} CROSS JOIN LATERAL {former} AS former CROSS JOIN LATERAL {later} AS later WHERE {touched}"
)
JUDGED = "(SELECT ({lost}) AS lost, ({whole}) AS whole FROM (SELECT {columns}) AS child)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ElsewhereSql:
    """Writes the counts for one remedy; nothing here depends on a connection."""

    remedy: Remedy
    catalog: Catalog

    def expected(self, other: Relation) -> str:
        """What would happen to this relation when all orphans that may be touched were done."""
        work = RemediationSql(remedy=self.remedy, catalog=self.catalog)
        rows: sql.Composable = sql.SQL("{} AS child").format(self._table)
        if self.remedy.how == "reassign":
            rows = sql.SQL("{} CROSS JOIN ({}) AS heir").format(rows, work.heir())
        values = {each: self._new_value(each) for each in self.remedy.sets}
        return self._counted(other, rows, former={}, later=values, touched=work.touched())

    def happened(self, other: Relation) -> str:
        """What has happened to this relation, among the rows that are kept and still have what was written."""
        back = WayBackSql(remedy=self.remedy, catalog=self.catalog)
        rows = sql.SQL("{} AS kept CROSS JOIN {} AS child").format(qualified(self.remedy.kept), self._table)
        values = {each: column("kept", each) for each in self.remedy.sets}
        return self._counted(other, rows, former=values, later={}, touched=back.still_written())

    def _counted(
        self,
        other: Relation,
        rows: sql.Composable,
        *,
        former: Mapping[str, sql.Composable],
        later: Mapping[str, sql.Composable],
        touched: sql.Composable,
    ) -> str:
        return text(
            COUNTED,
            rows=rows,
            former=self._judged(other, former),
            later=self._judged(other, later),
            touched=touched,
        )

    def _judged(self, other: Relation, values: Mapping[str, sql.Composable]) -> sql.Composed:
        """A row as this relation would judge it, were these its values."""
        columns = [
            sql.SQL("{} AS {}").format(values.get(each, column("child", each)), name(each)) for each in other.columns
        ]
        present = [sql.SQL("{} IS NOT NULL").format(column("child", each)) for each in other.columns]
        return sql.SQL(JUDGED).format(
            lost=refers_to_nothing(other, self.catalog), whole=AND.join(present), columns=COMMA.join(columns)
        )

    def _new_value(self, written: str) -> sql.Composable:
        """As it would be written, in the type of the table's own column."""
        table = self.catalog.tables[self.remedy.relation.table]
        own = next(each for each in table.columns if each.name == written)
        relation = self.remedy.relation
        theirs = dict(zip(relation.columns, relation.referenced_columns, strict=True))[written]
        value = column("heir", theirs) if self.remedy.how == "reassign" else sql.SQL("NULL")
        # The server's own words for the type, read with an empty search_path: every name in full.
        return sql.SQL("CAST({} AS {})").format(value, sql.SQL(own.type_name))

    @property
    def _table(self) -> sql.Composed:
        return source(self.remedy.relation.table, self.catalog)
