"""Is there a transaction pooler in between? Its sessions are nobody's: locks and settings would stay behind in them."""

from __future__ import annotations

from orchestrator.adapters.postgres import Connection, Server


def pooled(server: Server, first: Connection) -> str | None:
    """What gives a pooler away; None when each connection has a session of its own.

    First asks its process, a second connection opens a transaction and asks, first asks again: a pooler hands one
    server process to both, or moves the first.
    """
    with server.session("pooler", read_only=True) as second:
        before = _pid(first)
        with second.transaction():
            theirs = _pid(second)
            again = _pid(first)
    if theirs in {before, again}:
        return f"two connections share server process {theirs}"
    if before != again:
        return f"one connection moved from server process {before} to {again}"
    return None


def _pid(connection: Connection) -> int:
    row = connection.execute("select pg_backend_pid() as pid").fetchone()
    return int(row["pid"]) if row else 0
