"""What a failover or a restore takes away: the last statements, and every event that came with them and after them."""

from __future__ import annotations

import psycopg

from tests.acceptance.desk import rows

SESSIONS_GO_WITHIN_MS = 5000

TAIL = """
select seq, s ->> 'kind', {undoing}
from orchestrator.event
join (select json_array_elements(data -> 'plan' -> 'statements') as s
      from orchestrator.event where kind = 'plan_recorded' and run = %s) as planned on s ->> 'id' = data ->> 'id'
where run = %s and kind = %s order by seq desc limit %s
"""


def lose_statements(url: str, run: str, count: int) -> int:
    """The last keys that the run added are not there, and no event of them; how many events are left."""
    return _lose(url, run, count, kind="statement_done", undoing="s -> 'undo' ->> 0")


def lose_undos(url: str, run: str, count: int) -> int:
    """The last keys that the run walked back stand again, and no event tells of it; how many events are left."""
    return _lose(url, run, count, kind="statement_undone", undoing="s ->> 'sql'")


def _lose(url: str, run: str, count: int, *, kind: str, undoing: str) -> int:
    tail = rows(url, TAIL.format(undoing=undoing), run, run, kind, count)
    assert [each[1] for each in tail] == ["add"] * count, "only the adding of keys can be taken away here"
    left = int(tail[-1][0]) - 1
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, %s) from pg_stat_activity"
            " where application_name like 'orchestrator/%%' and datname = current_database()",
            (SESSIONS_GO_WITHIN_MS,),
        )
        # No trigger stops this: the journal's refuses every deletion.
        connection.execute("set session_replication_role = replica")
        for _, _, statement in tail:
            connection.execute(statement.encode())
        connection.execute("delete from orchestrator.event where run = %s and seq > %s", (run, left))
        connection.execute(
            "update orchestrator.run set closed = false, (head_seq, head_hash) ="
            " (select seq, hash from orchestrator.event where run = id and seq = %s) where id = %s",
            (left, run),
        )
    return left
