"""`python -m tests.chaos`: every section over a stage of its own, and a table of what came of it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from orchestrator.core.remediation import parse_how
from tests.acceptance.desk import BASE_ROWS
from tests.chaos import sections
from tests.chaos.repairs import RepairStage, given_up, repair_stage
from tests.chaos.rollouts import HostStage, around_hosts, host_stage
from tests.chaos.sections import Result, Stage
from tests.far_hosts import FarHost

ROOT = Path(__file__).parents[2]
LONG_S = 60
SECTIONS = ("deploy", "rollback", "random", "twice", "server", "network", "starters")
REPAIRS = ("set-null", "quarantine", "delete", "reassign")
OTHERS = (*REPAIRS, "hosts")
"""Sections with a stage of their own: a way of remediation each, and commands on hosts."""


def main() -> int:
    """Run the chosen sections, split over workers; 0 when every trial ended as if nobody had interfered."""
    chosen = _arguments()
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        places = [_worker(number, chosen, Path(folder)) for number in range(chosen.workers)]
        for _ in places:
            os.wait()
        results = [json.loads(line) for place in places for line in place.read_text("utf-8").splitlines()]
        return _tell(results, chosen)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="invoke chaos")
    parser.add_argument("--sections", default=",".join((*SECTIONS, *OTHERS)))
    parser.add_argument("--points", default="all")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--major", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


class Stages:
    """The stages of a worker, each made when its first section comes."""

    def __init__(self, *, folder: Path, cluster: Cluster, stack: contextlib.ExitStack) -> None:
        self.folder, self.cluster, self.stack = folder, cluster, stack
        self.made: dict[str, Stage] = {}

    def of(self, section: str) -> Stage:
        """The stage of a section."""
        name = section if section in OTHERS else "master_tables"
        if name not in self.made:
            folder = self.folder / name
            folder.mkdir()
            self.made[name] = self._new(name, folder)
        return self.made[name]

    def points_of(self, section: str) -> int:
        """How many points there are in what a section kills at its points; 0 for the others."""
        stage = self.of(section)
        if section in OTHERS:
            return len(stage.points[stage.there]) + len(stage.points[stage.back])
        return len(stage.points_of(section))

    def _new(self, name: str, folder: Path) -> Stage:
        if name in REPAIRS:
            return repair_stage(folder, self.cluster, parse_how(name))
        if name == "hosts":
            hosts = {each: FarHost(folder / each).start() for each in ("api-1", "api-2")}
            for host in hosts.values():
                self.stack.callback(host.stop)
            return host_stage(folder, self.cluster, hosts)
        stage = Stage(
            folder=folder,
            cluster=self.cluster,
            migrations=ROOT / "runbooks/master_tables/migrations",
            runbook="master_tables",
            backup="dump",
            fill=BASE_ROWS,
        )
        stage.prepare()
        return stage


def _worker(number: int, chosen: argparse.Namespace, folder: Path) -> Path:
    """A process with a cluster of its own, which takes its share of every section; the file that gets its results.

    Not a pipe: whoever is read last would stand still as soon as it is full.
    """
    results = folder / f"results-{number}.jsonl"
    results.touch()
    if os.fork():
        return results
    code = 1
    try:
        with results.open("w", encoding="utf-8") as out, contextlib.ExitStack() as stack:
            place = folder / f"worker-{number}"
            cluster = Cluster(
                directory=place / "cluster",
                installation=server_installation(chosen.major),
                settings={"autovacuum": "off"},
            )
            cluster.start()
            stack.callback(cluster.discard)
            stages = Stages(folder=place, cluster=cluster, stack=stack)
            for section, result, spent_s in _trials(stages, chosen, number):
                line = {name: getattr(result, name) for name in Result.__slots__}
                line |= {"section": section, "points": stages.points_of(section), "spent_s": spent_s}
                out.write(json.dumps(line) + "\n")
                out.flush()
                for problem in result.problems:
                    print(f"{section}: {result.trial}: {problem}", file=sys.stderr, flush=True)
        code = 0
    finally:
        os._exit(code)


def _trials(stages: Stages, chosen: argparse.Namespace, number: int) -> Iterator[tuple[str, Result, float]]:
    dice = Random(chosen.seed * 1000 + number)
    share = -(-chosen.runs // chosen.workers)
    for section in chosen.sections.split(","):
        began = last = time.monotonic()
        for count, result in enumerate(_section(stages.of(section), section, chosen, number, dice, share), start=1):
            now = time.monotonic()
            yield section, result, now - last
            if now - last > LONG_S:
                print(f"worker {number}: {section}: {result.trial}: {now - last:.0f} s", file=sys.stderr, flush=True)
            if count % 25 == 0:
                print(f"worker {number}: {section}: {count} trials, {now - began:.0f} s", file=sys.stderr, flush=True)
            last = now


def _section(
    stage: Stage, section: str, chosen: argparse.Namespace, number: int, dice: Random, share: int
) -> Iterator[Result]:
    match section:
        case "deploy" | "rollback":
            every = _chosen(list(range(1, len(stage.points[section]) + 1)), chosen)
            yield from sections.at_points(stage, section, every[number :: chosen.workers])
        case "set-null" | "quarantine" | "delete" | "reassign" | "hosts":
            yield from _there_and_back(stage, chosen, number, dice, share)
        case "random":
            yield from sections.at_random_times(stage, "deploy", dice, share)
            yield from sections.at_random_times(stage, "rollback", dice, share)
        case "twice":
            yield from sections.twice(stage, "deploy", dice, share)
            yield from sections.twice(stage, "rollback", dice, share)
        case "server":
            yield from sections.server_stopped(stage, "deploy", dice, share)
            yield from sections.server_stopped(stage, "rollback", dice, share)
        case "network":
            yield from sections.network_faults(stage, "deploy", dice, share)
        case "starters":
            yield from sections.two_starters(stage, -(-chosen.starts // chosen.workers))
        case _:
            message = f"no section {section}; known: {', '.join((*SECTIONS, *OTHERS))}"
            raise SystemExit(message)


def _there_and_back(
    stage: Stage, chosen: argparse.Namespace, number: int, dice: Random, share: int
) -> Iterator[Result]:
    """Both ways: at every point, at any moment, twice, and with the server stopped."""
    for command in (stage.there, stage.back):
        points = list(range(1, len(stage.points[command]) + 1))
        if isinstance(stage, HostStage):
            points = around_hosts(stage, command)
        yield from sections.at_points(stage, command, _chosen(points, chosen)[number :: chosen.workers])
        yield from sections.at_random_times(stage, command, dice, share)
        yield from sections.twice(stage, command, dice, share)
        yield from sections.server_stopped(stage, command, dice, share)
    if isinstance(stage, RepairStage):
        yield from given_up(stage, dice, share)


def _chosen(points: list[int], chosen: argparse.Namespace) -> list[int]:
    """All of them, or as many as were asked for, spread over all."""
    return points if chosen.points == "all" else points[:: max(1, len(points) // int(chosen.points))]


def _tell(results: list[dict[str, object]], chosen: argparse.Namespace) -> int:
    """The table; what was not identical stands above it."""
    print(f"{'section':<12}{'points':>8}{'trials':>8}{'kills':>8}{'resumed':>9}{'identical':>11}{'longest':>10}")
    good = bool(results)
    for section in chosen.sections.split(","):
        mine = [each for each in results if each["section"] == section]
        kills, resumed = (sum(int(str(each[key])) for each in mine) for key in ("kills", "resumed"))
        identical = sum(not each["problems"] for each in mine)
        good = good and bool(mine) and identical == len(mine)
        points = max((int(str(each["points"])) for each in mine), default=0) or "-"
        longest = max((float(str(each["spent_s"])) for each in mine), default=0.0)
        print(f"{section:<12}{points:>8}{len(mine):>8}{kills:>8}{resumed:>9}{identical:>11}{longest:>8.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
