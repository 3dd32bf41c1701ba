"""A TCP proxy that misbehaves: it cuts, delays, refuses, and swallows what passes without closing anything."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from random import Random
from typing import Self

CHUNK = 65536
FIRST_QUESTION = (b"Q", b"P")
"""Query and Parse, the messages that begin a question (PostgreSQL's protocol 3); a handshake has neither."""


class Pair:
    """One connection through the proxy: two sockets, and a thread for each direction."""

    def __init__(self, proxy: Proxy, near: socket.socket, far: socket.socket) -> None:
        """Begin to pass bytes."""
        self.proxy, self.near, self.far = proxy, near, far
        self.swallowing = False
        self.doomed = proxy.to_swallow > 0
        proxy.to_swallow -= self.doomed
        self.port: int = far.getsockname()[1]
        # Before a byte passes: who sees one may already ask for trouble.
        proxy.pairs.add(self)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        """Cut it in the middle of whatever it carries."""
        for each in (self.near, self.far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.proxy.pairs.discard(self)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if self.proxy.delay_s:
                    time.sleep(self.proxy.delay_s)
                if sink is self.far and self.doomed and data[:1] in FIRST_QUESTION:
                    self.swallowing = True
                if not self.swallowing:
                    sink.sendall(data)
        self.close()


class Proxy:
    """Listens on a port of its own and passes everything on to `target`, which may change."""

    def __init__(self, target: int) -> None:
        """Listen; `target` is a port of this machine."""
        self.target = target
        self.delay_s = 0.0
        self.refusing = False
        self.to_swallow = 0
        self.pairs: set[Pair] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the listener and every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection."""
        for each in tuple(self.pairs):
            each.close()

    def cut_from(self, port: int) -> None:
        """Cut the connection that comes from this port, as the server sees it."""
        for each in tuple(self.pairs):
            if each.port == port:
                each.close()

    def cut_one(self, dice: Random) -> None:
        """Cut one connection."""
        pairs = tuple(self.pairs)
        if pairs:
            dice.choice(pairs).close()

    def swallow(self) -> None:
        """A black hole: what runs now gets no answer any more, and nobody is told."""
        for each in tuple(self.pairs):
            each.swallowing = True

    def swallow_next(self, number: int) -> None:
        """As many of the next connections answer the handshake and fall silent at the first question."""
        self.to_swallow = number

    def misbehave(self, dice: Random) -> str:
        """Do one of these, chosen at random; says which."""
        fault = dice.choice(["cut all", "cut one", "cut one", "black hole", "refuse for a moment", "delay"])
        match fault:
            case "cut all":
                self.cut()
            case "cut one":
                self.cut_one(dice)
            case "black hole":
                self.swallow()
            case "refuse for a moment":
                self.refusing = True
                self.cut()
                threading.Timer(dice.uniform(0.1, 1.5), setattr, (self, "refusing", False)).start()
            case "delay":
                # Up to 40 ms there and back: an attempt is one piece, so that this is no matter for the lock budget.
                self.delay_s = dice.uniform(0.0, 0.02)
        return fault

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            Pair(self, near, far)
