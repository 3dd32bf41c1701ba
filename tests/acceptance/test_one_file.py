"""A runbook of one file takes either road: nothing is asked of it, and what is decided is carried out."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED
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
    assert "  no key is promised: every relation is deferred" in deployed.stdout
    assert f"  next: invoke audit --env staging --runbook {folder}" in deployed.stdout
    assert desk.typed("audit", *there, "--record").returncode == 0
    assert value(database, "select count(*) from orphan_audit.audit_run") == 1
    decide("A")
    assert desk.typed("deploy", *there, "--yes").returncode == 0
    assert list(keys(database)) == ["fk_orders_customer_id"]
    assert value(database, "select to_regnamespace('orphan_audit')") is None
    assert (Path(folder) / "decision.md").exists()


def test_what_others_made_meanwhile_is_no_failed_way_back(desk: Desk, database: str) -> None:
    """A table of somebody else's is a note and exit 0; a change of a table of the contract is exit 1."""
    execute(database, *TABLES, "create table theirs (id int)")
    folder = desk.runbook(CONTRACT, "shop")
    desk.environment("staging", database)
    desk.deploy(runbook=folder)
    execute(database, "create table other (id bigint references customers)", "alter table theirs add n int")
    back = desk.rollback(runbook=folder)
    assert (back.exit_code, back.document["differences"]) == (EXIT_DONE, [])
    others = ["new: table public.other", "changed: table public.theirs"]
    assert back.document["elsewhere"] == others
    assert all(each in desk.file(back, name) for each in others for name in ("report.html", "report.md"))
    desk.deploy(runbook=folder)
    execute(database, "alter table orders add note text")
    back = desk.rollback(runbook=folder)
    assert (back.exit_code, back.document["elsewhere"]) == (EXIT_FAILED, [])
    assert back.document["differences"] == ["new: public.orders: column note text"]


def test_orphans_name_what_can_be_done_about_them(desk: Desk, database: str) -> None:
    """The audit alone, a rehearsal that is NO-GO and a deployment that is refused: each with the command to type."""
    execute(database, *TABLES, "insert into orders values (2, 7)")
    folder = desk.runbook(CONTRACT, "the shop")
    desk.environment("staging", database)
    command = f"invoke remediate --env staging --runbook '{folder}'"
    ending = "--relation fk_orders_customer_id --how set-null"
    audited = desk.typed("audit", "--env", "staging", "--runbook", folder)
    assert (audited.returncode, audited.stdout.splitlines()[-1].startswith(f"next: {command}")) == (1, True)
    rehearsed = desk.rehearse(runbook=folder)
    assert rehearsed.exit_code == EXIT_FAILED
    first, second = rehearsed.document["next_steps"]
    assert first.startswith(f"what can be done: {command}")
    assert second.startswith("invoke rehearse --env staging")
    refused = desk.deploy(runbook=folder)
    remedies = [each["remedy"] for each in refused.document["findings"] if each["id"] == "orphans"]
    told = [audited.stdout.strip(), first, *remedies, *refused.document["next_steps"]]
    assert sum(each.endswith(ending) for each in told) == 4
