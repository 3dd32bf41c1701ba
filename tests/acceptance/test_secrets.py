"""A whole deployment with a password that is hard to overlook, and none of it anywhere afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD
from tests import servers
from tests.acceptance.desk import Desk, execute, rows
from tests.known_secrets import forms
from tests.slack_server import TOKEN, SlackServer

PASSWORD = 's3"cr&et%<>\\ word-of-many-letters'
CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""


class Owner(NamedTuple):
    """A role with the password, and its URL."""

    name: str
    url: str


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    """The owner of a fresh database with two tables."""
    name = f"keeper_{servers.database_name(database)}"
    known = conninfo_to_dict(database)
    with psycopg.connect(database, autocommit=True) as admin:
        role = sql.Identifier(name)
        admin.execute(sql.SQL("create role {} login superuser password {}").format(role, PASSWORD))
    execute(
        database,
        "create table customers (id bigint primary key)",
        "create table orders (id bigint primary key, customer_id bigint)",
        "insert into customers values (1)",
        "insert into orders values (1, 1)",
    )
    url = f"postgresql://{name}:{quote(PASSWORD, safe='')}@{known['host']}:{known['port']}/{known['dbname']}"
    yield Owner(name, url)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("reassign owned by {} to current_user").format(role))
        admin.execute(sql.SQL("drop owned by {}").format(role))
        admin.execute(sql.SQL("drop role {}").format(role))


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A workspace of Slack in which the run is told."""
    with SlackServer() as server:
        yield server


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, its name with its bytes."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: name.encode() + content for name, content in found.items()}


def test_no_password_in_any_artefact_of_a_full_run(desk: Desk, owner: Owner, slack: SlackServer) -> None:
    """Log, journal and its copy, reports, backup, stdout and stderr; also what another session calls itself."""
    book = desk.runbook(CONTRACT)
    words = ("--env", "staging", "--runbook", book)
    desk.variable("SLACK_BOT_TOKEN", TOKEN)
    told = f"""
    [slack]
    channel = "#releases"
    token = {{ env = "SLACK_BOT_TOKEN" }}
    base_url = "{slack.base_url}"
    """
    # A transaction in our way that calls itself by its URL: it is told as the blocker.
    with psycopg.connect(owner.url, application_name="postgresql://x:Zq7Zq7Zq7@h/d") as blocker:
        blocker.execute("insert into customers values (2)")
        desk.environment("staging", owner.url, policy="give_up_after_s = 1", backup='mode = "dump"', more=told)
        held = desk.typed("deploy", *words)
    assert held.returncode == EXIT_HELD, held.stderr + held.stdout
    assert "postgresql://x:***@h/d" in held.stdout
    done = desk.typed("resume", *words, "--json")
    assert done.returncode == EXIT_DONE, done.stderr
    run = json.loads(done.stdout)["run"]
    said = [held, done]
    asked = (("report", "--run", run, "--format", "md"), ("status",), ("plan",))
    said += [desk.typed(*each, *words) for each in asked]
    desk.environment("wrong", owner.url.replace(owner.name, "nobody"))
    said.append(desk.typed("deploy", "--env", "wrong", "--runbook", book))

    artefacts = everything(desk.folder)
    names = {Path(name).name for name in artefacts}
    assert {"log.jsonl", "journal.jsonl", "report.html", "report.md", "report.json"} <= names
    assert any("backups" in name for name in artefacts)
    artefacts |= {f"output {number}": (each.stdout + each.stderr).encode() for number, each in enumerate(said)}
    artefacts["ledger"] = repr(rows(owner.url, "select e::text from orchestrator.event e")).encode()
    # The token travels in the header of each call, and nowhere else.
    artefacts["slack"] = repr((slack.messages, slack.uploads)).encode()
    assert slack.messages
    for secret in (PASSWORD, TOKEN, "Zq7Zq7Zq7"):
        leaks = [name for name, content in artefacts.items() if any(form in content for form in forms(secret))]
        assert leaks == []
    log = next(content for name, content in artefacts.items() if name.endswith(f"{run}/log.jsonl"))
    assert b'"step": "apply"' in log
