"""Commands on hosts as a step of a deployment: rolling, held against health, resumed, and walked back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.app.answer import Answer
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import ROOT, Desk, execute, keys, states
from tests.conftest import MATRIX
from tests.far_hosts import FarHost

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""
TABLES = (
    "create table customers (id bigint primary key)",
    "create table orders (id bigint primary key, customer_id bigint)",
    "create index on orders (customer_id)",
)
SERVICE = 'service = { manager = "systemd", name = "api" }'
PROBED = 'probe="test -s did"'
FAILS = "printf 'LoadState=loaded\\\\nActiveState=failed\\\\nSubState=failed\\\\n' >systemctl.txt"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FarHost, FarHost]]:
    """Two hosts for the module."""
    folder = tmp_path_factory.mktemp("far")
    hosts = FarHost(folder / "one").start(), FarHost(folder / "two").start()
    yield hosts
    for each in hosts:
        each.stop()


@pytest.fixture
def hosts(desk: Desk, database: str, both: tuple[FarHost, FarHost]) -> tuple[FarHost, FarHost]:
    """The two, well again, in the inventory of staging, whose database lacks a key."""
    for each in both:
        each.reset()
        for name in ("did", "undid"):
            (each.folder / name).unlink(missing_ok=True)
    execute(database, *TABLES)
    _inventory(desk, database, both)
    return both


def _inventory(desk: Desk, database: str, both: tuple[FarHost, FarHost], policy: str = "", more: str = SERVICE) -> None:
    lines = "".join(each.line(name, more) for name, each in zip(("api-1", "api-2"), both, strict=True))
    desk.environment("staging", database, policy=policy, more=lines)


def runbook(desk: Desk, *items: str) -> str:
    """A runbook whose deployment has these commands."""
    folder = desk.runbook(CONTRACT)
    text = (
        "from orchestrator.core.timeline import Runbook, on_hosts\n"
        f'RUNBOOK = Runbook(name="custom", title="Custom", on_any_road=({", ".join(items)},))\n'
    )
    (Path(folder) / "runbook.py").write_text(text, encoding="utf-8")
    return folder


def restart(command: str = "echo did >>did", more: str = "") -> str:
    """The item that most tests have."""
    return f'on_hosts("{command}", title="Restart", settle_s=0.4, timeout_s=10, {more})'


def did(hosts: tuple[FarHost, FarHost], name: str = "did") -> list[int]:
    """How often each host did it."""
    files = [each.folder / name for each in hosts]
    return [len(each.read_text("utf-8").split()) if each.exists() else 0 for each in files]


def ends(desk: Desk, answer: Answer) -> list[tuple[str, str]]:
    """The events about commands, with their host, in their order; output left out."""
    kinds = ("host_command_intended", "host_command_done", "host_command_failed", "host_settled")
    return [
        (entry.kind.removeprefix("host_").removeprefix("command_"), entry.data.split('"host":"')[1][:5])
        for entry in desk.entries(answer)
        if entry.kind in kinds
    ]


def test_hosts_are_rolled_one_after_the_other(desk: Desk, hosts: tuple[FarHost, FarHost]) -> None:
    """Intended, done, well, and only then the next; what it prints is on record without secrets; again does nothing."""
    book = runbook(desk, restart("echo did >>did; echo password=hushhush"))
    answer = desk.deploy(runbook=book)
    assert (answer.exit_code, states(answer)["hosts"]) == (0, "done")
    assert ends(desk, answer) == [
        (word, name) for name in ("api-1", "api-2") for word in ("intended", "done", "settled")
    ]
    assert [each["text"] for each in desk.events(answer, "host_said")] == ["password=***\n"] * 2
    assert "hushhush" not in desk.written()
    assert did(hosts) == [1, 1]
    again = desk.deploy(runbook=book)
    assert (again.exit_code, states(again)["hosts"]) == (0, "skipped")
    assert did(hosts) == [1, 1]


def test_a_rollout_stops_after_the_first_host_that_is_not_well(
    desk: Desk, database: str, hosts: tuple[FarHost, FarHost]
) -> None:
    """The second never hears of it; the first is taken back, and then the key, as the policy says by itself."""
    undo = "undo=\"echo undid >>undid; printf 'LoadState=loaded\\\\nActiveState=active\\\\n' >systemctl.txt\""
    answer = desk.deploy(runbook=runbook(desk, restart(f"echo did >>did; {FAILS}", undo)))
    assert (answer.exit_code, answer.document["state"], answer.document["rolled_back"]) == (1, "failed", True)
    assert "api-1: service api: failed (failed)" in answer.document["reason"]
    assert (did(hosts), did(hosts, "undid")) == ([1, 0], [1, 0])
    assert keys(database) == {}


@MATRIX
def test_where_the_policy_does_not_walk_back_the_run_is_held(
    desk: Desk, database: str, hosts: tuple[FarHost, FarHost]
) -> None:
    """It goes on where it stopped once the host is well, and gives no command twice."""
    _inventory(desk, database, hosts, policy='auto_rollback = "never"')
    book = runbook(desk, restart(f"echo did >>did; {FAILS}"))
    answer = desk.deploy(runbook=book)
    assert (answer.exit_code, did(hosts)) == (3, [1, 0])
    hosts[0].systemd("active", "running")
    answer = desk.resume(runbook=book)
    assert (answer.exit_code, did(hosts)) == (3, [1, 1])
    hosts[1].systemd("active", "running")
    assert desk.resume(runbook=book).exit_code == 0
    assert did(hosts) == [1, 1]
    assert len(keys(database)) == 1


def test_rollback_takes_back_in_the_other_order(desk: Desk, database: str, hosts: tuple[FarHost, FarHost]) -> None:
    """The last host first, then the keys; a second rollback finds nothing left; one without undo is told."""
    book = runbook(
        desk,
        restart(more='undo="echo undid >>undid"'),
        'on_hosts("true", title="Only there", settle_s=0.4, batch=2)',
    )
    desk.deploy(runbook=book)
    answer = desk.rollback(runbook=book)
    assert answer.exit_code == 0
    taken = [each["host"] for each in desk.events(answer, "host_command_intended")]
    assert taken == ["api-2", "api-1"]
    passed = {(each["item"], each["host"]) for each in desk.events(answer, "host_undo_passed_over")}
    assert passed == {("only-there", "api-1"), ("only-there", "api-2")}
    assert (did(hosts, "undid"), keys(database)) == ([1, 1], {})
    said = desk.typed("rollback", "--env", "staging", "--yes", "--runbook", book)
    assert (said.returncode, "left to walk back" in said.stderr) == (2, True)


@pytest.mark.parametrize(
    ("more", "times"),
    [("", 1), pytest.param("repeatable=True", 2, marks=MATRIX), pytest.param(PROBED, 1, marks=MATRIX)],
)
def test_a_command_that_was_cut_off_is_neither_repeated_nor_skipped_in_silence(
    desk: Desk, hosts: tuple[FarHost, FarHost], stop_at: Stop, more: str, times: int
) -> None:
    """Held with a clear line until a person says so; given again, or asked about, only where the item says how."""
    book = runbook(desk, restart(more=more))
    stop_at("host:ended", 1)
    with pytest.raises(Stopped):
        desk.deploy(runbook=book)
    assert did(hosts) == [1, 0]
    answer = desk.resume(runbook=book)
    if not more:
        assert answer.exit_code == 3
        assert "whether it took effect is not known" in answer.document["reason"]
        assert did(hosts) == [1, 0]
        said = desk.typed("resume", "--env", "staging", "--runbook", book, "--host-done", "api-2")
        assert (said.returncode, "was cut off" in said.stderr) == (2, True)
        said = desk.typed("resume", "--env", "staging", "--runbook", book, "--host-done", "api-1")
        assert said.returncode == 0
    else:
        assert answer.exit_code == 0
    assert did(hosts) == [times, 1]


def test_a_command_that_hangs_or_fails_stops_the_rest(desk: Desk, hosts: tuple[FarHost, FarHost]) -> None:
    """Its time is over: it is ended there, and the line says on which host and why."""
    answer = desk.deploy(runbook=runbook(desk, 'on_hosts("echo did >>did; sleep 60", title="Hang", timeout_s=0.4)'))
    assert "Hang on api-1: did not end within 0.4 s, and was ended there" in answer.document["reason"]
    assert did(hosts) == [1, 0]
    answer = desk.deploy(runbook=runbook(desk, 'on_hosts("exit 9", title="Fail", batch=2)'))
    assert "Fail on api-1: exit code 9" in answer.document["reason"]
    assert "Fail on api-2: exit code 9" in answer.document["reason"]


@MATRIX
def test_a_command_that_is_always_given_is_taken_back_when_it_fails(
    desk: Desk, database: str, hosts: tuple[FarHost, FarHost]
) -> None:
    """Also by a run that changed nothing else: there is no key to walk back, and none is."""
    desk.deploy(runbook=desk.runbook(CONTRACT))
    book = runbook(desk, restart("echo did >>did; exit 3", 'always=True, undo="echo undid >>undid; exit 4"'))
    answer = desk.deploy(runbook=book)
    assert (answer.exit_code, answer.document["state"], answer.document["rolled_back"]) == (1, "failed", False)
    assert (did(hosts), did(hosts, "undid"), len(keys(database))) == ([1, 0], [1, 0], 1)
    (row,) = answer.document["hosts"]
    assert (row["host"], row["state"], row["back"], row["reason"]) == ("api-1", "failed", "failed", "exit code 3")
    told = "walked back as far as it could be, and not restart on api-1"
    assert all(told in desk.file(answer, f"report.{form}") for form in ("html", "md"))
    runbook(desk, restart("echo did >>did; exit 3", 'always=True, undo="echo undid >>undid"'))
    assert desk.rollback(runbook=book).exit_code == 0
    assert did(hosts, "undid") == [2, 0]


@MATRIX
def test_a_run_that_is_stopped_ends_its_command_there(desk: Desk, hosts: tuple[FarHost, FarHost]) -> None:
    """SIGTERM: the command is ended on the host before the run says that it is held, and resume asks about it."""
    book = runbook(desk, restart("echo did >>did; echo $$ >going.pid; sleep 300", "repeatable=True"))
    words = ("deploy", "--env", "staging", "--yes", "--runbook", book, "--inventory", str(desk.inventory))
    command = [sys.executable, "-m", "invoke", *words, "--runs", str(desk.runs)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **desk.variables}) as running:
        while not (hosts[0].folder / "going.pid").exists():
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 3
    assert not hosts[0].alive("going.pid")
    assert did(hosts) == [1, 0]
    desk.rollback(runbook=book)


@MATRIX
def test_a_rehearsal_touches_no_host(desk: Desk, hosts: tuple[FarHost, FarHost]) -> None:
    """Its copy has none: nothing is looked at, nothing is given."""
    asked = [len(each.commands) for each in hosts]
    assert desk.rehearse(runbook=runbook(desk, restart())).exit_code == 0
    assert [len(each.commands) for each in hosts] == asked


def test_a_dry_run_only_tells(desk: Desk, hosts: tuple[FarHost, FarHost], capsys: pytest.CaptureFixture[str]) -> None:
    """The batches and the way back; nothing is done."""
    answer = desk.deploy(runbook=runbook(desk, restart()), dry_run=True)
    assert answer.exit_code == 0
    assert "Restart: on api-1, then api-2, if anything was changed; has no way back" in capsys.readouterr().out
    assert did(hosts) == [0, 0]


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ('on_hosts("")', "command is empty"),
        ('on_hosts("x", batch=0)', "batch must be at least 1"),
        ('on_hosts("a", title="T"), on_hosts("b", title="t")', "is the title of several commands"),
    ],
)
def test_a_mistake_in_a_command_is_one_line(desk: Desk, item: str, line: str) -> None:
    """Refused with the file, before anything is asked."""
    desk.environment("staging", None)
    said = desk.typed("deploy", "--env", "staging", "--yes", "--runbook", runbook(desk, item))
    assert said.returncode == 2
    assert line in said.stderr
