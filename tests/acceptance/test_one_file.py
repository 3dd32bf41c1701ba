"""A runbook of one file takes either road: nothing is asked of it, and what is decided is carried out."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.desk import Desk, execute, keys, value

TABLES = (
    "create table customers (id bigint primary key)",
    "create table orders (id bigint primary key, customer_id bigint)",
    "insert into customers values (1)",
    "insert into orders values (1, 1)",
)

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""


def test_both_roads_of_a_runbook_of_one_file(desk: Desk, database: str) -> None:
    """B: dates, audits, a recorded audit; then A: the keys. Until somebody decides, no decision is asked."""
    execute(database, *TABLES)
    folder = desk.runbook(CONTRACT, "shop")
    desk.environment("staging", database)
    place = ("--runbook", folder)
    there = ("--env", "staging", *place)

    def decide(option: str) -> None:
        said = desk.typed("decide", *place, "--option", option, "--rationale", "tried", "--by", "Ayu")
        assert (said.returncode, said.stderr) == (0, "")

    assert desk.plan(runbook=folder).document["relations"][0]["status"] == "missing"
    asked = desk.typed("decide", *place, "--rationale", "tried", "--by", "Ayu")
    assert (asked.returncode, asked.stderr.split(" (")[0]) == (2, "error: which road? --option A")
    decide("B")
    dates = desk.typed("timeline", *place)
    assert (dates.returncode, "15 business days" in dates.stdout) == (0, True)
    deployed = desk.typed("deploy", *there, "--yes")
    assert (deployed.returncode, "fk_orders_customer_id" in keys(database)) == (0, False)
    assert desk.typed("audit", *there, "--record").returncode == 0
    assert value(database, "select count(*) from orphan_audit.audit_run") == 1
    decide("A")
    assert desk.typed("deploy", *there, "--yes").returncode == 0
    assert list(keys(database)) == ["fk_orders_customer_id"]
    assert value(database, "select to_regnamespace('orphan_audit')") is None
    assert (Path(folder) / "decision.md").exists()
