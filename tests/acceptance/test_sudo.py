"""Commands as root through Debian's real sudo, behind a real sshd: it is asked once, and nothing of root's is left."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.interruption import Interruption
from orchestrator.core.host_commands import HostOrder
from orchestrator.core.inventory import Source
from tests import known_secrets
from tests.acceptance.desk import Desk, execute
from tests.acceptance.test_on_hosts import TABLES, runbook
from tests.adapters.test_host_hands import STUBBORN, carried, until
from tests.conftest import MATRIX
from tests.sudo_host import TRUSTED, SudoHost

ROOT = Path(__file__).parents[2]
PASSWORD = secrets.token_urlsafe(16)
SOURCE = Source(env="ROOT_PASSWORD")

GIVE = """
import sys
from orchestrator.adapters.host_hands import HostHands
from orchestrator.core.host_commands import HostOrder
from orchestrator.core.inventory import Host, HostLimits, Source
ssh, key, known, command = sys.argv[1:]
host = Host(name="api-1", ssh=ssh, key_file=key, known_hosts=known, sudo=Source(env="ROOT_PASSWORD"))
hands, order = HostHands(limits=HostLimits()), HostOrder(host=host, command=command, timeout_s=60, sudo=True)
hands.ready([order])
list(hands.carry_out([order]))
"""


@pytest.fixture(scope="module")
def host() -> Iterator[SudoHost]:
    """One sshd for the module."""
    known_secrets.KNOWN.add(PASSWORD)
    made = SudoHost.there(PASSWORD)
    made.start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the inventory says that it stands."""
    monkeypatch.setenv("ROOT_PASSWORD", PASSWORD)


def order(host: SudoHost, command: str, source: Source | None = SOURCE, **more: Any) -> HostOrder:
    """A command as root, begun in the host's folder."""
    seen = host.host(sudo=source, **more)
    return HostOrder(host=seen, command=f"cd {host.folder}; {command}", timeout_s=20, sudo=True)


def test_sudo_asks_and_nobody_sees_the_answer(host: SudoHost) -> None:
    """Root looks at every process's words and environment meanwhile; what is printed has no question in it, either."""
    command = "id -u; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >seen 2>/dev/null; true"
    end, said = carried(order(host, command))
    assert (end.reason, "".join(said)) == ("", "0\n")
    seen = (host.folder / "seen").read_bytes()
    assert b"sudo" in seen
    assert PASSWORD.encode() not in seen


def test_a_wrong_password_is_told_and_nothing_was_done(host: SudoHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its second question, long before the command's own time is over."""
    monkeypatch.setenv("ROOT_PASSWORD", "wrong-one")
    end, said = carried(order(host, "touch never"))
    assert (end.begun, end.reason) == (False, "sudo did not take the password of environment variable ROOT_PASSWORD")
    assert "wrong-one" not in "".join(said)
    assert not (host.folder / "never").exists()


def test_who_needs_no_password_gives_none(host: SudoHost) -> None:
    """NOPASSWD works with a secret and without one; who has to give one and has none is told by sudo, and not asked."""
    trusted = f"{TRUSTED}@127.0.0.1:{host.port}"
    for source in (None, SOURCE):
        end, said = carried(order(host, "id -u", source, ssh=trusted))
        assert (end.reason, "".join(said)) == ("", "0\n")
    end, said = carried(order(host, "id -u", None))
    assert (end.reason, "a password is required" in "".join(said)) == ("exit code 1", True)


def test_a_cancelled_run_leaves_no_process_of_root(host: SudoHost) -> None:
    """Not even one that does not want to go."""
    interruption = Interruption()
    outer, inner = host.folder / "outer.pid", host.folder / "inner.pid"

    def stop() -> None:
        until(lambda: all(each.exists() and each.stat().st_size for each in (outer, inner)))
        interruption.ask("enough")

    Thread(target=stop, daemon=True).start()
    end, _ = carried(order(host, STUBBORN), interruption)
    assert (end.cut, end.stopped) == (True, True)
    assert (outer.stat().st_uid, inner.stat().st_uid) == (0, 0)
    until(lambda: not host.alive("outer.pid") and not host.alive("inner.pid"))


@MATRIX
def test_a_killed_run_leaves_no_process_of_root(host: SudoHost) -> None:
    """SIGKILL to our process: sudo's input is closed, and what it started as root ends."""
    going = host.folder / "going.pid"
    far = host.host()
    command = f"cd {host.folder}; echo $$ >going.pid; sleep 300"
    words = [sys.executable, "-c", GIVE, far.ssh, str(far.key_file), str(far.known_hosts), command]
    us = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "ROOT_PASSWORD": PASSWORD})
    try:
        until(lambda: going.exists() and going.stat().st_size > 0)
        assert host.alive("going.pid")
    finally:
        os.kill(us.pid, signal.SIGKILL)
        us.wait(10)
    until(lambda: not host.alive("going.pid"))


def test_the_password_is_in_no_record(host: SudoHost, desk: Desk, database: str) -> None:
    """A deployment with a command as root: what it printed is on record, also where it printed the password itself."""
    execute(database, *TABLES)
    desk.environment("staging", database, more=host.line(more='sudo = { env = "ROOT_PASSWORD" }'))
    item = f'"cd {host.folder}; id -u; cat printed", title="As root", sudo=True, health=False, timeout_s=20'
    book = runbook(desk, f"on_hosts({item})")
    (host.folder / "printed").write_text(f"{PASSWORD}\n", encoding="utf-8")
    answer = desk.deploy(runbook=book)
    assert answer.exit_code == 0, answer.document
    assert [each["text"] for each in desk.events(answer, "host_said")] == ["0\n***\n"]
    assert PASSWORD not in desk.written()
    with psycopg.connect(database) as connection:
        told = connection.execute("select string_agg(data::text, '') from orchestrator.event").fetchone()
    assert told is not None
    assert PASSWORD not in told[0]
