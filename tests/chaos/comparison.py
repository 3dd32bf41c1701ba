"""What must be equal after an interrupted run: the dump, the effects, the chain."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from orchestrator.adapters import events, ledger
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.programs import dump_installation
from orchestrator.adapters.runs import RunFolder
from orchestrator.core.chain import examine
from orchestrator.core.remediation import SCHEMA
from orchestrator.core.run import Run

KEPT = """
select c.relname, string_agg(format('%%s %%s %%s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull), ', '
       order by a.attnum) as columns
from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relkind = 'r'
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = %s group by c.relname order by c.relname
"""


def dump(url: str) -> str:
    """Schema and rows as pg_dump writes them, without the ledger and without what differs from call to call.

    That is also the place of a row in its table, and of a copy that a remediation keeps its name and its marks.
    """
    with psycopg.connect(url) as connection:
        major = connection.info.server_version // 10000
    tools = dump_installation(server_major=major, restore_major=major)
    without = [f"--exclude-schema={each}" for each in ("orchestrator", SCHEMA)]
    command = [str(tools.program("pg_dump")), *without, "--dbname", url]
    done = subprocess.run(command, env=tools.environment(), capture_output=True, text=True, check=True)
    lines = (line for line in done.stdout.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict")))
    return "\n".join((*_sorted(line for line in lines if line), *kept(url)))


def kept(url: str) -> Iterator[str]:
    """What remediations keep: the tables' columns and their rows, without what is another in every run."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name, columns in connection.execute(KEPT, (SCHEMA,)).fetchall():
            yield f"kept: {columns}"
            if name is None:
                continue
            rows = sql.SQL("select (to_jsonb(t) - {marks}::text[])::text from {table} t order by 1").format(
                marks=sql.Literal(["kept_number", "kept_by_run", "kept_at"]), table=sql.Identifier(SCHEMA, name)
            )
            yield from (row for (row,) in connection.execute(rows).fetchall())


def _sorted(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a dump with the rows of each table in an order of their own: where a row lies is not content."""
    rows: list[str] | None = None
    for line in lines:
        if rows is None or line == "\\.":
            yield from sorted(rows or ())
            yield line
            rows = [] if line.startswith("COPY ") else None
        else:
            rows.append(line)


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
            effects += Counter((each.kind, _batch(each.data)) for each in kept if each.kind in BATCHES)
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


BATCHES = {"rows_remediated", "rows_put_back"}


def _batch(data: str) -> str:
    """A batch by its number, which no other of the same run has."""
    return f"batch {json.loads(data)['batch']}"


def _id(data: str) -> str:
    event = events.decode("statement_done", data) or events.decode("statement_undone", data)
    return str(getattr(event, "id", data))
