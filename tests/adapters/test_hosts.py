"""Looking at hosts over SSH, on an SSH server in the suite: what is down, strange, full or slow is in the facts."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import asyncssh
import pytest

from orchestrator.adapters.hosts import HostEyes
from orchestrator.core.hosts import HostFacts
from orchestrator.core.inventory import Host, HostLimits, Service
from tests.far_hosts import FarHost

SYSTEMD = Service(manager="systemd", name="api.service")
PM2 = Service(manager="pm2", name="api")


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    """One host for the module; each test says anew what it tells."""
    host = FarHost(tmp_path_factory.mktemp("far") / "host").start()
    yield host
    host.stop()


@pytest.fixture
def api(far: FarHost) -> FarHost:
    """The host, well again."""
    far.reset()
    return far


def look(*hosts: Host, answer_s: int = 10, second_look_s: float = 0.0) -> dict[str, HostFacts]:
    """One look."""
    eyes = HostEyes(limits=HostLimits(answer_s=answer_s), second_look_s=second_look_s)
    return dict(eyes.look(hosts))


def test_a_look_tells_disk_load_clock_and_service(api: FarHost) -> None:
    """What the host's own programs say, with the clock's difference measured."""
    api.disk(free_mb=3_000)
    api.clock(ahead_s=90)
    seen = look(api.host(service=SYSTEMD))["api-1"]
    assert seen.trouble == ""
    assert [(each.mount, each.free_percent, each.free_mb) for each in seen.disks] == [("/", 3.0, 3_000)]
    assert seen.load is not None
    assert seen.skew_s is not None
    assert abs(seen.skew_s - 90) <= seen.within_s + 0.1
    assert seen.service is not None
    assert (seen.service.standing, seen.service.told) == ("running", "active (running)")


@pytest.mark.parametrize(
    ("active", "sub", "standing", "loops"),
    [
        ("activating", "auto-restart", "starting", True),
        ("activating", "start", "starting", False),
        ("failed", "failed", "failed", False),
        ("inactive", "dead", "stopped", False),
    ],
)
def test_systemds_states(api: FarHost, active: str, sub: str, standing: str, *, loops: bool) -> None:
    """Each as it is; a unit between two starts is in a loop."""
    api.systemd(active, sub, restarts=4)
    service = look(api.host(service=SYSTEMD))["api-1"].service
    assert service is not None
    assert (service.standing, service.loops, service.restarts) == (standing, loops, 4)


def test_a_unit_that_is_not_there(api: FarHost) -> None:
    """Systemd tells an unknown unit as inactive, too: what it loaded decides."""
    api.systemd("inactive", "dead", load="not-found")
    service = look(api.host(service=SYSTEMD))["api-1"].service
    assert service is not None
    assert service.standing == "missing"


def test_pm2_tells_a_cluster_by_its_worst_process(api: FarHost) -> None:
    """Restarts are added up; nothing of a process's environment is kept."""
    hour_ago = (time.time() - 3600) * 1000
    api.pm2(
        {"status": "online", "restart_time": 2, "pm_uptime": hour_ago},
        {"status": "errored", "restart_time": 15, "pm_uptime": hour_ago},
    )
    service = look(api.host(service=PM2))["api-1"].service
    assert service is not None
    assert (service.standing, service.restarts, service.told) == ("failed", 17, "errored, 2 processes")
    assert "pm2secret" not in repr(service)


def test_no_pm2_is_unknown_and_no_process_is_missing(api: FarHost) -> None:
    """A manager that says nothing is no evidence of a service that is down."""
    api.pm2()
    missing = look(api.host(service=PM2))["api-1"].service
    assert missing is not None
    assert missing.standing == "missing"
    (api.folder / "pm2.json").unlink()
    assert look(api.host(service=PM2))["api-1"].service is None


def test_a_service_that_has_just_restarted_is_looked_at_twice(api: FarHost) -> None:
    """The count grows from look to look: a loop, although each look finds it running."""
    api.program(
        "systemctl",
        'f="$(dirname "$0")/../restarts"; n=$(cat "$f" 2>/dev/null || echo 6); echo $((n+1)) >"$f";'
        ' up=$(cut -d. -f1 /proc/uptime); printf "LoadState=loaded\\nActiveState=active\\nSubState=running\\n'
        'NRestarts=%s\\nActiveEnterTimestampMonotonic=%s000000\\n" "$n" "$((up-2))"',
    )
    service = look(api.host(service=SYSTEMD))["api-1"].service
    assert service is not None
    assert (service.loops, service.restarts) == (True, 7)


def test_a_changed_host_key_is_refused(api: FarHost) -> None:
    """Nothing was sent to it, and the line has both fingerprints and what to do."""
    asked = len(api.commands)
    api.know(asyncssh.generate_private_key("ssh-ed25519"))
    seen = look(api.host())["api-1"]
    assert seen.trouble == "changed key"
    assert seen.told.count("SHA256:") == 2
    assert "ssh-keygen -R" in seen.remedy
    assert len(api.commands) == asked


def test_an_unknown_host_key_is_refused(api: FarHost, tmp_path: Path) -> None:
    """The same for a host that known_hosts does not have, and nothing is added to that file."""
    empty = tmp_path / "known_hosts"
    for there in (False, True):
        if there:
            empty.touch()
        seen = look(api.host(known_hosts=str(empty)))["api-1"]
        assert seen.trouble == "unknown key"
        assert "ssh-keygen -lf" in seen.remedy
    assert empty.read_text() == ""


def test_a_line_that_is_no_key_is_told(api: FarHost) -> None:
    """Which file, and which line."""
    api.known_hosts.write_text("[127.0.0.1]:1 ssh-ed25519 AAAA-broken\n", encoding="utf-8")
    seen = look(api.host())["api-1"]
    assert (seen.trouble, "is no key" in seen.told) == ("unknown key", True)


def test_a_key_that_the_host_does_not_trust(api: FarHost, tmp_path: Path) -> None:
    """A login that is refused, and a key file that is not there, are told apart from a host that is down."""
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    seen = look(api.host("a", key_file=str(stranger)), api.host("b", key_file=str(tmp_path / "none")))
    assert (seen["a"].trouble, seen["b"].trouble) == ("login refused", "login refused")
    assert "is not there" in seen["b"].told


def test_one_host_down_leaves_the_others(api: FarHost, caplog: pytest.LogCaptureFixture) -> None:
    """Refused, unknown by name, and one that accepts and says nothing: each a line; no traceback in any log."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        down = silent.getsockname()[1]
        hosts = [
            api.host("up"),
            api.host("refused", ssh="deploy@127.0.0.1:1"),
            api.host("nowhere", ssh="deploy@no-such-host.invalid"),
            api.host("silent", ssh=f"deploy@127.0.0.1:{down}"),
        ]
        with caplog.at_level(logging.DEBUG):
            seen = look(*hosts, answer_s=1)
    assert {name: each.trouble for name, each in seen.items()} == {
        "up": "",
        "refused": "unreachable",
        "nowhere": "unreachable",
        "silent": "unreachable",
    }
    assert "Connection refused" in seen["refused"].told
    assert "Traceback" not in caplog.text


def test_commands_that_hang_are_silence_and_what_came_before_counts(api: FarHost) -> None:
    """A dead network disk makes df hang: load and service are told all the same, and df is ended there."""
    api.program("df", f'echo $$ >"{api.folder}/df.pid"; exec sleep 300')
    seen = look(api.host(service=SYSTEMD), answer_s=1)["api-1"]
    assert seen.trouble == "silent"
    assert seen.service is not None
    assert seen.load is not None
    assert not api.alive("df.pid")


def test_through_a_jump_host(api: FarHost) -> None:
    """The way leads through another host, whose key is checked, too."""
    seen = look(api.host(jump=f"deploy@127.0.0.1:{api.port}"))["api-1"]
    assert seen.trouble == ""
    api.know(asyncssh.generate_private_key("ssh-ed25519"))
    assert look(api.host(jump=f"deploy@127.0.0.1:{api.port}"))["api-1"].trouble == "changed key"


class Health(BaseHTTPRequestHandler):
    """Answers with the status that its path names."""

    def do_GET(self) -> None:
        """The path is the status; 302 leads to a page that is well."""
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a server that answers as it is asked."""
    server = HTTPServer(("127.0.0.1", 0), Health)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_health_urls_are_asked_from_here(api: FarHost, web: str) -> None:
    """Status and latency; a redirection is no yes, and a host that is down is asked all the same."""
    seen = look(
        api.host("well", health=f"{web}/200"),
        api.host("moved", health=f"{web}/302"),
        api.host("broken", health=f"{web}/503"),
        api.host("down", ssh="127.0.0.1:1", health="http://127.0.0.1:1/"),
    )
    told = {name: each.health for name, each in seen.items()}
    assert {name: each.status for name, each in told.items() if each} == {
        "well": 200,
        "moved": 302,
        "broken": 503,
        "down": None,
    }
    assert [name for name, each in told.items() if each and each.well] == ["well"]
    assert told["down"] is not None
    assert told["down"].problem == "Connection refused"
