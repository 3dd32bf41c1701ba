"""The way back on hosts: in the other order, one at a time, before the database is walked back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.host_commands import HostOrder
from orchestrator.core.host_work import PlaceKey
from orchestrator.core.inventory import Host
from orchestrator.core.journal import HostUndoPassedOver
from orchestrator.core.outcome import HeldBack
from orchestrator.core.ports import HostCrew, Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import Item
from orchestrator.steps.host_commands import Given, given, settle, tell


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWalkBack:
    """Gives the `undo` of each command where it was begun; one that was cut off is given again."""

    items: tuple[Item, ...]
    hosts: tuple[Host, ...]
    crew: HostCrew
    recorder: Recorder

    def walk(
        self, work: Run, *, gone: Collection[PlaceKey] = (), again: Mapping[PlaceKey, str] | None = None
    ) -> tuple[str, ...]:
        """What could not be taken back, line by line; the rest goes on all the same. Raises HeldBack, Refused.

        `gone` is what earlier runs took back, `again` what a later run did once more.
        """
        over = frozenset(gone) | self.recorder.run.hosts.taken_back(work.id)
        due = tuple(work.hosts.to_take_back(over))
        self._tell_the_rest(work, again or {})
        self.crew.ready(order for key in due if (found := self._found(key)) for order in [_order(*found)])
        return tuple(line for key in due if key not in (again or {}) for line in self._one(work, key))

    def _one(self, work: Run, key: PlaceKey) -> Iterator[str]:
        item, name = key
        found = self._found(key)
        if found is None:
            yield self._pass_over(work, key, "the runbook has no such command, or the inventory no such host, any more")
            return
        stop = self.recorder.stopping()
        if stop is not None:
            message = f"{stop}; stopped before the way back of {item} on {name}"
            raise HeldBack(message)
        each, host = found
        (end,) = tell(self.recorder, self.crew, item, [_order(each, host)], each.command, of=work.id).values()
        if end.stopped:
            message = f"the way back of {item} on {name}: {end.reason}"
            raise HeldBack(message)
        if end.reason:
            yield f"the way back of {item} on {name}: {end.reason}"
        elif each.command.health:
            _, sick = settle(self.recorder, self.crew, item, [host], each.command, of=work.id)
            yield from (f"after the way back of {item}: {where}: {why}" for where, why in sick.items())

    def _found(self, key: PlaceKey) -> tuple[Given, Host] | None:
        each = next((each for each in given(self.items) if each.key == key[0] and each.command.undo), None)
        host = next((host for host in self.hosts if host.name == key[1]), None)
        return (each, host) if each and host else None

    def _tell_the_rest(self, work: Run, again: Mapping[PlaceKey, str]) -> None:
        """What has no way back, and what a later run did once more, is on record as passed over."""
        for key, place in work.hosts.places.items():
            if place.touched and not place.way_back:
                self._pass_over(work, key, "the runbook gives no way back")
            elif key in again:
                self._pass_over(work, key, f"done again by run {again[key]}")

    def _pass_over(self, work: Run, key: PlaceKey, reason: str) -> str:
        event = HostUndoPassedOver(item=key[0], host=key[1], of=work.id, reason=reason)
        if event not in self.recorder.run.hosts.passed_over:
            self.recorder.record(event)
        return f"the way back of {key[0]} on {key[1]}: {reason}"


def _order(each: Given, host: Host) -> HostOrder:
    command = each.command
    return HostOrder(host=host, command=command.undo or "", timeout_s=command.timeout_s, sudo=command.sudo)
