"""Hosts before and after a deployment, and by themselves: findings with a verdict, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import asyncssh
import pytest

from tests.acceptance.desk import Desk, finding, keys
from tests.far_hosts import FarHost

SERVICE = 'service = { manager = "systemd", name = "api" }'
DOWN = '[[host]]\nname = "down"\nssh = "deploy@127.0.0.1:1"\n'


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    """One host for the module."""
    host = FarHost(tmp_path_factory.mktemp("far") / "host").start()
    yield host
    host.stop()


@pytest.fixture
def api(far: FarHost) -> FarHost:
    """The host, well again."""
    far.reset()
    return far


def test_hosts_alone_need_no_database(desk: Desk, api: FarHost) -> None:
    """`invoke hosts`: exit 0 when all are well, exit 1 with the reason otherwise; the document has the facts."""
    desk.environment("staging", None, more=api.line(more=SERVICE))
    assert desk.typed("hosts", "--env", "staging").returncode == 0
    desk.environment("staging", None, more=api.line(more=SERVICE) + DOWN)
    said = desk.typed("hosts", "--env", "staging", "--json")
    document = json.loads(said.stdout)
    assert (said.returncode, document["verdict"]) == (1, "HOLD")
    assert document["reasons"] == [
        "hosts.down.reachable (important): unreachable: deploy@127.0.0.1:1: Connection refused"
    ]
    assert [each["host"] for each in document["hosts"]] == ["api-1", "down"]


def test_an_inventory_without_hosts_says_so(desk: Desk) -> None:
    """Usage: exit 2."""
    desk.environment("staging", None)
    said = desk.typed("hosts", "--env", "staging")
    assert said.returncode == 2
    assert "has no [[host]]" in said.stderr


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('[[host]]\nname = "a"\nssh = "de ploy@x"', "host[1].ssh"),
        ('[[host]]\nname = "a"\nssh = "x:99999"', "host[1].ssh"),
        ('[[host]]\nname = "a"\nssh = "x"\nhealth = "file:///etc/passwd"', "host[1].health"),
        ('[[host]]\nname = "a"\nssh = "x"\nhealth = "http://u:hush@x/"', "host[1].health"),
        ('[[host]]\nname = "a"\nssh = "x"\nservice = { manager = "systemd", name = "a;b" }', "host[1].service.name"),
        ('[[host]]\nname = "a"\nssh = "x"\n[[host]]\nname = "a"\nssh = "y"', "host[1].name"),
        ('[[host]]\nname = "a"\nssh = "x"\nlog = "api.log"', "host[1].log"),
        ('[[host]]\nname = "a"\nssh = "x"\nlog = { file = "/a", pm2 = "b" }', "host[1].log"),
        ('[[host]]\nname = "a"\nssh = "x"\nlog = ["/a", { journal = "a b" }]', "host[1].log"),
        ('[[host]]\nname = "a"\nssh = "x"\nlog = ["/a", { jurnal = "b" }]', "host[1].log[2].jurnal"),
        ('[[host]]\nname = "a"\nssh = "x"\nlog = ["/a", "/a"]', "host[1].log"),
        ("[policy.hosts]\nat_once = 0", "policy.hosts.at_once"),
    ],
)
def test_a_mistake_in_a_host_is_one_line(desk: Desk, line: str, key: str) -> None:
    """File and key, before anything is asked."""
    desk.write(
        "staging", f'[environment]\nname = "staging"\nkind = "staging"\n[database]\nurl = {{ env = "X" }}\n{line}'
    )
    said = desk.typed("hosts", "--env", "staging")
    assert said.returncode == 2
    assert f"staging.toml: {key}: " in said.stderr
    assert "hush" not in said.stderr


def test_a_deployment_looks_before_and_after(
    desk: Desk, master: str, api: FarHost, at: Callable[[int, Callable[[], None]], None]
) -> None:
    """Two looks on record; a service that began to restart meanwhile is told, and the run is held."""
    desk.environment("staging", master, more=api.line(more=SERVICE))
    at(20, lambda: api.systemd("active", "running", restarts=3))
    answer = desk.deploy()
    told = finding(answer, "hosts.api-1.service")
    assert (told["status"], answer.document["verdict"], answer.exit_code) == ("fail", "HOLD", 3)
    assert "restarts in a loop" in told["observed"]
    assert [each["moment"] for each in desk.events(answer, "hosts_seen")] == ["before", "after"]
    assert len(keys(master)) == 45


def test_a_host_with_another_key_is_refused_before_anything_is_changed(desk: Desk, master: str, api: FarHost) -> None:
    """Preflight is NO-GO: somebody may stand in between."""
    api.know(asyncssh.generate_private_key("ssh-ed25519"))
    desk.environment("staging", master, more=api.line())
    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    assert "changed key" in finding(answer, "hosts.api-1.reachable")["observed"]
    assert len(keys(master)) == 1
