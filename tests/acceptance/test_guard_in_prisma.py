"""The generated guard around a real Prisma Client, on a real server: refused before the write, with the typed error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.guards import GuardFolder, guards
from orchestrator.adapters.runbooks import load_contract
from tests import servers
from tests.acceptance.desk import ROOT, execute, rows
from tests.conftest import ClusterUrl

PRISMA = Path(os.environ.get("PRISMA_HOME") or ROOT / "tests/prisma")
"""A folder with prisma, @prisma/client, @prisma/adapter-pg, typescript and tsx 7 in its node_modules."""

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (PRISMA / "node_modules/tsx").is_dir(),
    reason="no node, or no Prisma Client: npm install in tests/prisma, or PRISMA_HOME",
)

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
on_delete = "restrict"
[[foreign_key]]
table = "orders"
columns = ["bill_id"]
references = { table = "customers", columns = ["id"] }
on_delete = "set null"
[[foreign_key]]
table = "lines"
columns = ["order"]
references = { table = "orders", columns = ["id"] }
on_delete = "cascade"
[[foreign_key]]
table = "notes"
columns = ["a", "b"]
references = { table = "lines", columns = ["a", "b"] }
on_delete = "cascade"
[[foreign_key]]
table = "people"
columns = ["boss"]
references = { table = "people", columns = ["id"] }
match = "full"
"""

TABLES = (
    "create domain filled as text not null",
    "create table customers (id uuid primary key, code text not null unique, name filled default '')",
    "create table orders (id bigserial primary key, customer_id uuid, bill_id uuid)",
    'create table lines (a int, b int, "order" bigint not null, primary key (a, b))',
    "create table notes (id int primary key, a int, b int)",
    "create table people (id int primary key, boss int)",
)

TSC = (
    *("--strict", "--noEmit", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noUnusedLocals"),
    *("--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", ""),
)

MISSING = {"error": "MissingReference", "writes": 0}
REFUSED = {
    "create bad": MISSING | {"relation": "fk_orders_customer_id", "columns": ["customer_id"], "checks": 1},
    "connect bad": MISSING | {"relation": "fk_orders_customer_id"},
    "connect unique bad": MISSING | {"values": ["zz"]},
    "nested bad": MISSING | {"relation": "fk_orders_bill_id"},
    "many bad": MISSING | {"checks": 1, "values": ["00000000-0000-0000-0000-000000000009"]},
    "interactive bad": {"error": "MissingReference", "writes": 2, "locks": 2},
    "batch bad": MISSING | {"checks": 1, "locks": 1},
    "update bad": MISSING,
    "update nested bad": MISSING,
    "upsert bad": MISSING,
    "composite bad": MISSING | {"columns": ["a", "b"], "values": ["1", "9"]},
    "composite in part bad": MISSING | {"values": ["1", "9"]},
    "composite in part, of rows": MISSING | {"values": ["1", "9"], "checks": 2},
    "arithmetic": {"error": "NotCheckable", "writes": 0},
    "delete restricted": {"error": "StillReferenced", "relation": "fk_orders_customer_id", "writes": 0},
    "delete many restricted": {"error": "StillReferenced", "writes": 0},
    "key changed": {"error": "StillReferenced", "writes": 0},
    "extended": MISSING,
    "connectOrCreate of a row that is there": MISSING | {"relation": "fk_orders_bill_id"},
    "upsert that creates nothing": MISSING | {"relation": "fk_orders_bill_id"},
    "delete under RepeatableRead": {"error": "NotCheckable", "relation": "fk_orders_customer_id"},
    "delete under Serializable": {"error": "NotCheckable", "relation": "fk_orders_customer_id"},
    "delete under ReadCommitted": {"error": "StillReferenced", "relation": "fk_orders_customer_id"},
    "key and own reference to the key it loses": MISSING | {"values": ["5"]},
    "key and own reference to nothing": MISSING | {"values": ["99"]},
    "key of a row that another refers to": {"error": "StillReferenced", "relation": "fk_people_boss", "writes": 0},
    "two halves of a key": {"error": "MissingReference", "values": ["6", "6"]},
}
PASSED = {
    "create good": {"checks": 1, "writes": 1, "locks": 0},
    "create null": {"checks": 0, "writes": 1},
    "nested good": {"checks": 1},
    "many good": {"checks": 1, "writes": 1},
    "batch good": {"checks": 1, "locks": 1},
    "upsert of a row that is there": {"checks": 1},
    "composite good": {"checks": 1},
    "composite half null": {"checks": 0},
    "composite in part good": {"checks": 1},
    "composite in part, in a transaction": {"checks": 2, "locks": 1},
    "delete cascade": {"writes": 3, "checks": 3},
    "delete sets null": {"writes": 2},
    "upsert that creates": {"checks": 1},
    "key and own reference together": {"writes": 1},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated client and the generated guard."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "node_modules").symlink_to(PRISMA / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    (folder / "prisma").mkdir()
    shutil.copy(ROOT / "tests/prisma/guarded.prisma", folder / "prisma/schema.prisma")
    shutil.copy(ROOT / "tests/prisma/guarded.ts", folder)
    config = "export default { schema: 'prisma/schema.prisma', datasource: { url: 'postgresql://localhost/none' } }"
    (folder / "prisma.config.ts").write_text(config, "utf-8")
    (folder / "foreign_keys.toml").write_text(CONTRACT, "utf-8")
    contract = load_contract(folder / "foreign_keys.toml")
    GuardFolder(path=folder).write(guards(contract, name="shop"))
    node(folder, "prisma", "generate")
    return folder


@pytest.fixture(scope="module")
def told(home: Path, cluster_url: ClusterUrl) -> Iterator[tuple[dict[str, Any], str]]:
    """What each case ended with, and the URL of the database in which they happened."""
    url = servers.fresh_database(cluster_url(18))
    execute(url, *TABLES)
    said = node(home, "tsx", "guarded.ts", DATABASE_URL=url)
    yield json.loads(said.splitlines()[-1]), url
    servers.drop_database(url)


def node(folder: Path, program: str, *words: str, **variables: str) -> str:
    """A program of node_modules; what it printed."""
    engine = {"PRISMA_SCHEMA_ENGINE_BINARY": str(ROOT / "tests/prisma/schema-engine.mjs")}
    done = subprocess.run(
        [str(folder / "node_modules/.bin" / program), *words],
        cwd=folder,
        env={**os.environ, **engine, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guard_compiles_under_strict(home: Path) -> None:
    """With more than --strict asks for; no types of node are needed."""
    node(home, "tsc", *TSC, "guard.ts")


def test_its_generated_tests(home: Path) -> None:
    """Two for each relation."""
    assert "# pass 10\n" in node(home, "tsx", "--test", "--test-reporter", "tap", "guard.test.ts")


@pytest.mark.parametrize(("case", "expected"), [*REFUSED.items(), *PASSED.items()])
def test_a_case(told: tuple[dict[str, Any], str], case: str, expected: dict[str, Any]) -> None:
    """The typed error names relation and value and nothing was written; a good write costs one query per table."""
    found = told[0][case]
    assert {key: found.get(key) for key in ("error", *expected)} == {"error": None} | expected


def test_no_orphan_is_left(told: tuple[dict[str, Any], str]) -> None:
    """What was refused left nothing behind, and what was deleted took its rows along."""
    found = rows(
        told[1], "select id from orders o where not exists (select from customers c where c.id = o.customer_id)"
    )
    assert found == [(2,)]
    assert rows(told[1], "select count(*) from orders where bill_id is not null") == [(1000,)]
    assert rows(told[1], "select (select count(*) from lines), (select count(*) from notes)") == [(0, 1)]
