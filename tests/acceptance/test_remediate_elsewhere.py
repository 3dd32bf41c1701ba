"""A column that belongs to two relations: what the remediation of one does to the other is counted, and not silent."""

from __future__ import annotations

import pytest

from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, Refused
from tests.acceptance.desk import Desk, contents, execute, rows, value
from tests.acceptance.test_remediate import data, remediate
from tests.conftest import MATRIX

SHARED = """
[[foreign_key]]
table = "orders"
columns = ["tenant", "customer"]
references = { table = "customers", columns = ["tenant", "id"] }
match = "MATCH"
[[foreign_key]]
table = "orders"
columns = ["tenant", "product"]
references = { table = "products", columns = ["tenant", "id"] }
"""
TO = '["1", "5"]'
CUSTOMER = "orders.tenant,customer"


@pytest.fixture
def tenants(desk: Desk, database: str) -> str:
    """Two orders of tenant 2 whose customer is gone: of the first the product is there, the second was lost before."""
    execute(
        database,
        "create table customers (tenant int, id int, primary key (tenant, id))",
        "create table products (like customers including all)",
        "create table orders (id int primary key, tenant bigint, customer int, product int)",
        "insert into customers values (1, 5)",
        "insert into products values (2, 8), (1, 9)",
        "insert into orders values (1, 2, 99, 8), (2, 2, 98, 77), (3, 2, 97, null), (4, 3, 96, 9)",
    )
    desk.environment("staging", database)
    desk.runbook(SHARED.replace("MATCH", "simple"), name="shop")
    return database


def test_new_orphans_of_another_relation(desk: Desk, tenants: str) -> None:
    """Refused with the count, in the dry run too; wanted, it is done and ends with 1; the way back gives all back."""
    before = data(tenants)
    shown = remediate(desk, apply=False, relation=CUSTOMER, how="reassign", to=TO)
    assert (shown.exit_code, shown.document["state"]) == (EXIT_REFUSED, "refused")
    told = "fk_orders_tenant_product would have 1 new orphan: choose another --how, or give --accept-new-orphans"
    assert told in shown.document["reason"]
    with pytest.raises(Refused, match=told):
        remediate(desk, relation=CUSTOMER, how="reassign", to=TO)
    assert (data(tenants), value(tenants, "select to_regnamespace('orchestrator') is null")) == (before, True)
    done = remediate(desk, relation=CUSTOMER, how="reassign", to=TO, accept_new_orphans=True)
    view = done.document["remediation"]
    assert (done.exit_code, view["orphans_left"], view["new_orphans"]) == (EXIT_FAILED, 0, 1)
    assert "fk_orders_tenant_product has 1 new orphan" in desk.file(done, "report.md")
    (end,) = desk.events(done, "remediation_counted")
    assert end["elsewhere"] == [{"relation": "fk_orders_tenant_product", "orphans": 1, "unheld": 0}]
    # The second and the first: what was lost before is not ours; the fourth has the product of its new tenant.
    assert desk.audit(runbook=str(desk.folder / "shop")).document["total"] == 2
    assert any("the new orphans of fk_orders_tenant_product" in each for each in done.document["next_steps"])
    back = desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    assert (back.exit_code, data(tenants)) == (EXIT_DONE, before)


@pytest.mark.parametrize("not_null", [pytest.param(False, marks=MATRIX), True])
def test_set_null_leaves_what_others_need(desk: Desk, tenants: str, not_null: bool) -> None:
    """MATCH SIMPLE lets a row pass when one column is NULL: the tenant stays, NOT NULL or not; and back."""
    if not_null:
        execute(tenants, "alter table orders alter tenant set not null")
    before = contents(tenants)
    done = remediate(desk, relation=CUSTOMER, how="set-null")
    assert done.exit_code == EXIT_DONE, done.document
    note = "customer alone becomes NULL, tenant stays: that is enough for MATCH SIMPLE"
    assert note in done.document["remediation"]["notes"]
    assert rows(tenants, "select tenant, customer from orders order by id") == [(2, None)] * 3 + [(3, None)]
    desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    assert {name: contents(tenants)[name] for name in before} == before


def test_a_generated_column_of_another_relation(desk: Desk, tenants: str) -> None:
    """What the server makes of a new value cannot be foreseen: a note says where to look afterwards."""
    execute(tenants, "alter table orders add seat bigint generated always as (tenant + 100) stored")
    seat = '[[foreign_key]]\ntable = "orders"\ncolumns = ["seat"]\nreferences = { table = "seats", columns = ["id"] }\n'
    desk.runbook(seat + SHARED.replace("MATCH", "simple"), name="shop")
    shown = remediate(desk, apply=False, relation=CUSTOMER, how="reassign", to=TO)
    note = "seat of fk_orders_seat is made of a column that is written: audit that relation afterwards"
    assert note in shown.document["remediation"]["notes"]


def test_a_relation_that_is_switched_off(desk: Desk, tenants: str) -> None:
    """MATCH FULL needs all columns NULL: the order with a product that is there would refer to none any more."""
    desk.runbook(SHARED.replace("MATCH", "full"), name="shop")
    with pytest.raises(Refused, match="fk_orders_tenant_product would hold 1 row no longer"):
        remediate(desk, relation=CUSTOMER, how="set-null")
    done = remediate(desk, relation=CUSTOMER, how="set-null", accept_new_orphans=True)
    assert done.exit_code == EXIT_DONE
    assert "fk_orders_tenant_product holds 1 row no longer" in desk.file(done, "report.html")
    execute(tenants, "update orders set tenant = 2, customer = 99", "alter table orders alter tenant set not null")
    with pytest.raises(Refused, match=r"tenant is NOT NULL \(MATCH FULL: all columns have to be NULL\); choose"):
        remediate(desk, relation=CUSTOMER, how="set-null")
