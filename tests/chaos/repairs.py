"""Remediations in a chaos run: killed wherever the world changes, there and back, and compared row by row."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from orchestrator.adapters.embedded import Cluster
from orchestrator.app.remediating import Wish
from orchestrator.core.remediation import How
from tests.chaos.comparison import dump, looking, runs_of
from tests.chaos.sections import Result, Stage
from tests.chaos.world import Command, World, killer

TABLES = """
create table customers (id bigint primary key, name text);
create table orders (id bigint generated always as identity primary key, customer_id bigint, total numeric,
    doubled numeric generated always as (total * 2) stored, note text);
insert into customers select n, 'c' || n from generate_series(1, 10) n;
insert into orders (customer_id, total, note) select n % 20, n, repeat('x', n % 50) from generate_series(1, 300) n;
"""
ORPHANS = 150
BATCH = 40

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""


@dataclass(slots=True, kw_only=True)
class RepairStage(Stage):
    """A shop half of whose orders have no customer, and one way to do something about them, in several batches."""

    there: Command = "remediate"
    back: Command = "put-back"
    wish: Wish = field(default_factory=Wish)
    original: str = ""

    def prepare(self, *, way_back: bool = True) -> None:
        """As any stage; and the way back gives the very rows back, and leaves no copy behind."""
        Stage.prepare(self, way_back=way_back)
        world = self.world(self.there, name="untouched")
        self.original = dump(world.direct)
        world.remove()
        assert self.expected.get(self.back, self.original) == self.original

    def furnish(self, world: World, command: Command) -> None:
        """What is to be done about the orphans."""
        world.wish = self.wish

    def beside(self, world: World, command: Command) -> Iterator[str]:
        """The journal counts each row once; and from here the way back leads to the original."""
        with looking(world.direct) as connection:
            done = runs_of(connection)[-1].remediated
        if done is None or (done.rows, done.lost) != (ORPHANS, 0):
            yield f"the journal has {done.rows if done else 'no'} rows instead of {ORPHANS}"
        if command != self.there:
            return
        if world.act(self.back) != 0:
            yield f"it could not be put back: {world.last_words[-600:]}"
        elif dump(world.direct) != self.original:
            yield "put back, the dump is not the original's"


def repair_stage(folder: Path, cluster: Cluster, how: How, *, way_back: bool = True) -> RepairStage:
    """A stage for one way of remediation, ready to be used."""
    (folder / "migrations" / "1").mkdir(parents=True)
    (folder / "migrations" / "1" / "migration.sql").write_text(TABLES, encoding="utf-8")
    (folder / "runbook").mkdir()
    (folder / "runbook" / "foreign_keys.toml").write_text(CONTRACT, encoding="utf-8")
    to = "7" if how == "reassign" else None
    made = RepairStage(
        folder=folder,
        cluster=cluster,
        migrations=folder / "migrations",
        runbook=str(folder / "runbook"),
        backup="none",
        # A batch that takes longer is made smaller, and then a point has another number.
        policy="lock_timeout_ms = 5000",
        wish=Wish(relation="orders.customer_id", how=how, to=to, batch=BATCH),
    )
    made.prepare(way_back=way_back)
    return made


def given_up(stage: RepairStage, dice: Random, times: int) -> Iterator[Result]:
    """Killed half-way and put back from there instead of being resumed."""
    names = stage.points[stage.there]
    first = names.index("effect:committed") + 1
    for number in range(times):
        at = dice.randint(first, len(names))
        world = stage.world(stage.there, name=f"given up-{number}")
        result = Result(trial=f"{stage.there} at {at} ({names[at - 1]}), put back", kills=1)
        if world.act(stage.there, killer(at)) != -signal.SIGKILL:
            result.problems.append("was not killed")
        if world.act(stage.back) != 0:
            result.problems.append(f"could not be put back: {world.last_words[-600:]}")
        world.wait_for_sessions()
        if dump(world.direct) != stage.original:
            result.problems.append("the dump is not the original's")
        if not result.problems:
            world.remove()
        yield result
