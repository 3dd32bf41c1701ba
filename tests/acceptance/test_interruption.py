"""Interrupting a run: it ends as held, with what took effect on record and no child left, and resume goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters import interruption
from orchestrator.adapters.interruption import Interruption
from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD, EXIT_REFUSED
from tests.acceptance.desk import ROOT, Desk, counts, fingerprint, keys, rows
from tests.conftest import MATRIX
from tests.waiting import pause, until

PATIENCE_S = 60

SESSIONS = "select pid, application_name from pg_stat_activity where application_name like 'orchestrator/%%'"


@contextmanager
def started(desk: Desk, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, which is gone afterwards in any case."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "invoke", *words, "--env", "staging", "--yes", "--json"),
            *("--inventory", str(desk.inventory), "--runs", str(desk.runs)),
        ],
        cwd=ROOT,
        env={**os.environ, **desk.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Until a condition holds; a process that ends before it is a failure."""
    while not condition():
        assert process.poll() is None, process.communicate()
        pause()


def waiting(url: str, step: str) -> Callable[[], bool]:
    """Whether a session of that step waits for a lock."""
    query = (
        "select 1 from pg_stat_activity where application_name like 'orchestrator/%%' and application_name like %s"
        " and wait_event_type = 'Lock'"
    )
    return lambda: bool(rows(url, query, f"%/{step}"))


def attempt_failed(desk: Desk) -> bool:
    """Whether the journal on disk tells that somebody is in the way."""
    found = list(desk.runs.glob("*/journal.jsonl")) if desk.runs.exists() else []
    return any(
        {"lock_attempt_failed", "statement_postponed"} & set(path.read_text("utf-8").split('"')) for path in found
    )


def no_session(url: str) -> None:
    """Until the server has noticed that everybody of ours is gone."""
    until(lambda: not rows(url, SESSIONS))


@pytest.mark.parametrize(
    "order",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=MATRIX)],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_an_interrupted_apply_is_held(desk: Desk, staging: str, order: signal.Signals) -> None:
    """In the middle of waiting for a lock: exit 3, no lock left behind, and resume does the rest."""
    with psycopg.connect(staging) as writer:
        writer.execute("update public.users set name = name")
        with started(desk, "deploy") as process:
            when(process, lambda: attempt_failed(desk))
            process.send_signal(order)
            said, told = process.communicate(timeout=PATIENCE_S)
        writer.rollback()
    assert process.returncode == EXIT_HELD
    assert '"state": "held"' in said
    assert order.name in told
    assert desk.status()["state"] == "held"
    assert rows(staging, SESSIONS) == []
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    assert counts(answer) == {"added": 44, "present": 1, "deferred": 11}


def test_a_long_statement_is_cancelled(desk: Desk, staging: str) -> None:
    """VALIDATE may take hours: it is cancelled, nothing of it is kept, and the key stands NOT VALID until resume."""
    with psycopg.connect(staging) as other, started(desk, "deploy") as process:
        when(process, lambda: len(keys(staging)) == 45)
        other.execute("lock table workflow_stages in share update exclusive mode")
        when(process, waiting(staging, "apply"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        other.rollback()
    assert process.returncode == EXIT_HELD
    assert desk.status()["state"] == "held"
    assert desk.resume().exit_code == EXIT_DONE


def test_a_second_signal_stops_at_once(desk: Desk, staging: str) -> None:
    """Nothing more is recorded, the server rolls back what was open, and resume goes on."""
    with psycopg.connect(staging) as writer:
        writer.execute("update public.users set name = name")
        with started(desk, "deploy") as process:
            when(process, lambda: attempt_failed(desk))
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            _, told = process.communicate(timeout=PATIENCE_S)
        writer.rollback()
    assert process.returncode == EXIT_HELD
    assert "stopped at once" in told
    assert f"invoke resume --env staging --inventory {desk.inventory} --runs {desk.runs}" in told
    no_session(staging)
    assert desk.status()["state"] == "interrupted"
    assert desk.resume().exit_code == EXIT_DONE


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_no_dump_survives_us(desk: Desk, master: str, order: signal.Signals) -> None:
    """pg_dump waits for a lock when we are stopped or killed: it goes with us, and leaves no half backup behind."""
    desk.environment("staging", master, backup='mode = "dump"')
    before = fingerprint(master)
    with psycopg.connect(master) as other, started(desk, "deploy") as process:
        when(process, (desk.folder / "backups").exists)
        other.execute("lock table punchlists in access exclusive mode")
        when(process, waiting(master, "backup"))
        process.send_signal(order)
        process.communicate(timeout=PATIENCE_S)
        no_session(master)
        other.rollback()
    assert process.returncode == (EXIT_HELD if order == signal.SIGTERM else -signal.SIGKILL)
    assert fingerprint(master) == before
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    (kept,) = (desk.folder / "backups").iterdir()
    assert (kept / "manifest.json").exists()


def test_an_interrupted_rollback_is_finished_by_resume(desk: Desk, staging: str) -> None:
    """A way back that was stopped is held, and resume walks it to its end."""
    before = fingerprint(staging)
    desk.deploy()
    with psycopg.connect(staging) as reader:
        reader.execute("select count(*) from public.users")
        with started(desk, "rollback") as process:
            when(process, lambda: attempt_failed(desk))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
        reader.rollback()
    assert process.returncode == EXIT_HELD
    assert desk.resume().exit_code == EXIT_DONE
    assert fingerprint(staging) == before


def test_a_hold_from_another_process(desk: Desk, staging: str) -> None:
    """While the run waits for a lock somebody asks it to hold: it is held with that reason."""
    with psycopg.connect(staging) as writer:
        writer.execute("update public.users set name = name")
        with started(desk, "deploy") as process:
            when(process, lambda: attempt_failed(desk))
            asked = desk.invoke("hold", "--env", "staging", "--reason", "too much load")
            said, _ = process.communicate(timeout=PATIENCE_S)
        writer.rollback()
    assert asked.returncode == EXIT_DONE, asked.stderr
    assert process.returncode == EXIT_HELD
    assert "too much load" in said
    assert desk.resume().exit_code == EXIT_DONE


def test_one_ctrl_c_after_a_hold_is_the_first(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A hold is a request and no signal: Ctrl-C after it lets the statement end, and only the next stops at once."""
    at_once: list[str] = []
    monkeypatch.setattr(interruption, "_stop_now", lambda name, _: at_once.append(name))
    asked = Interruption()
    with asked.installed():
        asked.ask("asked to hold by Ayu", cancel=False)
        signal.raise_signal(signal.SIGINT)
        assert at_once == []
        assert "once more stops at once" in capfd.readouterr().err
        assert asked.reason == "asked to hold by Ayu"
        signal.raise_signal(signal.SIGTERM)
    assert at_once == ["SIGTERM"]


def test_nobody_to_hold(desk: Desk, staging: str) -> None:
    """With no run at work a hold is refused in one line."""
    said = desk.typed("hold", "--env", "staging")
    assert said.returncode == EXIT_REFUSED
    assert "no run is at work" in said.stderr


def test_a_way_back_waits_for_a_dump_of_ours(desk: Desk, master: str, tmp_path: Path) -> None:
    """DROP CONSTRAINT would wait behind the dump and readers behind it: not even asked for, until the dump is over."""
    desk.environment("staging", master, backup='mode = "dump"')
    desk.deploy()
    with psycopg.connect(master, autocommit=True) as dump:
        dump.execute("select pg_advisory_lock_shared(%s)", (0x0AC4E57B,))
        with started(desk, "rollback") as process:
            when(
                process,
                lambda: bool(rows(master, "select 1 from pg_stat_activity where application_name like '%%/rollback'")),
            )
            assert rows(master, "select 1 from pg_locks where mode = 'AccessExclusiveLock' and not granted") == []
            assert len(keys(master)) == 45
            dump.execute("select pg_advisory_unlock_shared(%s)", (0x0AC4E57B,))
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == EXIT_DONE
    assert len(keys(master)) == 1
