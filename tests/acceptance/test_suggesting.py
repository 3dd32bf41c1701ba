"""`invoke contract --suggest`: what it writes, that nobody deploys a guess, and that people's lines stay."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.runbooks import load_contract
from orchestrator.app import planning
from orchestrator.app.answer import Answer
from orchestrator.app.contracting import one_way
from orchestrator.app.request import Request
from orchestrator.app.suggesting import Wishes, suggest, wishes
from orchestrator.core.contract import SUGGESTED
from orchestrator.core.outcome import EXIT_DONE, BadDocument, Refused

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE);
CREATE TABLE "Orders" (id bigint PRIMARY KEY, "userId" bigint NOT NULL, parent_id bigint, approver_id bigint);
CREATE TABLE order_events (id bigint PRIMARY KEY, order_id bigint);
CREATE TABLE notes (id bigint PRIMARY KEY, subject_type text, subject_id bigint, created_by bigint);
"""
WRITTEN = """\
# Ours since 2019; ask Ayu before you touch it.
[[foreign_key]]
table = "notes"
columns = ["created_by"]     # who wrote it
references = { table = "users", columns = ["id"] }
deferred = "rows of the first year have no author"
"""
OF_ORDERS = {"Orders.userId", "Orders.parent_id", "Orders.approver_id"}


@pytest.fixture
def request_of(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A database with tables and an empty runbook folder."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    inventory, runbook = tmp_path / "inventory", tmp_path / "shop"
    inventory.mkdir()
    runbook.mkdir()
    (inventory / "staging.toml").write_text(
        '[environment]\nname = "staging"\nkind = "staging"\n[database]\nurl = { env = "SUGGEST_URL" }\n', "utf-8"
    )
    monkeypatch.setenv("SUGGEST_URL", database)
    return Request(env="staging", runbook=str(runbook), inventory=inventory, runs=tmp_path / "runs", json=True)


def told(answer: Answer, key: str) -> set[str]:
    """Tables and columns under a key of the document."""
    return {f"{each['table']}.{','.join(each['columns'])}" for each in answer.document[key]}


def test_a_contract_of_guesses_is_written_and_not_deployed(request_of: Request) -> None:
    """Lines that the reader takes, each with its reasons; all of them deferred until a person removes the mark."""
    answer = suggest(request_of, Wishes())
    assert answer.exit_code == 0
    assert told(answer, "suggestions") == {
        "Orders.userId",
        "Orders.parent_id",
        "Orders.approver_id",
        "notes.created_by",
    }
    assert told(answer, "absent") == {"order_events.order_id", "notes.subject_id"}
    assert all(each["confidence"] >= 0.6 and each["reasons"] for each in answer.document["suggestions"])

    path = Path(request_of.runbook) / "foreign_keys.toml"
    contract = load_contract(path)
    assert {each.deferred for each in contract.relations} == {SUGGESTED}
    assert contract.promised == ()
    statuses = {each["status"] for each in planning.plan(request_of, form=None).document["relations"]}
    assert statuses == {"deferred"}

    text = path.read_text("utf-8")
    assert text.count("\nsuggested = true\n") == text.count("# confidence 0.") == 4
    path.write_text(text.replace("suggested = true\n", "", 1), "utf-8")
    planned = planning.plan(request_of, form=None).document["relations"]
    assert sorted(each["status"] for each in planned) == ["deferred"] * 3 + ["missing"]


def test_a_folder_that_is_not_there_is_made(request_of: Request, tmp_path: Path) -> None:
    """As `--from` makes it; a runbook begins with its contract."""
    folder = tmp_path / "new" / "shop"
    assert suggest(replace(request_of, runbook=str(folder)), Wishes()).exit_code == EXIT_DONE
    assert "suggested = true" in (folder / "foreign_keys.toml").read_text("utf-8")


def test_what_people_wrote_stays(request_of: Request) -> None:
    """Their lines keep every letter, their word on a column is the last, and a second time adds nothing."""
    path = Path(request_of.runbook) / "foreign_keys.toml"
    path.write_text(WRITTEN, "utf-8")
    answer = suggest(request_of, Wishes())
    assert told(answer, "suggestions") == OF_ORDERS
    assert path.read_text("utf-8").startswith(WRITTEN)
    before = path.read_bytes()
    assert suggest(request_of, Wishes()).document["suggestions"] == []
    assert path.read_bytes() == before


def test_line_ends_of_windows_stay(request_of: Request) -> None:
    """Else every line of the file would differ for git."""
    path = Path(request_of.runbook) / "foreign_keys.toml"
    written = WRITTEN.replace("\n", "\r\n").encode()
    path.write_bytes(written)
    suggest(request_of, Wishes())
    assert path.read_bytes().startswith(written)
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") > written.count(b"\n")


def test_names_of_any_kind_are_written(request_of: Request, database: str) -> None:
    """Quotes, backslashes, line breaks, control characters, letters beyond ASCII: the reader takes what is written."""
    odd = 'odd "\\ \n \x7f \U0001f600 täble'
    with psycopg.connect(database, autocommit=True) as connection:
        name = psycopg.sql.Identifier(odd)
        connection.execute(psycopg.sql.SQL("CREATE TABLE {} (id bigint PRIMARY KEY, user_id bigint)").format(name))
    suggest(request_of, Wishes())
    contract = load_contract(Path(request_of.runbook) / "foreign_keys.toml")
    assert odd in {each.table.name for each in contract.relations}


def test_a_higher_threshold_writes_less(request_of: Request) -> None:
    """And says how many it left out."""
    answer = suggest(request_of, Wishes(threshold=0.9))
    assert told(answer, "suggestions") == {"Orders.userId"}
    assert answer.document["doubtful"] == 3


def test_rows_are_asked_on_demand(request_of: Request, database: str) -> None:
    """A column that the rows contradict is not written, one that they confirm is told with the numbers."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO users (id) SELECT 3 * n FROM generate_series(1, 100) n")
        connection.execute('INSERT INTO "Orders" SELECT n, 3 * (n % 100 + 1), NULL, n FROM generate_series(1, 500) n')
    answer = suggest(request_of, Wishes(with_data=True))
    assert told(answer, "suggestions") == {"Orders.userId"}
    (found,) = answer.document["suggestions"]
    assert found["data"] == {"rows": 500, "orphans": 0, "distinct": 100, "keys": 100, "exact": True}
    assert "0 of 500 rows refer to nothing" in (Path(request_of.runbook) / "foreign_keys.toml").read_text("utf-8")


def test_without_an_environment_the_migrations_are_asked(request_of: Request) -> None:
    """On an embedded server that is gone afterwards."""
    folder = Path(request_of.runbook) / "migrations/20260101000000_base"
    folder.mkdir(parents=True)
    (folder / "migration.sql").write_text(TABLES, "utf-8")
    offline = Request(runbook=request_of.runbook, inventory=request_of.inventory, runs=request_of.runs, json=True)
    assert "Orders.userId" in told(suggest(offline, Wishes()), "suggestions")


def test_bad_input_is_one_line(request_of: Request, tmp_path: Path) -> None:
    """Each says what to do."""
    for given in ("1.5", "-1", "much", "nan"):
        with pytest.raises(Refused, match=re.escape(f"--threshold {given}: must be a number from 0 to 1")):
            wishes(threshold=given, with_data=False)
    with pytest.raises(Refused, match="--out does not go together with --suggest"):
        one_way(suggest=True, source={"from": None, "out": "x.toml"}, guess={"threshold": "0.5"})
    with pytest.raises(Refused, match="--with-data goes together with --suggest"):
        one_way(suggest=False, source={"from": "prisma:x"}, guess={"threshold": None, "with_data": True})
    offline = Request(runbook=request_of.runbook, inventory=request_of.inventory)
    with pytest.raises(Refused, match="name an environment with --env"):
        suggest(offline, Wishes())
    (tmp_path / "file").touch()
    missing = Request(env="staging", runbook=str(tmp_path / "file"), inventory=request_of.inventory)
    with pytest.raises(Refused, match="is a file; name the folder"):
        suggest(missing, Wishes())
    path = Path(request_of.runbook) / "foreign_keys.toml"
    path.write_text(
        'foreign_key = [{ table = "notes", columns = ["x"], references = { table = "a", columns = ["b"] } }]'
    )
    with pytest.raises(BadDocument, match=r"write each line as \[\[foreign_key\]\]"):
        suggest(request_of, Wishes())
