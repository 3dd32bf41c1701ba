"""Triggers, rules and policies that make something else of a batch: it is said, and counted as it is."""

from __future__ import annotations

import pytest

from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, OrchestratorError, Refused
from tests.acceptance.desk import Desk, execute, rows, value
from tests.acceptance.test_remediate import data, empty, orphans, remediate, shop
from tests.acceptance.test_remediate_odd import parted
from tests.conftest import MATRIX

__all__ = ["empty", "parted", "shop"]

TRIGGER = (
    "create function odd() returns trigger language plpgsql as $$ begin {body} end $$",
    "create trigger odd before {event} on {table} for each row execute function odd()",
)


def trigger(url: str, event: str, body: str, table: str = "orders") -> None:
    """A row trigger that is fired before the event."""
    execute(url, *(each.replace("{body}", body).format(event=event, table=table) for each in TRIGGER))


@MATRIX
def test_a_trigger_that_lets_no_row_go(desk: Desk, shop: str) -> None:
    """BEFORE DELETE that returns NULL: the run is held and names it; nothing is kept that is still there."""
    trigger(shop, "delete", "return null;")
    done = remediate(desk, how="delete")
    assert (done.exit_code, orphans(shop)) == (EXIT_HELD, 200)
    assert done.document["remediation"]["rows"] == 0
    assert "triggers of public.orders fire: odd" in done.document["reason"]


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        ("delete", "on delete to orders do instead nothing"),
        pytest.param("quarantine", "on insert to orders where new.id < 0 do instead nothing", marks=MATRIX),
        pytest.param("set-null", "on update to orders do also notify orders", marks=MATRIX),
    ],
)
def test_a_rule_is_told_of_first(desk: Desk, shop: str, how: str, rule: str) -> None:
    """The server takes no such statement, or does nothing for it: refused by name, before there is a ledger."""
    execute(shop, f"create rule odd as {rule}")
    with pytest.raises(Refused, match=r"rules rewrite what is written to public\.orders: odd"):
        remediate(desk, how=how)
    assert value(shop, "select to_regnamespace('orchestrator') is null")


def test_rows_that_a_policy_hides(desk: Desk, shop: str) -> None:
    """Customers that are not seen make orphans of nothing: the server refuses to count at all."""
    execute(
        shop,
        "alter table customers enable row level security, force row level security",
        "create role half_blind",
        "grant all on all tables in schema public to half_blind",
        "grant all on schema public to half_blind",
    )
    inventory = desk.inventory / "staging.toml"
    inventory.write_text(inventory.read_text("utf-8").replace("[policy]", 'role = "half_blind"\n[policy]'), "utf-8")
    before = data(shop)
    with pytest.raises(OrchestratorError, match="row-level security policy for table"):
        remediate(desk, how="delete", apply=False)
    execute(shop, "drop owned by half_blind", "drop role half_blind")
    assert data(shop) == before


def test_a_way_back_that_a_trigger_turns_round(desk: Desk, shop: str) -> None:
    """The server counts the row as updated, and it is not: it stays kept; what to type next is told, and works."""
    before = data(shop)
    done = remediate(desk, how="set-null")
    shown = remediate(desk, apply=False, undo=True).document
    assert (len(shown["next_steps"]), shown["next_steps"][0].count(" --undo")) == (1, 1)
    trigger(shop, "update", "if old.id < 15 then new.customer_id := old.customer_id; end if; return new;")
    back = desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    view = back.document["remediation"]
    assert (back.exit_code, back.document["state"], view["lost"], view["kept_rows"]) == (EXIT_FAILED, "failed", 4, 4)
    (kept,) = rows(shop, "select quote_ident(tablename) from pg_tables where schemaname = 'orchestrator_quarantine'")
    reasons = f"select distinct kept_because from orchestrator_quarantine.{kept[0]}"
    assert rows(shop, reasons) == [("a trigger keeps it as it is",)]
    told = next(each for each in back.document["next_steps"] if each.startswith("to try again"))
    with pytest.raises(Refused, match=r"4 rows that could not be stay in .* the last column says why"):
        remediate(desk, undo=True, run=done.document["run"])
    with pytest.raises(Refused, match=f"is tried again with --run {done.document['run']}"):
        remediate(desk, undo=True)
    execute(shop, "drop trigger odd on orders", told.split(": ")[1].split(";")[0])
    assert remediate(desk, undo=True, run=done.document["run"]).exit_code == EXIT_DONE
    with pytest.raises(Refused, match=r"there to put back$"):
        remediate(desk, undo=True)
    assert data(shop) == before


@MATRIX
def test_a_way_back_that_a_trigger_keeps_out(desk: Desk, shop: str) -> None:
    """BEFORE INSERT that returns NULL for all: every row stays kept, and that is no refusal."""
    execute(shop, "delete from lines where id = 1")
    done = remediate(desk, how="delete")
    trigger(shop, "insert", "return null;")
    back = desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop"))
    view = back.document["remediation"]
    assert (back.exit_code, back.document["state"], view["rows"], view["lost"]) == (EXIT_FAILED, "failed", 0, 200)


def test_a_trigger_that_moves_a_row(desk: Desk, parted: str) -> None:
    """Into another partition, under another key: it is found again there by the way back."""
    trigger(parted, "update", "if new.owner is null then new.day := 15; end if; return new;", table="parts")
    before = rows(parted, "select id, owner from parts order by id")
    done = remediate(desk, relation="parts.owner", how="set-null")
    assert (done.exit_code, done.document["remediation"]["rows"]) == (EXIT_DONE, 40)
    assert desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    assert rows(parted, "select id, owner from parts order by id") == before


def test_a_unique_index_serves_as_a_key(desk: Desk, shop: str) -> None:
    """Over NOT NULL columns; who is left alone, and because of whose rows, is told while it is done, too."""
    execute(shop, "alter table orders drop constraint orders_pkey", "create unique index on orders (id)")
    before = data(shop)
    done = remediate(desk, how="quarantine")
    assert done.document["remediation"]["referring"] == ("public.lines",)
    assert "1 left alone: other rows refer to them (public.lines)" in desk.file(done, "report.md")
    assert desk.rollback(run=done.document["run"], runbook=str(desk.folder / "shop")).exit_code == EXIT_DONE
    assert data(shop) == before


@pytest.mark.parametrize("how", ["delete", pytest.param("set-null", marks=MATRIX)])
def test_what_is_typed_by_hand_without_a_key(desk: Desk, shop: str, how: str) -> None:
    """The refusal has the query and the transaction: typed as they are, nothing is lost and no orphan is left."""
    execute(shop, "alter table orders drop constraint orders_pkey", "create unique index on orders (customer_id, id)")
    with pytest.raises(Refused, match="no unique index over NOT NULL columns") as refused:
        remediate(desk, how=how)
    look, typed = str(refused.value).split("Look first: ")[1].split(". Then: ")
    assert len(rows(shop, look)) == 200
    execute(shop, typed)
    assert (orphans(shop), value(shop, 'select count(*) from "orders orphans"')) == (0, 200)
