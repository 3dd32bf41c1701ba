"""All hosts of an environment: looked at, and worked on, side by side within a limit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar

import psycopg

from orchestrator.adapters import far_side, health, host_look
from orchestrator.adapters.far_side import Order
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.ssh import connected
from orchestrator.core.hosts import YOUNG_S, HealthSeen, HostFacts, HostTrouble
from orchestrator.core.inventory import Host, HostLimits
from orchestrator.core.outcome import OrchestratorError

Given = TypeVar("Given")
Found = TypeVar("Found")

SECOND_LOOK_S = 3.0
"""After how long a service that has just restarted is looked at again."""

MOST_TOLD = 4_000_000
"""Bytes of a look that are read: pm2 tells the whole environment of each process."""


def our_clock() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


def server_clock(server: Server) -> Callable[[], datetime]:
    """The database's clock, read when it is first asked; ours where it cannot be read."""

    @cache
    def ahead() -> timedelta:
        try:
            with server.session("hosts", read_only=True) as connection:
                row = connection.execute("select clock_timestamp() as now").fetchone() or {}
                return timedelta(seconds=(row["now"] - our_clock()).total_seconds())
        except (OrchestratorError, psycopg.Error):
            return timedelta()

    return lambda: our_clock() + ahead()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEyes:
    """Looks at hosts, reading only. `clock` is the one that theirs are held against.

    A service that has just restarted is looked at twice, unless `second_look_s` is None. `beside` gets each connection
    after the look, and raises nothing.
    """

    limits: HostLimits
    clock: Callable[[], datetime] = our_clock
    interruption: Interruption = field(default_factory=Interruption)
    second_look_s: float | None = SECOND_LOOK_S
    beside: Callable[[Host, Any], None] | None = None

    def look(self, hosts: Sequence[Host]) -> Mapping[str, HostFacts]:
        """One look at each, in the order given; what goes wrong is in the facts, never an error."""
        found = dict(side_by_side(hosts, self._look, at_once=self.limits.at_once))
        return {each.name: found[each] for each in hosts}

    def _look(self, host: Host) -> HostFacts:
        seen = health.ask(host.health, within_s=self.limits.answer_s) if host.health else None
        try:
            with connected(host, within_s=self.limits.answer_s) as connection:
                facts = self._asked(host, connection, seen)
                if self.beside is not None:
                    self.beside(host, connection)
                return facts
        except HostTrouble as trouble:
            return _troubled(host, trouble, seen)
        except Exception as error:  # noqa: BLE001  one host is never a traceback, whatever a library makes of it
            told = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
            remedy = f"ssh {host.ssh} must work from here"
            return _troubled(host, HostTrouble(told, trouble="unreachable", remedy=remedy), seen)

    def _asked(self, host: Host, connection: Any, seen: HealthSeen | None) -> HostFacts:
        facts = self._once(host, connection, seen)
        service = facts.service
        young = service is not None and service.restarts and service.up_s is not None and service.up_s <= YOUNG_S
        if service is None or not young or self.second_look_s is None:
            return facts
        # It restarted a moment ago: by a person's hand once, or again and again.
        self.interruption.wait(self.second_look_s)
        again = self._once(host, connection, seen)
        if again.service is None:
            return facts
        loops = again.service.loops or again.service.restarts > service.restarts
        return replace(again, service=replace(again.service, loops=loops))

    def _once(self, host: Host, connection: Any, seen: HealthSeen | None) -> HostFacts:
        before, began = self.clock(), time.monotonic()
        told = far_side.Whole(most=MOST_TOLD)
        order = Order(command=host_look.script(host), timeout_s=self.limits.answer_s)
        end = far_side.carry_out(connection, order, told, stopping=lambda: self.interruption.cancels)
        text = told.data.decode(errors="replace")
        now = host_look.number(text, "now")
        took = told.first - began if told.first else 0.0
        trouble = HostTrouble("", trouble="", remedy="")
        if end.ending != "itself":
            why = {"late": f"its answers did not come within {self.limits.answer_s} s"}
            trouble = HostTrouble(
                why.get(end.ending, "the look was cut off"),
                trouble="silent",
                remedy=f"log in to {host.name}: a disk or a service that hangs there makes every command hang",
            )
        return HostFacts(
            host=host.name,
            trouble=trouble.trouble,
            told=str(trouble),
            remedy=trouble.remedy,
            disks=tuple(host_look.disks(text)),
            load=host_look.number(text, "load"),
            cores=int(host_look.number(text, "cores") or 1),
            # The host looked at its clock somewhere between question and answer.
            skew_s=None if now is None else round(now - before.timestamp() - took / 2, 3),
            within_s=round(took / 2, 3),
            service=host_look.service(host.service, text) if host.service else None,
            health=seen,
        )


def _troubled(host: Host, trouble: HostTrouble, seen: HealthSeen | None) -> HostFacts:
    return HostFacts(host=host.name, trouble=trouble.trouble, told=str(trouble), remedy=trouble.remedy, health=seen)


@dataclass(slots=True)
class _Work(Generic[Given, Found]):
    """What threads take from, and where they put what they found."""

    waiting: queue.SimpleQueue[Given]
    found: queue.SimpleQueue[tuple[Given, Found]]
    act: Callable[[Given], Found]

    def take_all(self) -> None:
        """Until nothing is left."""
        while True:
            try:
                given = self.waiting.get_nowait()
            except queue.Empty:
                return
            self.found.put((given, self.act(given)))


def side_by_side(
    given: Iterable[Given], act: Callable[[Given], Found], *, at_once: int
) -> Iterator[tuple[Given, Found]]:
    """What `act`, which raises nothing, makes of each, as it comes.

    The threads die with the process: a host that hangs for longer than it may keeps no command from ending.
    """
    all_of_them = tuple(given)
    work: _Work[Given, Found] = _Work(queue.SimpleQueue(), queue.SimpleQueue(), act)
    for each in all_of_them:
        work.waiting.put(each)
    for number in range(min(at_once, len(all_of_them))):
        threading.Thread(target=work.take_all, name=f"host-{number}", daemon=True).start()
    for _ in all_of_them:
        yield work.found.get()
