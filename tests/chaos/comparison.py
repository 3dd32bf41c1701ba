"""What must be equal after an interrupted run: the dump, the effects, the chain."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from orchestrator.adapters import events, ledger
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.programs import dump_installation
from orchestrator.adapters.runs import RunFolder
from orchestrator.core.chain import examine
from orchestrator.core.run import Run


def dump(url: str) -> str:
    """Schema and rows as pg_dump writes them, without the ledger and without what differs from call to call."""
    with psycopg.connect(url) as connection:
        major = connection.info.server_version // 10000
    tools = dump_installation(server_major=major, restore_major=major)
    command = [str(tools.program("pg_dump")), "--exclude-schema=orchestrator", "--dbname", url]
    done = subprocess.run(command, env=tools.environment(), capture_output=True, text=True, check=True)
    lines = (line for line in done.stdout.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict")))
    return "\n".join(line for line in lines if line)


def looking(url: str) -> psycopg.Connection[dict[str, object]]:
    """A connection that only looks."""
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)


def runs_of(connection: Connection) -> list[Run]:
    """Every run of the ledger, folded."""
    names = ledger.run_ids(connection)
    return [events.fold_entries(name, ledger.entries(connection, name)) for name in names]


def flaws(url: str, runs: Path) -> Iterator[str]:
    """What is not as it should be with journals and sessions; nothing when all is well."""
    with looking(url) as connection:
        for name in ledger.run_ids(connection):
            folder = RunFolder(root=runs, run=name)
            kept = tuple(ledger.entries(connection, name))
            head, copy = ledger.head(connection, name), tuple(folder.entries())
            found = examine(name, ledger=kept, head=head, copy=copy, lost=tuple(folder.lost()))
            if found.state != "whole" or found.missing_in_copy:
                yield f"journal of {name}: {found.state}: {found.problem}"
            counts = Counter(event.data for event in kept if event.kind in {"statement_done", "statement_undone"})
            effects = Counter((each.kind, _id(each.data)) for each in kept if each.kind.startswith("statement_"))
            yield from (f"{name}: {kind} {what} {times} times" for (kind, what), times in effects.items() if times > 1)
            yield from (f"{name}: twice {data}" for data, times in counts.items() if times > 1)
        for run in runs_of(connection):
            if not run.closed:
                yield f"{run.id} is open"
        found_sessions = connection.execute(
            "select application_name from pg_stat_activity where application_name like 'orchestrator/%'"
            " and datname = current_database()"
        ).fetchall()
        yield from (f"session {row['application_name']} is left" for row in found_sessions)


def _id(data: str) -> str:
    event = events.decode("statement_done", data) or events.decode("statement_undone", data)
    return str(getattr(event, "id", data))
