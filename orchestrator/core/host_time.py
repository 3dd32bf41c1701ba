"""How long commands on hosts take at most: as they were measured in an earlier run, else as long as their timeout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.checklist import item_key
from orchestrator.core.host_approval import MARK, commands_in
from orchestrator.core.prediction import spread
from orchestrator.core.resumption import command_lines
from orchestrator.core.run import Run
from orchestrator.core.timeline import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTime:
    """A time in ms; `guessed` are the titles of the commands that nobody measured."""

    ms: float = 0.0
    guessed: tuple[str, ...] = ()


def measured_in(run: Run) -> Mapping[str, float]:
    """The longest time of each command in a run, in ms, by the line that defines it: an edited one is another one."""
    found: dict[str, float] = {}
    for line in commands_in(run.started.definition if run.started else ()):
        key = item_key(line.removeprefix(MARK).rpartition(" (sha256 ")[0])
        times = [each.duration_ms for (item, _), each in run.hosts.places.items() if item == key]
        # One that was found done by a probe or a person took nobody knows how long.
        if times and all(times):
            found[line] = max(times)
    return found


def there(items: Iterable[Item], hosts: int, measured: Mapping[str, float]) -> HostTime:
    """All commands on so many hosts, batch after batch, each with the longest that its hosts may take to be well."""
    return _sum(_there(items, hosts, measured))


def back(items: Iterable[Item], hosts: int) -> HostTime:
    """The way back of all that have one, host after host: it is walked too seldom to be measured."""
    return _sum(
        (1000 * hosts * (each.on_hosts.timeout_s + _settles(each)), each.title)
        for each in items
        if each.on_hosts and each.on_hosts.undo and hosts
    )


def _there(items: Iterable[Item], hosts: int, measured: Mapping[str, float]) -> Iterator[tuple[float, str]]:
    for each in items:
        command, (line,) = each.on_hosts, command_lines((each,)) or ("",)
        if command is None or not hosts:
            continue
        known = measured.get(line)
        longest = 1000 * command.timeout_s
        one = longest if known is None else min(longest, spread(known, (known,), 1.0).most_ms)
        batches = -(-hosts // command.batch)
        yield batches * (one + 1000 * _settles(each)), each.title if known is None else ""


def _settles(item: Item) -> float:
    """How long a batch may take to be well, in s."""
    return item.on_hosts.settle_s if item.on_hosts and item.on_hosts.health else 0.0


def _sum(found: Iterable[tuple[float, str]]) -> HostTime:
    times = tuple(found)
    return HostTime(ms=sum(ms for ms, _ in times), guessed=tuple(title for _, title in times if title))
