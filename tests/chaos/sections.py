"""The sections of a chaos run: what is done to a run, and what must come of it all the same."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit, urlunsplit

import psycopg

from orchestrator.adapters import templates
from orchestrator.adapters.embedded import Cluster
from tests import servers
from tests.chaos.comparison import dump, flaws
from tests.chaos.proxy import Proxy
from tests.chaos.world import Command, World, killer, recorder

ROOT = Path(__file__).parents[2]


@dataclass(slots=True, kw_only=True)
class Result:
    """One trial: what was done, how often the run was taken up again, and what was wrong with the end."""

    trial: str
    kills: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Stage:
    """A cluster with two templates, before and after a deployment, and how each ends when nobody interferes.

    `there` is the command that is tried and `back` its way back.
    """

    folder: Path
    cluster: Cluster
    migrations: Path
    runbook: str
    backup: str
    fill: str = ""
    policy: str = ""
    there: Command = "deploy"
    back: Command = "rollback"
    templates: dict[Command, str] = field(default_factory=dict)
    expected: dict[Command, str] = field(default_factory=dict)
    points: dict[Command, list[str]] = field(default_factory=dict)
    spent_s: dict[Command, float] = field(default_factory=dict)
    _count: int = 0

    def prepare(self, *, way_back: bool = True) -> None:
        """Make the templates, and a run of each command that nobody interrupts; without `way_back` of one only."""
        _compile_reports()
        base = servers.fresh_database(self.cluster.url())
        with psycopg.connect(base, autocommit=True) as connection:
            for path in sorted(self.migrations.glob("*/migration.sql")):
                connection.execute(path.read_bytes())
            connection.execute(self.fill.encode())
        self.templates[self.there] = servers.database_name(base)
        deployed = self._whole(self.there)
        if not way_back:
            return
        self.templates[self.back] = servers.database_name(deployed.direct)
        shutil.copytree(deployed.runs, self.folder / "deployed")
        self._whole(self.back)

    def world(self, command: Command, *, name: str, through: Proxy | None = None, backup: str | None = None) -> World:
        """A fresh world in which that command can be given."""
        direct = servers.fresh_database(self.cluster.url(), self.templates[command])
        made = World(
            folder=self.folder / name,
            direct=direct,
            url=with_port(direct, through.port) if through else direct,
            runbook=self.runbook,
            backup=backup or self.backup,
            policy=self.policy,
        )
        self.furnish(made, command)
        if command == self.back and (self.folder / "deployed").exists():
            shutil.copytree(self.folder / "deployed", made.runs)
        return made

    def furnish(self, world: World, command: Command) -> None:
        """What a stage of another kind gives a world beside its database."""

    def beside(self, world: World, command: Command) -> Iterator[str]:
        """What else is wrong with the end of a command; a stage of another kind has more to compare."""
        yield from ()

    def points_of(self, section: str) -> list[str]:
        """The names of the points of the command that a section is named after; none for the others."""
        return next((names for command, names in self.points.items() if command == section), [])

    def judge(self, world: World, command: Command, result: Result, code: int) -> Result:
        """Compare with the run that nobody interrupted; a trial that went well leaves nothing behind."""
        if code != 0:
            result.problems.append(f"ended with {code}: {world.last_words[-600:]}")
        world.wait_for_sessions()
        result.problems += world.hung
        result.problems += list(flaws(world.direct, world.runs))
        if dump(world.direct) != self.expected[command]:
            result.problems.append("the dump differs")
        result.problems += list(self.beside(world, command))
        if not result.problems:
            world.remove()
        return result

    def _whole(self, command: Command) -> World:
        names = self.folder / f"points of {command}"
        world = self.world(command, name=f"whole {command}")
        began = time.monotonic()
        code = world.act(command, recorder(names))
        assert code == 0, world.last_words
        self.spent_s[command] = time.monotonic() - began
        self.points[command] = names.read_text("utf-8").splitlines()
        world.wait_for_sessions()
        self.expected[command] = dump(world.direct)
        problems = list(flaws(world.direct, world.runs))
        assert not problems, problems
        return world


def _compile_reports() -> None:
    """Every child inherits what its parent has compiled: half of a short run's time went into its templates."""
    environment, _ = templates._environment(templates.NONE)
    for path in templates.TEMPLATES.glob("report*"):
        environment.get_template(path.name)


def with_port(url: str, port: int) -> str:
    """The URL by way of another port."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{host}:{port}"))


def at_points(stage: Stage, command: Command, numbers: Sequence[int]) -> Iterator[Result]:
    """Killed at each of these points, then resumed."""
    for number in numbers:
        name = f"{command} at {number} ({stage.points[command][number - 1]})"
        world = stage.world(command, name=f"{command}-{number}")
        result = Result(trial=name, kills=1)
        if world.act(command, killer(number)) != -signal.SIGKILL:
            result.problems.append("was not killed")
        code, result.resumed = world.finish(command)
        yield stage.judge(world, command, result, code)


def twice(stage: Stage, command: Command, dice: Random, times: int) -> Iterator[Result]:
    """Killed, and killed again while it is resumed."""
    for number in range(times):
        first, second = dice.randint(1, len(stage.points[command])), dice.randint(1, len(stage.points[command]))
        world = stage.world(command, name=f"twice-{command}-{number}")
        result = Result(trial=f"{command} at {first}, resume at {second}", kills=1)
        world.act(command, killer(first))
        result.kills += world.act("resume", killer(second)) == -signal.SIGKILL
        code, result.resumed = world.finish(command)
        yield stage.judge(world, command, result, code)


def at_random_times(stage: Stage, command: Command, dice: Random, times: int) -> Iterator[Result]:
    """Killed at any moment."""
    for number in range(times):
        after = dice.uniform(0, stage.spent_s[command])
        world = stage.world(command, name=f"random-{command}-{number}")
        pid = world.begin(command)
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        result = Result(trial=f"{command} after {after:.2f} s", kills=int(world.end(pid) < 0))
        code, result.resumed = world.finish(command)
        yield stage.judge(world, command, result, code)


def server_stopped(stage: Stage, command: Command, dice: Random, times: int) -> Iterator[Result]:
    """The server stops without a word under the run, and comes back."""
    with Proxy(port_of(stage.cluster)) as proxy:
        for number in range(times):
            after = dice.uniform(0, stage.spent_s[command])
            world = stage.world(command, name=f"stopped-{command}-{number}", through=proxy)
            pid = world.begin(command)
            time.sleep(after)
            stage.cluster.stop(immediate=True)
            stage.cluster.start()
            proxy.target = port_of(stage.cluster)
            world.direct = with_port(world.direct, proxy.target)
            result = Result(trial=f"{command}, server stopped after {after:.2f} s", kills=1)
            code = world.end(pid)
            if code != 0:
                code, result.resumed = world.finish(command)
            yield stage.judge(world, command, result, code)


def network_faults(stage: Stage, command: Command, dice: Random, times: int) -> Iterator[Result]:
    """The way to the server is cut, delayed, refused and swallowed while the run goes on."""
    for number in range(times):
        with Proxy(port_of(stage.cluster)) as proxy:
            world = stage.world(command, name=f"network-{command}-{number}", through=proxy)
            told: list[str] = []
            over = threading.Event()
            longest_s = stage.spent_s[command] / 2
            pid = world.begin(command)
            thread = threading.Thread(target=trouble, args=(proxy, Random(dice.random()), longest_s, told, over))
            thread.start()
            code = world.end(pid)
            over.set()
            thread.join()
            proxy.refusing = False
            result = Result(trial=f"{command}: {', '.join(told)}", kills=len(told))
            if code != 0:
                proxy.cut()
                code, result.resumed = world.finish(command)
            yield stage.judge(world, command, result, code)


def trouble(proxy: Proxy, dice: Random, longest_s: float, told: list[str], over: threading.Event) -> None:
    """A few faults, with pauses between them, until the run is over."""
    for _ in range(dice.randint(1, 4)):
        if over.wait(dice.uniform(0.05, longest_s)):
            return
        told.append(proxy.misbehave(dice))


def two_starters(stage: Stage, times: int) -> Iterator[Result]:
    """Two deployments started together: one works, the other is refused and told who does."""
    for number in range(times):
        world = stage.world("deploy", name=f"two-{number}", backup="none")
        other = World(
            folder=stage.folder / f"two-{number}-other",
            direct=world.direct,
            url=world.url,
            runbook=stage.runbook,
            backup="none",
        )
        pids = [each.begin("deploy") for each in (world, other)]
        codes = [each.end(pid) for each, pid in zip((world, other), pids, strict=True)]
        result = Result(trial=f"two starters {number}")
        if sorted(codes) != [0, 2]:
            result.problems.append(f"exit codes {codes}: {world.last_words[-300:]} / {other.last_words[-300:]}")
        loser, winner = (world, other) if codes[0] else (other, world)
        if "another run is at work" not in loser.last_words:
            result.problems.append(f"the second was not told who runs: {loser.last_words[-300:]}")
        winner.wait_for_sessions()
        result.problems += winner.hung + loser.hung
        result.problems += list(flaws(winner.direct, winner.runs))
        if not result.problems:
            shutil.rmtree(other.folder)
            world.remove()
        yield result


def port_of(cluster: Cluster) -> int:
    """The port of a running cluster."""
    return urlsplit(cluster.url()).port or 0


Section = Callable[[], Iterator[Result]]
