"""What happens on hosts, in lines for a screen: what a command prints stands behind the host's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.host_approval import with_commands
from orchestrator.core.host_rows import HostRow
from orchestrator.core.journal import (
    Event,
    HostCommandDone,
    HostCommandFailed,
    HostCommandIntended,
    HostSaid,
    HostSettled,
    HostUndoPassedOver,
)
from orchestrator.core.nouns import counted
from orchestrator.core.plan import Plan
from orchestrator.core.resumption import command_lines
from orchestrator.core.timeline import Item


def host_lines(event: Event) -> Iterator[str]:
    """The lines of an event; none for one that is not about a command on a host."""
    match event:
        case HostCommandIntended():
            yield f"  {event.host}: {'way back of ' if event.of else ''}{event.item}"
        case HostSaid():
            yield from (f"  {event.host} | {line}" for line in event.text.splitlines())
        case HostCommandDone():
            told = {"itself": f"done ({event.duration_ms / 1000:.1f} s)", "probe": "done, says its probe"}
            yield f"  {event.host}: {told.get(event.found, 'done, says a person')}"
        case HostCommandFailed():
            yield f"  {event.host}: {event.reason}"
        case HostSettled():
            yield f"  {event.host}: {event.reason or 'well'}"
        case HostUndoPassedOver():
            yield f"  not taken back: {event.item} on {event.host}: {event.reason}"
        case _:
            return


def planned_on_hosts(plan: Plan, items: Sequence[Item]) -> Iterator[str]:
    """The commands that come with a plan, and what an approval of both names; none where there is no command."""
    for each in items:
        if each.on_hosts:
            yield f"on hosts: {each.title}"
            yield from (f"  {line}" for line in each.on_hosts.command.splitlines())
    if items:
        whole = with_commands(plan.digest, command_lines(items))
        yield f"{counted(len(items), 'command')} on hosts; to approve them with the plan: --plan {whole}"


def not_taken_back(rows: Iterable[HostRow]) -> str:
    """Where a way back was gone and did not come to its end; empty when it did everywhere."""
    lost = [f"{each.item} on {each.host}" for each in rows if each.back not in {"", "done"}]
    return f"not {', '.join(lost)}" if lost else ""


def on_hosts_only(rows: Iterable[HostRow]) -> str:
    """What a run did that did nothing in the database."""
    given = sum(each.state != "not begun" for each in rows)
    return f"{counted(given, 'command')} on hosts, each is on record" if given else "nothing was changed"
