"""`invoke contract`: from a schema and from another database to a file that people keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.runbooks import load_contract
from tests import servers
from tests.acceptance.desk import Desk, execute, fingerprint, rows
from tests.conftest import MATRIX, ClusterUrl
from tests.prisma_tool import prisma

CASES = Path(__file__).parents[1] / "cases/prisma"
TABLES = (
    "create table customers (id bigint primary key, code text unique)",
    "create table orders (id bigint primary key, customer_id bigint, code text, parent_id bigint)",
)
KEYS = (
    "alter table orders add constraint to_customer foreign key (customer_id) references customers on delete cascade",
    "alter table orders add foreign key (code) references customers (code) deferrable initially deferred",
    "alter table orders add foreign key (parent_id) references orders",
)

OLD = """
# of old
[[foreign_key]]
table = "o"
columns = ["p"]
references = { table = "q", columns = ["r"] }
"""


@pytest.fixture
def pair(desk: Desk, cluster_url: ClusterUrl) -> Iterator[tuple[str, str]]:
    """Staging with keys, and production, where one of them is missing, one stands and one is another."""
    urls = servers.fresh_database(cluster_url(16)), servers.fresh_database(cluster_url(16))
    execute(urls[0], *TABLES, *KEYS)
    execute(urls[1], *TABLES, KEYS[2], KEYS[0].replace("cascade", "restrict"))
    desk.environment("staging", urls[0])
    desk.environment("prod", urls[1], kind="production", backup='mode = "dump"')
    yield urls
    for url in urls:
        servers.drop_database(url)


def contract(desk: Desk, *words: str) -> tuple[int, list[str], str]:
    """`invoke contract`; exit code, lines of stdout, stderr."""
    said = desk.typed("contract", *words)
    return said.returncode, said.stdout.splitlines(), said.stderr


def test_a_schema_becomes_a_runbook_that_can_be_planned(desk: Desk, database: str) -> None:
    """A folder that is not there yet is made with its contract; a second run changes no byte; --check says so."""
    desk.environment("staging", database)
    execute(database, (CASES / "emulated.prisma").with_suffix(".sql").read_text("utf-8"))
    words = ("--from", f"prisma:{CASES / 'emulated.prisma'}", "--runbook", "garden")
    code, lines, _ = contract(desk, *words, "--check")
    assert (code, lines[-1]) == (1, "stale garden/foreign_keys.toml: 4 new")
    assert not Path("garden").exists()
    code, lines, _ = contract(desk, *words, "--env", "staging")
    assert (code, lines[-2:]) == (0, ["written garden/foreign_keys.toml: 4 new", "  in staging: 4 missing"])
    assert [path.name for path in Path("garden").iterdir()] == ["foreign_keys.toml"]
    text = Path("garden/foreign_keys.toml").read_bytes()
    assert contract(desk, *words)[:2] == (0, ["unchanged garden/foreign_keys.toml: 0 new, 4 unchanged"])
    assert contract(desk, *words, "--check")[0] == 0
    assert Path("garden/foreign_keys.toml").read_bytes() == text
    plan = desk.plan(runbook="garden")
    assert {each["status"] for each in plan.document["relations"]} == {"missing"}


@pytest.mark.parametrize("form", ["split", pytest.param("relations.prisma", marks=MATRIX)])
def test_a_deployed_contract_leaves_the_catalog_of_prisma(form: str, desk: Desk, cluster_url: ClusterUrl) -> None:
    """Everything of every key, by fingerprint: Prisma's own script against the same without keys, then ours online."""
    theirs, ours = servers.fresh_database(cluster_url(16)), servers.fresh_database(cluster_url(16))
    script = (CASES / form).with_suffix(".sql").read_text("utf-8")
    execute(theirs, script)
    execute(ours, "\n".join(line for line in script.splitlines() if " FOREIGN KEY " not in line))
    desk.environment("staging", ours)
    contract(desk, "--from", f"prisma:{CASES / form}", "--runbook", "fleet")
    assert fingerprint(ours) != fingerprint(theirs)
    done = desk.deploy(runbook="fleet")
    assert (done.exit_code, done.document["relations"]["added"]) == (0, script.count(" FOREIGN KEY "))
    assert fingerprint(ours) == fingerprint(theirs)
    for url in (theirs, ours):
        servers.drop_database(url)


@MATRIX
def test_prisma_finds_nothing_missing_after_the_deployment(desk: Desk, database: str) -> None:
    """Its own comparison of the schema with the live database: something before, nothing after."""
    text = (CASES / "emulated.prisma").read_text("utf-8").replace('"prisma"', '"foreignKeys"')
    schema = desk.folder / "schema.prisma"
    schema.write_text(text, "utf-8")
    execute(database, (CASES / "emulated.sql").read_text("utf-8"))
    desk.environment("staging", database)
    words = ("migrate", "diff", "--from-config-datasource", "--to-schema", str(schema), "--exit-code", "--script")
    before = prisma(*words, url=database)
    assert (before.returncode, before.stdout.count("FOREIGN KEY")) == (2, 4)
    contract(desk, "--from", "prisma:schema.prisma", "--runbook", "garden")
    assert desk.deploy(runbook="garden").exit_code == 0
    after = prisma(*words, url=database)
    assert after.returncode == 0, after.stdout


def test_what_people_wrote_stays_and_is_told(desk: Desk) -> None:
    """New, changed, unchanged and only here; on the screen and as JSON."""
    schema = Path("schema.prisma")
    schema.write_text((CASES / "emulated.prisma").read_text("utf-8"), "utf-8")
    words = ("--from", "prisma:schema.prisma", "--out", "mine.toml")
    contract(desk, *words)
    mine = Path("mine.toml")
    kept = mine.read_text("utf-8").replace('name = "Bed_gardenId_fkey"', 'name = "b" # ours\npriority = "low"')
    mine.write_text(kept + OLD, "utf-8")
    schema.write_text(schema.read_text("utf-8").replace("onDelete: Cascade", "onDelete: NoAction"), "utf-8")
    code, lines, _ = contract(desk, *words)
    assert (code, lines) == (0, [
        "  changed    public.Bed(gardenId) -> public.Garden(id): name b -> Bed_gardenId_fkey",
        "  changed    public.Row(bedId) -> public.Bed(id): on_delete cascade -> no action",
        "  only here  public.o(p) -> public.q(r)",
        "written mine.toml: 0 new, 2 changed, 2 unchanged, 1 only in the contract",
    ])  # fmt: skip
    first, *_, last = load_contract(mine).relations
    assert (first.name, first.priority, last.table.name) == ("Bed_gardenId_fkey", "low", "o")
    assert 'name = "Bed_gardenId_fkey" # ours\n' in mine.read_text("utf-8")
    said = desk.typed("contract", *words, "--json")
    document = json.loads(said.stdout)
    assert document["counts"] == {"added": 0, "updated": 0, "unchanged": 4, "only_in_contract": 1}
    assert [each["table"] for each in document["only_in_contract"]] == ["o"]


def test_what_another_database_has_and_this_one_lacks(desk: Desk, pair: tuple[str, str]) -> None:
    """What stands otherwise is deferred with what it is; nothing is changed in either."""
    code, lines, _ = contract(desk, "--from", "database:staging", "--env", "prod", "--runbook", "shop")
    assert (code, lines) == (0, [
        "  new        public.orders(code) -> public.customers(code) as orders_code_fkey",
        "  new        public.orders(customer_id) -> public.customers(id) as to_customer"
        " (deferred: prod has it otherwise: on delete is restrict, not cascade)",
        "written shop/foreign_keys.toml: 2 new",
        "  in prod: 1 missing, 1 deferred",
    ])  # fmt: skip
    assert contract(desk, "--from", "database:staging", "--env", "prod", "--runbook", "shop", "--check")[0] == 0
    assert contract(desk, "--from", "database:staging", "--runbook", "all")[1][-1].endswith(": 3 new")
    assert {each.deferrable for each in load_contract(Path("all/foreign_keys.toml")).relations} == {
        "not", "initially deferred",
    }  # fmt: skip
    for url in pair:
        assert rows(url, "select from pg_namespace where nspname = 'orchestrator'") == []
    execute(pair[1], "alter table orders drop constraint to_customer", *KEYS[:2])
    code, _, said = contract(desk, "--from", "database:staging", "--env", "prod", "--runbook", "none")
    assert (code, said.startswith("error: prod has all 3 foreign keys of database:staging already")) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "error: from what? --from prisma:PATH"),
        (("--from", "sqitch:x"), "error: --from sqitch:x: known: prisma:PATH"),
        (("--from", "prisma:"), "error: --from prisma:: known: "),
        (("--from", "prisma:none.prisma"), "error: none.prisma: cannot be read (No such file or directory)"),
        (("--from", "prisma:."), "error: .: no file *.prisma in it or below"),
        (("--from", "prisma:inventory/my.prisma"), "error: inventory/my.prisma:1: provider is 'mysql'"),
        (("--from", "prisma:inventory/none.prisma"), "error: prisma:inventory/none.prisma: no foreign key that"),
        (("--from", "sqlalchemy:shop.models"), "error: --from sqlalchemy:shop.models: MODULE:METADATA, such as"),
        (("--from", "django:no.such"), "error: django:no.such: ModuleNotFoundError: No module named 'no'"),
        (("--from", "database:moon"), "error: unknown environment 'moon'"),
        (("--from", "database:staging", "--env", "staging"), "the same environment twice"),
        (("--from", "database:twin", "--env", "staging"), "staging and twin are one database"),
        (("--from", "prisma:inventory/my.prisma", "--runbook", "inventory/my.prisma"), "is a file; name the folder"),
        (("--from", "prisma:x", "--out", " "), "error: --out names nothing"),
        (("--from", "prisma:x", "--out", "inventory"), "error: inventory: cannot be read (Is a directory)"),
        (("--from", "prisma:x", "--runbook", " "), "error: --runbook names nothing"),
        (("--from", f"prisma:{CASES / 'split'}", "--env", "moon"), "error: unknown environment 'moon'"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], told: str, desk: Desk, database: str) -> None:
    """Exit code 2, and nothing is written."""
    desk.environment("staging", database)
    desk.environment("twin", database)
    Path("inventory/my.prisma").write_text('datasource db {\n provider = "mysql"\n}\n', "utf-8")
    Path("inventory/none.prisma").write_text('datasource db {\n provider = "postgresql"\n}\n', "utf-8")
    if words and "none.prisma" not in words[1]:
        Path("inventory/none.prisma").unlink()
    if words[1:2] == ("prisma:.",):
        Path("inventory/my.prisma").unlink()
    code, lines, error = contract(desk, *words, *(() if "--runbook" in words else ("--runbook", "new")))
    assert (code, lines, error.count("\n")) == (2, [], 1)
    assert told in error
    assert not Path("new").exists()
