"""The main job, end to end: 45 keys of the master tables, there, back, and there again, on real servers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.postgres import Connection, Server
from orchestrator.app.answer import Answer
from orchestrator.core.entry import GENESIS, entry_hash
from tests.acceptance.desk import (
    ORPHANED,
    ORPHANS,
    ROOT,
    Desk,
    contents,
    counts,
    execute,
    finding,
    fingerprint,
    has_ledger,
    insert_base_rows,
    keys,
    not_valid,
    rows,
    states,
    tree,
    value,
)
from tests.conftest import ENDS

FACTS: dict[str, Any] = json.loads((ROOT / "tests/cases/master_tables.json").read_text("utf-8"))
PROMISED = [fact for fact in FACTS["relations"] if fact["status"] != "deferred"]
ADDED = {"added": 44, "present": 1, "deferred": 11}

WORDS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}


def standing(url: str) -> list[tuple[str, str, str, str]]:
    """Table, column, target and action of every foreign key that is valid and whose four triggers all fire."""
    found = rows(
        url,
        "select c.conrelid::regclass::text, a.attname::text, c.confrelid::regclass || '(' || b.attname || ')',"
        " c.confdeltype::text from pg_constraint c"
        " join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
        " join pg_attribute b on b.attrelid = c.confrelid and b.attnum = c.confkey[1]"
        " where c.contype = 'f' and c.connamespace = 'public'::regnamespace and c.convalidated"
        # Enforced: PostgreSQL 18 has a column for it, and everywhere the triggers tell.
        " and coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)"
        " and 4 = (select count(*) from pg_trigger t where t.tgconstraint = c.oid and t.tgenabled = 'O')",
    )
    return sorted((table, column, target, WORDS[action]) for table, column, target, action in found)


def promised() -> list[tuple[str, str, str, str]]:
    """The same of every relation that the facts promise."""
    return sorted((fact["table"], fact["column"], fact["references"], fact["on_delete"]) for fact in PROMISED)


@pytest.mark.parametrize("master_on", ENDS, indirect=True)
def test_there_back_and_there_again(desk: Desk, master_on: str) -> None:
    """44 are added; again: nothing to do; rollback: as before; again: 44 are added."""
    desk.environment("staging", master_on)
    insert_base_rows(master_on)
    before = fingerprint(master_on)

    first = desk.deploy()
    assert (first.exit_code, first.document["state"], first.document["verdict"]) == (0, "done", "GO")
    assert counts(first) == ADDED
    assert standing(master_on) == promised()
    assert len(promised()) == 45

    second = desk.deploy()
    assert (second.exit_code, counts(second)) == (0, {"present": 45, "deferred": 11})
    assert desk.events(second, "statement_done") == []

    back = desk.rollback()
    assert (back.exit_code, back.document["state"]) == (0, "done")
    assert back.document["rolls_back"] == first.document["run"]
    assert fingerprint(master_on) == before

    third = desk.deploy()
    assert (third.exit_code, counts(third)) == (0, ADDED)
    assert standing(master_on) == promised()


def test_orphans_refuse_the_deployment(desk: Desk, staging: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Three orphans in two relations: exit 2, nothing changed, counts, queries and rows are shown."""
    insert_base_rows(staging)
    execute(staging, *ORPHANS)
    before = fingerprint(staging)

    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"], answer.document["verdict"]) == (2, "refused", "NO-GO")
    assert fingerprint(staging) == before
    assert states(answer)["apply"] == "pending"
    assert desk.events(answer, "statement_done") == []
    counted = {each["relation"]: each["orphans"] for each in desk.events(answer, "orphans_counted") if each["orphans"]}
    assert sorted(counted.values()) == [1, 2]
    shown = capsys.readouterr().out
    for row in ("lost1", "lost2", "lost3", "gone1", "gone2", "gone3"):
        assert row in shown
        assert row in desk.file(answer, "report.md")

    audit = desk.audit()
    found = {each["table"]: each for each in audit.document["relations"] if each["orphans"]}
    assert (audit.exit_code, audit.document["total"]) == (1, 3)
    assert {table: each["orphans"] for table, each in found.items()} == {
        "punchlist_items": 2,
        "workflow_stage_actions": 1,
    }
    for each in found.values():
        assert len(rows(staging, each["query"])) == each["orphans"] == len(each["sample"])


def test_leave_not_valid_adds_the_rest(desk: Desk, master: str) -> None:
    """42 are added, two stand NOT VALID and failed, the report says which rows; after repair VALIDATE alone ends it."""
    desk.environment("staging", master, policy='orphans = "leave_not_valid"')
    insert_base_rows(master)
    execute(master, *ORPHANS)
    data = contents(master)

    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"], answer.document["verdict"]) == (1, "failed", "NO-GO")
    assert counts(answer) == {"added": 42, "present": 1, "deferred": 11, "failed": 2}
    assert not answer.document["rolled_back"]
    assert not_valid(master) == ORPHANED
    assert len(keys(master)) == 45
    assert contents(master) == data
    relations = {each["name"]: each for each in desk.report(answer)["relation_rows"]}
    failed = {name: each for name, each in relations.items() if each["fate"] == "failed"}
    assert failed.keys() == ORPHANED
    assert {row["id"] for each in failed.values() for row in each["sample"]} == {"lost1", "lost2", "lost3"}
    assert all(row in desk.file(answer, "report.md") for row in ("lost1", "lost2", "lost3"))
    # New orphans are stopped already.
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        execute(master, ORPHANS[1].replace("lost3", "lost4"))

    execute(
        master,
        "delete from punchlist_items where id like 'lost%'",
        "delete from workflow_stage_actions where id = 'lost3'",
    )
    again = desk.deploy()
    assert (again.exit_code, counts(again)) == (0, {"added": 2, "present": 43, "deferred": 11})
    assert all("VALIDATE CONSTRAINT" in each["sql"] for each in desk.events(again, "statement_done"))
    assert standing(master) == promised()


def external(desk: Desk, name: str, statement: str) -> str:
    """A backup command of the user's that acts on the database: it runs after the audit and before apply."""
    script = desk.folder / f"{name}.py"
    script.write_text(
        "import os, psycopg\n"
        'with psycopg.connect(os.environ["STAGING_URL"], autocommit=True) as connection:\n'
        f"    connection.execute({statement!r})\n"
        'print("restore point 1")\n'
    )
    return f"mode = \"external\"\ncommand = '''{sys.executable} {script}'''"


def test_orphans_that_appear_after_the_audit(desk: Desk, master: str) -> None:
    """A row that becomes an orphan between audit and apply fails its own relation and nothing else."""
    desk.environment("staging", master, backup=external(desk, "late", ORPHANS[1]))
    insert_base_rows(master)

    answer = desk.deploy()
    assert (answer.exit_code, answer.document["verdict"]) == (1, "NO-GO")
    assert counts(answer) == {"added": 43, "present": 1, "deferred": 11, "failed": 1}
    assert not answer.document["rolled_back"]
    assert not_valid(master) == {"fk_workflow_stage_actions_workflow_stage_id"}
    assert "lost3" in desk.file(answer, "report.md")


VETO = """
create function veto() returns event_trigger language plpgsql as $$
begin
  if current_query() like '%VALIDATE CONSTRAINT "fk_punchlists_workflow_instance_id"%' then
    raise exception 'vetoed';
  end if;
end $$;
create event trigger veto on ddl_command_end execute function veto()
"""


def test_a_failure_of_ours_is_walked_back(desk: Desk, staging: str) -> None:
    """What the plan could not foresee stops apply; everything that was added is dropped again."""
    insert_base_rows(staging)
    execute(staging, VETO)
    before = fingerprint(staging)

    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"], answer.document["rolled_back"]) == (1, "failed", True)
    assert "vetoed" in answer.document["reason"]
    assert desk.events(answer, "statement_done")
    assert fingerprint(staging) == before
    assert keys(staging).keys() == {"fk_config_versions_workspace_id"}
    assert counts(answer).get("added", 0) == 0

    execute(staging, "drop event trigger veto")
    assert counts(desk.deploy()) == ADDED


def test_a_failure_of_ours_stays_where_the_policy_says_never(desk: Desk, master: str) -> None:
    """With auto_rollback = never what took effect stays, is counted, and the named run can be walked back."""
    desk.environment("staging", master, policy='auto_rollback = "never"')
    before = fingerprint(master)

    earlier = desk.deploy(only=("critical",)).document["run"]
    assert desk.rollback(run=earlier).exit_code == 0
    execute(master, VETO)
    answer = desk.deploy()
    assert (answer.exit_code, answer.document["rolled_back"]) == (1, False)
    # What this run left is no change by others since the way back before it; and the statement is named.
    assert "changed since" not in desk.typed("status", "--env", "staging").stdout
    assert answer.document["reason"].startswith(("add:", "validate:"))
    assert len(keys(master)) == 45
    assert not_valid(master)

    back = desk.rollback(run=answer.document["run"])
    assert (back.exit_code, fingerprint(master)) == (0, before)


def test_a_name_taken_between_plan_and_apply(desk: Desk, master: str) -> None:
    """Somebody changed a table after the plan was made: refused before the first change, and told what changed."""
    theirs = "alter table punchlists add constraint fk_punchlists_workflow_instance_id check (status <> 'x')"
    desk.environment("staging", master, backup=external(desk, "taken", theirs))

    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    assert keys(master).keys() == {"fk_config_versions_workspace_id"}
    assert value(master, "select count(*) from pg_constraint where conname = 'fk_punchlists_workflow_instance_id'") == 1
    assert "fk_punchlists_workflow_instance_id" in answer.document["reason"]


def test_a_key_that_somebody_left_not_valid(desk: Desk, staging: str) -> None:
    """It is validated, not added twice; the way back returns it to NOT VALID."""
    execute(
        staging,
        "alter table punchlists add constraint theirs foreign key (workflow_instance_id)"
        " references workflow_instances (id) on delete restrict not valid",
    )
    before = fingerprint(staging)

    answer = desk.deploy()
    assert (answer.exit_code, counts(answer)) == (0, ADDED)
    done = [each["sql"] for each in desk.events(answer, "statement_done") if "theirs" in each["sql"]]
    assert len(done) == 1
    assert "VALIDATE CONSTRAINT" in done[0]
    assert standing(staging) == promised()

    assert desk.rollback().exit_code == 0
    assert fingerprint(staging) == before
    assert not_valid(staging) == {"theirs"}


def test_the_way_back_spares_what_others_made(desk: Desk, staging: str) -> None:
    """A key added by hand after the run stays, one of ours dropped by hand is passed over; both are told."""
    desk.deploy()
    execute(
        staging,
        "alter table punchlists drop constraint fk_punchlists_workflow_instance_id",
        "alter table config_versions add constraint mine"
        " foreign key (previous_version_id) references config_versions (id)",
    )
    back = desk.rollback()
    assert keys(staging).keys() == {"fk_config_versions_workspace_id", "mine"}
    assert (back.exit_code, any("mine" in line for line in back.document["differences"])) == (1, True)
    assert [each["relation"] for each in desk.events(back, "undo_passed_over")]


def test_only_critical(desk: Desk, staging: str) -> None:
    """The two critical relations are added, the rest is deferred and says why."""
    answer = desk.deploy(only=("critical",))
    assert (answer.exit_code, counts(answer)) == (0, {"added": 2, "deferred": 54})
    assert keys(staging).keys() == {
        "fk_config_versions_workspace_id",
        "fk_workflow_instances_workspace_id",
        "fk_workflow_instances_config_version_id",
    }
    reasons = [each["reason"] for each in desk.report(answer)["relation_rows"] if each["fate"] == "deferred"]
    assert reasons.count("not in this run (--only)") == 43


def test_only_some_tables(desk: Desk, staging: str) -> None:
    """The relations of the named tables, and a later run adds what is left."""
    wanted = [fact for fact in PROMISED if fact["table"] in {"punchlists", "punchlist_items"}]
    answer = desk.deploy(only=("punchlists", "public.punchlist_items"))
    assert (answer.exit_code, counts(answer)["added"]) == (0, len(wanted))
    rest = desk.deploy()
    assert counts(rest) == {"added": 44 - len(wanted), "present": 1 + len(wanted), "deferred": 11}
    assert standing(staging) == promised()


@pytest.mark.parametrize(("step", "taken"), [("preflight", 1), ("plan", 2), ("audit", 3)])
def test_until(desk: Desk, staging: str, step: str, taken: int) -> None:
    """The run stops after the named step, with nothing changed and the rest pending."""
    before = fingerprint(staging)
    answer = desk.deploy(until=step)
    found = list(states(answer).values())
    assert (answer.exit_code, found) == (0, ["done"] * taken + ["pending"] * (len(found) - taken))
    assert fingerprint(staging) == before
    assert desk.events(answer, "statement_done") == []


def quietly(url: str) -> tuple[Any, ...]:
    """What a change of any kind would move, once every other connection is gone and has told its statistics."""
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(others.encode()).fetchone() != (0,):
            connection.execute("select pg_stat_clear_snapshot()")
        row = connection.execute(
            "select tup_inserted, tup_updated, tup_deleted, pg_snapshot_xmax(pg_current_snapshot())::text"
            " from pg_stat_database where datname = current_database()"
        ).fetchone()
    assert row is not None
    return row


def test_a_dry_run_changes_nothing(
    desk: Desk, quiet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a row, not a definition, not a transaction id, not a file outside runs; every connection is read-only."""
    desk.environment("staging", quiet, backup='mode = "dump"')
    insert_base_rows(quiet)
    opened: list[str] = []
    connect = Server.connect

    def spied(self: Server, step: str, **options: Any) -> Connection:
        connection = connect(self, step, **options)
        row = connection.execute("show default_transaction_read_only").fetchone()
        assert row == {"default_transaction_read_only": "on"}, step
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create table public.written ()")
        opened.append(step)
        return connection

    monkeypatch.setattr(Server, "connect", spied)
    catalog, data, files = fingerprint(quiet), contents(quiet), tree(desk.folder, without=desk.runs)
    moved = quietly(quiet)

    answer = desk.deploy(dry_run=True, yes=False)
    assert quietly(quiet) == moved
    assert (answer.exit_code, answer.document["state"], answer.document["dry_run"]) == (0, "done", True)
    assert {"preflight", "plan", "audit"} <= set(opened)
    assert (fingerprint(quiet), contents(quiet)) == (catalog, data)
    assert tree(desk.folder, without=desk.runs) == files
    assert not has_ledger(quiet)
    shown = capsys.readouterr().out
    assert shown.count(" NOT VALID;") >= 44
    assert shown.count("VALIDATE CONSTRAINT") >= 44
    assert "SHARE ROW EXCLUSIVE" in shown
    assert counts(answer).get("added", 0) == 0


def test_a_dry_run_tells_what_would_refuse(desk: Desk, staging: str) -> None:
    """Orphans are known beforehand: the verdict is NO-GO, the exit code 2, and still nothing changed."""
    insert_base_rows(staging)
    execute(staging, *ORPHANS)
    answer = desk.deploy(dry_run=True)
    assert (answer.exit_code, answer.document["verdict"]) == (2, "NO-GO")
    assert finding(answer, "orphans")["status"] == "fail"
    assert not has_ledger(staging)


def test_the_journal_is_one_chain_in_two_places(desk: Desk, staging: str) -> None:
    """Each event's hash covers the one before, and the copy on disk says what the database says."""
    answer = desk.deploy()
    run = answer.document["run"]
    entries = desk.entries(answer)
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        assert (entry.seq, entry.previous) == (number, previous)
        previous = entry_hash(
            previous=previous,
            run=run,
            seq=entry.seq,
            at=entry.at,
            actor=entry.actor,
            kind=entry.kind,
            data=entry.data,
        )
        assert entry.hash == previous
    ledger = rows(
        staging,
        "select seq, at, actor, kind, data::text, previous, hash from orchestrator.event where run = %s order by seq",
        run,
    )
    assert ledger == [(e.seq, e.at, e.actor, e.kind, e.data, e.previous, e.hash) for e in entries]
    assert rows(staging, "select head_seq, head_hash from orchestrator.run where id = %s", run) == [
        (len(entries), previous)
    ]
    for statement in ("update orchestrator.event set actor = 'x'", "delete from orchestrator.event"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(staging, statement)


@pytest.mark.parametrize("orphans", [(), ORPHANS], ids=["validated", "left NOT VALID"])
def test_effect_and_record_commit_together(desk: Desk, master: str, orphans: tuple[str, ...]) -> None:
    """The transaction that last wrote a key's row is the one that wrote its event."""
    desk.environment("staging", master, policy='orphans = "leave_not_valid"')
    execute(master, *orphans)
    run = desk.deploy().document["run"]
    written: dict[str, str] = dict(
        rows(
            master,
            "select data ->> 'sql', xmin::text from orchestrator.event where run = %s and kind = 'statement_done'",
            run,
        )
    )
    found = rows(
        master,
        "select conname, convalidated, xmin::text from pg_constraint where contype = 'f'"
        " and connamespace = 'public'::regnamespace and conname <> 'fk_config_versions_workspace_id'",
    )
    assert len(found) == 44
    for name, valid, transaction in found:
        word = f'VALIDATE CONSTRAINT "{name}"' if valid else f'ADD CONSTRAINT "{name}"'
        (record,) = [other for text, other in written.items() if word in text]
        assert record == transaction, name


def test_the_reports_say_the_same_numbers(desk: Desk, staging: str) -> None:
    """HTML, Markdown and JSON lie beside the journal, and tell each of the 56 relations."""
    answer = desk.deploy()
    document, markdown, html = desk.report(answer), desk.file(answer, "report.md"), desk.file(answer, "report.html")
    assert (document["promised"], document["holding"], len(document["relation_rows"])) == (45, 45, 56)
    for text in (markdown, html):
        assert "45 of 45" in text
        assert all(each["name"] in text for each in document["relation_rows"])
    assert Path(answer.document["report"]) == desk.runs / answer.document["run"] / "report.html"


def test_through_the_door(desk: Desk, staging: str) -> None:
    """The same by `invoke`: exit codes, one JSON document on stdout, log lines on stderr."""
    dry = desk.invoke("deploy", "--env", "staging", "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert not has_ledger(staging)

    done = desk.invoke("deploy", "--env", "staging", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["state"]) == (0, "done")
    assert counts(Answer(document=document, exit_code=0)) == ADDED
    assert "error:" not in done.stderr
    assert {
        "run", "environment", "state", "verdict", "relations", "findings", "steps",
        "longest_lock_wait_ms", "rolled_back", "report",
    } <= document.keys()  # fmt: skip

    back = desk.invoke("rollback", "--env", "staging", "--run", document["run"])
    assert (back.returncode, back.stderr) == (0, "")
    assert keys(staging).keys() == {"fk_config_versions_workspace_id"}
