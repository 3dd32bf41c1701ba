"""Interrupting a deployment: it ends as held, with what took effect on record, and resume goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest

from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD
from tests.acceptance.desk import ROOT, Desk, counts, rows

PATIENCE_S = 60


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_apply_is_held(desk: Desk, staging: str, order: signal.Signals) -> None:
    """In the middle of waiting for a lock: exit 3, no lock left behind, and resume does the rest."""
    with psycopg.connect(staging) as writer:
        writer.execute("update public.users set name = name")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "invoke", "deploy", "--env", "staging", "--json"),
                *("--inventory", str(desk.inventory), "--runs", str(desk.runs)),
            ],
            cwd=ROOT,
            env={**os.environ, **desk.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        wait_for_failed_attempt(desk)
        process.send_signal(order)
        said, _ = process.communicate(timeout=PATIENCE_S)
        writer.rollback()
    assert process.returncode == EXIT_HELD
    assert '"state": "held"' in said
    assert desk.status()["state"] == "held"
    assert rows(staging, "select pid from pg_stat_activity where application_name like 'orchestrator/%'") == []
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    assert counts(answer) == {"added": 44, "present": 1, "deferred": 11}


def wait_for_failed_attempt(desk: Desk) -> None:
    """Until the journal on disk tells of an attempt that failed."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = list(desk.runs.glob("*/journal.jsonl")) if desk.runs.exists() else []
        if any("lock_attempt_failed" in path.read_text("utf-8") for path in found):
            return
    pytest.fail("no attempt failed")
