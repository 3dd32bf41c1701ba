"""The short form of two sections of `invoke chaos`: remediations, and commands on hosts, killed and taken up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import ProgramsMissing, server_installation
from tests.chaos import sections
from tests.chaos.comparison import dump
from tests.chaos.repairs import RepairStage, given_up, repair_stage
from tests.chaos.rollouts import HostStage, around_hosts, host_stage
from tests.chaos.test_chaos import same, spread
from tests.conftest import MATRIX, NEWEST
from tests.far_hosts import FarHost


@pytest.fixture(scope="module", params=NEWEST)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own, because it is stopped on the way."""
    try:
        installation = server_installation(request.param)
    except ProgramsMissing as missing:
        pytest.skip(f"no PostgreSQL {request.param} on this machine (.ci/run installs it): {missing}")
    folder = tmp_path_factory.mktemp("repairs") / "cluster"
    made = Cluster(directory=folder, installation=installation, settings={"autovacuum": "off"})
    made.start()
    yield made
    made.discard()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, FarHost]]:
    """Two hosts for the module."""
    made = {each: FarHost(tmp_path_factory.mktemp("far") / each).start() for each in ("api-1", "api-2")}
    yield made
    for host in made.values():
        host.stop()


@pytest.fixture(scope="module", params=["set-null", "quarantine", "delete"])
def repairs(request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> RepairStage:
    """A way of remediation, both ways."""
    return repair_stage(tmp_path_factory.mktemp(request.param), cluster, request.param)


@pytest.fixture(scope="module")
def rollout(cluster: Cluster, hosts: dict[str, FarHost], tmp_path_factory: pytest.TempPathFactory) -> HostStage:
    """Commands on two hosts, both ways."""
    return host_stage(tmp_path_factory.mktemp("rollout"), cluster, hosts)


def test_a_remediation_killed_between_two_batches(cluster: Cluster, tmp_path: Path) -> None:
    """The same rows and the same copy as without it, and its way back leads to the original."""
    stage = repair_stage(tmp_path, cluster, "quarantine", way_back=False)
    there = [number for number, name in enumerate(stage.points["remediate"], start=1) if name == "effect:committed"]
    assert len(there) >= 5
    same(sections.at_points(stage, "remediate", there[2:3]))


def test_a_rollout_killed_between_its_hosts(cluster: Cluster, hosts: dict[str, FarHost], tmp_path: Path) -> None:
    """It ran on the first, its end is not on record: its probe says so, and then the second has its turn."""
    stage = host_stage(tmp_path, cluster, hosts, items=("probed",), way_back=False)
    same(sections.at_points(stage, "deploy", [stage.points["deploy"].index("host:ended") + 1]))


@MATRIX
def test_a_remediation_killed_elsewhere(repairs: RepairStage) -> None:
    """A sample of all points, at any moment, without its server, and put back from half-way."""
    for command in (repairs.there, repairs.back):
        same(sections.at_points(repairs, command, spread(repairs, command, 6)))
        same(sections.at_random_times(repairs, command, Random(6), 2))
        same(sections.server_stopped(repairs, command, Random(7), 1))
    same(given_up(repairs, Random(8), 2))


@MATRIX
def test_a_rollout_killed_elsewhere(rollout: HostStage) -> None:
    """Every third point of the commands, there and back, and the server stopped in between."""
    for command in (rollout.there, rollout.back):
        same(sections.at_points(rollout, command, around_hosts(rollout, command)[::3]))
        same(sections.at_random_times(rollout, command, Random(9), 2))
        same(sections.server_stopped(rollout, command, Random(10), 1))


@MATRIX
def test_what_a_trial_would_see(rollout: HostStage) -> None:
    """A command that was given twice, and one that never came, are flaws."""
    world = rollout.world("deploy", name="flawed")
    assert world.act("deploy") == 0, world.last_words
    assert list(rollout.beside(world, "deploy")) == []
    one, two = (host.folder for host in rollout.hosts.values())
    (one / "plain").write_text("did\ndid\n", encoding="utf-8")
    (two / "probed").unlink()
    assert len(list(rollout.beside(world, "deploy"))) == 4


@MATRIX
def test_what_a_trial_of_a_remediation_would_see(cluster: Cluster, tmp_path: Path) -> None:
    """A kept row that is another, one that is kept twice, and a row of the table itself."""
    stage = repair_stage(tmp_path, cluster, "set-null", way_back=False)
    world = stage.world("remediate", name="flawed")
    assert world.act("remediate") == 0, world.last_words
    seen = {dump(world.direct)}
    assert seen == {stage.expected["remediate"]}
    with psycopg.connect(world.direct, autocommit=True) as connection:
        named = (
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'orchestrator_quarantine'"
        )
        (kept,) = connection.execute(named).fetchone() or ("",)
        same_row = "id, customer_id, kept_by_run, kept_at"
        for change in (
            f"update {kept} set customer_id = customer_id + 1 where kept_number = 7",
            f"insert into {kept} ({same_row}) select {same_row} from {kept} where kept_number = 7",
            "update orders set customer_id = 1 where id = 20",
        ):
            connection.execute(change.encode())
            seen.add(dump(world.direct))
    assert len(seen) == 4
