"""A command on the far side: bounded in time, its output in bounded pieces, and gone there when we are gone."""

from __future__ import annotations

import codecs
import re
import secrets
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from orchestrator.adapters.redaction import STARS, redacted
from orchestrator.core.inventory import Secret

if TYPE_CHECKING:
    import fabric
    import paramiko

POLL_S: Final = 0.1
LEAVE_WITHIN_S: Final = 8.0
NET_S: Final = 10
"""How much longer than ours the far side's own limit is: it is for a network that died without a word."""

PIECE: Final = 2_000
LINE: Final = 4_000
MOST: Final = 32_000
TAIL: Final = 2_000
FLUSH_EVERY_S: Final = 1.0

# $1 is the command, $2 its limit in seconds. The command runs in a session of its own, so that all it starts can be
# ended at once; what makes itself a daemon (a service that is restarted) leaves that group and stays. The second
# process reads our side of the channel: it ends only when we close it or are gone, and then ends the group. It must not
# be ended itself by the first one, which sees its child go, before the group has been killed: hence the trap.
WRAPPER: Final = """\
exec 3<&0
limit="timeout -k 3 $2"
timeout -k 3 1 true >/dev/null 2>&1 || limit=
if command -v setsid >/dev/null 2>&1; then setsid $limit sh -c "$1" </dev/null 2>&1 3<&- &
else set -m; sh -c "$1" </dev/null 2>&1 3<&- & fi
child=$!
{ while read -r word; do :; done; trap '' TERM
kill -s TERM -- "-$child"
for second in 1 2 3; do kill -s 0 -- "-$child" || exit 0; sleep 1; done
kill -s KILL -- "-$child"; } <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$child"
code=$?
kill -s TERM "$watch" 2>/dev/null
exit "$code"
"""

Ending = Literal["itself", "late", "stopped", "lost", "sudo"]

_NAMED: Final = re.compile(
    r"((?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|\S+)",
    re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run, for how long at most; with `sudo` as root, whose password is `password` where one is asked for."""

    command: str
    timeout_s: float
    sudo: bool = False
    password: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FarEnd:
    """How a command ended: by itself with a code, or why not. The time is in ms."""

    ending: Ending
    code: int | None
    duration_ms: float


def masked(text: str) -> str:
    """Output without secrets in use, passwords in URLs, and what stands behind `password=` and its like."""
    return _NAMED.sub(lambda found: found[1] + STARS, redacted(text))


class Output(Protocol):
    """Where output goes as it comes."""

    def take(self, data: bytes) -> None:
        """Take bytes in."""

    def pause(self) -> None:
        """Nothing more came for a while."""

    def end(self) -> None:
        """Nothing more will come."""


@dataclass(slots=True, kw_only=True)
class Whole:
    """All that came, for us to read and nobody else: not masked, kept nowhere. An endless answer is cut."""

    most: int
    data: bytes = b""
    first: float | None = None

    def take(self, data: bytes) -> None:
        """Keep it; `first` is when the first came, in seconds of the monotonic clock."""
        if data:
            self.first = self.first or time.monotonic()
            self.data = (self.data + data)[: self.most]

    def pause(self) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


@dataclass(slots=True, kw_only=True)
class Pieces:
    """Output cut into masked pieces of whole lines, each `said`: the first `MOST` characters, and the last lines.

    A line longer than `LINE` is cut: masking needs a line whole.
    """

    said: Callable[[str], None]
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    _line: str = ""
    _ready: str = ""
    _told: int = 0
    _tail: str = ""
    _left_out: int = 0

    def take(self, data: bytes) -> None:
        """Take bytes in; what makes a full piece is said."""
        *lines, line = (self._line + self._decoder.decode(data)).replace("\r\n", "\n").split("\n")
        self._line = line[: 2 * LINE]
        for each in lines:
            self._keep(masked(_CONTROL.sub("", each)))
            if len(self._ready) >= PIECE:
                self.pause()

    def pause(self) -> None:
        """Say what is ready, however little."""
        if self._ready:
            self.said(self._ready)
        self._ready = ""

    def end(self) -> None:
        """Say the end of the output, and how much of its middle was left out."""
        if self._line:
            self.take(b"\n")
        self.pause()
        if self._tail:
            cut = f"… {self._left_out} characters left out …\n" if self._left_out else ""
            self.said(cut + self._tail)

    def _keep(self, line: str) -> None:
        line = (line if len(line) <= LINE else line[:LINE] + " … (cut)") + "\n"
        if self._told + len(line) <= MOST and not self._tail:
            self._ready += line
            self._told += len(line)
            return
        whole = self._tail + line
        self._tail = whole[-TAIL:]
        self._left_out += len(whole) - len(self._tail)


def carry_out(
    connection: fabric.Connection,
    order: Order,
    output: Output,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> FarEnd:
    """Run it to its end, its limit, or until we stop; then it is ended there with all that it started.

    Raises SSHException, OSError, EOFError when the command could not even be given.
    """
    began = time.monotonic()
    prompt = f"[sudo {secrets.token_hex(8)}] "
    channel = connection.transport.open_session(timeout=order.timeout_s)
    try:
        channel.set_combine_stderr(True)
        channel.settimeout(POLL_S)
        channel.exec_command(_words(order, prompt))
        ending = _follow(channel, order, prompt, output, stopping=stopping)
        if ending in {"late", "stopped", "sudo"}:
            _end(channel)
        code = channel.exit_status if channel.exit_status_ready() else -1
        if ending == "itself" and code < 0:
            ending = "lost"
    finally:
        with suppress(OSError, EOFError):
            channel.close()
    duration = (time.monotonic() - began) * 1000
    return FarEnd(ending=ending, code=code if ending == "itself" else None, duration_ms=round(duration, 3))


def _words(order: Order, prompt: str) -> str:
    """The command line: a shell that watches over another, as root where it is asked for."""
    words = ["sh", "-c", WRAPPER, "far", order.command, str(int(order.timeout_s) + NET_S)]
    if order.sudo:
        how = ["-S", "-p", prompt] if order.password else ["-n"]
        words = ["sudo", *how, "--", *words]
    return f"exec {shlex.join(words)}"


def _follow(
    channel: paramiko.Channel,
    order: Order,
    prompt: str,
    output: Output,
    *,
    stopping: Callable[[], bool],
) -> Ending:
    """Read until it ends, or until it has to; the password goes nowhere but to sudo's first question."""
    deadline, flushed = time.monotonic() + order.timeout_s, time.monotonic()
    asked, open_end = order.password is None or not order.sudo, True
    ending: Ending | None = None
    question, kept = prompt.encode(), b""
    while ending is None:
        data = _received(channel) if open_end else _waited(channel)
        open_end = open_end and data != b""
        text = kept + (data or b"")
        if question in text:
            if asked:
                ending = "sudo"
            else:
                channel.sendall(f"{order.password.reveal() if order.password else ''}\n".encode())
                asked = True
            text = text.replace(question, b"")
        # The question may come in two parts.
        kept = b"" if asked or not open_end else _begun(text, question)
        output.take(text[: len(text) - len(kept)])
        if time.monotonic() - flushed > FLUSH_EVERY_S:
            flushed = time.monotonic()
            output.pause()
        if (data is None or not open_end) and (channel.exit_status_ready() or channel.closed):
            ending = ending or "itself"
        elif stopping():
            ending = "stopped"
        elif time.monotonic() > deadline:
            ending = "late"
    output.end()
    return ending


def _begun(text: bytes, question: bytes) -> bytes:
    """The end of the text, as far as it may be the beginning of the question."""
    most = min(len(text), len(question) - 1)
    return next((text[-size:] for size in range(most, 0, -1) if question.startswith(text[-size:])), b"")


def _received(channel: paramiko.Channel) -> bytes | None:
    """What came; nothing at the end, None when nothing came for a moment."""
    try:
        return bytes(channel.recv(32_768))
    except TimeoutError:
        return None


def _waited(channel: paramiko.Channel) -> bytes | None:
    """Nothing, after a moment: a command may close its output and go on, and its end is what counts."""
    channel.status_event.wait(POLL_S)
    return None


def _end(channel: paramiko.Channel) -> None:
    """Close our side, which tells the watcher there; what it still says is thrown away until it is gone."""
    with suppress(OSError, EOFError):
        channel.shutdown_write()
    deadline = time.monotonic() + LEAVE_WITHIN_S
    while not channel.exit_status_ready() and not channel.closed and time.monotonic() < deadline:
        with suppress(TimeoutError, OSError, EOFError):
            channel.recv(32_768)
        channel.status_event.wait(POLL_S)
