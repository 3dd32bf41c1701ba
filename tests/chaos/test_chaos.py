"""The short form of `invoke chaos`: a sample of everything that the long one does at every point."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from random import Random

import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from tests.acceptance.desk import BASE_ROWS, ROOT
from tests.chaos import sections
from tests.chaos.proxy import Proxy
from tests.chaos.sections import Result, Stage
from tests.chaos.world import Command


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A cluster of its own, because it is stopped on the way."""
    folder = tmp_path_factory.mktemp("chaos")
    cluster = Cluster(
        directory=folder / "cluster", installation=server_installation(16), settings={"autovacuum": "off"}
    )
    cluster.start()
    made = Stage(
        folder=folder,
        cluster=cluster,
        migrations=ROOT / "runbooks/master_tables/migrations",
        runbook="master_tables",
        backup="dump",
        fill=BASE_ROWS,
    )
    made.prepare()
    yield made
    cluster.discard()


def spread(stage: Stage, command: Command, count: int) -> list[int]:
    """Points from the first to the last, the same distance apart."""
    total = len(stage.points[command])
    return [1 + number * (total - 1) // (count - 1) for number in range(count)]


def same(results: Iterator[Result]) -> None:
    """Every trial ended as if nobody had interfered."""
    found = list(results)
    assert found
    assert {each.trial: each.problems for each in found if each.problems} == {}


def test_there_are_points_enough(stage: Stage) -> None:
    """Every event, effect and file of the master tables is a place to be killed at, and each sort is among them."""
    names = stage.points["deploy"] + stage.points["rollback"]
    assert len(names) >= 250
    assert {"effect:begin", "effect:committed", "journal:committed", "backup:proved", "lease:claimed"} <= set(names)


@pytest.mark.parametrize(("command", "count"), [("deploy", 4), ("rollback", 3)])
def test_killed_at_points(stage: Stage, command: Command, count: int) -> None:
    """Killed there, resumed, and equal to a run that nobody killed."""
    same(sections.at_points(stage, command, spread(stage, command, count)))


def test_killed_twice(stage: Stage) -> None:
    """The one who resumes is killed, too."""
    same(sections.twice(stage, "deploy", Random(3), 1))


def test_the_server_stops(stage: Stage) -> None:
    """Immediate shutdown under a run, and the server comes back on another port."""
    same(sections.server_stopped(stage, "deploy", Random(4), 1))


def test_the_network_misbehaves(stage: Stage) -> None:
    """Cut, refused, delayed: done, or resumed until it is done."""
    same(sections.network_faults(stage, "deploy", Random(5), 1))


def test_two_start_together(stage: Stage) -> None:
    """One works, the other is refused and told who does."""
    same(sections.two_starters(stage, 3))


def test_the_proxy_passes_cuts_and_swallows() -> None:
    """What the network trials stand on: bytes arrive, a cut is an end, a black hole is silence."""
    with socket.create_server(("127.0.0.1", 0)) as server, Proxy(server.getsockname()[1]) as proxy:
        near = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        far, _ = server.accept()
        near.sendall(b"hello")
        assert far.recv(5) == b"hello"
        proxy.swallow()
        near.sendall(b"lost")
        far.settimeout(0.2)
        with pytest.raises(TimeoutError):
            far.recv(4)
        proxy.cut()
        assert near.recv(1) == b""
        near.close()
        far.close()
