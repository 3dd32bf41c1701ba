"""Remediation of what is not plain: rows that others refer to or the server refuses, partitions, other writers."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from orchestrator.adapters import points
from orchestrator.app import remediating, resuming
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, Refused
from tests import servers
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, contents, execute, rows, value
from tests.acceptance.test_remediate import data, empty, orphans, remediate, shop
from tests.conftest import MATRIX

__all__ = ["empty", "shop"]


def test_a_row_that_others_refer_to_is_left_alone(desk: Desk, shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No key stands, only the contract says so: it is counted and told, and the run ends with 1. Nothing cascades."""
    done = remediate(desk, how="delete")
    assert (done.exit_code, orphans(shop)) == (EXIT_FAILED, 1)
    assert value(shop, "select count(*) from orders where id = 400") == 1
    told = done.document["remediation"]
    assert (told["rows"], told["referenced"], told["orphans_left"], told["kept_rows"]) == (199, 1, 1, 199)
    said = capsys.readouterr().err
    assert "199 rows deleted, each batch is on record" in said
    assert f"invoke rollback --env staging --runbook {desk.folder / 'shop'}" in said
    assert "nothing was changed" not in said


@MATRIX
def test_a_key_that_cascades_is_no_reason_to_delete_more(desk: Desk, shop: str) -> None:
    """A standing ON DELETE CASCADE to the orphans, from a table that the contract does not know."""
    execute(
        shop,
        "delete from lines where id = 1",
        "create table notes (id int primary key, order_id bigint references orders on delete cascade)",
        "insert into notes values (1, 20), (2, 1)",
    )
    done = remediate(desk, how="quarantine")
    assert (done.exit_code, orphans(shop)) == (EXIT_FAILED, 1)
    assert value(shop, "select count(*) from notes") == 2
    assert any("notes" in each for each in done.document["remediation"]["notes"])


def test_rows_that_the_server_refuses_are_found_one_by_one(desk: Desk, shop: str) -> None:
    """A trigger that raises for two rows and a unique key: the others are done, those are told with the reason."""
    execute(
        shop,
        "delete from lines where id = 1",
        "create function no() returns trigger language plpgsql as $$ begin"
        " if old.id in (11, 380) then raise exception 'order is closed'; end if; return new; end $$",
        "create trigger closed before update on orders for each row execute function no()",
    )
    before = data(shop)
    done = remediate(desk, how="set-null")
    assert (done.exit_code, orphans(shop)) == (EXIT_FAILED, 2)
    told = done.document["remediation"]
    assert (told["rows"], told["refused"], told["reasons"]) == (198, 2, ("order is closed (2)",))
    assert any("closed" in each for each in told["notes"])
    assert desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    assert data(shop) == before


@MATRIX
def test_a_trigger_that_keeps_rows_as_they_are_holds_the_run(desk: Desk, shop: str) -> None:
    """Its batches change nothing: that is said at once, and not tried for half an hour."""
    execute(
        shop,
        "create function keep() returns trigger language plpgsql as $$ begin return null; end $$",
        "create trigger keeps before update on orders for each row execute function keep()",
    )
    done = remediate(desk, how="set-null")
    assert (done.exit_code, orphans(shop)) == (EXIT_HELD, 200)
    assert "stay as they are" in done.document["reason"]
    assert "keeps" in done.document["reason"]


def test_a_trigger_that_writes_the_old_value_again_holds_the_run(desk: Desk, shop: str) -> None:
    """The server counts such a row as updated: nothing was set to null, and nothing is said to have been."""
    execute(
        shop,
        "create function again() returns trigger language plpgsql as"
        " $$ begin new.customer_id := old.customer_id; return new; end $$",
        "create trigger keeps before update on orders for each row execute function again()",
    )
    done = remediate(desk, how="set-null")
    assert (done.exit_code, orphans(shop)) == (EXIT_HELD, 200)
    told = done.document["remediation"]
    assert (told["rows"], done.document["reason"].count("stay as they are")) == (0, 1)
    assert "keeps" in done.document["reason"]
    assert value(shop, "select count(*) from orchestrator_quarantine." + _kept_table(shop)) == 0


def _kept_table(url: str) -> str:
    found = value(
        url,
        "select relname from pg_class where relnamespace = 'orchestrator_quarantine'::regnamespace and relkind = 'r'",
    )
    return f'"{found}"'


def test_the_way_back_is_killed_and_goes_on(desk: Desk, shop: str, stop_at: Stop) -> None:
    """After the second batch, and again while it is resumed: every row is there once."""
    execute(shop, "delete from lines where id = 1")
    before = data(shop)
    done = remediate(desk, how="delete")
    stop_at("effect:committed", 2)
    with pytest.raises(Stopped):
        remediate(desk, undo=True, batch=20)
    stop_at("effect:committed", 1)
    with pytest.raises(Stopped):
        desk.resume(runbook=str(desk.folder / "shop"))
    assert 0 < orphans(shop) < 200
    back = desk.resume(runbook=str(desk.folder / "shop"))
    assert (back.exit_code, back.document["rolls_back"]) == (EXIT_DONE, done.document["run"])
    assert data(shop) == before
    assert sum(each["rows"] for each in desk.events(back, "rows_put_back")) == 200
    with pytest.raises(Refused, match="no remediation is there"):
        remediate(desk, undo=True)


def test_the_last_that_keeps_rows_is_put_back_by_default(desk: Desk, shop: str) -> None:
    """Two remediations, put back one after the other without a name."""
    execute(shop, "delete from lines where id = 1")
    before = data(shop)
    first = remediate(desk, how="quarantine")
    execute(shop, "insert into orders (customer_id, total) values (77, 1)")
    second = remediate(desk, how="delete")
    backs = [remediate(desk, undo=True).document["rolls_back"] for _ in range(2)]
    assert backs == [second.document["run"], first.document["run"]]
    execute(shop, "delete from orders where customer_id = 77")
    assert data(shop) == before


@MATRIX
def test_a_taken_key_is_not_written_over(desk: Desk, shop: str) -> None:
    """The application has used the identifier of a deleted row since: its row stays, ours stays where it is kept."""
    execute(shop, "delete from lines where id = 1")
    done = remediate(desk, how="delete")
    execute(shop, "insert into orders (id, customer_id, total) overriding system value values (20, 1, 77)")
    back = desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    told = back.document["remediation"]
    assert (back.exit_code, told["rows"], told["lost"], told["kept_rows"]) == (EXIT_FAILED, 199, 1, 1)
    assert value(shop, "select total from orders where id = 20") == 77


def test_rows_do_not_come_back_under_a_standing_key(desk: Desk, shop: str) -> None:
    """The deployment is walked back first; the line says so."""
    execute(shop, "delete from lines where id = 1")
    done = remediate(desk, how="set-null")
    assert desk.deploy(runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    with pytest.raises(Refused, match="its key orders_customer stands: walk back the run that added it first"):
        desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))


def test_somebody_asks_to_hold(desk: Desk, shop: str) -> None:
    """From any machine: it stops after its batch, and goes on."""
    execute(shop, "delete from lines where id = 1")
    asked: list[str] = []

    def ask(point: str) -> None:
        if point == "effect:committed" and 0 < orphans(shop) < 200 and not asked:
            asked.append(point)
            resuming.hold(desk.request(runbook=str(desk.folder / "shop"), json=True), run=None, reason="load")

    points.visit(ask)
    try:
        held = remediate(desk, how="set-null", batch=50)
    finally:
        points.visit(lambda _: None)
    assert held.exit_code == EXIT_HELD
    assert 0 < orphans(shop) < 200
    assert desk.resume(runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    assert orphans(shop) == 0


def test_what_was_repaired_before_the_batch_is_left_alone(desk: Desk, shop: str) -> None:
    """Found as orphans, and repaired before their batch is sent: the statement itself judges again."""
    execute(shop, "delete from lines where id = 1")
    seen: list[str] = []

    def repair(point: str) -> None:
        # The second effect is the first batch: the first makes the table of what is kept.
        seen.append(point)
        if seen.count("effect:begin") == 2 and point == "effect:begin":
            execute(shop, "update orders set customer_id = 5 where id = 20", "insert into customers values (19)")

    points.visit(repair)
    try:
        done = remediate(desk, how="delete")
    finally:
        points.visit(lambda _: None)
    assert (done.exit_code, done.document["remediation"]["rows"]) == (EXIT_DONE, 179)
    assert value(shop, "select count(*) from orders where customer_id in (5, 19)") == 41


def test_a_row_is_referred_to_while_it_is_being_deleted(desk: Desk, shop: str) -> None:
    """The reference is not committed yet: the row is locked by it, so it is passed over, and left once it is."""
    execute(
        shop,
        "delete from lines where id = 1",
        "create table notes (id int primary key, order_id bigint references orders on delete cascade)",
    )
    with psycopg.connect(shop) as other:
        other.execute("insert into notes values (1, 20)")
        points.visit(lambda point: other.commit() if point == "effect:committed" and orphans(shop) == 1 else None)
        try:
            done = remediate(desk, how="delete")
        finally:
            points.visit(lambda _: None)
    assert (done.exit_code, orphans(shop)) == (EXIT_FAILED, 1)
    assert value(shop, "select count(*) from notes") == 1


PARTED = """
[[foreign_key]]
table = "parts"
columns = ["owner"]
references = { table = "owners", columns = ["id"] }
"""


def _parted(url: str) -> None:
    execute(
        url,
        "create table owners (id int primary key)",
        "insert into owners values (1)",
        "create table parts (id int, day int, owner int, tag text default 'x', up text generated always as"
        " (upper(tag)) stored, primary key (id, day)) partition by range (day)",
        "create table parts_1 partition of parts for values from (0) to (10)",
        "create table parts_2 (up text generated always as (upper(tag)) stored, owner int, tag text, day int not null,"
        " id int not null, primary key (id, day))",
        "alter table parts_2 alter tag set default 'x'",
        "alter table parts attach partition parts_2 for values from (10) to (20)",
        "insert into parts (id, day, owner) select n, n % 20, n % 3 from generate_series(1, 60) n",
    )


@pytest.fixture
def parted(desk: Desk, empty: str) -> str:
    """A partitioned table whose partitions have their columns in different orders; 40 of 60 rows are orphans."""
    _parted(empty)
    desk.environment("staging", empty)
    desk.runbook(PARTED, name="shop")
    return empty


@pytest.mark.parametrize("how", ["quarantine", pytest.param("set-null", marks=MATRIX)])
def test_partitions(desk: Desk, parted: str, how: str) -> None:
    """There and back, each row in the partition that it came from."""
    before = contents(parted)
    done = remediate(desk, relation="parts.owner", how=how)
    assert (done.exit_code, done.document["remediation"]["rows"]) == (EXIT_DONE, 40)
    assert desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    assert contents(parted) == before


@pytest.mark.parametrize(
    ("change", "how", "told"),
    [
        ("alter table parts alter owner set not null", "set-null", "parts.owner is NOT NULL; choose delete"),
        ("alter table parts drop constraint parts_pkey", "delete", 'DELETE FROM "public"."parts" AS child WHERE'),
        ("update parts set owner = 1", "delete", "has no orphans"),
    ],
)
def test_what_cannot_be_is_refused(desk: Desk, parted: str, change: str, how: str, told: str) -> None:
    """With the reason, before there is a ledger."""
    execute(parted, change)
    with pytest.raises(Refused, match=told):
        remediate(desk, relation="parts.owner", how=how)
    assert rows(parted, "select 1 from pg_namespace where nspname ~ '^orchestrator'") == []


def test_production_asks_for_its_name(desk: Desk, shop: str) -> None:
    """As a way back does; --yes answers."""
    desk.environment("prod", shop, kind="production", backup='mode = "dump"')
    request = desk.request("prod", runbook=str(desk.folder / "shop"), json=True)
    wish: dict[str, Any] = {"relation": "orders.customer_id", "how": "set-null"}
    with pytest.raises(Refused, match="type prod when asked, or give --yes"):
        remediating.remediate(request, remediating.Wish(**wish), apply=True, yes=False, confirm=lambda _: False)
    assert orphans(shop) == 200


def test_a_copy_of_the_database_puts_back_too(desk: Desk, shop: str) -> None:
    """Its marker is that of the original; a way back is not kept waiting for that, as it is not with a deployment."""
    execute(shop, "delete from lines where id = 1")
    before = data(shop)
    done = remediate(desk, how="delete")
    copy = servers.fresh_database(shop, servers.database_name(shop))
    desk.environment("staging", copy)
    assert remediate(desk, undo=True).document["rolls_back"] == done.document["run"]
    assert data(copy) == before
    servers.drop_database(copy)
