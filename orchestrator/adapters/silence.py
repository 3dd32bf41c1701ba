"""Connections whose answers no longer arrive, although nothing was closed: each is known by its two ends."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from select import select
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from orchestrator.adapters.interruption import within
from orchestrator.adapters.postgres import Connection, logged_in, pid_of

ANSWER_WITHIN_S = 8.0


def still_there(connection: psycopg.Connection[Any]) -> None:
    """Ask something small; raises psycopg.Error when nobody answers within 8 s. Keeps an idle way open, too."""
    with within(connection, ANSWER_WITHIN_S):
        connection.execute("select")


@dataclass(slots=True, kw_only=True)
class Silence:
    """Compares what our end of a connection waits for with what the server's process does.

    Asking the server over another connection proves nothing about the rest: a heartbeat that was cut and made again
    answers while a statement beside it waits for ever. So a connection is dead when for `after_s` seconds (s) we have
    waited on it, and its process has been idle without a change, or is not there any more.

    A process that was never seen tells nothing: a pooler in session mode hands out numbers of its own.
    """

    after_s: float
    _since: dict[int, tuple[object, float]] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def dead(self, connection: Connection, others: Iterable[psycopg.Connection[Any]]) -> list[psycopg.Connection[Any]]:
        """Those of the others that nobody answers any more. Asked again and again; raises psycopg.Error."""
        known = {pid_of(each): each for each in others if each is not connection and not each.closed}
        states = _states(connection, list(known)) if known else {}
        self._seen = (self._seen | states.keys()) & known.keys()
        waiting = {pid: known[pid] for pid in self._seen if _waits(connection, known[pid])}
        now, before = time.monotonic(), self._since
        self._since = {}
        for pid in waiting:
            at_rest, state = states.get(pid, (True, None))
            if not at_rest:
                continue
            last, since = before.get(pid, (state, now))
            self._since[pid] = (state, since if last == state else now)
        return [waiting[pid] for pid, (_, since) in self._since.items() if now - since >= self.after_s]


def _waits(asking: Connection, other: psycopg.Connection[Any]) -> bool:
    """Whether we wait for an answer on it, nothing of it has arrived, and it leads to the server that we ask."""
    try:
        same = (other.pgconn.host, other.pgconn.port) == (asking.pgconn.host, asking.pgconn.port)
        waits = other.pgconn.transaction_status == TransactionStatus.ACTIVE
        return same and waits and not select([other.pgconn.socket], [], [], 0)[0]
    except (psycopg.OperationalError, ValueError, OSError):
        # Its owner has closed it meanwhile.
        return False


def _states(connection: Connection, pids: list[int]) -> dict[int, tuple[bool, object]]:
    """Whether a server process waits for us, and since when (`pg_stat_activity`); NULL is one we may not look at."""
    with logged_in(connection):
        rows = connection.execute(
            "select pid, coalesce(state like 'idle%%', false) as at_rest, state_change from pg_stat_activity"
            " where pid = any(%s)",
            (pids,),
        ).fetchall()
    return {row["pid"]: (row["at_rest"], row["state_change"]) for row in rows}
