"""Commands on hosts in a chaos run: a rollout is killed anywhere, taken up, and held against its record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from orchestrator.adapters.embedded import Cluster
from tests.chaos.comparison import looking, runs_of
from tests.chaos.sections import Stage
from tests.chaos.world import Command, World
from tests.far_hosts import FarHost

TABLES = """
create table customers (id bigint primary key);
create table orders (id bigint primary key, customer_id bigint);
create index on orders (customer_id);
"""
CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""
RUNBOOK = """
from orchestrator.core.timeline import Runbook, on_hosts

RUNBOOK = Runbook(name="custom", title="Custom", on_any_road=({items},))
"""
ITEMS = {
    "plain": 'health=False, undo="echo undid >>plain-back"',
    "probed": 'health=False, probe="test -s probed", undo="echo undid >>probed-back"',
    "repeated": "repeatable=True, settle_s=5",
}
UNDONE = ("plain-back", "probed-back")
ONCE = ("plain", "probed")
"""What is never given twice: a person or its probe says what became of it."""


@dataclass(slots=True, kw_only=True)
class HostStage(Stage):
    """Two hosts, one after the other, and three commands: for a person to judge, with a probe, and repeatable."""

    hosts: dict[str, FarHost]
    items: Sequence[str] = tuple(ITEMS)

    def furnish(self, world: World, command: Command) -> None:
        """Hosts that have done nothing yet, or whose commands the deployment has given."""
        service = 'service = { manager = "systemd", name = "api" }'
        world.more = "".join(host.line(name, service) for name, host in self.hosts.items())
        world.write_inventory()
        world.asked = lambda: self.answer(world)
        for host in self.hosts.values():
            host.reset()
            for item in (*ITEMS, *UNDONE):
                (host.folder / item).unlink(missing_ok=True)
                if command == self.back and item in ITEMS:
                    (host.folder / item).write_text("did\n", encoding="utf-8")

    def answer(self, world: World) -> tuple[str | None, str | None]:
        """What a person says who looks on the hosts: where the command took effect, and where it did not."""
        with looking(world.direct) as connection:
            places = runs_of(connection)[-1].hosts.places
        cut = [key for key, place in places.items() if place.state == "cut off"]
        did = [name for item, name in cut if self.times(item, name)]
        return ",".join(did) or None, ",".join({name for _, name in cut} - set(did)) or None

    def times(self, item: str, name: str) -> int:
        """How often a command ran on a host."""
        path = self.hosts[name].folder / item
        return len(path.read_text("utf-8").split()) if path.exists() else 0

    def beside(self, world: World, command: Command) -> Iterator[str]:
        """Each ran at least once and is on record; what the record has as done was not given again."""
        back = command == self.back
        with looking(world.direct) as connection:
            run = runs_of(connection)[-1]
            told = connection.execute(
                "select kind, data::text as data from orchestrator.event where run = %s and kind like 'host%%'"
                " order by seq", (run.id,)
            ).fetchall()  # fmt: skip
        events = [(str(row["kind"]), json.loads(str(row["data"]))) for row in told]
        given = Counter((each["item"], each["host"]) for kind, each in events if kind == "host_command_intended")
        for item in UNDONE if back else self.items:
            for name in self.hosts:
                key = (item.removesuffix("-back"), name)
                yield from _wrong(
                    self.times(item, name), given[key], [kind for kind, each in events if _of(each) == key]
                )
                if item in ONCE and self.times(item, name) != 1:
                    yield f"{item} on {name} ran {self.times(item, name)} times"


def _of(data: dict[str, object]) -> tuple[object, object]:
    return data.get("item"), data.get("host")


def _wrong(times: int, given: int, kinds: list[str]) -> Iterator[str]:
    """What cannot be about one command on one host: its runs there, how often it was given, and its events."""
    if not 1 <= times <= given:
        yield f"ran {times} times and was given {given} times: {kinds}"
    if kinds.count("host_command_done") != 1:
        yield f"is on record as done {kinds.count('host_command_done')} times: {kinds}"
    elif "host_command_intended" in kinds[kinds.index("host_command_done") :]:
        yield f"was given again after it was done: {kinds}"


def host_stage(
    folder: Path,
    cluster: Cluster,
    hosts: dict[str, FarHost],
    *,
    items: Sequence[str] = tuple(ITEMS),
    way_back: bool = True,
) -> HostStage:
    """A stage with these two hosts and these commands, ready to be used."""
    lines = (f'on_hosts("echo did >>{each}", title="{each.capitalize()}", {ITEMS[each]})' for each in items)
    (folder / "migrations" / "1").mkdir(parents=True)
    (folder / "migrations" / "1" / "migration.sql").write_text(TABLES, encoding="utf-8")
    (folder / "runbook").mkdir()
    (folder / "runbook" / "foreign_keys.toml").write_text(CONTRACT, encoding="utf-8")
    (folder / "runbook" / "runbook.py").write_text(RUNBOOK.format(items=", ".join(lines)), encoding="utf-8")
    made = HostStage(
        folder=folder,
        cluster=cluster,
        migrations=folder / "migrations",
        runbook=str(folder / "runbook"),
        backup="none",
        hosts=hosts,
        items=items,
    )
    import_module("fabric")  # here, and not in every child
    made.prepare(way_back=way_back)
    return made


def around_hosts(stage: Stage, command: Command) -> list[int]:
    """The points from the first command on a host to the record of the last one's end, counted from 1."""
    names = stage.points[command]
    first = names.index("host:intended") - 3
    last = len(names) - names[::-1].index("host:ended") + 3
    return list(range(max(first, 1), min(last, len(names)) + 1))
