"""A real pseudo-terminal, and what a person would see on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(\r)|(\n)|(\x1b.?)|([^\r\n\x1b])")


@dataclass(slots=True)
class Terminal:
    """What is written to the slave end `fd`, as it came and as a screen of unlimited height."""

    fd: int
    width: int
    raw: bytearray = field(default_factory=bytearray)
    rows: list[list[str]] = field(default_factory=lambda: [[]])
    frames: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    hidden: bool = False

    def show(self) -> str:
        """Play what was written; the screen at the end. What was erased on the way is kept in `frames`."""
        row = column = 0
        for control, letter, back, line, other, text in TOKEN.findall(self.raw.decode("utf-8", "replace")):
            if back:
                column = 0
            elif line or (text and column >= self.width):
                row, column = row + 1, 0
                self.rows += [[] for _ in range(row + 1 - len(self.rows))]
            elif letter == "A":
                row = max(0, row - int(control or 1))
            elif letter == "K":
                self.frames.append(self._line(row))
                self.rows[row] = []
            elif letter in "hl" and letter:
                self.hidden = letter == "l"
            elif other or (letter and letter != "m"):
                self.strange.append(other or f"{control}{letter}")
            if text:
                cells = self.rows[row]
                cells += " " * (column + 1 - len(cells))
                cells[column] = text
                column += 1
        return "\n".join(self._line(number) for number in range(len(self.rows))).rstrip()

    def _line(self, number: int) -> str:
        return "".join(self.rows[number]).rstrip()


@contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    """A terminal of that width and 40 lines; read to its end when the block ends."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    found = Terminal(slave, columns)

    def read() -> None:
        # The end of a terminal is an error on Linux.
        with suppress(OSError):
            while data := os.read(master, 4096):
                found.raw.extend(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield found
    finally:
        os.close(slave)
        reader.join()
        os.close(master)
