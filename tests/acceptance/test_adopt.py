"""A copy becomes an environment, and what two environments differ in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import servers
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, execute, rows, value
from tests.acceptance.production import Shop
from tests.conftest import ClusterUrl


@pytest.fixture
def shop(desk: Desk, database: str, cluster_url: ClusterUrl) -> Iterator[Shop]:
    """Two databases with the same tables."""
    prod = servers.fresh_database(cluster_url(16))
    made = Shop(desk=desk, staging=database, prod=prod)
    made.open()
    yield made
    servers.drop_database(prod)


@pytest.fixture
def refreshed(shop: Shop, stop_at: Stop, cluster_url: ClusterUrl) -> Iterator[Shop]:
    """Staging made anew as a copy of production, whose run was in the middle of its work."""
    shop.ready()
    stop_at("effect:committed", 1)
    with pytest.raises(Stopped):
        shop.deploy()
    copy = servers.fresh_database(cluster_url(16), servers.database_name(shop.prod))
    shop.staging = copy
    shop.desk.environment("staging", copy)
    yield shop
    servers.drop_database(copy)


def marker(url: str) -> tuple[Any, ...]:
    """What the marker says, and whether it is this database's."""
    (found,) = rows(
        url,
        "select environment, kind, database = current_database(), reason from orchestrator.marker m",
    )
    return found


def test_the_first_run_writes_the_marker(shop: Shop) -> None:
    """After preflight, once."""
    shop.stage()
    assert marker(shop.staging) == ("staging", "staging", True, "")


def test_a_copy_of_production_is_refused_until_it_is_adopted(refreshed: Shop) -> None:
    """The hint leads to adopt; then the copy's runs are closed, the original's are untouched."""
    run = refreshed.desk.status("prod")["run"]
    journal = refreshed.desk.runs / run / "journal.jsonl"
    before = journal.read_bytes()
    refused = refreshed.desk.deploy("staging", runbook=refreshed.runbook)
    assert (refused.exit_code, refused.document["state"]) == (2, "refused")
    assert "marked as prod" in refused.document["reason"]
    assert "invoke adopt --env staging" in refused.document["reason"]

    done = refreshed.desk.typed("adopt", "--env", "staging", "--reason", "refreshed from prod", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"environment": "staging", "was": "prod", "closed": [run]}
    name, kind, mine, reason = marker(refreshed.staging)
    assert (name, kind, mine, reason.startswith("refreshed from prod (")) == ("staging", "staging", True, True)
    assert refreshed.desk.deploy("staging", runbook=refreshed.runbook).exit_code == 0

    assert journal.read_bytes() == before
    assert marker(refreshed.prod)[0] == "prod"
    assert refreshed.desk.status("prod")["state"] == "interrupted"
    # With staging its evidence is gone, too: that is said, and production's run is held.
    assert refreshed.resume().exit_code == 3
    assert refreshed.resume(override="rehearsal,staging_run", reason="staging was refreshed").exit_code == 0


def test_the_closed_run_verifies_in_the_copy(refreshed: Shop) -> None:
    """Its last event continues the chain."""
    assert refreshed.desk.typed("adopt", "--env", "staging", "--reason", "refreshed").returncode == 0
    last = value(
        refreshed.staging,
        "select data ->> 'reason' from orchestrator.event where kind = 'run_finished'"
        " and data ->> 'state' = 'abandoned'",
    )
    assert "came along with a copy that is staging now: refreshed" in last
    bad = value(
        refreshed.staging,
        "select count(*) from orchestrator.event e join orchestrator.event p on p.run = e.run and p.seq = e.seq - 1"
        " where e.previous <> p.hash",
    )
    assert bad == 0
    assert value(refreshed.staging, "select count(*) from orchestrator.run where not closed") == 0


def test_adopt_twice_and_without_a_ledger(shop: Shop) -> None:
    """Nothing to do is no failure: a script may say it after each refresh."""
    done = shop.desk.typed("adopt", "--env", "staging", "--reason", "first", "--json")
    assert (done.returncode, json.loads(done.stdout)["was"]) == (0, None)
    shop.stage()
    again = shop.desk.typed("adopt", "--env", "staging", "--reason", "once more", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (
        0,
        {"environment": "staging", "was": "staging", "closed": []},
    )
    assert marker(shop.staging)[3] == ""


def test_adopt_needs_a_reason_and_a_copy(shop: Shop) -> None:
    """A database that is another environment now is no copy of it."""
    assert shop.desk.typed("adopt", "--env", "staging").returncode == 2
    assert shop.desk.typed("adopt", "--env", "prod", "--reason", "why").returncode == 2
    shop.stage()
    shop.desk.environment("third", shop.staging)
    done = shop.desk.typed("adopt", "--env", "third", "--reason", "why")
    assert (done.returncode, "one database" in done.stderr) == (2, True)
    assert marker(shop.staging)[0] == "staging"


# Drift.


def test_equal_environments_and_what_differs(shop: Shop) -> None:
    """Columns, types, indexes, constraints and keys of the contract's tables; nothing else."""

    def typed(*words: str) -> Any:
        return shop.desk.typed("drift", "--env", "prod", "--runbook", shop.runbook, *words)

    same = typed("--against", "staging")
    assert (same.returncode, "0 differences in 3 tables" in same.stdout) == (0, True)
    execute(shop.prod, "create table own (id bigint)")
    assert typed("--against", "staging").returncode == 0
    execute(shop.prod, "alter table orders alter customer_id type integer")
    execute(shop.staging, "alter table notes add constraint positive check (id > 0)")
    differs = typed("--against", "staging", "--json")
    document = json.loads(differs.stdout)
    assert (differs.returncode, document["equal"], document["tables"]) == (1, False, 3)
    assert document["differences"] == [
        "only in prod: public.orders: column customer_id integer",
        "only in staging: public.notes: constraint positive CHECK ((id > 0))",
        "only in staging: public.orders: column customer_id bigint",
    ]
    assert all(line in typed("--against", "staging").stdout for line in document["differences"])


def test_drift_of_a_database_with_itself(shop: Shop) -> None:
    """Two names for one database are equal without a difference, and that says nothing: exit 2, told as what it is."""
    shop.policy("", url=shop.staging)
    done = shop.desk.typed("drift", "--env", "prod", "--runbook", shop.runbook, "--against", "staging")
    assert (done.returncode, "prod and staging are one database" in done.stderr) == (2, True)


@pytest.mark.parametrize("words", [(), ("--against", "prod"), ("--against", "nowhere")])
def test_drift_needs_two(shop: Shop, words: tuple[str, ...]) -> None:
    """One line, exit 2."""
    done = shop.desk.typed("drift", "--env", "prod", "--runbook", shop.runbook, *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_status_tells_what_changed_since(shop: Shop) -> None:
    """The catalog that the last deployment left against the one of now."""
    shop.stage()

    def status() -> dict[str, Any]:
        done = shop.desk.typed("status", "--env", "staging", "--runbook", shop.runbook, "--json")
        return dict(json.loads(done.stdout))

    assert status()["drift"] == []
    execute(shop.staging, "alter table orders drop constraint fk_orders_customer_id")
    (line,) = status()["drift"]
    assert line.startswith("gone: public.orders: foreign key fk_orders_customer_id")
    text = shop.desk.typed("status", "--env", "staging", "--runbook", shop.runbook).stdout
    assert f"changed since: {line}" in text
