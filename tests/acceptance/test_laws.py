"""The ten laws of the design: one test for each, on a real server."""

from __future__ import annotations

import io
import json
import re

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orchestrator.adapters.runs import RunFolder
from orchestrator.adapters.terminal import Screen
from orchestrator.core.outcome import EXIT_DONE, EXIT_REFUSED
from tests.acceptance.desk import Desk, contents, counts, execute, finding, fingerprint, has_ledger, password_of, value

CONTRACT = 56
PROMISED = 45


def test_law_1_nothing_is_skipped_in_silence(desk: Desk, staging: str) -> None:
    """Every relation of the contract has a fate, in a run that is refused as in one that is done."""
    execute(staging, "alter table public.punchlists rename column workflow_instance_id to instance")
    refused = desk.deploy()
    assert refused.exit_code == EXIT_REFUSED
    assert sum(refused.document["relations"].values()) == CONTRACT
    assert refused.document["relations"]["failed"] == 1
    execute(staging, "alter table public.punchlists rename column instance to workflow_instance_id")
    done = desk.deploy()
    assert sum(done.document["relations"].values()) == CONTRACT
    assert done.document["relations"]["added"] + done.document["relations"]["present"] == PROMISED


def test_law_2_one_record_many_readers(desk: Desk, staging: str) -> None:
    """Terminal, HTML, Markdown and JSON say the numbers that the journal adds up to."""
    answer = desk.deploy()
    told = counts(answer)
    events = [json.loads(entry.data) for entry in desk.entries(answer) if entry.kind == "statement_done"]
    added = {event["relation"] for event in events}
    assert told["added"] == len(added)
    assert f"{told['added']} added" in desk.invoke("history", "--env", "staging").stdout
    assert re.search(rf"<dt>added</dt><dd>{told['added']}</dd>", desk.file(answer, "report.html"))
    assert str(told["added"]) in desk.file(answer, "report.md")
    assert desk.report(answer)["relations"]["added"] == told["added"]


def test_law_3_effect_and_record_commit_together(desk: Desk, staging: str) -> None:
    """A journal that refuses one record takes its effect with it, and only that one."""
    desk.deploy(until="audit")
    name = "fk_punchlists_workflow_instance_id"
    execute(
        staging,
        f"alter table orchestrator.event add constraint refuse_one check"
        f" (kind <> 'statement_done' or data ->> 'id' <> 'add:public.punchlists.{name}')",
    )
    answer = desk.deploy()
    assert answer.exit_code != EXIT_DONE
    assert value(staging, "select count(*) from pg_constraint where conname = %s", name) == 0


def test_law_4_the_lock_budget(desk: Desk, master: str) -> None:
    """Behind a transaction that stays nobody is made to queue: no lock is asked for, and the run is held."""
    desk.environment("staging", master, policy="lock_timeout_ms = 40\ngive_up_after_s = 1")
    with psycopg.connect(master) as writer:
        writer.execute("update public.workspaces set code = code")
        answer = desk.deploy()
        assert answer.document["state"] == "held"
        writer.execute("update public.users set name = name")
        writer.commit()
    waits = [event["attempts"] for event in desk.events(answer, "statement_done")]
    assert {each["obstacle"] for each in desk.events(answer, "statement_postponed")} == {"transaction"}
    assert desk.events(answer, "lock_attempt_failed") == []
    plan = desk.events(answer, "plan_recorded")[-1]["plan"]
    asked = {each["lock_timeout_ms"] for each in plan["statements"] if each["kind"] == "add"}
    assert asked == {40}
    assert all(attempts == 1 for attempts in waits)


def test_law_5_every_change_knows_its_way_back(desk: Desk, staging: str) -> None:
    """Each statement of the plan carries its undo, and walking them ends where the run began."""
    before = fingerprint(staging)
    assert all(each["undo"] for each in desk.plan().document["statements"])
    desk.deploy()
    assert fingerprint(staging) != before
    assert desk.rollback().exit_code == EXIT_DONE
    assert fingerprint(staging) == before


def test_law_6_a_dry_run_changes_nothing(desk: Desk, staging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a row, not a schema, not a file outside of runs/, where temporary files lie neither."""
    monkeypatch.setattr("tempfile.tempdir", str(desk.folder))
    before, files = contents(staging), set(desk.folder.iterdir())
    assert desk.deploy(dry_run=True).exit_code == EXIT_DONE
    assert contents(staging) == before
    assert not has_ledger(staging)
    assert set(desk.folder.iterdir()) - files == {desk.runs}


def test_law_7_validation_leaves_no_row_behind(desk: Desk, staging: str) -> None:
    """Checks that insert, update and delete are rolled back, every one of them."""
    desk.deploy()
    before = contents(staging)
    answer = desk.validate()
    assert finding(answer, "C6.runtime_execution")["status"] == "pass"
    assert contents(staging) == before


def test_law_8_an_environment_is_what_it_is(desk: Desk, staging: str) -> None:
    """The same database under another name is refused before anything is touched."""
    before = fingerprint(staging)
    desk.environment("prod", make_conninfo(staging, host="localhost", hostaddr="127.0.0.1"))
    answer = desk.deploy("prod")
    assert answer.exit_code == EXIT_REFUSED
    assert finding(answer, "identity")["status"] == "fail"
    assert fingerprint(staging) == before
    assert not has_ledger(staging)


def test_law_9_telling_never_breaks_the_work(desk: Desk, staging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal whose reader is gone and a log that cannot be written do not stop a deployment."""
    assert Screen(stream=GonePipe()).line("nobody reads this") is None  # type: ignore[func-returns-value]
    monkeypatch.setattr("sys.stdout", GonePipe())
    log = desk.runs / "log"
    monkeypatch.setattr("orchestrator.adapters.log.LOG", f"{log}/not/there.jsonl")
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert counts(answer)["added"] == PROMISED - 1
    assert not log.exists()


class GonePipe(io.StringIO):
    """A stream whose reader has left."""

    def write(self, _: str) -> int:
        """As the kernel answers."""
        raise BrokenPipeError


def test_law_10_secrets_reach_nothing(desk: Desk, staging: str) -> None:
    """The password stands in no file of the run, no event of the ledger and no output."""
    desk.environment("staging", staging, backup="")
    process = desk.invoke("deploy", "--env", "staging", "--json")
    assert process.returncode == EXIT_DONE
    secret = password_of(staging)
    run = json.loads(process.stdout)["run"]
    assert RunFolder(root=desk.runs, run=run).path.exists()
    assert secret not in process.stdout + process.stderr
    assert secret not in desk.written()
    assert value(staging, "select count(*) from orchestrator.event where strpos(data::text, %s) > 0", secret) == 0
    assert all(secret not in path.read_text("utf-8", "replace") for path in desk.folder.rglob("*.json*"))
