"""A whole deployment on a real terminal, through a pipe, and in a locale that knows only ASCII."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psycopg
import pytest

from orchestrator.app.answer import JSON_ESCAPE
from tests.acceptance.desk import ROOT, Desk, execute
from tests.terminals import Terminal, terminal

CONTRACT = """
[[foreign_key]]
table = "bestellungen_größe"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""


@pytest.fixture
def words(desk: Desk, database: str) -> tuple[str, ...]:
    """A database with one key to add, and the options that lead to it."""
    execute(
        database,
        "create table customers (id bigint primary key)",
        'create table "bestellungen_größe" (id bigint primary key, customer_id bigint)',
    )
    desk.environment("staging", database, policy="give_up_after_s = 1")
    return ("--env", "staging", "--runbook", desk.runbook(CONTRACT, "größe"))


def on_terminal(desk: Desk, columns: int, *words: str, **variables: str) -> tuple[int, Terminal]:
    """A command on a terminal of that width; its exit code and what was seen."""
    given = {"PATH": os.environ["PATH"], "HOME": str(desk.folder), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    places = ("--inventory", str(desk.inventory), "--runs", str(desk.runs))
    with terminal(columns) as seen:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words, *places],
            cwd=ROOT,
            env={**given, **desk.variables, **variables},
            stdin=seen.fd,
            stdout=seen.fd,
            stderr=seen.fd,
            timeout=60,
            check=False,
        )
    return done.returncode, seen


def test_on_terminals_through_a_pipe_and_in_ascii(desk: Desk, database: str, words: tuple[str, ...]) -> None:
    """Wide and narrow, with and without colour, alive and plain: each run is told whole and leaves a clean screen.

    With --json stdout is one document, in any locale, and the lines are on stderr; also where colours are forced.
    """
    with psycopg.connect(database, application_name="nightly report") as blocker:
        blocker.execute("insert into customers values (1)")
        code, wide = on_terminal(desk, 120, "deploy", *words)
    left, frames = wide.show(), "\n".join(wide.frames)
    assert code == 3, left
    assert ">apply" in frames
    assert "blocked by: " in frames
    assert "nightly report" in frames
    assert "statement: add:public.bestellungen_größe" in frames
    assert ">apply" not in left
    assert "resume goes on from there" in left or "nothing was changed" in left
    assert (wide.hidden, wide.strange) == (False, [])

    code, narrow = on_terminal(desk, 40, "resume", *words, NO_COLOR="1", LC_ALL="C", PYTHONIOENCODING="ascii")
    left, frames = narrow.show(), "\n".join(narrow.frames)
    assert code == 0, left
    assert ">validate" in frames
    assert ">validate" not in left
    assert max(map(len, narrow.frames)) < 40
    assert all(byte < 128 for byte in narrow.raw)
    assert b"\x1b[3" not in narrow.raw
    assert "1 of 1 promised key stands" in left

    strict = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    said = desk.invoke("preflight", *words, "--json", extra=strict)
    document = json.loads(said.stdout)
    assert document["findings"]
    assert "preflight größe on staging" in said.stderr.encode().decode("unicode-escape")
    assert f"{len(document['findings'])} checks" in said.stderr
    assert "\x1b[2K" not in said.stderr


def test_json_stays_json_where_a_stream_knows_only_ascii() -> None:
    """Signs beyond the first plane take two escapes, and half a pair is told as it is."""
    text = "größe \U0001f600 \udc80"
    told = json.dumps(text, ensure_ascii=False).encode("ascii", JSON_ESCAPE)
    assert json.loads(told) == text
