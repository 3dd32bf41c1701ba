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
from tests.acceptance.desk import BASE_ROWS
from tests.chaos import sections
from tests.chaos.sections import Result, Stage

ROOT = Path(__file__).parents[2]
LONG_S = 60
SECTIONS = ("deploy", "rollback", "random", "twice", "server", "network", "starters")


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
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument("--points", default="all")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


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
                directory=place / "cluster", installation=server_installation(16), settings={"autovacuum": "off"}
            )
            cluster.start()
            stack.callback(cluster.discard)
            stage = Stage(
                folder=place,
                cluster=cluster,
                migrations=ROOT / "runbooks/master_tables/migrations",
                runbook="master_tables",
                backup="dump",
                fill=BASE_ROWS,
            )
            stage.prepare()
            for section, result, spent_s in _trials(stage, chosen, number):
                line = {name: getattr(result, name) for name in Result.__slots__}
                line |= {"section": section, "points": len(stage.points_of(section)), "spent_s": spent_s}
                out.write(json.dumps(line) + "\n")
                out.flush()
                for problem in result.problems:
                    print(f"{section}: {result.trial}: {problem}", file=sys.stderr, flush=True)
        code = 0
    finally:
        os._exit(code)


def _trials(stage: Stage, chosen: argparse.Namespace, number: int) -> Iterator[tuple[str, Result, float]]:
    dice = Random(chosen.seed * 1000 + number)
    share = -(-chosen.runs // chosen.workers)
    for section in chosen.sections.split(","):
        began = last = time.monotonic()
        for count, result in enumerate(_section(stage, section, chosen, number, dice, share), start=1):
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
            total = len(stage.points[section])
            every = list(range(1, total + 1))
            if chosen.points != "all":
                every = every[:: max(1, total // int(chosen.points))]
            yield from sections.at_points(stage, section, every[number :: chosen.workers])
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
            message = f"no section {section}; known: {', '.join(SECTIONS)}"
            raise SystemExit(message)


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
