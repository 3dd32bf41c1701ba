"""Resume: whoever takes a run up, wherever, goes on exactly where the database says that it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters import ledger, points
from orchestrator.adapters.lease import Keeper, read
from orchestrator.adapters.postgres import statement
from orchestrator.app import resuming
from orchestrator.app.answer import Answer
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, EXIT_REFUSED, LeaseLost, Refused
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import MASTER, Desk, counts, execute, fingerprint, keys, rows, states, value
from tests.acceptance.losses import lose_statements
from tests.conftest import MATRIX, server_of


def test_it_goes_on_where_it_stopped(desk: Desk, staging: str, interrupted: str) -> None:
    """The same run, each statement once, the catalog of a run that nobody interrupted; and back, and forward again."""
    assert desk.status()["state"] == "interrupted"
    answer = desk.resume()
    assert (answer.exit_code, answer.document["run"]) == (EXIT_DONE, interrupted)
    assert counts(answer) == {"added": 44, "present": 1, "deferred": 11}
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert len(done) == len(set(done)) == 88
    deployed = fingerprint(staging)
    assert desk.rollback().exit_code == EXIT_DONE
    assert desk.deploy().exit_code == EXIT_DONE
    assert fingerprint(staging) == deployed


def test_it_goes_on_from_another_machine(desk: Desk, staging: str, interrupted: str) -> None:
    """Without the folder of the first machine: the copy is made anew from the ledger, to the last event."""
    shutil.rmtree(desk.runs)
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    assert desk.verified(interrupted) == (EXIT_DONE, "whole")
    kinds = [each.kind for each in desk.entries(answer)]
    assert kinds.count("run_started") == kinds.count("run_resumed") == kinds.count("run_finished") == 1


def test_a_new_deployment_is_refused_and_says_what_to_type(desk: Desk, interrupted: str) -> None:
    """Exit 2, the open run by name, and both commands that get out of it."""
    said = desk.typed("deploy", "--env", "staging", "--yes")
    assert said.returncode == EXIT_REFUSED
    assert interrupted in said.stderr
    assert "invoke resume --env staging" in said.stderr
    assert "--abandon" in said.stderr


def test_status_says_what_to_type(desk: Desk, interrupted: str) -> None:
    """The person at two in the morning reads the command."""
    said = desk.typed("status", "--env", "staging")
    assert "interrupted" in said.stdout
    assert re.search(r"next: invoke resume --env staging", said.stdout)
    assert re.search(r"next: to walk it back instead: invoke rollback --env staging .*--run", said.stdout)


def test_status_goes_by_the_lease(desk: Desk, staging: str, interrupted: str) -> None:
    """A session can outlive its process for hours: a run whose lease has expired is interrupted all the same."""
    execute(
        staging,
        "update orchestrator.lease set released = false, machine = 'elsewhere', host = 'laptop',"
        " expires_at = clock_timestamp() + interval '1 hour'",
    )
    with psycopg.connect(staging, application_name=f"orchestrator/{interrupted}/lease"):
        assert desk.status()["state"] == "running"
        execute(staging, "update orchestrator.lease set expires_at = clock_timestamp() - interval '1 second'")
        assert desk.status()["state"] == "interrupted"


def test_every_word_about_resume_can_be_typed_as_it_stands(
    desk: Desk, staging: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Environment and folders are named by whoever names the command: hold, the run's last lines, status, deploy."""
    asked: list[str] = []

    def ask(point: str) -> None:
        if point == "effect:committed" and not asked:
            asked.append(point)
            resuming.hold(desk.request(), run=None, reason="load")

    points.visit(ask)
    try:
        assert desk.deploy().exit_code == EXIT_HELD
    finally:
        points.visit(lambda _: None)
    told = [capsys.readouterr().out]
    told += [desk.typed("status", "--env", "staging").stdout, desk.typed("deploy", "--env", "staging", "--yes").stderr]
    whole = f"invoke resume --env staging --inventory {desk.inventory} --runs {desk.runs}"
    assert [each.count(whole) for each in told] == [each.count("invoke resume") for each in told] == [3, 2, 2]


def test_a_lost_tail_is_on_record_when_the_run_is_abandoned(desk: Desk, staging: str, interrupted: str) -> None:
    """The copy here is the only witness of what a failover took away: the run tells of it before it is closed."""
    left = lose_statements(staging, interrupted, 3)
    answer = desk.resume(abandon="the contract changes first")
    assert (answer.exit_code, answer.document["standing"]) == (EXIT_DONE, 17)
    (told,) = desk.events(answer, "ledger_rewound")
    assert told["after"] == left
    assert desk.verified(interrupted) == (EXIT_DONE, "rewound")


def test_a_lost_tail_is_on_record_when_the_copy_was_made_anew_before(
    desk: Desk, staging: str, interrupted: str, stop_at: Stop
) -> None:
    """Killed when the copy had forgotten it and no event told of it yet: the next one to take the run up does."""
    left = lose_statements(staging, interrupted, 3)
    stop_at("copy:replaced", 1)
    with pytest.raises(Stopped):
        desk.resume()
    assert desk.verified(interrupted) == (EXIT_FAILED, "rewound")
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    (told,) = desk.events(answer, "ledger_rewound")
    assert told["after"] == left
    assert desk.verified(interrupted) == (EXIT_DONE, "rewound")


@MATRIX
def test_a_copy_without_which_the_run_went_on(desk: Desk, staging: str, interrupted: str, stop_at: Stop) -> None:
    """Machine A copied events that a failover lost, machine B went on without them: so does A, and tells."""
    lost = desk.folder / "machine A"
    shutil.copytree(desk.runs, lost)
    left = lose_statements(staging, interrupted, 4)
    shutil.rmtree(desk.runs)
    stop_at("effect:committed", 6)
    with pytest.raises(Stopped):
        desk.resume()
    shutil.rmtree(desk.runs)
    lost.rename(desk.runs)
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    (told,) = desk.events(answer, "ledger_rewound")
    assert told["after"] == left
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert len(done) == len(set(done)) == 88
    assert desk.verified(interrupted) == (EXIT_DONE, "rewound")


def test_abandoning_closes_the_run_with_its_reason(desk: Desk, staging: str, interrupted: str) -> None:
    """The old run is closed for good, its chain sealed; another deployment does what is left."""
    answer = desk.resume(abandon="the contract changes first")
    assert (answer.exit_code, answer.document["state"]) == (EXIT_DONE, "abandoned")
    assert desk.status()["state"] == "abandoned"
    with pytest.raises(Refused, match="nothing to resume"):
        desk.resume()
    assert desk.verified(interrupted) == (EXIT_DONE, "whole")
    assert desk.deploy().exit_code == EXIT_DONE
    assert len(keys(staging)) == 45


def test_a_rollback_of_an_interrupted_run_closes_it(desk: Desk, staging: str, interrupted: str) -> None:
    """Going back instead of on: what took effect is walked back, and nothing is left open."""
    answer = desk.rollback(run=interrupted)
    assert answer.exit_code == EXIT_DONE
    assert len(keys(staging)) == 1
    assert [each["state"] for each in desk.history()] == ["abandoned", "done"]
    assert desk.deploy().exit_code == EXIT_DONE


def test_a_rollback_that_crashed_before_it_closed_the_run(
    desk: Desk, staging: str, interrupted: str, stop_at: Stop
) -> None:
    """Two runs are open then: resume finishes the way back and closes the other one, and nothing stands in the way."""
    stop_at("journal:committed", 1)
    with pytest.raises(Stopped):
        desk.rollback(run=interrupted)
    assert value(staging, "select count(*) from orchestrator.run where not closed") == 2
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    assert answer.document["rolls_back"] == interrupted
    assert len(keys(staging)) == 1
    assert [each["state"] for each in desk.history()] == ["abandoned", "done"]
    assert desk.deploy().exit_code == EXIT_DONE


def test_an_edited_contract_is_refused_with_the_difference(desk: Desk, staging: str, stop_at: Stop) -> None:
    """What the run began with is what it ends with, or nothing is done: the line before and after is shown."""
    path = desk.folder / "edited"
    shutil.copytree(MASTER, path)
    stop_at("effect:committed", 5)
    with pytest.raises(Stopped):
        desk.deploy(runbook=str(path))
    contract = path / "foreign_keys.toml"
    text = contract.read_text("utf-8")
    contract.write_text(text.replace('on_delete = "restrict"', 'on_delete = "cascade"', 1), encoding="utf-8")
    before = fingerprint(staging)
    with pytest.raises(Refused, match=r"was: relation .* on delete restrict.*; is: relation .* on delete cascade"):
        desk.resume(runbook=str(path))
    assert fingerprint(staging) == before
    contract.write_text(text, encoding="utf-8")
    assert desk.resume(runbook=str(path)).exit_code == EXIT_DONE


def test_an_edited_check_is_refused(desk: Desk, staging: str, stop_at: Stop) -> None:
    """The suite belongs to what the run began with."""
    path = desk.folder / "edited"
    shutil.copytree(MASTER, path)
    stop_at("effect:committed", 5)
    with pytest.raises(Stopped):
        desk.deploy(runbook=str(path))
    check = next(iter(sorted((path / "checks").glob("*.sql"))))
    check.write_text(check.read_text("utf-8") + "\n-- edited\n", encoding="utf-8")
    with pytest.raises(Refused, match="is: check"):
        desk.resume(runbook=str(path))


def test_somebody_elses_hand_is_found(desk: Desk, staging: str, interrupted: str) -> None:
    """A key of this run that was dropped in between is named; nothing goes on until that is cleared up."""
    (name, table), *_ = rows(
        staging,
        "select conname, conrelid::regclass::text from pg_constraint"
        " where contype = 'f' and conname like 'fk\\_%%' and not convalidated order by conname limit 1",
    )
    execute(staging, f'alter table {table} drop constraint "{name}"')
    answer = desk.resume()
    assert (answer.exit_code, answer.document["state"]) == (EXIT_HELD, "held")
    assert name in answer.document["reason"]
    assert "not there any more" in answer.document["reason"]


def test_the_backup_is_looked_at_again(desk: Desk, master: str, stop_at: Stop) -> None:
    """One that is still there and as it was proved is kept; one that is gone or was touched is taken anew."""
    desk.environment("staging", master, backup='mode = "dump"')
    stop_at("effect:committed", 3)
    with pytest.raises(Stopped):
        desk.deploy()
    (first,) = (desk.folder / "backups").iterdir()
    stop_at("effect:committed", 3)
    with pytest.raises(Stopped):
        desk.resume()
    assert list((desk.folder / "backups").iterdir()) == [first]
    manifest = first / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8") + " ", encoding="utf-8")
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    assert len(desk.events(answer, "backup_proved")) == 2


def test_a_rollback_that_crashed_is_finished(desk: Desk, staging: str, stop_at: Stop) -> None:
    """Killed in the middle of the way back: resume goes on backwards, not forwards."""
    before = fingerprint(staging)
    desk.deploy()
    stop_at("effect:committed", 20)
    with pytest.raises(Stopped):
        desk.rollback()
    answer = desk.resume()
    assert (answer.exit_code, states(answer)) == (EXIT_DONE, {"rollback": "done"})
    assert fingerprint(staging) == before
    undone = [each["id"] for each in desk.events(answer, "statement_undone")]
    assert len(undone) == len(set(undone)) == 44


def test_a_way_back_within_a_deployment_is_finished(desk: Desk, staging: str, stop_at: Stop) -> None:
    """A run that failed and was walking back when it crashed walks back to the end, and ends as failed."""
    before = fingerprint(staging)
    execute(
        staging,
        """create function refuse() returns event_trigger language plpgsql as $$ begin
           if exists (select from pg_constraint where contype = 'f' having count(*) > 30) then
               raise exception 'no more keys' using errcode = '42P17'; end if; end $$;
           create event trigger refuse on ddl_command_end when tag in ('ALTER TABLE') execute function refuse()""",
    )
    try:
        stop_at("effect:committed", 35)
        with pytest.raises(Stopped):
            desk.deploy()
        assert 1 < len(keys(staging)) < 30
        answer = desk.resume()
    finally:
        execute(staging, "drop event trigger refuse", "drop function refuse")
    assert (answer.exit_code, answer.document["state"], answer.document["rolled_back"]) == (1, "failed", True)
    assert fingerprint(staging) == before


def test_nothing_to_resume_is_said_so(desk: Desk, staging: str) -> None:
    """Before any run, and after one that has ended: exit 2, one line, and what to type."""
    for _ in range(2):
        said = desk.typed("resume", "--env", "staging")
        assert said.returncode == EXIT_REFUSED
        assert "nothing to resume" in said.stderr
        desk.deploy()


def test_a_second_starter_is_told_who_is_at_work(desk: Desk, staging: str) -> None:
    """Who, since when, from which host; and the first is not disturbed."""
    keeper = Keeper(server=server_of(staging, run="20260101T000000000-aaaa"))
    with server_of(staging).session("test") as connection:
        ledger.install(connection)
    keeper.start()
    keeper.claim()
    try:
        said = desk.typed("deploy", "--env", "staging", "--yes")
    finally:
        keeper.end()
    assert said.returncode == EXIT_REFUSED
    assert "run 20260101T000000000-aaaa from host" in said.stderr
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", said.stderr)
    assert desk.deploy().exit_code == EXIT_DONE


def test_a_lease_is_taken_over_when_it_has_expired(desk: Desk, staging: str, interrupted: str) -> None:
    """A holder on another machine that has been silent for too long; before that it is waited for."""
    execute(
        staging,
        "update orchestrator.lease set released = false, machine = 'elsewhere', host = 'laptop',"
        " expires_at = clock_timestamp() + interval '1 hour'",
    )
    with pytest.raises(Refused, match="host laptop"):
        desk.resume()
    execute(staging, "update orchestrator.lease set expires_at = clock_timestamp() - interval '1 second'")
    assert desk.resume().exit_code == EXIT_DONE


def test_a_run_that_lost_its_lease_does_nothing_more(desk: Desk, staging: str) -> None:
    """Fencing: after a takeover neither a statement nor an event of the old process gets through."""
    taken: list[int] = []

    def take_over(point: str) -> None:
        if point == "effect:committed" and len(taken) == 0:
            taken.append(value(staging, "update orchestrator.lease set token = token + 1 returning token"))

    points.visit(take_over)
    try:
        with pytest.raises(LeaseLost, match="taken its place"):
            desk.deploy()
    finally:
        points.visit(lambda _: None)
    assert taken
    assert len(keys(staging)) == 2
    kinds = [row[0] for row in rows(staging, "select kind from orchestrator.event order by seq desc limit 1")]
    assert kinds == ["statement_done"]


def test_an_older_ledger_is_upgraded_in_a_run(desk: Desk, staging: str) -> None:
    """Version 1 becomes version 2, its runs stay readable and closed, and a deployment goes on from there."""
    with psycopg.connect(staging, autocommit=True) as connection:
        connection.execute(statement("ledger_1").as_string(connection).encode())
        connection.execute("insert into orchestrator.run values ('20250101T000000000-aaaa', 'staging')")
    assert desk.deploy().exit_code == EXIT_DONE
    assert value(staging, "select max(version) from orchestrator.ledger") == ledger.VERSION
    with server_of(staging).session("test") as connection:
        lease = read(connection)
    assert lease is not None
    assert lease.released


def test_a_hold_stops_after_the_current_statement(desk: Desk, staging: str) -> None:
    """Asked from elsewhere in the middle of the run: no statement more, exit 3, the reason on record, and resume."""
    asked: list[int] = []

    def ask(point: str) -> None:
        if point == "effect:committed":
            asked.append(1)
            if len(asked) == 10:
                resuming.hold(desk.request(), run=None, reason="the load is too high")

    points.visit(ask)
    try:
        answer = desk.deploy()
    finally:
        points.visit(lambda _: None)
    assert (answer.exit_code, answer.document["state"]) == (EXIT_HELD, "held")
    assert len(desk.events(answer, "statement_done")) == len(asked) == 10
    assert "the load is too high" in answer.document["reason"]
    assert desk.resume().exit_code == EXIT_DONE


def test_the_report_of_an_unfinished_run_can_be_had(desk: Desk, interrupted: str) -> None:
    """From the ledger, on a machine that has never seen the run."""
    shutil.rmtree(desk.runs)
    said = desk.typed("report", "--env", "staging", "--run", interrupted, "--format", "json", "--json")
    assert json.loads(said.stdout)["state"] in {"running", "interrupted"}


def test_a_killed_process_is_followed_at_once(desk: Desk, staging: str) -> None:
    """Its lease has not expired, but its process is known to be gone: nobody has to wait for the clock."""
    pid = os.fork()
    if pid == 0:
        points.visit(lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == "effect:committed" else None)
        desk.deploy()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with server_of(staging).session("test") as connection:
        lease = read(connection)
    assert lease is not None
    assert not lease.released
    assert not lease.expired
    answer: Answer = desk.resume()
    assert answer.exit_code == EXIT_DONE


def test_copies_are_private(desk: Desk, interrupted: str) -> None:
    """The folder of a run that was taken up elsewhere is readable by its owner only."""
    shutil.rmtree(desk.runs)
    desk.resume()
    folder: Path = desk.runs / interrupted
    assert folder.stat().st_mode & 0o077 == 0
