"""Option B over every odd sort of key: what it installs counts as the audit counts, and is brought back by its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.audit_history import AuditHistory
from orchestrator.adapters.audit_sql import AuditSql
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.orphans import OrphanQueries
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.audit import countable
from orchestrator.core.audit_objects import by_piece
from orchestrator.core.audit_plan import BASE, with_audits
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.plan import Plan
from orchestrator.core.plan_making import make_plan
from tests import servers
from tests.adapters.test_odd_keys import build, cases_on, write_contract
from tests.conftest import NEWEST, ClusterUrl, server_of


@pytest.fixture(params=NEWEST)
def odd(request: pytest.FixtureRequest, cluster_url: ClusterUrl, tmp_path: Path) -> Iterator[tuple[str, Contract]]:
    """All cases that the version can have, and their contract on the road without keys."""
    url = servers.fresh_database(cluster_url(request.param))
    cases = cases_on(request.param)
    build(url, cases)
    contract = load_contract(write_contract(tmp_path / "runbook", cases) / "foreign_keys.toml")
    yield url, replace(contract, road="option B")
    servers.drop_database(url)


def planned(contract: Contract, catalog: Catalog, *, wanted: bool) -> Plan:
    """The pieces alone."""
    made = make_plan(
        runbook="r", environment="e", contract=contract, catalog=catalog, writer=QuotedDdl(), lock_budget_ms=100
    )
    return with_audits(replace(made, statements=()), catalog=catalog, whole=contract, writer=AuditSql(), wanted=wanted)


def test_installed_counted_dropped_and_brought_back(odd: tuple[str, Contract]) -> None:
    """Whatever the tables, columns and types are called and however they are compared."""
    url, contract = odd
    reader = DatabaseCatalog(server=server_of(url))
    before = reader.catalog()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in planned(contract, before, wanted=True).statements:
            connection.execute(statement.sql.encode())
        there = reader.catalog()
        assert planned(contract, there, wanted=True).statements == ()
        recorded = AuditHistory(server=server_of(url), contract=contract).record(keeps_keys=True, shows_keys=True)
        assert [each.problem for each in recorded.event.found if each.problem] == []
        counted = OrphanQueries(server=server_of(url)).count(countable(contract, before), before)
        assert {each.relation.id: each.count for each in recorded.counts} == {
            each.relation.id: each.count for each in counted
        }
        for name, objects in by_piece(there.audit_objects).items():
            if name not in BASE:
                for text in (*AuditSql().drop(objects), *AuditSql().recreate(objects)):
                    connection.execute(text.encode())
        again = reader.catalog()
        assert again.fingerprint == there.fingerprint
        assert planned(contract, again, wanted=True).statements == ()
        for statement in planned(replace(contract, road=""), again, wanted=False).statements:
            connection.execute(statement.sql.encode())
    assert reader.catalog().fingerprint == before.fingerprint
