"""Reads what a remediation is about, and hands on the SQL that changes it: nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.adapters.elsewhere_sql import ElsewhereSql
from orchestrator.adapters.orphans import OrphanQueries
from orchestrator.adapters.postgres import Server, plainly
from orchestrator.adapters.remediation_back_sql import WayBackSql
from orchestrator.adapters.remediation_sql import RemediationSql
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Relation
from orchestrator.core.elsewhere import Elsewhere
from orchestrator.core.outcome import HeldBack, OrchestratorError, Refused
from orchestrator.core.ports import Orphans
from orchestrator.core.remediation import SCHEMA, Remedy

PAGE = 10_000
"""How many keys are looked up at once: finding orphans reads the whole table, doing something about them does not."""

STEP = "remediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationRows:
    """The rows of one remedy on one server, read without locks; `run` marks what is kept."""

    server: Server
    remedy: Remedy
    catalog: Catalog
    run: str
    page_rows: int = PAGE

    @property
    def _sql(self) -> RemediationSql:
        return RemediationSql(remedy=self.remedy, catalog=self.catalog)

    @property
    def _back(self) -> WayBackSql:
        return WayBackSql(remedy=self.remedy, catalog=self.catalog)

    def orphans(self) -> Orphans:
        """All orphans of the relation, counted exactly. Raises OrchestratorError."""
        counter = OrphanQueries(server=self.server, step=STEP, connections=1)
        (found,) = counter.count([self.remedy.relation], self.catalog)
        return found

    def referenced(self) -> tuple[int, tuple[str, ...]]:
        """How many of them other rows refer to, and the tables of those. Raises OrchestratorError."""
        query = self._sql.referenced()
        if not query:
            return 0, ()
        found = self._rows(query)[0]
        refer = zip(self.remedy.referrers, found["by"], strict=True)
        return int(found["rows"]), tuple(sorted({str(each.table) for each, rows in refer if rows}))

    def expected_elsewhere(self) -> tuple[Elsewhere, ...]:
        """What would happen to other relations of the table, each counted exactly. Raises OrchestratorError."""
        return self._elsewhere(ElsewhereSql(remedy=self.remedy, catalog=self.catalog).expected)

    def elsewhere(self) -> tuple[Elsewhere, ...]:
        """What has happened to them, among the rows that are kept. Raises OrchestratorError."""
        if not self.remedy.shared or self.kept() is None:
            return ()
        return self._elsewhere(ElsewhereSql(remedy=self.remedy, catalog=self.catalog).happened)

    def _elsewhere(self, query: Callable[[Relation], str]) -> tuple[Elsewhere, ...]:
        found = ((each.name, self._rows(query(each))[0]) for each in self.remedy.shared)
        return tuple(Elsewhere(relation=name, **rows) for name, rows in found)

    def page(self, after: Mapping[str, str] | None) -> tuple[Mapping[str, str], ...]:
        """The keys of the next orphans in the order of the primary key. Raises OrchestratorError."""
        return tuple(self._rows(self._sql.page(after, self.page_rows)))

    def kept_page(self, below: int | None) -> tuple[int, ...]:
        """The numbers of the next kept rows, the last first. Raises OrchestratorError."""
        return tuple(int(row["number"]) for row in self._rows(self._back.kept_page(below, self.page_rows)))

    def kept(self) -> tuple[int, int] | None:
        """How many rows are kept, and how many are still to be put back; None without the table."""
        known = self._rows(f"SELECT to_regclass('{self._regclass()}') IS NOT NULL AS known")
        if not known[0]["known"]:
            return None
        row = self._rows(self._back.kept_rows())[0]
        return int(row["rows"]), int(row["due"])

    def check(self) -> None:
        """Raises HeldBack when the row that orphans are to be given to is not there any more."""
        if self.remedy.how == "reassign" and not self._heir_stands():
            message = f"the row {self.told_heir} is not there any more: bring it back, then resume"
            raise HeldBack(message)

    def check_first(self) -> None:
        """The same before anything has begun, and whether a batch can be written there at all. Raises Refused."""
        if rules := [row["rulename"] for row in self._rows(self._sql.rules())]:
            names, table = ", ".join(rules), self.remedy.relation.table
            message = f"rules rewrite what is written to {table}: {names}; drop them, or ALTER TABLE … DISABLE RULE"
            raise Refused(message)
        if self.remedy.how != "reassign":
            return
        try:
            stands = self._heir_stands()
        except OrchestratorError as error:
            message = f"--to {', '.join(self.remedy.to)}: {error}"
            raise Refused(message) from error
        if not stands:
            message = f"--to: there is no row {self.told_heir}"
            raise Refused(message)

    @property
    def told_heir(self) -> str:
        """The row that orphans are given to, as people write it."""
        return f"{self.remedy.relation.target} = ({', '.join(self.remedy.to)})"

    def making(self) -> tuple[str, ...]:
        """The statements that make the table of what is kept. Raises OrchestratorError."""
        known = self._rows(f"SELECT to_regnamespace('{SCHEMA}') IS NULL AS missing")
        return self._sql.make(schema=bool(known[0]["missing"]))

    def dropping(self) -> tuple[str, ...]:
        """The statements that drop it."""
        return self._sql.drop()

    def changing(self, keys: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
        """The statements of one batch."""
        return self._sql.change(keys, run=self.run)

    def putting_back(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """The statements of one batch on the way back."""
        return self._back.put_back(numbers)

    def marking(self, number: int, reason: str) -> tuple[str, ...]:
        """The statements that note why a row is not put back."""
        return self._back.mark(number, reason)

    def _heir_stands(self) -> bool:
        return bool(self._rows(self._sql.heir_stands())[0]["stands"])

    def _regclass(self) -> str:
        kept = self.remedy.kept
        return sql.Identifier(kept.schema, kept.name).as_string(None).replace("'", "''")

    def _rows(self, query: str) -> list[dict[str, Any]]:
        """Without parameters: a name may hold a per cent sign."""
        doing = f"reading {self.remedy.relation.table}"
        with self.server.session(STEP, read_only=True) as connection, plainly(doing):
            return connection.execute(query.encode()).fetchall()
