"""Option B on a real server: installed, found again, asked, walked back, and left for option A."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.errors import ForeignKeyViolation

from orchestrator.adapters import points
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, EXIT_REFUSED
from tests import servers
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import (
    MASTER,
    Desk,
    contents,
    counts,
    execute,
    finding,
    fingerprint,
    insert_base_rows,
    keys,
    not_valid,
    rows,
    value,
)
from tests.acceptance.option_b import LOST, PIECES, TABLES, Shop
from tests.conftest import MATRIX, ClusterUrl

SCHEMA_IS_THERE = "select to_regnamespace('orphan_audit') is not null"
OF_HISTORY = "finding_audit_fkey"


@pytest.fixture
def shop(desk: Desk, database: str) -> Shop:
    """Open, decided for B."""
    made = Shop(desk=desk, url=database)
    made.open()
    return made


def test_the_master_tables_take_option_b_and_then_a(desk: Desk, staging: str) -> None:
    """44 relations are deferred, one is present; nothing is left to do; A adds the keys and takes B away."""
    insert_base_rows(staging)
    decided = desk.folder / "decided"
    decided.mkdir()
    for name in ("runbook.py", "foreign_keys.toml", "checks"):
        (decided / name).symlink_to(MASTER / name)
    place = str(decided)
    said = ("--rationale", "why", "--by", "Ayu")
    assert desk.typed("decide", "--runbook", place, "--option", "B", *said).returncode == 0
    answer = desk.deploy(runbook=place)
    assert answer.exit_code == EXIT_DONE
    assert counts(answer) == {"present": 1, "deferred": 55}
    assert sum(each["reason"] == "option B" for each in desk.report(answer)["relation_rows"]) == 44
    assert finding(answer, "C1.foreign-keys")["observed"] == "1 of 1 stand"
    assert finding(answer, "C1.orphans")["observed"] == "no orphan in 45 relations"
    assert desk.plan(runbook=place).document["statements"] == []
    assert desk.typed("decide", "--runbook", place, "--option", "A", *said).returncode == 0
    added = desk.deploy(runbook=place)
    assert counts(added) == {"added": 44, "present": 1, "deferred": 11}
    kinds = [each["id"].split(":")[0] for each in desk.events(added, "statement_done")]
    assert kinds == ["add"] * 44 + ["validate"] * 44 + ["remove"] * 47
    assert not value(staging, SCHEMA_IS_THERE)


def test_there_back_there_and_then_the_keys(shop: Shop, desk: Desk, database: str) -> None:
    """Rows and catalog are what they were; audits stay until every key is valid, and come back with its way back."""
    before, held = fingerprint(database), contents(database)
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    installed = fingerprint(database)
    assert (installed == before, value(database, SCHEMA_IS_THERE)) == (False, True)
    assert desk.rollback(runbook=shop.runbook).exit_code == EXIT_DONE
    assert (fingerprint(database), contents(database), value(database, SCHEMA_IS_THERE)) == (before, held, False)
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    execute(database, *LOST)
    shop.decide("A")
    desk.environment("staging", database, policy='orphans = "leave_not_valid"')
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_FAILED
    assert value(database, SCHEMA_IS_THERE)
    execute(database, "delete from notes where id = 3", "delete from orders where id > 2")
    added = desk.deploy(runbook=shop.runbook)
    assert added.exit_code == EXIT_DONE
    assert (value(database, SCHEMA_IS_THERE), not_valid(database)) == (False, set())
    assert desk.rollback(runbook=shop.runbook).exit_code == EXIT_DONE
    assert value(database, SCHEMA_IS_THERE)
    shop.decide("B")
    assert desk.plan(runbook=shop.runbook).document["statements"] == []


def test_what_is_not_ours_is_never_dropped(shop: Shop, desk: Desk, database: str) -> None:
    """A table that somebody put there, and a view on one of ours, stand; the rest goes, and the run says what stays."""
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    execute(
        database,
        "create table orphan_audit.mine (id int)",
        "create view public.look as select * from orphan_audit.orders_customer",
    )
    answer = desk.rollback(runbook=shop.runbook)
    assert answer.exit_code == EXIT_FAILED
    passed = {each["id"]: each["stands"] for each in desk.events(answer, "undo_passed_over")}
    assert passed == {"install:orphan_audit.orders_customer": True, "install:orphan_audit.history": True}
    assert value(database, "select count(*) from public.look") == 0
    first, *_, last = answer.document["next_steps"]
    assert first.startswith("install:orphan_audit.orders_customer stands: refused: cannot drop view")
    assert "view look depends on view orphan_audit.orders_customer" in first
    assert last.startswith("repair that, then: invoke rollback --env staging")


def test_keys_are_not_added_where_an_audit_cannot_go(shop: Shop, desk: Desk, database: str) -> None:
    """Refused before the first change: what depends on ours, on what, and what to do."""
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    execute(
        database,
        "create view public.look as select * from orphan_audit.orders_customer",
        "create table orphan_audit.mine (of orphan_audit.finding)",
    )
    shop.decide("A")
    answer = desk.deploy(runbook=shop.runbook)
    assert (answer.exit_code, answer.document["state"]) == (EXIT_REFUSED, "refused")
    found = finding(answer, "audit-dependents")
    assert "view look depends on view orphan_audit.orders_customer" in found["observed"]
    assert "table orphan_audit.mine is in schema orphan_audit" in found["observed"]
    assert "table orphan_audit.mine depends on table orphan_audit.finding" in found["observed"]
    assert found["remedy"].startswith("drop what is named")
    assert keys(database).keys() == {OF_HISTORY}


def test_an_audit_that_cannot_go_takes_no_key_along(shop: Shop, desk: Desk, database: str) -> None:
    """Somebody's view that came after preflight holds the run; the keys stand, and resume removes the rest."""
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    look = "create or replace view public.look as select * from orphan_audit.orders_customer"
    points.visit(lambda point: execute(database, look) if point == "effect:committed" else None)
    shop.decide("A")
    try:
        answer = desk.deploy(runbook=shop.runbook)
    finally:
        points.visit(lambda _: None)
    assert (answer.exit_code, answer.document["rolled_back"]) == (EXIT_HELD, False)
    assert "remove:orphan_audit.orders_customer was refused: cannot drop view" in answer.document["reason"]
    assert "view look depends on view orphan_audit.orders_customer" in answer.document["reason"]
    assert any(each.startswith("invoke resume --env staging") for each in answer.document["next_steps"])
    assert (len(keys(database).keys() - {OF_HISTORY}), not_valid(database)) == (3, set())
    assert desk.resume(runbook=shop.runbook).exit_code == EXIT_HELD
    execute(database, "drop view look")
    assert desk.resume(runbook=shop.runbook).exit_code == EXIT_DONE
    assert (len(keys(database)), value(database, SCHEMA_IS_THERE)) == (3, False)


def test_an_audit_of_another_table_than_promised_says_so(shop: Shop, desk: Desk, database: str) -> None:
    """The view follows a renamed column: no orphan is found, and exit code 1 has its reason on the screen."""
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    execute(database, "alter table orders rename column customer to buyer")
    said = desk.typed("audit", "--record", "--env", "staging", "--runbook", shop.runbook)
    assert said.returncode == EXIT_FAILED
    assert "is not as the contract says" in said.stdout + said.stderr


def test_a_schema_of_that_name_is_not_touched(shop: Shop, desk: Desk, database: str) -> None:
    """Refused before anything was changed, with one line."""
    execute(database, "create schema orphan_audit")
    said = desk.typed("deploy", "--env", "staging", "--runbook", shop.runbook)
    assert said.returncode == EXIT_REFUSED
    assert "schema orphan_audit is there and was not made by this program" in said.stdout + said.stderr


def test_killed_in_the_middle_it_goes_on(shop: Shop, desk: Desk, database: str, stop_at: Stop) -> None:
    """Each piece is on record exactly once, on the way there, where it is killed twice, and on the way back."""
    before = fingerprint(database)
    stop_at("effect:committed", 1)
    with pytest.raises(Stopped):
        desk.deploy(runbook=shop.runbook)
    stop_at("effect:begin", 3)
    with pytest.raises(Stopped):
        desk.resume(runbook=shop.runbook)
    answer = desk.resume(runbook=shop.runbook)
    assert answer.exit_code == EXIT_DONE
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert len(done) == len(set(done)) == PIECES
    stop_at("effect:committed", 4)
    with pytest.raises(Stopped):
        desk.rollback(runbook=shop.runbook)
    assert desk.resume(runbook=shop.runbook).exit_code == EXIT_DONE
    assert fingerprint(database) == before


def test_a_role_that_owns_no_table_may_install_it(shop: Shop, desk: Desk, database: str) -> None:
    """It needs to read them, and a schema of its own; without CREATE on the database preflight says so."""
    role = f"b_{database.rsplit('/', 1)[1]}"[:60]
    execute(database, f'create role "{role}"')
    desk.environment("staging", database, head="", more="")
    inventory = desk.inventory / "staging.toml"
    inventory.write_text(inventory.read_text("utf-8").replace("[policy]", f'role = "{role}"\n[policy]'), "utf-8")
    try:
        refused = desk.deploy(runbook=shop.runbook)
        assert refused.document["state"] == "refused"
        assert "CREATE (for schema orphan_audit)" in finding(refused, "rights")["observed"]
        grants = desk.typed("preflight", "--env", "staging", "--runbook", shop.runbook, "--grants").stdout.splitlines()
        assert {each.split(maxsplit=2)[1] for each in grants} == {"CREATE", "USAGE", "SELECT"}
        execute(database, *grants)
        assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
        owner = "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'orphan_audit'"
        assert value(database, owner) == role
    finally:
        execute(database, f'drop owned by "{role}" cascade', f'drop role "{role}"')


@contextmanager
def app_role(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A role that may read one table, and has no right on schema orphan_audit but everybody's."""
    role = f"app_{database.rsplit('/', 1)[1]}"[:60]
    execute(database, f'create role "{role}"', f'grant select on orders to "{role}"')
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f'set role "{role}"')
            yield connection
    finally:
        execute(database, f'drop owned by "{role}"', f'drop role "{role}"')


def test_a_developer_asks_before_a_write(shop: Shop, desk: Desk, database: str) -> None:
    """False, or an error with relation and value; NULL passes as MATCH says; the lock holds until the end.

    A role of the application asks with its own rights; audits and history are not for it.
    """
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    asked = 'select orphan_audit.check_orders_customer({0}), orphan_audit."check_orders_by_by\'who"({1})'
    assert rows(database, asked.format("1", "1, 'a'")) == [(True, True)]
    assert rows(database, asked.format("9", "1, 'b'")) == [(False, False)]
    assert rows(database, asked.format("null", "null, null")) == [(True, True)]
    # MATCH FULL refuses what is NULL in part.
    assert rows(database, asked.format("null", "1, null")) == [(True, False)]
    with psycopg.connect(database) as one, psycopg.connect(database) as two:
        with pytest.raises(ForeignKeyViolation) as refused:
            one.execute("select orphan_audit.\"require_orders_by_by'who\"(5, 'x')")
        told = "public.orders(by, by'who) -> Odd \" schema.Kun; den(id, Na'me): no row for (5, x)"
        assert refused.value.diag.message_primary == told
        assert (refused.value.diag.table_name, refused.value.diag.constraint_name) == ("orders", "fk_orders_by_by'who")
        one.rollback()
        one.execute("select orphan_audit.require_orders_customer(2)")
        two.execute("set lock_timeout = 50")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.execute('delete from "Odd "" schema"."Kun; den" where id = 2')
    with app_role(database) as connection:
        assert connection.execute('select orphan_audit."check_notes_order $1"(1)').fetchone() == (True,)
        for forbidden in (
            "call orphan_audit.record_audit()",
            "select orphan_audit.begin_audit()",
            "select from orphan_audit.finding",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


@MATRIX
def test_production_is_opened_by_a_rehearsal(shop: Shop, desk: Desk, database: str, cluster_url: ClusterUrl) -> None:
    """The gates work as for the keys; evidence can be renewed when staging is ahead, on either road."""
    other = servers.fresh_database(cluster_url(16))
    execute(other, *TABLES)
    external = 'mode = "external"\ncommand = "echo restore-point"'
    desk.environment("prod", other, kind="production", head='evidence_from = "staging"', backup=external)
    assert desk.deploy("prod", runbook=shop.runbook).document["state"] == "refused"
    for option in ("B", "A"):
        shop.decide(option)
        assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
        rehearsed = desk.rehearse(runbook=shop.runbook, like="prod")
        assert (rehearsed.document["state"], rehearsed.document["verdict"]) == ("done", "GO")
        assert desk.deploy("prod", runbook=shop.runbook).exit_code == EXIT_DONE
    assert not value(other, SCHEMA_IS_THERE)
    servers.drop_database(other)
