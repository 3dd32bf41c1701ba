"""The writers: `python -m tests.bench.load FOLDER`, a process of its own that writes until it gets SIGTERM.

Each writer is a process with a connection of its own, so that no interpreter lock is shared with anybody. Every
transaction writes to both tables of one relation, in the order of the load; what each write and each transaction came
to is one line of the writer's file:

    w START MS            a write: the start by the monotonic clock in s, the latency in ms
    t START END OUTCOME   a transaction: committed, or the SQLSTATE that ended it
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO, Any, Literal, get_args

import psycopg

from orchestrator.adapters.child import die_with_us

Order = Literal["parent", "child", "mixed"]
ORDERS: tuple[Order, ...] = get_args(Order)

BETWEEN_WRITES_MS = 3
BETWEEN_TRANSACTIONS_MS = 5
NEW_ROWS_SHARE = 0.1
"""So many of the writes to a referencing table are INSERTs where its unique indexes allow them."""
WARM_AFTER = 10
"""Committed transactions of each writer before the load counts as running."""
SETTINGS = "load.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What a writer may do to a table: SQL with one parameter, the row's key."""

    update: str
    insert: str | None
    ids: Sequence[Any]

    def slice(self, number: int, writers: int) -> Writes:
        """The rows of one writer: no writer waits for another's row, so whoever waits, waits for a table."""
        return Writes(update=self.update, insert=self.insert, ids=self.ids[number::writers])


@dataclass(slots=True, kw_only=True)
class Writer:
    """One connection that writes. `lines` gets the records."""

    connection: psycopg.Connection
    relations: Sequence[tuple[Writes, Writes]]
    order: Order
    dice: Random
    lines: IO[str]
    stopping: bool = False
    committed: int = 0

    def run(self, ready: int) -> None:
        """Transaction after transaction until SIGTERM; one that the server ends is recorded, and the next follows.

        A byte goes to the file descriptor `ready` once the writer is warm.
        """
        while not self.stopping:
            began = time.monotonic()
            outcome = self._transaction()
            self.lines.write(f"t {began:.6f} {time.monotonic():.6f} {outcome}\n")
            if outcome == "committed":
                self.committed += 1
                if self.committed == WARM_AFTER:
                    os.write(ready, b".")
                    # Who waits for us all sees the end of the pipe if one of us dies before it is warm.
                    os.close(ready)
            time.sleep(self.dice.uniform(0, BETWEEN_TRANSACTIONS_MS) / 1000)
        self.lines.flush()

    def _transaction(self) -> str:
        try:
            self.connection.execute("begin")
            for number, (query, row) in enumerate(self._choose()):
                if number:
                    time.sleep(self.dice.uniform(0, BETWEEN_WRITES_MS) / 1000)
                self._write(query, row)
            self.connection.execute("commit")
        except psycopg.Error as error:
            if self.connection.closed:
                raise
            self.connection.execute("rollback")
            return error.sqlstate or "unknown"
        return "committed"

    def _choose(self) -> Iterator[tuple[str, Any]]:
        """A relation, its two rows, and which comes first."""
        child, parent = self.dice.choice(self.relations)
        new = child.insert is not None and self.dice.random() < NEW_ROWS_SHARE
        writes = [
            (parent.update, self.dice.choice(parent.ids)),
            (str(child.insert) if new else child.update, self.dice.choice(child.ids)),
        ]
        turned = self.order == "child" or (self.order == "mixed" and self.dice.random() < 0.5)
        yield from reversed(writes) if turned else writes

    def _write(self, query: str, row: Any) -> None:
        began = time.monotonic()
        try:
            self.connection.execute(query.encode(), (row,))
        finally:
            self.lines.write(f"w {began:.6f} {(time.monotonic() - began) * 1000:.3f}\n")


def main() -> int:
    """Start the writers, say `ready` once all are warm, end them on SIGTERM; 0 when all ended well."""
    folder = Path(sys.argv[1])
    settings = json.loads((folder / SETTINGS).read_text("utf-8"))
    reader, writer = os.pipe()
    watched = die_with_us(signal.SIGKILL)
    pids = [_start(number, settings, folder, writer, watched) for number in range(settings["writers"])]
    signal.signal(signal.SIGTERM, lambda *_: _end(pids))
    os.close(writer)
    warm = 0
    # The end of the pipe, before every writer has said its byte, means that one of them is gone.
    while warm < len(pids) and (said := os.read(reader, 1)):
        warm += len(said)
    print("ready" if warm == len(pids) else "failed", flush=True)
    if warm < len(pids):
        _end(pids)
    # All of them are waited for, whatever became of the first.
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    return int(any(statuses))


def _start(number: int, settings: dict[str, Any], folder: Path, ready: int, watched: Callable[[], None] | None) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if watched:
            watched()
        with (
            (folder / f"writer-{number}").open("w", encoding="ascii", buffering=1) as lines,
            psycopg.connect(settings["url"], autocommit=True, application_name=f"app/{number}") as connection,
        ):
            if not (relations := _relations(settings, number)):
                message = "no rows of its own: more --rows or fewer --writers"
                raise ValueError(message)
            writer = Writer(
                connection=connection,
                relations=relations,
                order=settings["order"],
                dice=Random(settings["seed"] * 1000 + number),
                lines=lines,
            )
            signal.signal(signal.SIGTERM, lambda *_: setattr(writer, "stopping", True))
            writer.run(ready)
        code = 0
    finally:
        if code:
            print(f"writer {number}: {sys.exc_info()[1]}", file=sys.stderr, flush=True)
        os._exit(code)


def _relations(settings: dict[str, Any], number: int) -> list[tuple[Writes, Writes]]:
    """The relations of which this writer has rows on both sides."""
    known = {name: Writes(**words).slice(number, settings["writers"]) for name, words in settings["tables"].items()}
    return [
        (known[child], known[parent])
        for child, parent in settings["relations"]
        if known[child].ids and known[parent].ids
    ]


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
