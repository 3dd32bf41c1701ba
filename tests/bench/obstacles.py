"""What stands in the way: a foreign transaction that wrote and stays idle, or an autovacuum on a large table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import psycopg
from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.core.catalog import TableName
from orchestrator.core.outcome import OrchestratorError
from tests.bench.stage import Stage

Obstacle = Literal["none", "idle", "autovacuum"]
OBSTACLES: tuple[Obstacle, ...] = get_args(Obstacle)

IDLE_S = 8.0
BUSIEST = TableName(schema="public", name="workflow_instances")
TOUCHED_SHARE = 0.02
AT_WORK_WITHIN_S = 180
"""An autovacuum worker comes once in autovacuum_naptime: 1 s on our own server, 1 min by default."""

# At 100 ms for every page it takes minutes: it leaves when somebody waits for it longer than deadlock_timeout.
SLOW = """
alter table {} set (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_analyze_threshold = 2000000000)
"""
AT_WORK = """
select from pg_stat_progress_vacuum v join pg_stat_activity a using (pid)
where v.datname = current_database() and v.relid = %s::regclass and a.backend_type = 'autovacuum worker'
"""


@dataclass(slots=True, kw_only=True)
class Standing:
    """An obstacle on `table`. It goes `for_s` seconds after the way began, or at the end of the trial."""

    table: TableName | None = None
    for_s: float | None = None
    connection: psycopg.Connection | None = field(default=None, repr=False)

    def go(self) -> None:
        """Out of the way; a second time does nothing."""
        if self.connection is not None:
            # Not by closing alone: the server would notice a moment later.
            self.connection.rollback()
            self.connection.close()
            self.connection = None


@contextmanager
def standing(obstacle: Obstacle, stage: Stage, url: str, *, idle_s: float = IDLE_S) -> Iterator[Standing]:
    """The obstacle in a trial's database, at work when the block begins and gone when it is left."""
    match obstacle:
        case "none":
            yield Standing()
        case "idle":
            found = _idle(stage, url, idle_s)
            try:
                yield found
            finally:
                found.go()
        case "autovacuum":
            with _autovacuum(stage, url) as found:
                yield found


def _idle(stage: Stage, url: str, idle_s: float) -> Standing:
    """One row is updated that no writer wants, so that nobody waits for the row, only for the table."""
    target = next(each for each in stage.targets if each.name == BUSIEST)
    connection = psycopg.connect(url, application_name="bench/idle")
    connection.execute(target.update(), (str(target.reserved),))
    return Standing(table=target.name, for_s=idle_s, connection=connection)


@contextmanager
def _autovacuum(stage: Stage, url: str) -> Iterator[Standing]:
    table = stage.children[0]
    own = stage.cluster is not None
    with psycopg.connect(url, autocommit=True, application_name="bench/autovacuum") as connection:
        column = sql.Identifier(next(each.column for each in stage.targets if each.name == table))
        query = sql.SQL("update {} set {} = {} where random() < {}")
        connection.execute(query.format(qualified(table), column, column, sql.Literal(TOUCHED_SHARE)))
        connection.execute(sql.SQL(SLOW).format(qualified(table)))
        if own:
            _system(connection, autovacuum="on", autovacuum_naptime="1s")
        try:
            _wait_until_at_work(connection, table)
            if own:
                # Once it has given way it comes back as late as it would anywhere.
                _system(connection, autovacuum="on", autovacuum_naptime="1min")
            yield Standing(table=table)
        finally:
            if own:
                _system(connection, autovacuum="off", autovacuum_naptime="1min")


def _wait_until_at_work(connection: psycopg.Connection, table: TableName) -> None:
    deadline = time.monotonic() + AT_WORK_WITHIN_S
    while connection.execute(AT_WORK, (qualified(table).as_string(connection),)).fetchone() is None:
        if time.monotonic() > deadline:
            message = f"no autovacuum came to {table} within {AT_WORK_WITHIN_S} s"
            raise OrchestratorError(message)
        time.sleep(0.02)


def _system(connection: psycopg.Connection, **settings: str) -> None:
    for name, value in settings.items():
        query = sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value))
        connection.execute(query)
    connection.execute("select pg_reload_conf()")
