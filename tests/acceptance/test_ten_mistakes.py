"""The ten mistakes of doing it by hand, committed one by one: each is refused, or counted as what it is."""

from __future__ import annotations

import re
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.adapters.programs import server_installation
from orchestrator.adapters.runbooks import load_runbook
from orchestrator.app.answer import Answer
from orchestrator.core.outcome import OpenRun
from orchestrator.core.standard_roads import STANDARD_ROADS
from tests import servers
from tests.acceptance.conftest import Copy, Pool
from tests.acceptance.desk import (
    MASTER,
    ROOT,
    Desk,
    contents,
    contract_lines,
    counts,
    execute,
    finding,
    fingerprint,
    has_ledger,
    insert_base_rows,
    keys,
    rows,
    states,
    value,
    with_parameters,
)

BASE_KEY = {"fk_config_versions_workspace_id"}
EXTERNAL = 'mode = "external"\ncommand = "echo restore point 1"'


@contextmanager
def untouched(url: str, *, waits: bool = False) -> Iterator[None]:
    """Nothing changes inside the block: no key, no definition, no row; a ledger only for a run that `waits`."""
    before = (keys(url), fingerprint(url), contents(url), has_ledger(url) or waits)
    yield
    assert (keys(url), fingerprint(url), contents(url), has_ledger(url)) == before


def refused_for_identity(answer: Answer, other: str) -> None:
    """Exit 2 because another environment is this very database."""
    assert (answer.exit_code, answer.document["state"], answer.document["verdict"]) == (2, "refused", "NO-GO")
    found = finding(answer, "identity")
    assert (found["status"], found["severity"]) == ("fail", "critical")
    assert f"{other} are one database" in found["observed"]


# 1. Staging and production were one database.

NAMES: dict[str, Callable[[str], str]] = {
    "the same URL": lambda url: url,
    "another host name": lambda url: with_parameters(url, host="localhost"),
    "a name that leads to the same address": lambda url: with_parameters(
        url, host="db.prod.example", hostaddr="127.0.0.1"
    ),
    "other settings": lambda url: with_parameters(url, application_name="other", options="-c work_mem=8MB"),
}


@pytest.mark.parametrize("renamed", NAMES.values(), ids=NAMES.keys())
def test_1_staging_is_production(desk: Desk, staging: str, renamed: Callable[[str], str]) -> None:
    """However the one database is called, both sides refuse before anything is touched."""
    desk.environment("prod", renamed(staging), kind="production", backup=EXTERNAL)
    with untouched(staging):
        refused_for_identity(desk.deploy("staging"), "staging and prod")
        refused_for_identity(desk.deploy("prod"), "prod and staging")
        assert desk.preflight("staging").exit_code == 2
        assert desk.deploy("staging", dry_run=True).exit_code == 2


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_1_staging_is_production_behind_a_pooler(desk: Desk, staging: str, pool: Pool, mode: str) -> None:
    """Another port and another program in between: the lock is seen all the same."""
    desk.environment("prod", pool(staging, mode=mode).url, kind="production", backup=EXTERNAL)
    with untouched(staging):
        refused_for_identity(desk.deploy("staging"), "staging and prod")


def test_1_two_databases_of_one_server_are_two_databases(desk: Desk, staging: str) -> None:
    """One system identifier is no proof: the deployment goes on, and the kinship is told."""
    other = servers.fresh_database(staging)
    try:
        desk.environment("prod", other, kind="production", backup=EXTERNAL)
        answer = desk.deploy("staging")
        assert answer.exit_code == 0
        assert finding(answer, "identity")["status"] == "pass"
        assert "prod is another database of this server" in finding(answer, "identity")["observed"]
        assert not has_ledger(other)
    finally:
        servers.drop_database(other)


def test_1_a_physical_copy_of_production_is_a_staging(desk: Desk, master: str, physical: Copy) -> None:
    """The copy has production's identifier and is another database: allowed, and reported as what it is."""
    copy = physical(standby=False).url(servers.database_name(master))
    identifier = "select system_identifier from pg_control_system()"
    assert value(copy, identifier) == value(master, identifier)
    desk.environment("staging", copy)
    desk.environment("prod", master, kind="production", backup=EXTERNAL)
    with untouched(master):
        answer = desk.deploy("staging")
    assert answer.exit_code == 0
    found = finding(answer, "identity")
    assert (found["status"], "prod is a physical copy" in found["observed"]) == ("pass", True)
    assert len(keys(copy)) == 45


def test_1_an_environment_that_cannot_be_compared_is_told(desk: Desk, staging: str) -> None:
    """Production's URL is not known here: that is said, never passed off as different."""
    desk.environment("prod", None, kind="production", backup=EXTERNAL)
    answer = desk.deploy("staging", until="preflight")
    found = finding(answer, "identity-compared")
    assert (found["status"], "prod" in found["observed"]) == ("unknown", True)


# 2. Keys were skipped in silence because their columns did not exist.


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('columns = ["decided_by"]', 'columns = ["decider_id"]'),
        ('table = "punchlist_items"', 'table = "punchlist_lines"'),
        (
            'references = { table = "punchlists", columns = ["id"] }',
            'references = { table = "punchlists", columns = ["no"] }',
        ),
    ],
    ids=["column", "table", "referenced column"],
)
def test_2_a_line_that_cannot_be_kept(desk: Desk, staging: str, was: str, becomes: str) -> None:
    """It is impossible, it counts as failed, the verdict is NO-GO, and nothing at all is added."""
    text = "".join(contract_lines())
    assert text.count(was) == 1
    runbook = desk.runbook(text.replace(was, becomes))

    plan = desk.plan(runbook=runbook)
    impossible = [each for each in plan.document["relations"] if each["status"] == "impossible"]
    assert (plan.exit_code, len(impossible)) == (1, 1)
    assert impossible[0]["reason"]

    with untouched(staging):
        answer = desk.deploy(runbook=runbook)
    assert (answer.exit_code, answer.document["verdict"]) == (2, "NO-GO")
    assert finding(answer, "tables-and-columns")["status"] == "fail"
    assert answer.document["relations"]["failed"] == 1


def test_2_three_skipped_keys_are_three_failures(desk: Desk, staging: str) -> None:
    """Three columns are gone: 42 possible keys do not make a success, and each lost one is named."""
    for table, column in (
        ("workflow_stages", "decided_by"),
        ("punchlists", "workflow_instance_id"),
        ("punchlist_items", "punchlist_id"),
    ):
        execute(staging, f"alter table {table} drop column {column}")
    with untouched(staging):
        answer = desk.deploy()
    assert (answer.exit_code, answer.document["verdict"]) == (2, "NO-GO")
    observed = finding(answer, "tables-and-columns")["observed"]
    assert all(word in observed for word in ("decided_by", "workflow_instance_id", "punchlist_id"))
    assert answer.document["relations"]["failed"] == 3


# 3. The keys of the whole database were counted.


def test_3_counts_are_of_the_contract(desk: Desk, staging: str) -> None:
    """Thirty keys that nobody promised change no number."""
    execute(staging, "create table other (id int primary key)")
    for number in range(30):
        execute(staging, f"create table other_{number} (id int references other, site_id text)")
    answer = desk.deploy()
    assert counts(answer) == {"added": 44, "present": 1, "deferred": 11}
    report = desk.report(answer)
    assert (report["promised"], report["holding"], len(report["relation_rows"])) == (45, 45, 56)
    assert finding(answer, "C1.foreign-keys")["observed"] == "45 of 45 stand"
    assert len(keys(staging)) == 75
    assert "75" not in finding(answer, "contract")["observed"]


def test_3_other_keys_do_not_stand_in_for_missing_ones(desk: Desk, staging: str) -> None:
    """Fifty keys of other tables are there and one promised is not: validate says 44 of 45 and fails."""
    assert desk.deploy().exit_code == 0
    execute(staging, "create table other (id int primary key)")
    for number in range(50):
        execute(staging, f"create table other_{number} (id int references other)")
    execute(staging, "alter table punchlist_items drop constraint fk_punchlist_items_punchlist_id")
    answer = desk.validate()
    assert (answer.exit_code, answer.document["verdict"]) == (1, "NO-GO")
    found = finding(answer, "C1.foreign-keys")
    assert (found["status"], "public.punchlist_items(punchlist_id)" in found["observed"]) == ("fail", True)


# 4. "21 of 22 checks: acceptable" was decided by whoever typed the report.

INVALID_INDEX = (
    "insert into users (id, email, name, updated_at) values ('a', 'a', 'same', now()), ('b', 'b', 'same', now())",
    "create unique index concurrently broken on users (name)",
)
PUBLISHED = (
    "create publication told for table users",
    "select pg_create_logical_replication_slot('slot_of_' || current_database(), 'pgoutput')",
)


@contextmanager
def important(url: str, number: int) -> Iterator[str]:
    """That many important findings on a production database; gives back its URL."""
    if number > 0:
        execute(url, INVALID_INDEX[0])
        with pytest.raises(psycopg.errors.UniqueViolation):
            execute(url, INVALID_INDEX[1])
    if number > 1:
        execute(url, *PUBLISHED)
    try:
        # The name is no loopback, so that production asks for a certificate.
        yield with_parameters(url, host="db.example", hostaddr="127.0.0.1") if number > 2 else url
    finally:
        if number > 1:
            execute(url, "select pg_drop_replication_slot('slot_of_' || current_database())")


@pytest.mark.parametrize(
    ("number", "verdict", "exit_code"), [(0, "GO", 0), (1, "HOLD", 3), (2, "HOLD", 3), (3, "NO-GO", 2)]
)
def test_4_important_findings_are_counted_by_rule(
    desk: Desk, quiet: str, number: int, verdict: str, exit_code: int
) -> None:
    """None: GO. One or two: HOLD. Three: NO-GO. On real findings, and nobody is asked for an opinion."""
    with important(quiet, number) as url, untouched(quiet, waits=verdict == "HOLD"):
        desk.environment("prod", url, kind="production", backup=EXTERNAL)
        preflight = desk.preflight("prod")
        failing = [
            each["id"]
            for each in preflight.document["findings"]
            if each["severity"] == "important" and each["status"] == "fail"
        ]
        assert (
            set(failing) == {"invalid-indexes", "logical-replication", "encryption"}
            if number == 3
            else len(failing) == number
        )
        assert (preflight.document["verdict"], preflight.exit_code) == (verdict, exit_code)
        assert len(preflight.document["reasons"]) == number
        if number:
            answer = desk.deploy("prod")
            assert (answer.document["verdict"], answer.exit_code) == (verdict, exit_code)
            assert answer.document["state"] == ("held" if verdict == "HOLD" else "refused")


VETOES_NOTHING = """
create function nothing() returns event_trigger language plpgsql as $$ begin end $$;
create event trigger nothing on ddl_command_end execute function nothing()
"""


def test_4_one_critical_finding_is_enough(desk: Desk, staging: str) -> None:
    """21 of 22 is NO-GO when the one is critical; optional findings weigh nothing."""
    execute(staging, "drop index ix_punchlists_workflow_instance_id", VETOES_NOTHING, "create table noted (a_id int)")
    with untouched(staging):
        preflight = desk.preflight()
    assert sum(each["status"] != "pass" for each in preflight.document["findings"]) >= 3
    assert (preflight.exit_code, preflight.document["verdict"]) == (0, "GO")
    execute(staging, "alter table config_versions disable trigger all")
    with untouched(staging):
        answer = desk.deploy()
    assert (answer.exit_code, answer.document["verdict"]) == (2, "NO-GO")
    assert finding(answer, "enforced")["status"] == "fail"


# 5. Two documents used the labels A and B with opposite meanings.

SHOWN = ("orchestrator", "runbooks", "templates", "inventory", "docs")
DEFINITION = re.compile(
    r"""(?i:\b(?:option|road|strategy)\s+)[AB]\b["*`]*\s*(?:[:=\u2014\u2013-]|is\b|means\b|\()|["'][AB]["']\s*[:=]"""
)


def test_5_the_labels_have_one_meaning_in_one_place() -> None:
    """The runbook's roads say what A and B are; a runbook of one file has the same two, and no other file says it."""
    roads = load_runbook("master_tables", root=ROOT / "runbooks").runbook.roads
    assert {label: road.title for label, road in roads.items()} == {
        "A": "Add the missing foreign keys",
        "B": "Keep the single key and validate in the application",
    }
    files = [
        path
        for name in SHOWN
        for path in (ROOT / name).rglob("*")
        if path.suffix in {".py", ".md", ".j2", ".toml", ".sql"}
    ]
    files += [path for path in ROOT.glob("*") if path.suffix in {".py", ".md"}]
    defining = {
        str(path.relative_to(ROOT))
        for path in files
        if any(DEFINITION.search(line) for line in path.read_text("utf-8").splitlines())
    }
    assert defining == {"runbooks/master_tables/runbook.py", "orchestrator/core/standard_roads.py"}
    meanings = [
        {label: (road.keys, road.risk, road.days) for label, road in each.items()} for each in (roads, STANDARD_ROADS)
    ]
    assert meanings[0] == meanings[1]


# 6. SQL scripts carried placeholders that were filled in by hand.


def test_6_no_sql_has_a_placeholder() -> None:
    """No `<WS_ID>`, no psql variable, no template mark in any SQL that is shipped."""
    placeholder = re.compile(
        r"<\s*[A-Z][A-Za-z0-9_ ]*\s*>|\{\{|(?<![:\w]):'?[a-z_]+'?|\$\{|%\(|\bTODO\b|\bCHANGE_?ME\b"
    )
    found = {}
    for path in sorted((ROOT / "runbooks").rglob("*.sql")):
        text = re.sub(r"--[^\n]*", "", path.read_text("utf-8"))
        if marks := placeholder.findall(text):
            found[path.name] = marks
    assert found == {}


def test_6_checks_run_as_they_are(desk: Desk, staging: str) -> None:
    """Every file of checks/ is asked by validate, unchanged, and each finds out what it asks for."""
    insert_base_rows(staging)
    desk.deploy()
    answer = desk.validate()
    ids = {
        re.findall(r"^-- id: (.+)$", path.read_text("utf-8"), re.MULTILINE)[0]
        for path in (MASTER / "checks").glob("*.sql")
    }
    found = {each["id"]: each["status"] for each in answer.document["findings"]}
    assert len(ids) >= 10
    assert {name: found[name] for name in ids} == dict.fromkeys(ids, "pass")
    assert (answer.exit_code, answer.document["verdict"]) == (0, "GO")


def test_6_the_plan_is_a_script_that_runs_as_it_is(desk: Desk, staging: str) -> None:
    """A psql takes `plan --format sql` without a hand in between, and the result is what deploy makes."""
    shown = desk.invoke("plan", "--env", "staging", "--format", "sql")
    assert (shown.returncode, shown.stderr) == (0, "")
    script = desk.folder / "plan.sql"
    script.write_text(shown.stdout, encoding="utf-8")
    installation = server_installation(16)
    command: list[str | Path] = [installation.program("psql"), "-X", "-v", "ON_ERROR_STOP=1"]
    command += ["-f", script, "-d", staging]
    done = subprocess.run(command, env=installation.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    by_hand = keys(staging)
    answer = desk.deploy()
    assert (answer.exit_code, counts(answer)) == (0, {"present": 45, "deferred": 11})
    assert keys(staging) == by_hand


# 7. The backup was a dump that nobody restored.

UNRESTORABLE = (
    "create function many_sites(text) returns boolean language sql as 'select count(*) >= 0 from sites'",
    "alter table sites add constraint ck_sites check (many_sites(id))",
)
"""pg_dump succeeds; the restore, whose search_path is empty, does not."""


def test_7_a_dump_that_cannot_be_restored_is_no_backup(desk: Desk, master: str) -> None:
    """pg_dump went well and `ls -lh` would be content: the restore fails, and the deployment stops before apply."""
    desk.environment("staging", master, backup='mode = "dump"')
    insert_base_rows(master)
    execute(master, *UNRESTORABLE)
    before, data = fingerprint(master), contents(master)
    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"], states(answer)["backup"]) == (2, "refused", "failed")
    assert states(answer)["apply"] == "pending"
    assert (fingerprint(master), contents(master)) == (before, data)
    assert desk.events(answer, "backup_proved") == []
    assert desk.report(answer)["backup"] is None
    assert desk.invoke("backup", "--env", "staging").returncode == 1


def test_7_without_a_place_to_restore_there_is_no_backup(desk: Desk, owner: str, master: str) -> None:
    """The role may not create the scratch database: the deployment stops, and says what is missing."""
    desk.environment("staging", owner, backup='mode = "dump"')
    before = fingerprint(master)
    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    assert fingerprint(master) == before
    assert keys(master).keys() == BASE_KEY
    assert "create" in answer.document["reason"].lower()
    desk.environment("staging", owner)
    assert desk.deploy().exit_code == 0


def test_7_an_external_command_must_name_its_restore_point(desk: Desk, master: str) -> None:
    """A command that prints nothing, or fails, is no backup."""
    for command in ("true", "echo restore point; exit 3"):
        desk.environment("staging", master, backup=f'mode = "external"\ncommand = "{command}"')
        before = fingerprint(master)
        answer = desk.deploy()
        assert (answer.exit_code, states(answer)["backup"]) == (2, "failed")
        assert (fingerprint(master), set(keys(master))) == (before, BASE_KEY)


def test_7_a_proved_backup_is_on_record(desk: Desk, master: str) -> None:
    """Restored and compared in full: proof, manifest and restore command are in the journal and the report."""
    desk.environment("staging", master, backup='mode = "dump"')
    insert_base_rows(master)
    inside = {name: found[0] for name, found in contents(master).items()}
    answer = desk.deploy()
    assert answer.exit_code == 0
    (proved,) = desk.events(answer, "backup_proved")
    assert (proved["tables"], proved["rows"]) == (len(inside), sum(inside.values()))
    path = Path(proved["path"])
    assert path.is_dir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert "pg_restore" in proved["restore"]
    assert proved["restore"] in desk.file(answer, "report.md")
    assert rows(master, "select datname from pg_database where datname like '%scratch%'") == []


# 8. "Ten concurrent inserts" ran one after another; numbers were estimated.


def until_written(folder: Path, word: str) -> None:
    """Return when a journal below the folder holds the word."""
    deadline = time.monotonic() + 60
    while not any(word in path.read_text("utf-8") for path in folder.glob("*/journal.jsonl")):
        assert time.monotonic() < deadline, f"no {word} in {folder}"
        threading.Event().wait(0.01)


def test_8_waiting_is_measured(desk: Desk, staging: str) -> None:
    """Somebody is in the way, and somebody waits behind us: both are on record, the wait as the waiting one felt it."""
    # While the key is added a writer has the time to queue behind it; on the server, so that no clock of ours decides.
    execute(
        staging,
        """create function dawdle() returns event_trigger language plpgsql as $$ begin
           if exists (select from pg_event_trigger_ddl_commands() where object_identity like '%punchlist%') then
               perform pg_sleep(0.03); end if; end $$""",
        "create event trigger dawdle on ddl_command_end when tag in ('ALTER TABLE') execute function dawdle()",
    )
    felt: list[float] = []
    over = threading.Event()

    def write() -> None:
        with psycopg.connect(staging, autocommit=True) as writer:
            while not over.is_set():
                began = time.perf_counter()
                writer.execute("update public.punchlists set id = id where id = 'nobody'")
                felt.append((time.perf_counter() - began) * 1000)

    blocker = psycopg.connect(staging, application_name="a busy application")
    blocker.execute("lock table punchlists in row exclusive mode")

    def release() -> None:
        until_written(desk.runs, "statement_postponed")
        blocker.rollback()

    helpers = [threading.Thread(target=each) for each in (release, write)]
    for each in helpers:
        each.start()
    answer = desk.deploy()
    over.set()
    for each in helpers:
        each.join()
    blocker.close()
    assert answer.exit_code == 0
    postponed = desk.events(answer, "statement_postponed")
    assert "a busy application" in postponed[0]["blocker"]
    done = {each["id"]: each for each in desk.events(answer, "statement_done")}
    assert postponed[0]["statement"] in done
    assert all(each["duration_ms"] > 0 for each in done.values())
    waited = [each["waited_ms"] for each in done.values()]
    waited += [each["waited_ms"] for each in desk.events(answer, "lock_attempt_failed")]
    assert 0 < max(waited) <= max(felt)
    assert answer.document["longest_lock_wait_ms"] == round(max(waited), 1)


def test_8_a_lock_that_is_never_granted_holds_the_run(desk: Desk, master: str) -> None:
    """Beyond the time allowed the run is held, with what took effect on record, and resume does the rest."""
    desk.environment("staging", master, policy="give_up_after_s = 1")
    with psycopg.connect(master) as blocker:
        blocker.execute("lock table punchlists in row exclusive mode")
        answer = desk.deploy()
        blocker.rollback()
    assert (answer.exit_code, answer.document["state"]) == (3, "held")
    added = {each["id"] for each in desk.events(answer, "statement_done") if each["id"].startswith("add:")}
    # What does not touch the blocked table is done meanwhile; the three keys that do are not asked for.
    assert len(keys(master)) == 1 + len(added) == 43
    assert not any("punchlists" in each["blocker"] for each in desk.events(answer, "lock_attempt_failed"))
    with pytest.raises(OpenRun, match="invoke resume"):
        desk.deploy()
    assert desk.resume().exit_code == 0
    assert len(keys(master)) == 45


# 9. The validation scripts left their rows in staging.


def test_9_validation_leaves_no_row_behind(desk: Desk, staging: str) -> None:
    """Checks that write are asked, and afterwards every row of every table is what it was."""
    insert_base_rows(staging)
    desk.deploy()
    before = contents(staging)
    answer = desk.validate()
    assert contents(staging) == before
    behavioural = {
        re.findall(r"^-- id: (.+)$", text, re.MULTILINE)[0]
        for path in (MASTER / "checks").glob("*.sql")
        if "-- kind: behavioural" in (text := path.read_text("utf-8"))
    }
    assert len(behavioural) >= 4
    asked = {each["id"]: each["observed"] for each in answer.document["findings"] if each["id"] in behavioural}
    assert asked.keys() == behavioural
    assert not [text for text in asked.values() if text.startswith("not asked")]


def test_9_a_check_that_breaks_off_leaves_no_row_behind(desk: Desk, staging: str) -> None:
    """Half-way through a check meets a trigger that refuses: what it wrote is gone too, and that is a finding."""
    insert_base_rows(staging)
    desk.deploy()
    execute(
        staging,
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$",
        "create trigger refuse before insert on workflow_stages execute function refuse()",
    )
    before = contents(staging)
    answer = desk.validate()
    assert contents(staging) == before
    assert (answer.exit_code, answer.document["verdict"]) == (1, "NO-GO")
    assert any("not today" in each["observed"] for each in answer.document["findings"])


def test_9_production_is_not_written_to(desk: Desk, master: str) -> None:
    """In production checks that write are not asked, and say so."""
    desk.environment("prod", master, kind="production", backup=EXTERNAL)
    insert_base_rows(master)
    answer = desk.validate("prod")
    told = {each["id"]: each["observed"] for each in answer.document["findings"]}
    assert "not asked" in told["C3.lifecycle"]


# 10. "Monitor for 24 hours" was a list of unticked boxes.


def told(desk: Desk) -> list[tuple[str, str]]:
    """Task and state of each run, as history tells them."""
    return [(each["task"], each["state"]) for each in desk.history()]


def test_10_history_is_what_happened(desk: Desk, master: str) -> None:
    """Refused, held, done and walked back: each state comes from the run's own events."""
    desk.environment("staging", master, policy="give_up_after_s = 1")
    execute(master, "alter table config_versions disable trigger all")
    assert desk.deploy().exit_code == 2
    assert desk.status()["state"] == "refused"
    execute(master, "alter table config_versions enable trigger all")
    with psycopg.connect(master) as blocker:
        blocker.execute("lock table punchlists in row exclusive mode")
        assert desk.deploy().exit_code == 3
        blocker.rollback()
    assert desk.status()["state"] == "held"
    assert desk.resume(abandon="the test begins anew").exit_code == 0
    assert desk.deploy().exit_code == 0
    assert desk.rollback().exit_code == 0
    assert told(desk) == [("deploy", "refused"), ("deploy", "abandoned"), ("deploy", "done"), ("rollback", "done")]


def test_10_nothing_is_ticked_by_hand(desk: Desk, staging: str) -> None:
    """The journal takes no correction; another text in a report or in the copy on disk changes no state."""
    answer = desk.deploy()
    run: str = answer.document["run"]
    for name in ("report.json", "report.md"):
        path = desk.runs / run / name
        path.write_text(path.read_text("utf-8").replace("done", "failed"), encoding="utf-8")
    copy = desk.runs / run / "journal.jsonl"
    copy.write_text(
        copy.read_text("utf-8").replace('\\"state\\":\\"done\\"', '\\"state\\":\\"failed\\"'), encoding="utf-8"
    )
    assert desk.status()["state"] == "done"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(staging, "update orchestrator.event set data = '{}' where kind = 'run_finished'")
    assert desk.status()["state"] == "done"


def test_10_a_step_that_was_not_taken_is_pending(desk: Desk, staging: str) -> None:
    """No step is done because a list says so: what a run did not reach stays pending."""
    answer = desk.deploy(until="audit")
    found: dict[str, Any] = states(answer)
    assert {name for name, state in found.items() if state == "done"} == {"preflight", "plan", "audit"}
    assert {name for name, state in found.items() if state == "pending"} == {
        "gates",
        "approval",
        "backup",
        "apply",
        "validate",
    }


def test_10_a_run_without_an_end_is_not_done(desk: Desk, staging: str) -> None:
    """The program died: its journal has no last event, so no reader calls the run done."""
    answer = desk.deploy(until="preflight", dry_run=True)
    path = desk.runs / answer.document["run"] / "journal.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "run_finished" not in line), encoding="utf-8")
    assert desk.status()["state"] in {"running", "interrupted"}
