"""Commands on hosts: their output in pieces without secrets, their limits, and that nothing outlives us there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest

from orchestrator.adapters import far_side
from orchestrator.adapters.host_hands import HostHands
from orchestrator.adapters.interruption import Interruption
from orchestrator.core.host_commands import HostEnd, HostOrder
from orchestrator.core.inventory import HostLimits, Source
from orchestrator.core.outcome import Refused
from tests.far_hosts import FarHost

STUBBORN = "trap '' TERM HUP; sh -c 'trap \"\" TERM HUP; echo $$ >inner.pid; sleep 300' & echo $$ >outer.pid; wait"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    """One host for the module."""
    host = FarHost(tmp_path_factory.mktemp("far") / "host").start()
    yield host
    host.stop()


def given(far: FarHost, command: str, *, timeout_s: float = 10, sudo: bool = False, **host: Any) -> HostOrder:
    """An order for the host."""
    return HostOrder(host=far.host(**host), command=command, timeout_s=timeout_s, sudo=sudo)


def carried(order: HostOrder, interruption: Interruption | None = None) -> tuple[HostEnd, list[str]]:
    """How it ended, and what it said."""
    hands = HostHands(limits=HostLimits(answer_s=5), interruption=interruption or Interruption())
    hands.ready([order])
    words = [word for _, word in hands.carry_out([order])]
    end = words.pop()
    assert isinstance(end, HostEnd)
    return end, [word for word in words if isinstance(word, str)]


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_command_prints_and_how_it_ends(far: FarHost) -> None:
    """Both streams in their order; a code that is not 0 is the reason; it has nothing to read."""
    end, said = carried(given(far, "echo one; echo two >&2; read -r x || echo nothing to read"))
    assert (end.reason, end.code, "".join(said)) == ("", 0, "one\ntwo\nnothing to read\n")
    end, _ = carried(given(far, "exit 7"))
    assert (end.reason, end.code, end.cut) == ("exit code 7", 7, False)


def test_secrets_are_masked_in_what_it_prints(far: FarHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in use, those in URLs, and what is called a password; also with colours around them."""
    monkeypatch.setenv("ROOT_PASSWORD", "open-sesame")
    echo = "echo 'pg://u:hushhush@h/d API_KEY=abcdef \"token\": \"ghijkl\"'; printf '\\033[31mopen-sesame\\033[0m\\n'"
    order = HostOrder(host=far.host(sudo=Source(env="ROOT_PASSWORD")), command=echo, timeout_s=10, sudo=True)
    end, said = carried(order)
    text = "".join(said)
    assert end.reason == ""
    assert not any(secret in text for secret in ("hushhush", "abcdef", "ghijkl", "open-sesame", "[sudo"))
    assert text == 'pg://u:***@h/d API_KEY=*** "token": ***\n***\n'


def test_sudo_gets_its_password_once_and_no_argument_list_does(far: FarHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one is refused at its second question; one that is not set is refused before anything is given."""
    source = Source(env="ROOT_PASSWORD")
    order = HostOrder(host=far.host(sudo=source), command="echo never", timeout_s=10, sudo=True)
    monkeypatch.setenv("ROOT_PASSWORD", "wrong-one")
    end, said = carried(order)
    assert (end.begun, end.reason) == (False, "sudo did not take the password of environment variable ROOT_PASSWORD")
    assert "never" not in "".join(said)
    assert not any("wrong-one" in each for each in far.commands)
    monkeypatch.delenv("ROOT_PASSWORD")
    with pytest.raises(Refused, match="ROOT_PASSWORD is not set"):
        carried(order)


def test_much_output_is_bounded(far: FarHost) -> None:
    """The beginning and the end are kept, in pieces; a line without an end is cut."""
    end, said = carried(given(far, "seq 1 50000; head -c 100000 /dev/zero | tr '\\0' x; echo; echo last"))
    text = "".join(said)
    assert end.reason == ""
    assert len(said) > 3
    assert max(map(len, said)) <= far_side.PIECE + far_side.LINE + 100
    assert len(text) <= far_side.MOST + far_side.TAIL + 200
    assert text.startswith("1\n2\n")
    assert text.endswith("last\n")
    assert "characters left out" in text


def test_a_command_that_hangs_is_ended_there_with_all_that_it_started(far: FarHost) -> None:
    """Also one that does not want to go: TERM first, then KILL for the whole group."""
    end, _ = carried(given(far, STUBBORN, timeout_s=0.5))
    assert end.cut
    assert end.reason == "did not end within 0.5 s, and was ended there"
    until(lambda: not far.alive("outer.pid") and not far.alive("inner.pid"))


def test_a_cancelled_run_leaves_nothing_behind(far: FarHost) -> None:
    """An interruption ends the command there before it is told that it ended."""
    interruption = Interruption()
    (far.folder / "going.pid").unlink(missing_ok=True)

    def stop() -> None:
        until((far.folder / "going.pid").exists)
        interruption.ask("enough")

    Thread(target=stop, daemon=True).start()
    end, _ = carried(given(far, "echo $$ >going.pid; sleep 300"), interruption)
    assert (end.cut, end.stopped) == (True, True)
    assert not far.alive("going.pid")


def test_a_command_that_nobody_listens_to_any_more_is_ended(far: FarHost) -> None:
    """As when the journal is lost in the middle: what cannot be recorded does not go on."""
    hands = HostHands(limits=HostLimits(answer_s=5))
    for _, word in hands.carry_out([given(far, "echo $$ >unheard.pid; echo here; exec sleep 300")]):
        assert word == "here\n"
        break
    until(lambda: not far.alive("unheard.pid"))


def test_a_service_that_makes_itself_a_daemon_stays(far: FarHost) -> None:
    """What left the command's group on purpose is not ours to end, and its output keeps us from nothing."""
    end, _ = carried(given(far, "setsid sh -c 'echo $$ >daemon.pid; exec sleep 20' >/dev/null 2>&1 & echo started"))
    assert end.reason == ""
    until((far.folder / "daemon.pid").exists)
    assert far.alive("daemon.pid")
    os.kill(int((far.folder / "daemon.pid").read_text("utf-8")), signal.SIGKILL)


def test_a_host_that_is_down_never_began(far: FarHost) -> None:
    """Nothing is to be taken back there."""
    end, said = carried(given(far, "true", ssh="deploy@127.0.0.1:1"))
    assert (end.begun, end.cut, said) == (False, False, [])
    assert "Connection refused" in end.reason
