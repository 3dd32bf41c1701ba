"""The ledger: chained, append-only, one transaction with the effect, and the same in the copy on disk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from orchestrator.adapters import events, ledger, points
from orchestrator.adapters.identity import identify
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.lease import Keeper
from orchestrator.adapters.ledger_journal import LedgerJournal
from orchestrator.adapters.postgres import Connection, Server, statement
from orchestrator.adapters.runs import FileJournal, JournalCopy, RunFolder
from orchestrator.adapters.target import Target
from orchestrator.core.entry import GENESIS, Entry, entry_hash
from orchestrator.core.journal import Event, Identity, NotificationQueued, RunFinished, RunStarted, StepStarted
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

RUN = "20260101T000000000-beef"


def started() -> RunStarted:
    """A first event."""
    target = Identity(system_identifier="1", database="app", server_version=160000, role="postgres")
    return RunStarted(
        task="deploy",
        runbook="r",
        environment="staging",
        kind="staging",
        steps=("preflight",),
        initiator="Ayu",
        os_user="ayu",
        host="h",
        version="0",
        target=target,
    )


@pytest.fixture
def journal(tmp_path: Path) -> RunJournal:
    """A journal without a ledger."""
    folder = RunFolder(root=tmp_path / "runs", run=RUN)
    return RunJournal(file=FileJournal(folder=folder, actor="ayu", clock=lambda: datetime.now(UTC)))


def open_ledger(journal: RunJournal, server: Server, connection: Connection) -> Keeper:
    """Go on in the ledger, under a lease that the caller gives back."""
    ledger.install(connection)
    keeper = Keeper(server=server)
    keeper.start()
    writer = LedgerJournal(
        target=Target(server=server, identity=identify(connection), within_s=10),
        connection=connection,
        copy=JournalCopy(folder=journal.file.folder),
        token=keeper.claim(),
        run=Run(RUN),
    )
    writer.begin("staging", journal.file.entries)
    journal.ledger = writer
    return keeper


@pytest.fixture
def opened(journal: RunJournal, server: Server, connection: Connection) -> Iterator[RunJournal]:
    """A journal in the ledger, with its first event."""
    journal.record(started())
    keeper = open_ledger(journal, server, connection)
    yield journal
    keeper.end()


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    """A connection to an empty database."""
    with server.session("test") as opened:
        yield opened


def test_what_was_recorded_before_the_ledger_is_taken_over(opened: RunJournal, connection: Connection) -> None:
    """The first events come from the file, the next go to the database, and both hold all of them."""
    opened.record(StepStarted(step="plan"))
    kept = list(ledger.entries(connection, RUN))
    assert [each.kind for each in kept] == ["run_started", "step_started"]
    assert kept == list(opened.file.folder.entries())


def test_the_chain_is_whole(opened: RunJournal, connection: Connection) -> None:
    """Every event carries the hash of the one before; SQL and Python compute the same hash."""
    for step in ("plan", 'audit \N{SNOWMAN} "quoted" \\ back', "apply\nnew line"):
        opened.record(StepStarted(step=step))
    previous = GENESIS
    for each in ledger.entries(connection, RUN):
        assert each.previous == previous
        assert each.hash == entry_hash(
            previous=previous,
            run=each.run,
            seq=each.seq,
            at=each.at,
            actor=each.actor,
            kind=each.kind,
            data=each.data,
        )
        previous = each.hash
    assert opened.run.head == previous
    assert opened.run.count == 4


def test_events_survive_the_way_there_and_back(opened: RunJournal, connection: Connection) -> None:
    """What is read from the ledger folds into the run that was recorded."""
    opened.record(StepStarted(step="plan"))
    opened.record(RunFinished(state="done"))
    folded = events.fold_entries(RUN, ledger.entries(connection, RUN))
    assert (folded.started, folded.finished, folded.head) == (
        opened.run.started,
        opened.run.finished,
        opened.run.head,
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "update orchestrator.event set kind = 'x'",
        "delete from orchestrator.event",
        "truncate orchestrator.event",
    ],
)
def test_events_are_append_only(opened: RunJournal, connection: Connection, attempt: str) -> None:
    """Changing or removing an event is refused, for a superuser too."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        connection.execute(attempt.encode())


def append_in(journal: RunJournal, connection: Connection, step: str) -> DictRow | None:
    """Append the beginning of a step inside a transaction of that connection; the row."""
    text = journal.appending(connection, StepStarted(step=step), tables=(), waited_ms=0, short=False)
    return connection.execute(text).fetchone()


def test_an_event_goes_with_its_effect(opened: RunJournal, server: Server, connection: Connection) -> None:
    """A transaction that is rolled back takes the event with it, and the chain goes on without a gap."""
    with server.session("effect") as other:
        with other.transaction(force_rollback=True):
            append_in(opened, other, "lost")
        with other.transaction():
            other.execute("create table effect (id int)")
            kept = append_in(opened, other, "kept")
        opened.publish(Entry(**(kept or {})))
    told = [(each.seq, each.kind) for each in ledger.entries(connection, RUN)]
    assert told == [(1, "run_started"), (2, "step_started")]
    assert opened.run.steps.keys() == {"preflight", "kept"}


def lose_after(connection: Connection, seq: int) -> None:
    """As on a promoted standby that never got what came after an event."""
    connection.execute("set session_replication_role = replica")
    connection.execute("delete from orchestrator.event where seq > %s", (seq,))
    connection.execute(
        "update orchestrator.run set (head_seq, head_hash) = (select seq, hash from orchestrator.event where seq = %s)",
        (seq,),
    )
    connection.execute("reset session_replication_role")


def test_a_lost_tail_is_noticed_though_the_ledger_went_on(opened: RunJournal, connection: Connection) -> None:
    """A transaction of ours was the first on the new primary: as many events as before, and another last one."""
    opened.record(StepStarted(step="plan"))
    opened.record(StepStarted(step="audit"))
    lost = opened.run.head
    lose_after(connection, 2)
    connection.execute("select orchestrator.append(%s, 'step_started', '{\"step\":\"backup\"}', %s)", (RUN, 1))
    opened.recover("connection lost")
    kept = list(ledger.entries(connection, RUN))
    assert [each.kind for each in kept] == ["run_started", "step_started", "step_started", "ledger_rewound"]
    assert lost in kept[-1].data
    assert kept == list(opened.file.folder.entries())
    assert opened.run.steps.keys() == {"preflight", "plan", "backup"}


@pytest.mark.parametrize("heard_of", [2, 3])
def test_an_event_of_a_new_primary_is_not_taken_for_ours(
    opened: RunJournal, server: Server, connection: Connection, heard_of: int
) -> None:
    """The first has the number of an event that was lost, the second follows from another one than the last we know."""
    opened.record(StepStarted(step="lost"))
    lose_after(connection, 1)
    with server.session("effect") as other:
        for step in ("first", "second"):
            with other.transaction():
                row = append_in(opened, other, step)
            if row and row["seq"] == heard_of:
                opened.publish(Entry(**row))
    assert {"preflight", "first"} <= opened.run.steps.keys() <= {"preflight", "first", "second"}
    kept = list(ledger.entries(connection, RUN))
    assert "ledger_rewound" in [each.kind for each in kept]
    assert opened.ledger is not None
    opened.ledger.settle()
    assert opened.run.steps.keys() == {"preflight", "first", "second"}
    assert kept == list(opened.file.folder.entries())


def test_a_newer_ledger_is_refused(connection: Connection) -> None:
    """A ledger that a newer program made is left alone."""
    ledger.install(connection)
    connection.execute("update orchestrator.ledger set version = 99")
    with pytest.raises(Refused, match="version 99"):
        ledger.install(connection)


def test_installing_twice_changes_nothing(connection: Connection) -> None:
    """The second run finds the ledger of the first."""
    ledger.install(connection)
    ledger.install(connection)
    assert ledger.version_of(connection) == ledger.VERSION


def test_without_the_right_to_create_it_is_refused(server: Server, connection: Connection) -> None:
    """A role that may not create a schema is told what to grant."""
    connection.execute("create role only_reads")
    try:
        connection.execute("set role only_reads")
        with pytest.raises(Refused, match="grant CREATE"):
            ledger.install(connection)
    finally:
        connection.execute("reset role")
        connection.execute("drop role only_reads")


def test_one_run_at_a_time(server: Server, connection: Connection) -> None:
    """The second starter is told who works, since when and from where; the lock goes with the connection."""
    assert ledger.take_run_lock(connection) is None
    with server.session("second") as second:
        told = ledger.take_run_lock(second)
        assert told is not None
        assert "orchestrator/20260101T000000-test/test" in told
        connection.close()
        while ledger.take_run_lock(second) is not None:
            continue


def test_an_unknown_event_is_passed_over(opened: RunJournal, connection: Connection) -> None:
    """What a newer version recorded does not stop an older one from reading the run."""
    connection.execute("select orchestrator.append(%s, 'moon_landed', '{\"crew\":3}', %s)", (RUN, 1))
    folded = events.fold_entries(RUN, ledger.entries(connection, RUN))
    assert folded.started == opened.run.started
    assert folded.count == 2


def test_a_listener_that_fails_never_stops_the_run(journal: RunJournal) -> None:
    """A closed pipe while telling people is no reason to lose an event or the next listener."""
    heard: list[Event] = []

    def broken(event: Event, run: Run) -> None:
        raise BrokenPipeError

    journal.listeners += [broken, lambda event, run: heard.append(event)]
    journal.record(started())
    journal.record(NotificationQueued(topic="started", about="x"))
    assert len(heard) == 2
    assert journal.run.count == 2


def test_a_torn_last_line_is_left_out(journal: RunJournal) -> None:
    """A copy that a crash cut off in the middle of a line is read up to there."""
    journal.record(started())
    path = journal.file.folder.file("journal.jsonl")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"run": "half')
    assert [each.kind for each in journal.file.folder.entries()] == ["run_started"]


def test_a_copy_that_cannot_be_written_is_made_up_for(
    opened: RunJournal, connection: Connection, tmp_path: Path
) -> None:
    """While the folder of runs is gone the ledger has every event; once it is back, so has the copy."""
    runs = tmp_path / "runs"
    runs.rename(tmp_path / "away")
    runs.write_text("a file in the way")
    opened.record(StepStarted(step="plan"))
    assert len(list(ledger.entries(connection, RUN))) == 2
    runs.unlink()
    (tmp_path / "away").rename(runs)
    opened.record(StepStarted(step="audit"))
    assert list(opened.file.folder.entries()) == list(ledger.entries(connection, RUN))


def test_an_upgrade_that_somebody_else_was_quicker_with(
    connection: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch upgrades without the lock of runs: the deployment that begins at that moment is not refused."""
    for name in ledger.VERSIONS[:-1]:
        connection.execute(statement(name))
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as other:
        quicker = iter((other,))

        def reached(point: str) -> None:
            if point == "ledger:install" and (one := next(quicker, None)):
                ledger.install(one)

        monkeypatch.setattr(points, "reached", reached)
        ledger.install(connection)
    assert ledger.version_of(connection) == ledger.VERSION
