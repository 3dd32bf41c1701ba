"""Many writes at once, on the same tables as the single ones: by pgbench, else by several connections of our own.

A transaction is one message: BEGIN, a write (with the row it needs), ROLLBACK. Clients go through their writes in turn;
which table comes next is drawn from a fixed seed. One kind of transaction touches no table: its latency says what
the machine makes of any.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Final

import psycopg

from orchestrator.adapters.child import ChildFailed, Order, run
from orchestrator.adapters.dump import Link, link
from orchestrator.adapters.leftovers import sweep
from orchestrator.adapters.postgres import Connection, Server, is_lost
from orchestrator.adapters.programs import Installation, bench_installation
from orchestrator.adapters.scratch import signed_folder
from orchestrator.adapters.write_trials import Trials
from orchestrator.core.performance import Latency

CLIENTS: Final = 4
SECONDS: Final = 3
SEED: Final = 1
STEP: Final = "performance"
IDLE: Final = ("BEGIN", "SELECT 1", "ROLLBACK")

MOST_SCRIPTS: Final = 128
"""pgbench takes no more; one is for the transactions that touch no table."""

TRIES: Final = 20
TRIES_SINCE: Final = 15

LEAVE_WITHIN_S: Final = 60
"""After its time pgbench ends with the transactions that have begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the transactions came to. `idle_ms` is the average of those that touch no table.

    `untried` says by table why it has no latency.
    """

    latencies: tuple[Latency, ...] = ()
    idle_ms: float = 0.0
    method: str = ""
    untried: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The transactions of one table: rounds, each with one transaction of every operation. One is its statements."""

    table: str
    rounds: tuple[tuple[tuple[str, ...], ...], ...]

    def share(self, client: int, clients: int) -> tuple[tuple[str, ...], ...]:
        """Those of one client: writes of its own where there are enough, so that no client waits for another's row."""
        mine = self.rounds[client::clients] or (self.rounds[client % len(self.rounds)],)
        return tuple(each for together in mine for each in together)


def under_load(
    connection: Connection,
    server: Server,
    trials: Iterable[Trials],
    *,
    clients: int = CLIENTS,
    seconds: float = SECONDS,
    tools: Installation | None = None,
) -> Load:
    """Let several clients write at the same time for so many seconds; the copy of `server` has no other user.

    `tools` is where pgbench is, found when it is not given. What goes wrong makes every table untried, with the reason.
    Raises ConnectionLost or CannotConnect.
    """
    scripts = tuple(scripts_of(trials))
    chosen, rest = scripts[: MOST_SCRIPTS - 1], scripts[MOST_SCRIPTS - 1 :]
    beyond = {each.table: f"a concurrent run takes {MOST_SCRIPTS - 1} tables" for each in rest}
    found = tools or bench_installation()
    if not chosen:
        return Load()
    try:
        spent, method = (
            _by_pgbench(found, link(connection, server), chosen, clients, seconds)
            if found
            else _by_connections(server, chosen, clients, seconds)
        )
    except ChildFailed as error:
        return Load(method="pgbench", untried={**{each.table: str(error) for each in chosen}, **beyond})
    untried = {each.table: "no transaction came to its end" for each in chosen if not spent[each.table]}
    return Load(
        latencies=tuple(_latency(each.table, spent[each.table]) for each in chosen if spent[each.table]),
        idle_ms=round(fmean(spent[""]), 4) if spent[""] else 0.0,
        method=method,
        untried={**untried, **beyond},
    )


def scripts_of(trials: Iterable[Trials]) -> Iterator[Script]:
    """One script per table that has a write; the mix of its operations is even, and the same before and after."""
    known: dict[str, list[Sequence[tuple[str, ...]]]] = {}
    for each in trials:
        if each.trials:
            known.setdefault(str(each.table), []).append([trial.transaction for trial in each.trials])
    for table, operations in known.items():
        most = max(map(len, operations))
        rounds = (tuple(each[number % len(each)] for each in operations) for number in range(most))
        yield Script(table=table, rounds=tuple(rounds))


def _latency(table: str, spent: Sequence[float]) -> Latency:
    ordered = sorted(spent)
    return Latency(
        table=table,
        average_ms=round(fmean(ordered), 4),
        p95_ms=round(ordered[ceil(0.95 * len(ordered)) - 1], 4),
        transactions=len(ordered),
    )


def script_text(script: Script, number: int, clients: int) -> str:
    """The script for pgbench: each client counts on its own through its own transactions.

    `number` is in the name of the counter, because a client's variables are shared by all its scripts.
    """
    lines: list[str] = []
    for client in range(clients):
        mine = script.share(client, clients)
        lines.append(f"\\{'elif' if client else 'if'} :client_id = {client}")
        lines.append(f"\\set turn_{number} (:turn_{number} + 1) % {len(mine)}")
        for turn, statements in enumerate(mine):
            lines.append(f"\\{'elif' if turn else 'if'} :turn_{number} = {turn}")
            lines.append("\\; ".join(statements) + ";")
        lines.append("\\endif")
    return "\n".join([*lines, "\\endif", ""])


def _by_pgbench(
    tools: Installation, way: Link, scripts: Sequence[Script], clients: int, seconds: float
) -> tuple[Mapping[str, list[float]], str]:
    """The ms of every transaction, by table; those without a table under the empty name. Raises ChildFailed."""
    with _folder() as folder:
        all_scripts = (Script(table="", rounds=((IDLE,),)), *scripts)
        command = [str(tools.program("pgbench")), "--no-vacuum", f"--client={clients}", f"--jobs={min(clients, 2)}"]
        # Since 15 it does not give up when two transactions want each other's row.
        command += [f"--max-tries={TRIES}"] if tools.major >= TRIES_SINCE else []
        command += [f"--time={ceil(seconds)}", f"--random-seed={SEED}", "--log", f"--log-prefix={folder / 'log'}"]
        for number, script in enumerate(all_scripts):
            path = folder / f"{number}.sql"
            path.write_text(script_text(script, number, clients), encoding="utf-8")
            command += [f"--define=turn_{number}=0", f"--file={path}"]
        name = f"orchestrator/{STEP}"
        environment = {**tools.environment(), **way.environment, "PGCLIENTENCODING": "UTF8", "PGAPPNAME": name}
        order = Order(name="pgbench", command=command, environment=environment, folder=folder, secrets=way.secrets)
        run(order, within_s=seconds + LEAVE_WITHIN_S)
        spent: dict[str, list[float]] = defaultdict(list)
        for path in sorted(folder.glob("log*")):
            with path.open(encoding="ascii", errors="replace") as lines:
                for number, ms in _logged(lines):
                    spent[all_scripts[number].table].append(ms)
    return spent, f"pgbench {tools.major}, {clients} clients, {ceil(seconds)} s"


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for scripts and logs. They hold rows of the copy: after a kill, the next start removes it."""
    sweep(Path(tempfile.gettempdir()))
    folder = signed_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _logged(lines: Iterable[str]) -> Iterator[tuple[int, float]]:
    """Script and ms of each line: client, transaction, time in us (or why there is none), script, and when."""
    for line in lines:
        words = line.split()
        if words[2].isdigit():
            yield int(words[3]), int(words[2]) / 1000


def _by_connections(
    server: Server, scripts: Sequence[Script], clients: int, seconds: float
) -> tuple[Mapping[str, list[float]], str]:
    """The same by connections in threads. Raises CannotConnect, ConnectionLost."""
    all_scripts = (Script(table="", rounds=((IDLE,),)), *scripts)
    ready = threading.Barrier(clients)

    def work(client: int) -> Mapping[str, list[float]]:
        with server.session(STEP, read_only=False) as connection:
            ready.wait()
            return dict(_worked(connection, all_scripts, client, clients, seconds))

    spent: dict[str, list[float]] = defaultdict(list)
    with ThreadPoolExecutor(clients, thread_name_prefix=STEP) as pool:
        for each in [pool.submit(work, client) for client in range(clients)]:
            for table, measured in each.result().items():
                spent[table] += measured
    return spent, f"{clients} connections in threads, {seconds:g} s (no pgbench on this machine)"


def _worked(
    connection: Connection, scripts: Sequence[Script], client: int, clients: int, seconds: float
) -> Mapping[str, list[float]]:
    """What one client measures until its time is over. A write that the server refuses does not count."""
    spent: dict[str, list[float]] = defaultdict(list)
    turns: dict[str, Iterator[tuple[str, ...]]] = {each.table: cycle(each.share(client, clients)) for each in scripts}
    dice = Random(SEED * 1000 + client)  # noqa: S311  no secret
    stop = time.monotonic() + seconds
    while (began := time.monotonic()) < stop:
        table = dice.choice(scripts).table
        try:
            connection.execute("; ".join(next(turns[table])).encode())
        except psycopg.Error as error:
            if is_lost(error):
                raise
            connection.execute("ROLLBACK")
        else:
            spent[table].append((time.monotonic() - began) * 1000)
    return spent
