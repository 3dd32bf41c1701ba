"""Commands on hosts, side by side: what each prints comes as it is printed, and all end when the run is stopped."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestrator.adapters import far_side, points
from orchestrator.adapters.far_side import FarEnd, Order, Pieces
from orchestrator.adapters.hosts import HostEyes
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.inventory import resolve
from orchestrator.adapters.redaction import hide
from orchestrator.adapters.ssh import connected
from orchestrator.core.host_commands import HostEnd, HostOrder
from orchestrator.core.hosts import HostFacts, HostTrouble
from orchestrator.core.inventory import Host, HostLimits, Secret
from orchestrator.core.outcome import Refused

Heard = tuple[HostOrder, str | HostEnd]


@dataclass(slots=True, kw_only=True)
class HostHands:
    """Gives commands to hosts. Between two of them it only asks how the service is, once per look."""

    limits: HostLimits
    interruption: Interruption = field(default_factory=Interruption)
    _passwords: dict[str, Secret] = field(default_factory=dict)

    def ready(self, orders: Iterable[HostOrder]) -> None:
        """Have the passwords of sudo at hand. Raises Refused when one is missing."""
        for order in orders:
            source = order.host.sudo
            if not order.sudo or source is None or order.host.name in self._passwords:
                continue
            if source.env is not None and not os.environ.get(source.env, "").strip():
                message = f"host {order.host.name}: sudo: environment variable {source.env} is not set"
                raise Refused(message)
            secret = resolve(source, place=f"host {order.host.name}: sudo")
            hide(secret.reveal())
            self._passwords[order.host.name] = secret

    def look(self, hosts: Sequence[Host]) -> Mapping[str, HostFacts]:
        """One look at each."""
        return HostEyes(limits=self.limits, interruption=self.interruption, second_look_s=None).look(hosts)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the moment when somebody asks to stop."""
        self.interruption.wait(seconds)

    def carry_out(self, orders: Sequence[HostOrder]) -> Iterator[Heard]:
        """What each says and how it ended, as it comes. The threads die with us, and the commands with them."""
        points.reached("host:intended")
        waiting: queue.SimpleQueue[HostOrder] = queue.SimpleQueue()
        heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        deserted = threading.Event()
        for order in orders:
            waiting.put(order)
        for number in range(min(self.limits.at_once, len(orders))):
            work = partial(self._take_all, waiting, heard, deserted)
            threading.Thread(target=work, name=f"command-{number}", daemon=True).start()
        left = len(orders)
        try:
            while left:
                order, word = heard.get()
                if isinstance(word, HostEnd):
                    left -= 1
                    points.reached("host:ended")
                yield order, word
        finally:
            # Whoever listens may have failed, as when the journal is lost: then nothing goes on unheard.
            deserted.set()

    def _take_all(
        self, waiting: queue.SimpleQueue[HostOrder], heard: queue.SimpleQueue[Heard], deserted: threading.Event
    ) -> None:
        while True:
            try:
                order = waiting.get_nowait()
            except queue.Empty:
                return
            heard.put((order, self._one(order, heard, lambda: self.interruption.cancels or deserted.is_set())))

    def _one(self, order: HostOrder, heard: queue.SimpleQueue[Heard], stopping: Callable[[], bool]) -> HostEnd:
        begun = False
        pieces = Pieces(said=lambda piece: heard.put((order, piece)))
        far = Order(
            command=order.command,
            timeout_s=order.timeout_s,
            sudo=order.sudo,
            password=self._passwords.get(order.host.name) if order.sudo else None,
        )
        try:
            if stopping():
                return HostEnd(reason="the run stops", begun=False, stopped=True)
            with connected(order.host, within_s=self.limits.answer_s) as connection:
                begun = True
                end = far_side.carry_out(connection, far, pieces, stopping=stopping)
                return _told(end, order)
        except HostTrouble as trouble:
            return HostEnd(reason=f"{trouble.trouble}: {trouble}; {trouble.remedy}", begun=False)
        except Exception as error:  # noqa: BLE001  one host is never a traceback, whatever a library makes of it
            reason = f"the connection was lost ({type(error).__name__})"
            return HostEnd(reason=reason, begun=begun, cut=begun, lost=begun)


def _told(end: FarEnd, order: HostOrder) -> HostEnd:
    took = end.duration_ms
    match end.ending:
        case "itself":
            return HostEnd(reason=f"exit code {end.code}" if end.code else "", code=end.code, duration_ms=took)
        case "late":
            reason = f"did not end within {order.timeout_s:g} s, and was ended there"
            return HostEnd(reason=reason, duration_ms=took, cut=True)
        case "stopped":
            return HostEnd(reason="was ended there because the run stops", duration_ms=took, cut=True, stopped=True)
        case "sudo":
            reason = f"sudo did not take the password of {order.host.sudo}"
            return HostEnd(reason=reason, duration_ms=took, begun=False)
        case "lost":
            return HostEnd(reason="the connection was lost", duration_ms=took, cut=True, lost=True)
