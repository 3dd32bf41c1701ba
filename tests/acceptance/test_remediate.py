"""Orphans are remediated in batches, put back, and remediated again; then the key that they kept out can be added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orchestrator.adapters import points
from orchestrator.app import remediating
from orchestrator.app.answer import Answer
from orchestrator.app.remediating import Wish
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused
from tests import servers
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, contents, execute, fingerprint, has_ledger, keys, rows, value
from tests.conftest import MAJORS, MATRIX, NEWEST, ClusterUrl

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
name = "orders_customer"

[[foreign_key]]
table = "lines"
columns = ["order_id"]
references = { table = "orders", columns = ["id"] }
name = "lines_order"
"""

TABLES = (
    "create table customers (id bigint primary key, name text)",
    "create table orders (id bigint generated always as identity primary key, customer_id bigint,"
    " total numeric, doubled numeric generated always as (total * 2) stored)",
    "create table lines (id bigint primary key, order_id bigint not null)",
    "insert into customers select n, 'c' || n from generate_series(1, 10) n",
    "insert into orders (customer_id, total) select n % 20, n from generate_series(1, 400) n",
    "insert into lines values (1, 400), (2, 9)",
)
"""Of 400 orders 200 have no customer (0 and 11 to 19); a line refers to one of them, order 400."""


@pytest.fixture(params=NEWEST)
def empty(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[str]:
    """The URL of a fresh, empty database, on each version in turn."""
    url = servers.fresh_database(cluster_url(request.param))
    yield url
    servers.drop_database(url)


@pytest.fixture
def shop(desk: Desk, empty: str) -> str:
    """Two relations, one with orphans, known to the desk as staging."""
    execute(empty, *TABLES)
    desk.environment("staging", empty)
    desk.runbook(CONTRACT, name="shop")
    return empty


def remediate(desk: Desk, *, apply: bool = True, **wish: Any) -> Answer:
    """`invoke remediate`, in this process."""
    asked = Wish(**{"relation": "orders.customer_id", **wish} if not wish.get("undo") else wish)
    request = desk.request(runbook=str(desk.folder / "shop"), json=True)
    return remediating.remediate(request, asked, apply=apply, yes=True, confirm=lambda _: False)


def orphans(url: str) -> int:
    """Orders without a customer."""
    query = "select count(*) from orders o where customer_id is not null and not exists"
    return int(value(url, f"{query} (select from customers c where c.id = o.customer_id)"))


def data(url: str) -> dict[str, tuple[int, str]]:
    """The rows of the application."""
    return {name: each for name, each in contents(url).items() if name.startswith("public.")}


HOWS = (("set-null", None), ("quarantine", None), ("reassign", "7"), ("delete", None))
IN_THE_SUITE = {("set-null", 15), ("quarantine", 18)}
"""Both ends of the range, and both ways that there are to keep what was there: a value, or the whole row."""

WAYS = [
    pytest.param(how, to, major, id=f"{how}-{major}", marks=() if (how, major) in IN_THE_SUITE else MATRIX)
    for how, to in HOWS
    for major in MAJORS
]


@pytest.mark.parametrize(("how", "to", "empty"), WAYS, indirect=["empty"])
def test_there_and_back_and_there_again(desk: Desk, shop: str, how: str, to: str | None) -> None:
    """Each way; the way back gives the very rows back and leaves nothing behind; then the key goes in."""
    execute(shop, "delete from lines where id = 1")
    before, catalog = data(shop), fingerprint(shop)
    first = remediate(desk, how=how, to=to)
    assert first.exit_code == EXIT_DONE, first.document
    assert orphans(shop) == 0
    assert fingerprint(shop) == catalog
    run = first.document["run"]
    back = desk.rollback(run=run, runbook=str(desk.folder / "shop"))
    assert back.exit_code == EXIT_DONE, back.document
    assert data(shop) == before
    assert not value(shop, "select to_regnamespace('orchestrator_quarantine') is not null")
    again = remediate(desk, how=how, to=to)
    assert again.exit_code == EXIT_DONE
    deployed = desk.deploy(runbook=str(desk.folder / "shop"))
    assert deployed.exit_code == EXIT_DONE, deployed.document
    assert set(keys(shop)) == {"orders_customer", "lines_order"}


def test_the_dry_run_changes_nothing_and_shows_what_would_be(
    desk: Desk, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many, the SQL of a batch, how it is put back; not a row, and no ledger."""
    before, catalog = data(shop), fingerprint(shop)
    wish = Wish(relation="orders.customer_id", how="delete")
    request = desk.request(runbook=str(desk.folder / "shop"))
    answer = remediating.remediate(request, wish, apply=False, yes=True, confirm=lambda _: False)
    said = capsys.readouterr().out
    assert answer.exit_code == EXIT_DONE
    # Order 400 is an orphan, and a line refers to it.
    assert "199 of 200 rows would be deleted" in said
    assert "1 would be left alone: other rows refer to them" in said
    assert 'WITH done AS (DELETE FROM ONLY "public"."orders" AS child' in said
    assert "--apply does it" in said
    assert (data(shop), fingerprint(shop), has_ledger(shop)) == (before, catalog, False)


@pytest.mark.parametrize("point", ["effect:committed", pytest.param("effect:begin", marks=MATRIX)])
def test_killed_half_way_it_goes_on(desk: Desk, shop: str, stop_at: Stop, point: str) -> None:
    """After the third batch or in the middle of it: resume does the rest, nothing twice, and the undo is whole."""
    execute(shop, "delete from lines where id = 1")
    before = data(shop)
    stop_at(point, 4)
    with pytest.raises(Stopped):
        remediate(desk, how="quarantine", batch=20)
    left = orphans(shop)
    assert 0 < left < 200
    resumed = desk.resume(runbook=str(desk.folder / "shop"))
    assert (resumed.exit_code, orphans(shop)) == (EXIT_DONE, 0)
    kept = rows(shop, "select table_name from information_schema.tables where table_schema = 'orchestrator_quarantine'")
    assert len(kept) == 1
    moved = sum(each["rows"] for each in desk.events(resumed, "rows_remediated"))
    told = desk.report(resumed)["remediation"]
    assert moved == 200 == told["rows"]
    assert "200 rows moved to quarantine" in desk.file(resumed, "report.html")
    assert "200 rows moved to quarantine" in desk.file(resumed, "report.md")
    assert desk.rollback(run=resumed.document["run"], runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    assert data(shop) == before


def test_what_the_application_did_meanwhile_stays(desk: Desk, shop: str) -> None:
    """A row that was repaired after its remediation is not put back over; the run says so and ends with 1."""
    execute(shop, "delete from lines where id = 1")
    done = remediate(desk, how="set-null")
    execute(shop, "update orders set customer_id = 3 where id = 20")
    back = desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    assert back.exit_code == EXIT_FAILED
    assert "1 row" in back.document["reason"] + str(back.document["findings"]) + str(back.document["steps"])
    assert value(shop, "select customer_id from orders where id = 20") == 3
    assert orphans(shop) == 199


def test_writers_do_not_wait_for_a_batch(desk: Desk, shop: str) -> None:
    """A row that somebody else has locked is left for a later batch; who holds it is not waited for."""
    execute(shop, "delete from lines where id = 1")
    with psycopg.connect(shop) as other:
        other.execute("select from orders where id = 20 for update")
        points.visit(lambda point: other.commit() if point == "effect:committed" and orphans(shop) == 1 else None)
        try:
            done = remediate(desk, how="set-null")
        finally:
            points.visit(lambda _: None)
    assert (done.exit_code, orphans(shop)) == (EXIT_DONE, 0)
    assert done.document["longest_lock_wait_ms"] <= 100


HOSTILE = """
[[foreign_key]]
schema = "od\\"d"
table = "or'd -- ers"
columns = ["a b", "select"]
references = { table = "cust\\"omers", columns = ["x;", "Y"] }
name = "k e'y\\""
"""
HOSTILE_TABLES = (
    'create schema "od""d"',
    'create table "od""d"."cust""omers" ("x;" int, "Y" text, primary key ("x;", "Y"))',
    'create table "od""d"."or\'d -- ers" ("i d" int, "p" text, "a b" int, "select" text, primary key ("i d", "p"))',
    'insert into "od""d"."cust""omers" values (1, \'q\'\'s\')',
    "insert into \"od\"\"d\".\"or'd -- ers\" select n, 'p\"' || n, n % 3, 'q''s' from generate_series(1, 30) n",
)


@pytest.mark.parametrize(("how", "to"), [pytest.param("quarantine", None, marks=MATRIX), ("reassign", '["1", "q\'s"]')])
def test_hostile_names_and_keys_of_two_columns(desk: Desk, empty: str, how: str, to: str | None) -> None:
    """There and back, the same rows."""
    execute(empty, *HOSTILE_TABLES)
    desk.environment("staging", empty)
    desk.runbook(HOSTILE, name="shop")
    before = contents(empty)
    done = remediate(desk, relation="k e'y\"", how=how, to=to)
    assert done.exit_code == EXIT_DONE, done.document
    assert desk.audit(runbook=str(desk.folder / "shop")).document["total"] == 0
    back = desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    assert back.exit_code == EXIT_DONE, back.document
    assert contents(empty) == before


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"relation": "orders.nothing", "how": "delete"}, "no such relation in the contract"),
        ({"how": "forget"}, "no such way; one of"),
        ({"how": "reassign"}, "--how reassign needs --to KEY"),
        ({"how": "reassign", "to": "99"}, "99"),
        ({"relation": "lines.order_id", "how": "set-null"}, "choose"),
        ({"undo": True}, "nothing was deployed|no remediation is there|has no ledger"),
    ],
)
def test_bad_input_is_one_line(desk: Desk, shop: str, wish: dict[str, Any], told: str) -> None:
    """Refused before the first change; nothing is left behind."""
    execute(shop, "insert into lines values (3, 9999)")
    before = data(shop)
    with pytest.raises(Refused, match=told):
        remediate(desk, **wish)
    assert data(shop) == before
