"""The audit: it goes on where it stopped, and may read a copy of the target in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.adapters import orphans, points
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.orphans import OrphanQueries
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED
from tests import servers
from tests.acceptance.conftest import Copy
from tests.acceptance.desk import ORPHANS, Desk, execute, insert_base_rows, value
from tests.conftest import ClusterUrl, server_of
from tests.waiting import until

COUNTED = "select count(*) from orchestrator.event where kind = 'orphans_counted'"


class Stopped(BaseException):
    """Ends a command as a crash would: nothing of the product catches it."""


@pytest.fixture
def after_counts(staging: str) -> Iterator[Callable[[int], None]]:
    """Make the next command crash when so many counts are on record."""

    def prepare(number: int) -> None:
        def visit(point: str) -> None:
            if point == "journal:committed" and value(staging, COUNTED) >= number:
                points.visit(lambda _: None)
                raise Stopped

        points.visit(visit)

    yield prepare
    points.visit(lambda _: None)


def test_an_audit_that_was_cut_short_counts_what_is_left(
    desk: Desk, staging: str, after_counts: Callable[[int], None]
) -> None:
    """Twice: each relation is counted once, and the finding is about all of them."""
    for number in (10, 30):
        after_counts(number)
        with pytest.raises(Stopped):
            (desk.deploy if number == 10 else desk.resume)()
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    found = [each["relation"] for each in desk.events(answer, "orphans_counted") if each["moment"] == "audit"]
    assert len(found) == len(set(found)) == 45
    assert all(each["method"] for each in desk.events(answer, "orphans_counted"))
    (finding,) = [each for each in answer.document["findings"] if each["id"] == "orphans"]
    assert finding["observed"] == "no orphan in 45 relations"


def test_what_had_orphans_is_counted_again(desk: Desk, staging: str, after_counts: Callable[[int], None]) -> None:
    """They were repaired in between: the run goes on, and only those relations were counted twice."""
    insert_base_rows(staging)
    execute(staging, *ORPHANS)
    after_counts(45)
    with pytest.raises(Stopped):
        desk.deploy()
    execute(staging, "delete from punchlist_items where id like 'lost%'")
    execute(staging, "delete from workflow_stage_actions where id = 'lost3'")
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    found = [each["relation"] for each in desk.events(answer, "orphans_counted") if each["moment"] == "audit"]
    assert (len(found), len(set(found))) == (47, 45)


def test_the_document_tells_how_and_where(desk: Desk, staging: str) -> None:
    """Method, why so, and time per relation; the target by its name."""
    document = desk.audit().document
    assert document["on"] == "staging"
    assert "lag_s" not in document
    assert all(each["method"] and each["method_reason"] and each["duration_ms"] > 0 for each in document["relations"])


def caught_up(primary: str, standby: str) -> None:
    """Until the standby has replayed everything."""
    position = value(primary, "select pg_current_wal_lsn()::text")
    until(lambda: value(standby, "select pg_last_wal_replay_lsn() >= %s::pg_lsn", position))


def test_a_standby_is_read_in_the_targets_place(desk: Desk, staging: str, physical: Copy) -> None:
    """The same answer as from the target; a standby that is behind says so, and does not see what is newer."""
    insert_base_rows(staging)
    execute(staging, *ORPHANS)
    replica = physical(standby=True).url(servers.database_name(staging))
    desk.environment("replica", replica)
    execute(staging, "update workspaces set name = name")
    caught_up(staging, replica)
    here, there = desk.audit(), desk.audit(on="replica")
    assert there.exit_code == here.exit_code == EXIT_FAILED
    assert there.document["on"] == "replica"
    assert isinstance(there.document["lag_s"], float)
    counts = [{each["table"]: each["orphans"] for each in answer.document["relations"]} for answer in (here, there)]
    assert counts[0] == counts[1]

    execute(replica, "select pg_wal_replay_pause()")
    until(lambda: value(replica, "select pg_get_wal_replay_pause_state()") == "paused")
    execute(staging, "update punchlist_items set punchlist_id = 'gone' where id = 'pi1'")
    said = desk.typed("audit", "--env", "staging", "--on", "replica")
    execute(replica, "select pg_wal_replay_resume()")
    assert said.stdout.splitlines()[-2].startswith("note counted on replica")
    assert re.search(r"up to \d+\.\d s behind when it began; newer rows were not seen", said.stdout)
    assert "3 orphans in 2 of 45 relations" in said.stdout


def test_what_a_standby_takes_back_is_asked_again(
    staging: str, physical: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vacuum on the primary removes what our snapshot still sees: the standby ends the query, or the session."""
    execute(staging, "create table p (id int primary key)", "create table c (v int)", "insert into c values (1), (2)")
    replica = physical(standby=True).url(servers.database_name(staging))
    execute(replica, "alter system set max_standby_streaming_delay = 0", "select pg_reload_conf()")
    table, parent = (TableName(schema="public", name=each) for each in "cp")
    lost = Relation(table=table, columns=("v",), referenced=parent, referenced_columns=("id",), name="k")
    plainly, answers = orphans._number, []

    def disturbed(*question: Any) -> int | None:
        answers.append(plainly(*question))
        if len(answers) == 1:
            execute(staging, "delete from c where v = 2", "vacuum c")
            question[0].execute("select pg_sleep(60)")
        return answers[-1]

    monkeypatch.setattr(orphans, "_number", disturbed)
    catalog = DatabaseCatalog(server=server_of(replica)).catalog()
    (found,) = OrphanQueries(server=server_of(replica), adviser=server_of(staging)).count([lost], catalog)
    assert (answers, found.count) == ([2, 1], 1)


def test_a_copy_that_follows_nothing_is_told_apart(desk: Desk, staging: str, physical: Copy) -> None:
    """The same system identifier and name, but a primary of its own."""
    copy = physical(standby=False)
    desk.environment("copy", copy.url(servers.database_name(staging)))
    said = desk.typed("audit", "--env", "staging", "--on", "copy")
    assert said.returncode == EXIT_DONE
    assert "a copy that follows nothing" in said.stdout


def test_what_is_no_copy_is_refused(desk: Desk, staging: str, cluster_url: ClusterUrl) -> None:
    """Another database of the server, another server, and a name that nobody knows: exit 2 and one line."""
    other = servers.fresh_database(cluster_url(16))
    desk.environment("other", other)
    desk.environment("elsewhere", cluster_url(18))
    told = {
        "other": "it is another database",
        "elsewhere": "its system identifier is",
        "nobody": "nobody",
    }
    for name, words in told.items():
        said = desk.typed("audit", "--env", "staging", "--on", name)
        assert said.returncode == EXIT_REFUSED
        assert words in said.stderr
        assert len(said.stderr.splitlines()) == 1
    servers.drop_database(other)


def test_the_target_itself_is_named(desk: Desk, staging: str) -> None:
    """A person who wants to spare the target should know that this does not."""
    desk.environment("same", staging)
    assert "it is the target itself" in desk.typed("audit", "--env", "staging", "--on", "same").stdout
