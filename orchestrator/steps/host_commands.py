"""Commands on hosts: batch by batch, each on record before it is given, and the next only when these hosts are well."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.checklist import item_key
from orchestrator.core.host_commands import HostCommand, HostEnd, HostOrder, Settled
from orchestrator.core.host_work import Place
from orchestrator.core.hosts import HostFacts, ailing
from orchestrator.core.inventory import Host
from orchestrator.core.journal import (
    HostCommandDone,
    HostCommandFailed,
    HostCommandIntended,
    HostSaid,
    HostSettled,
    HostsSeen,
)
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Failed, Held, Outcome
from orchestrator.core.ports import HostCrew, Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import Item, StepName

LOOKS = 30
"""How often at most a batch is looked at while it settles."""

PAUSE_S = (0.1, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An item with its command and the key under which the journal knows it."""

    item: Item
    command: HostCommand
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommands:
    """Changes hosts. A failure ends the run where the policy `walks_back` by itself, and otherwise holds it.

    `said` is what a person says of commands that were cut off, by host.
    """

    items: tuple[Item, ...]
    hosts: tuple[Host, ...]
    crew: HostCrew
    walks_back: bool
    said: Mapping[str, Settled] = field(default_factory=dict)
    name: StepName = "hosts"
    changes: bool = True

    def due(self, run: Run) -> str | None:
        """Not where there is no host, nor again where all is done, nor for a run that changed nothing."""
        if not self.hosts:
            return "the inventory has no [[host]]"
        wanted = tuple(self._wanted(run))
        if not wanted:
            return "nothing was changed, and no command is given always"
        if all(
            _over(run.hosts.places.get((each.key, host.name)), each.command) for each in wanted for host in self.hosts
        ):
            return "done on every host by this run already"
        return None

    def act(self, recorder: Recorder) -> Outcome:
        """Item by item, batch by batch; the first that does not end well is the last."""
        wanted = tuple(self._wanted(recorder.run))
        self.crew.ready(_order(host, each.command) for each in wanted for host in self.hosts)
        for each in wanted:
            for batch in each.command.batches(self.hosts):
                trouble = self._batch(recorder, each, batch)
                if trouble is not None:
                    return trouble
        return Done(note=f"{counted(len(wanted), 'command')} on {counted(len(self.hosts), 'host')}")

    def preview(self, _: Run) -> Iterator[str]:
        """Each command with its batches and its way back."""
        for each in given(self.items):
            names = (", ".join(host.name for host in batch) for batch in each.command.batches(self.hosts))
            back = "taken back by its undo" if each.command.undo else "has no way back"
            when = "" if each.command.always else ", if anything was changed"
            yield f"{each.item.title}: on {', then '.join(names)}{when}; {back}"

    def _wanted(self, run: Run) -> Iterator[Given]:
        # A dry run changes nothing, and tells what a run would.
        dry = run.started is not None and run.started.dry_run and run.plan is not None and run.plan.statements
        changed = bool(run.done or run.intended or dry)
        return (each for each in given(self.items) if changed or each.command.always)

    def _batch(self, recorder: Recorder, each: Given, batch: tuple[Host, ...]) -> Outcome | None:
        """One batch to its end; None when the next may follow."""
        places = recorder.run.hosts.places
        if all(_over(places.get((each.key, host.name)), each.command) for host in batch):
            return None
        stop = recorder.stopping()
        if stop is not None:
            return Held(note=f"{stop}; stopped before {each.item.title} on {_names(batch)}")
        open_end = self._open_end(recorder, each, batch)
        if open_end is not None:
            return open_end
        due = [host for host in batch if not _done(recorder.run.hosts.places.get((each.key, host.name)))]
        ends = tell(recorder, self.crew, each.key, [_order(host, each.command) for host in due], each.command)
        bad = {host: end for host, end in ends.items() if end.reason}
        if bad:
            return self._failed(each, bad)
        return self._settle(recorder, each, batch) if each.command.health else None

    def _open_end(self, recorder: Recorder, each: Given, batch: Sequence[Host]) -> Outcome | None:
        """Find out about commands that were cut off; None when each of them is done, or may be given (again)."""
        for host in batch:
            place = recorder.run.hosts.places.get((each.key, host.name))
            if place is None or place.state != "cut off":
                continue
            word = self.said.get(host.name)
            if word == "done":
                recorder.record(HostCommandDone(item=each.key, host=host.name, found="person"))
            elif word is None and each.command.probe is not None:
                self._probe(recorder, each, host, each.command.probe)
            elif word is None and not each.command.repeatable:
                why = f" ({place.reason})" if place.reason else ""
                return Held(
                    note=f"{each.item.title} was begun on {host.name}{why}, and whether it took effect is not known",
                    remedy=f"look there, then invoke resume --host-done {host.name}, or --host-again {host.name}",
                )
        return None

    def _probe(self, recorder: Recorder, each: Given, host: Host, probe: str) -> None:
        order = HostOrder(host=host, command=probe, timeout_s=each.command.timeout_s, sudo=each.command.sudo)
        for _, word in self.crew.carry_out([order]):
            if isinstance(word, HostEnd) and not word.reason:
                recorder.record(HostCommandDone(item=each.key, host=host.name, found="probe"))

    def _failed(self, each: Given, bad: Mapping[Host, HostEnd]) -> Outcome:
        told = "; ".join(f"{each.item.title} on {host.name}: {end.reason}" for host, end in bad.items())
        if any(end.stopped or end.lost for end in bad.values()):
            return Held(note=told, remedy="invoke resume goes on, and asks about what was cut off")
        return self._bad(told)

    def _bad(self, told: str) -> Outcome:
        if self.walks_back:
            return Failed(note=told, remedy="find out why there; deploy again once it is mended")
        return Held(note=told, remedy="mend it there; invoke resume tries again, invoke rollback walks back")

    def _settle(self, recorder: Recorder, each: Given, batch: Sequence[Host]) -> Outcome | None:
        """Wait until service and health of the batch are well in two looks, one after the other."""
        stop, sick = settle(recorder, self.crew, each.key, batch, each.command)
        if stop is not None:
            return Held(note=f"{stop}; stopped while {_names(batch)} settled")
        if not sick:
            return None
        told = "; ".join(f"{name}: {why}" for name, why in sick.items())
        return self._bad(f"after {each.item.title}, within {each.command.settle_s:g} s: {told}")


def given(items: Iterable[Item]) -> Iterator[Given]:
    """The items that have a command, in their order."""
    for item in items:
        if item.on_hosts is not None:
            yield Given(item=item, command=item.on_hosts, key=item_key(item.title))


def tell(
    recorder: Recorder, crew: HostCrew, key: str, orders: Sequence[HostOrder], command: HostCommand, *, of: str = ""
) -> Mapping[Host, HostEnd]:
    """Give orders, each on record before; what comes back is recorded as it comes."""
    for order in orders:
        recorder.record(
            HostCommandIntended(item=key, host=order.host.name, way_back=command.undo is not None and not of, of=of)
        )
    ends: dict[Host, HostEnd] = {}
    for order, word in crew.carry_out(orders) if orders else ():
        host = order.host.name
        if isinstance(word, str):
            recorder.record(HostSaid(item=key, host=host, text=word, of=of))
            continue
        ends[order.host] = word
        if not word.reason:
            recorder.record(HostCommandDone(item=key, host=host, duration_ms=word.duration_ms, of=of))
            continue
        recorder.record(
            HostCommandFailed(
                item=key,
                host=host,
                reason=word.reason,
                code=word.code,
                duration_ms=word.duration_ms,
                begun=word.begun,
                cut=word.cut,
                of=of,
            )
        )
    return ends


def settle(
    recorder: Recorder, crew: HostCrew, key: str, batch: Sequence[Host], command: HostCommand, *, of: str = ""
) -> tuple[str | None, Mapping[str, str]]:
    """Why the run should stop, and which hosts are not well in the end: each with the reason."""
    pause_s = min(max(command.settle_s / LOOKS, PAUSE_S[0]), PAUSE_S[1])
    deadline = time.monotonic() + command.settle_s
    before: Mapping[str, HostFacts] | None = None
    while True:
        seen = crew.look(batch)
        sick = {
            each.name: why for each in batch if (why := ailing(each, seen[each.name], (before or {}).get(each.name)))
        }
        if (before is not None and not sick) or time.monotonic() >= deadline:
            break
        stop = recorder.stopping()
        if stop is not None:
            return stop, {}
        before = seen
        crew.pause(pause_s)
    recorder.record(HostsSeen(moment="between", facts=tuple(seen.values())))
    for each in batch:
        recorder.record(HostSettled(item=key, host=each.name, reason=sick.get(each.name, ""), of=of))
    return None, sick


def _order(host: Host, command: HostCommand) -> HostOrder:
    return HostOrder(host=host, command=command.command, timeout_s=command.timeout_s, sudo=command.sudo)


def _done(place: Place | None) -> bool:
    return place is not None and place.state == "done"


def _over(place: Place | None, command: HostCommand) -> bool:
    """Whether nothing is left to do on a host: the command is done, and the host was seen to be well after it."""
    return place is not None and place.state == "done" and (place.well is True or not command.health)


def _names(batch: Iterable[Host]) -> str:
    return ", ".join(each.name for each in batch)
