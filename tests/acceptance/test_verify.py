"""The trail: whoever edits a row of a closed run is found, and a ledger that was set back is no forged one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from orchestrator.adapters import ledger
from orchestrator.adapters.postgres import Connection, statement
from orchestrator.adapters.runs import JournalCopy, RunFolder
from orchestrator.app.answer import Answer
from orchestrator.core.chain import Examined, examine
from orchestrator.core.entry import Entry, entry_hash
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED
from tests.acceptance.desk import Desk, execute
from tests.acceptance.losses import lose_statements

EDITS = 200

Edit = Callable[[Connection, str, int, random.Random], str]

LEDGER_1 = statement("ledger_1").as_string(None)

REHASH = """
update orchestrator.event set previous = %(previous)s, hash = %(hash)s where run = %(run)s and seq = %(seq)s
"""


BELOW = """
insert into orchestrator.event
select run, %(seq)s, at, actor, 'statement_done', data, previous, hash from orchestrator.event
where run = %(run)s and seq = %(like)s
"""


@pytest.fixture
def finished(desk: Desk, staging: str) -> Answer:
    """A deployment that has ended."""
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    return answer


@contextmanager
def superuser(url: str) -> Iterator[Connection]:
    """A connection that no trigger stops."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection


def examined(connection: Connection, folder: RunFolder) -> Examined:
    """What verify finds, on this very connection."""
    kept = tuple(ledger.entries(connection, folder.run))
    head = ledger.head(connection, folder.run)
    return examine(folder.run, ledger=kept, head=head, copy=tuple(folder.entries()), lost=tuple(folder.lost()))


def change(connection: Connection, run: str, count: int, dice: random.Random) -> str:
    """Change one column of one event."""
    seq = dice.randint(1, count)
    column, value = dice.choice(
        [
            ("data", "(data::text || ' ')::json"),
            ("data", "'{}'::json"),
            ("at", "at + interval '1 microsecond'"),
            ("at", "'infinity'"),
            ("actor", "actor || 'x'"),
            ("kind", "kind || 'x'"),
            ("run", "run || 'x'"),
            ("seq", "seq + 10000"),
            ("seq", "-seq"),
            ("previous", "md5(previous)"),
            ("hash", "md5(hash)"),
        ]
    )
    connection.execute(
        f"update orchestrator.event set {column} = {value} where run = %s and seq = %s".encode(), (run, seq)
    )
    return f"{column} of {seq}"


def delete(connection: Connection, run: str, count: int, dice: random.Random) -> str:
    """Delete one event."""
    seq = dice.randint(1, count)
    connection.execute("delete from orchestrator.event where run = %s and seq = %s", (run, seq))
    return f"deleted {seq}"


def insert(connection: Connection, run: str, count: int, dice: random.Random) -> str:
    """Insert one event behind any other, with the hash that it should have; those behind it move."""
    seq = dice.randint(1, count)
    connection.execute("update orchestrator.event set seq = -(seq + 1) where run = %s and seq > %s", (run, seq))
    connection.execute("update orchestrator.event set seq = -seq where run = %s and seq < 0", (run,))
    connection.execute(
        "insert into orchestrator.event select run, seq + 1, at, actor, 'step_started', '{\"step\":\"plan\"}', hash,"
        " md5(hash) from orchestrator.event where run = %s and seq = %s",
        (run, seq),
    )
    return f"inserted after {seq}"


def insert_below(connection: Connection, run: str, count: int, dice: random.Random) -> str:
    """Insert one event in front of the first, with a number that no event has: 0, or a negative one."""
    seq, like = -dice.randint(0, 3), dice.randint(1, count)
    connection.execute(BELOW, {"seq": seq, "run": run, "like": like})
    return f"inserted {seq}"


def rewrite(connection: Connection, run: str, count: int, dice: random.Random) -> str:
    """Change one event and compute every hash behind it anew, the ledger's own note too."""
    seq = dice.randint(1, count - 1)
    connection.execute("update orchestrator.event set actor = 'somebody' where run = %s and seq = %s", (run, seq))
    previous = ""
    for each in list(ledger.entries(connection, run)):
        digest = _hash(each, previous or each.previous)
        changed = {"previous": previous or each.previous, "hash": digest, "run": run, "seq": each.seq}
        connection.execute(REHASH, changed)
        previous = digest
    connection.execute("update orchestrator.run set head_hash = %s where id = %s", (previous, run))
    return f"rewrote from {seq}"


def note(connection: Connection, run: str, count: int, dice: random.Random) -> str:
    """Change the ledger's own note of the run."""
    change = dice.choice(
        ["head_seq = head_seq + 1", "head_hash = md5(head_hash)", "closed = false", "environment = 'x'"]
    )
    connection.execute(f"update orchestrator.run set {change} where id = %s".encode(), (run,))
    return change


def _hash(each: Entry, previous: str) -> str:
    return entry_hash(
        previous=previous, run=each.run, seq=each.seq, at=each.at, actor=each.actor, kind=each.kind, data=each.data
    )


def test_every_edit_of_a_closed_run_is_found(desk: Desk, staging: str, finished: Answer) -> None:
    """200 random edits of single rows by a superuser, each rolled back: none goes unnoticed."""
    dice = random.Random(20261124)
    run: str = finished.document["run"]
    folder = RunFolder(root=desk.runs, run=run)
    kinds: list[Edit] = [change, change, delete, insert, insert_below, rewrite, note]
    with superuser(staging) as connection:
        count = examined(connection, folder).events
        unnoticed = []
        for number in range(EDITS):
            with connection.transaction(force_rollback=True):
                told = kinds[number % len(kinds)](connection, run, count, dice)
                if examined(connection, folder).state == "whole":
                    unnoticed.append(told)
        assert unnoticed == []
        assert examined(connection, folder).state == "whole"


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("update orchestrator.event set actor = 'x' where seq = 5", "changed"),
        ("delete from orchestrator.event where seq = 5", "removed"),
        (
            "insert into orchestrator.event select run, 5, at, actor, kind, data, previous, md5(hash)"
            " from orchestrator.event where seq = 6",
            "inserted",
        ),
    ],
)
def test_the_first_event_that_was_touched_is_named(
    desk: Desk, staging: str, finished: Answer, statement: str, word: str
) -> None:
    """The command says which event and what was done to it, and ends with 1."""
    with superuser(staging) as connection:
        if word == "inserted":
            connection.execute("update orchestrator.event set seq = -(seq + 1) where seq >= 5")
            connection.execute("update orchestrator.event set seq = -seq where seq < 0")
        connection.execute(statement.encode())
    told = forged(desk, finished)
    assert "event 5" in told
    assert word in told


def test_an_event_in_front_of_the_first_is_named(desk: Desk, staging: str, finished: Answer) -> None:
    """No event has the number 0 or a negative one: what stands there was inserted, whatever it is a copy of."""
    run: str = finished.document["run"]
    path = copy(desk, finished)
    with superuser(staging) as connection:
        for seq, like in ((0, 1), (0, 5), (-3, 5)):
            connection.execute(BELOW, {"seq": seq, "run": run, "like": like})
            told = forged(desk, finished)
            away = path.rename(path.with_name("away"))
            for each in (told, forged(desk, finished)):
                assert f"(event {seq})" in each
                assert f"event {seq} (statement_done) was inserted" in each
            away.rename(path)
            connection.execute("delete from orchestrator.event where seq = %s", (seq,))
    assert desk.verified(run) == (EXIT_DONE, "whole")


def test_a_time_of_no_calendar_is_named(desk: Desk, staging: str, finished: Answer) -> None:
    """PostgreSQL's time may lie where ours cannot: the event is named, and other tasks read the run all the same."""
    with superuser(staging) as connection:
        for moment in ("infinity", "-infinity", "10000-01-01"):
            connection.execute("update orchestrator.event set at = %s where seq = 5", (moment,))
            assert "event 5 (step_finished) was changed" in forged(desk, finished)
            assert desk.status()["state"] == "done"


def test_ledger_and_copy_that_parted_on_an_open_run(desk: Desk, staging: str, interrupted: str) -> None:
    """Both are whole in themselves: the database was set back and another machine went on, which is no forgery."""
    left = lose_statements(staging, interrupted, 3)
    execute(
        staging,
        "select orchestrator.append(run, 'step_started', '{\"step\":\"plan\"}', token) from orchestrator.lease",
    )
    said = desk.typed("verify", "--env", "staging", "--run", interrupted)
    assert (said.returncode, said.stdout.split()[0]) == (EXIT_FAILED, "rewound")
    assert f"part ways at event {left + 1}" in said.stdout


def test_a_run_of_an_older_ledger_is_whole(desk: Desk, staging: str, finished: Answer) -> None:
    """Version 1's closing event had neither count nor head: no forgery, neither as it stands nor after the upgrade."""
    run: str = finished.document["run"]
    entries = desk.entries(finished)
    sealed = json.loads(entries[-1].data)
    last = json.dumps({"reason": sealed["reason"], "state": sealed["state"]}, separators=(",", ":"))
    execute(staging, "drop schema orchestrator cascade", LEDGER_1)
    with psycopg.connect(staging, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("insert into orchestrator.run values (%s, 'staging')", (run,))
        for each in entries:
            data = last if each is entries[-1] else each.data
            connection.execute("select orchestrator.append(%s, %s, %s)", (run, each.kind, data))
        kept = list(ledger.entries(connection, run))
    JournalCopy(folder=RunFolder(root=desk.runs, run=run)).rebuild(kept)
    assert desk.verified(run) == (EXIT_DONE, "whole")
    assert desk.deploy().exit_code == EXIT_DONE
    assert desk.verified(run) == (EXIT_DONE, "whole")


def test_a_whole_run_is_said_to_be_whole(desk: Desk, finished: Answer) -> None:
    """Database and copy agree to the last event, also for a run that was walked back by another."""
    back = desk.rollback()
    for answer in (finished, back):
        assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


def test_without_a_copy_the_answer_is_unknown(desk: Desk, finished: Answer) -> None:
    """A chain that is whole in itself proves nothing against its owner."""
    copy(desk, finished).unlink()
    said = desk.typed("verify", "--env", "staging", "--run", finished.document["run"])
    assert said.returncode == EXIT_FAILED
    assert said.stdout.startswith("unknown")


def test_events_that_are_not_copied_are_counted(desk: Desk, finished: Answer) -> None:
    """A closed run whose copy ends early is not proved, and it says how much is missing."""
    path = copy(desk, finished)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-7]), encoding="utf-8")
    said = desk.typed("verify", "--env", "staging", "--run", finished.document["run"])
    assert said.returncode == EXIT_FAILED
    assert "7 of its events are only in the database" in said.stdout


def test_a_database_that_was_set_back_is_rewound_not_forged(desk: Desk, staging: str, finished: Answer) -> None:
    """The whole run is gone with the restored database: the copy notices, and the next run puts it on record."""
    run: str = finished.document["run"]
    execute(staging, "drop schema orchestrator cascade")
    assert desk.verified(run) == (EXIT_FAILED, "rewound")
    (told,) = desk.events(desk.deploy(), "ledger_rewound")
    assert (told["run"], told["after"]) == (run, 0)
    assert desk.events(desk.deploy(), "ledger_rewound") == []


def test_a_run_without_a_ledger_cannot_be_verified(desk: Desk, staging: str) -> None:
    """A dry run has nothing to compare, and an unknown run is named."""
    answer = desk.deploy(dry_run=True)
    for name in (answer.document["run"], "20000101T000000000-0000"):
        said = desk.typed("verify", "--env", "staging", "--run", name)
        assert said.returncode == EXIT_REFUSED
        assert name in said.stderr


def forged(desk: Desk, answer: Answer) -> str:
    """What the command says about a run that somebody touched."""
    said = desk.typed("verify", "--env", "staging", "--run", answer.document["run"])
    assert (said.returncode, said.stdout.split()[0]) == (EXIT_FAILED, "forged")
    return said.stdout


def copy(desk: Desk, answer: Answer) -> Path:
    """The copy of a run's journal."""
    path: Path = desk.runs / answer.document["run"] / "journal.jsonl"
    return path
