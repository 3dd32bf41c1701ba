"""An environment is left without a trace: the schema goes, every journal stays; all of it or nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from orchestrator.adapters import ledger
from orchestrator.adapters.postgres import statement
from orchestrator.adapters.programs import dump_installation
from orchestrator.app import leaving
from orchestrator.core.audit_objects import comment_of
from orchestrator.core.leaving import made_by
from tests import servers
from tests.acceptance import option_b, production
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, counts, execute, fingerprint, has_ledger, keys, rows, value
from tests.conftest import MATRIX, ClusterUrl


@pytest.fixture
def shop(desk: Desk, database: str) -> str:
    """Two relations that are not there yet, known to the desk as staging; the runbook's folder."""
    execute(database, *production.TABLES)
    desk.environment("staging", database)
    return desk.runbook(production.CONTRACT, "shop")


def ask(desk: Desk, *words: str, code: int = 0) -> dict[str, Any]:
    """`invoke ledger … --json`, which ends with that code; what it said."""
    done = desk.typed("ledger", "--env", "staging", "--json", *words)
    assert done.returncode == code, done.stderr + done.stdout
    return dict(json.loads(done.stdout))


def program(name: str, url: str, *options: str) -> str:
    """What a program of PostgreSQL 16 prints about a database."""
    tools, where = dump_installation(server_major=16, restore_major=16), conninfo_to_dict(url)
    words = [str(tools.program(name)), *(f"--{key}={where[key]}" for key in ("host", "port")), *options]
    words += [f"--username={where['user']}", f"--dbname={where['dbname']}"]
    environment = tools.environment() | {"PGPASSWORD": str(where["password"])}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def shape(url: str) -> str:
    """The schema as pg_dump writes it, but for its random token."""
    lines = program("pg_dump", url, "--schema-only").splitlines()
    return "\n".join(line for line in lines if "restrict " not in line)


def test_forward_back_and_forward_again(desk: Desk, shop: str, database: str) -> None:
    """After the way back nothing is lost, and nothing stays; a new deployment begins as on a fresh database."""
    before = shape(database), fingerprint(database)
    first = desk.deploy(runbook=shop)
    back = desk.rollback(runbook=shop)
    gone = ask(desk, "--uninstall")
    assert (gone["state"], gone["lost"], gone["copied"]) == ("uninstalled", [], [])
    assert sorted(gone["there"]) == sorted([first.document["run"], back.document["run"]])
    assert (shape(database), fingerprint(database)) == before
    assert ask(desk, "--uninstall")["state"] == "none"

    again = desk.deploy(runbook=shop)
    assert (again.exit_code, len(keys(database))) == (0, 2)
    # The runs of before are no sign that this database was set back.
    assert desk.events(again, "ledger_rewound") == []
    assert {each["run"] for each in desk.history()} >= {first.document["run"], again.document["run"]}


def test_keys_that_stand_need_a_yes_and_stay(desk: Desk, shop: str, database: str) -> None:
    """What is lost is said first; afterwards each task says what it still can."""
    run = desk.deploy(runbook=shop).document["run"]
    (lost,) = ask(desk)["lost"]
    assert (run in lost, "2 changes" in lost, "no rollback" in lost) == (True, True, True)
    assert lost in ask(desk, "--uninstall", code=2)["error"]
    assert has_ledger(database)
    journal = desk.runs / run / "journal.jsonl"
    whole = journal.read_bytes()
    # Half a copy, as on a disk that was full, and on another machine none at all: the ledger has the rest.
    journal.write_bytes(b"\n".join(whole.split(b"\n")[:5]) + b"\n")
    assert ask(desk, "--uninstall", "--yes")["copied"] == [run]
    assert (journal.read_bytes(), has_ledger(database), len(keys(database))) == (whole, False, 2)

    assert desk.status()["run"] == run
    told = desk.typed("status", "--env", "staging").stdout
    assert f"the ledger of run {run} was taken away" in told
    assert desk.typed("report", "--run", run, "--format", "md").returncode == 0
    checked = desk.typed("verify", "--env", "staging", "--run", run)
    assert (checked.returncode, "nothing is left to compare it with" in checked.stdout) == (1, True)
    refused = desk.typed("rollback", "--env", "staging", "--runbook", shop)
    assert (refused.returncode, "has no ledger" in refused.stderr) == (2, True)
    later = desk.deploy(runbook=shop)
    assert counts(later) == {"present": 2}


def install(url: str, *more: str) -> None:
    """The ledger as a first run makes it, without the run."""
    execute(url, *(statement(each).as_string(None) for each in ledger.VERSIONS), *more)


def test_an_open_run_keeps_it(desk: Desk, shop: str, database: str) -> None:
    """One that was killed before its first event can go on, too."""
    install(database, "insert into orchestrator.run (id, environment) values ('r', 'other')")
    assert ask(desk)["runs"] == {"interrupted": 1}
    error = ask(desk, "--uninstall", "--yes", code=2)["error"]
    assert ("run r is interrupted" in error, '--abandon "why"' in error) == (True, True)


@MATRIX
def test_an_interrupted_run_is_closed_first(desk: Desk, shop: str, database: str, stop_at: Stop) -> None:
    """Interrupted, then closed: what it added still has its way back there."""
    stop_at("effect:committed", 1)
    with pytest.raises(Stopped):
        desk.deploy(runbook=shop)
    assert "is interrupted" in ask(desk, "--uninstall", "--yes", code=2)["error"]
    desk.resume(abandon="not wanted", runbook=shop)
    desk.rollback(runbook=shop)
    assert ask(desk, "--uninstall")["state"] == "uninstalled"


POINTS = [pytest.param("ledger:copied", marks=MATRIX), "ledger:dropping", pytest.param("ledger:dropped", marks=MATRIX)]


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_the_middle(desk: Desk, shop: str, database: str, stop_at: Stop, point: str) -> None:
    """Before the COMMIT everything stands, after it nothing; once more finishes it."""
    run = desk.deploy(runbook=shop).document["run"]
    stop_at(point, 1)
    with pytest.raises(Stopped):
        desk.typed("ledger", "--env", "staging", "--uninstall", "--yes")
    stands = point != "ledger:dropped"
    assert has_ledger(database) is stands
    if stands:
        assert desk.verified(run) == (0, "whole")
    assert ask(desk, "--uninstall", "--yes")["state"] == ("uninstalled" if stands else "none")
    assert (has_ledger(database), desk.verified(run)) == (False, (1, "unknown"))


def test_what_others_made_is_not_taken_along(desk: Desk, shop: str, database: str) -> None:
    """A view over the journal, a table in the schema, and a transaction that reads it."""
    install(database)
    execute(database, "create view seen as select * from orchestrator.event", "create table orchestrator.own (id int)")
    error = ask(desk, "--uninstall", code=2)["error"]
    assert "table orchestrator.own" in error
    assert "seen" in error
    execute(database, "drop view seen", "drop table orchestrator.own")
    with psycopg.connect(database) as reader:
        reader.execute("select from orchestrator.event limit 1")
        error = ask(desk, "--uninstall", code=2)["error"]
        assert "in use by unnamed" in error
    assert ask(desk, "--uninstall")["state"] == "uninstalled"


def test_what_others_make_meanwhile_is_not_taken_along(
    desk: Desk, shop: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While journals are copied only writers wait: who makes a view of one then keeps it."""
    install(database)

    def meanwhile(_: object) -> tuple[str, ...]:
        execute(database, "create view seen as select * from orchestrator.event")
        return ()

    monkeypatch.setattr(leaving, "roles", meanwhile)
    error = ask(desk, "--uninstall", "--yes", code=2)["error"]
    assert ("seen" in error, "nothing was changed" in error, has_ledger(database)) == (True, True, True)
    assert rows(database, "select from seen") == []


def test_a_wrong_url_takes_nobodys_ledger(desk: Desk, shop: str, database: str) -> None:
    """A database that says it is another environment is left to that one, or adopted first."""
    desk.deploy(runbook=shop)
    desk.rollback(runbook=shop)
    desk.environment("other", database)
    refused = desk.typed("ledger", "--env", "other", "--uninstall", "--yes")
    assert (refused.returncode, "says that it is staging" in refused.stderr) == (2, True)
    assert has_ledger(database)
    desk.environment("staging", None)
    assert desk.typed("adopt", "--env", "other", "--reason", "a copy", "--yes").returncode == 0
    assert desk.typed("ledger", "--env", "other", "--uninstall", "--yes").returncode == 0
    assert not has_ledger(database)


def test_a_kept_copy_brings_everything_back(desk: Desk, shop: str, database: str) -> None:
    """The script that --keep-copy leaves: the ledger verifies again, and the way back is known again."""
    run = desk.deploy(runbook=shop).document["run"]
    copy = Path(ask(desk, "--uninstall", "--yes", "--keep-copy", str(desk.folder / "kept"))["copy"])
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    program("psql", database, "--quiet", "--set=ON_ERROR_STOP=1", f"--file={copy}")
    assert desk.verified(run) == (0, "whole")
    assert desk.rollback(runbook=shop).exit_code == 0
    assert keys(database) == {}


def test_option_b_goes_first(desk: Desk, shop: str, database: str) -> None:
    """Its objects are known by their comments; a schema of that name that somebody else made is theirs."""
    install(database, "create schema orphan_audit")
    assert ask(desk)["option_b"] == []
    execute(database, f"comment on schema orphan_audit is '{comment_of('history', 'x')}'")
    assert ask(desk)["option_b"] == ["schema orphan_audit"]
    assert "option B stands" in ask(desk, "--uninstall", "--yes", code=2)["error"]


@MATRIX
def test_option_b_and_its_way_back(desk: Desk, database: str) -> None:
    """A way back takes its objects away, and then the ledger may go."""
    made = option_b.Shop(desk=desk, url=database)
    made.open()
    assert desk.deploy(runbook=made.runbook).exit_code == 0
    assert "option B stands" in ask(desk, "--uninstall", "--yes", code=2)["error"]
    assert desk.rollback(runbook=made.runbook).exit_code == 0
    assert ask(desk, "--uninstall")["state"] == "uninstalled"


def test_rows_that_a_remediation_keeps_stay(desk: Desk, shop: str, database: str) -> None:
    """They belong to the application; a table of them that is empty is one more trace."""
    install(database, "create schema orchestrator_quarantine", "create table orchestrator_quarantine.o as select 1")
    assert "1 in orchestrator_quarantine.o" in ask(desk, "--uninstall", "--yes", code=2)["error"]
    execute(database, "delete from orchestrator_quarantine.o")
    assert ask(desk, "--uninstall")["state"] == "uninstalled"
    assert value(database, "select count(*) from pg_namespace where nspname like 'orchestrator%'") == 0


def test_a_broken_chain_is_evidence(desk: Desk, shop: str, database: str) -> None:
    """The only witness of a change by hand is not thrown away."""
    install(
        database,
        "insert into orchestrator.run (id, environment, head_seq, closed) values ('r', 'staging', 1, true)",
        "insert into orchestrator.event values ('r', 1, now(), 'a', 'run_finished', '{\"state\": \"done\"}', 'x', 'y')",
    )
    assert "only witness" in ask(desk, "--uninstall", "--yes", code=2)["error"]
    assert has_ledger(database)


def test_production_is_typed(desk: Desk, shop: str, database: str) -> None:
    """As for every change there; what only shows asks nothing."""
    install(database)
    desk.environment("staging", database, kind="production", backup='mode = "external"\ncommand = "echo point"')
    assert ask(desk)["version"] == ledger.VERSION
    assert "type staging" in ask(desk, "--uninstall", code=2)["error"]
    assert ask(desk, "--uninstall", "--yes")["state"] == "uninstalled"


def test_the_first_version_goes_too(desk: Desk, database: str) -> None:
    """Without leases, answers and marker: nothing of it is upgraded before it goes."""
    execute(database, statement("ledger_1").as_string(None))
    desk.environment("staging", database)
    assert [each["table"] for each in ask(desk)["tables"]] == ["event", "ledger", "run"]
    assert ask(desk, "--uninstall")["state"] == "uninstalled"
    execute(database, statement("ledger_1").as_string(None), "update orchestrator.ledger set version = 99")
    assert "use a newer one" in ask(desk, "--uninstall", "--yes", code=2)["error"]


def test_every_object_of_the_ledger_is_known_by_its_sql(database: str) -> None:
    """A version that makes something in other words would be taken for somebody else's."""
    texts = [statement(each).as_string(None) for each in ledger.VERSIONS]
    install(database)
    found = set(rows(database, statement("leaving_objects").as_string(None)))
    assert found
    assert found - made_by(texts) == set()
    assert value(database, "select count(*) from pg_namespace where nspname = 'orchestrator'") == 1


@MATRIX
def test_the_owner_of_the_ledger_leaves_and_nobody_else(desk: Desk, owner: str, master: str) -> None:
    """An ordinary role that deployed may; one that may not read the ledger cannot even look."""
    desk.environment("staging", owner)
    assert desk.deploy().exit_code == 0
    assert ask(desk, "--uninstall", "--yes", "--keep-copy", str(desk.folder / "kept"))["state"] == "uninstalled"
    install(master)
    assert "permission denied" in ask(desk, "--uninstall", "--yes", code=2)["error"]
    name = conninfo_to_dict(owner)["user"]
    tables = f"grant select on all tables in schema orchestrator to {name}"
    execute(master, f"grant usage on schema orchestrator to {name}", tables)
    assert "belongs to role postgres" in ask(desk, "--uninstall", "--yes", code=2)["error"]


@MATRIX
def test_a_copy_does_not_write_over_the_journals_of_its_original(
    desk: Desk, shop: str, database: str, cluster_url: ClusterUrl
) -> None:
    """Staging was made from another environment: that one's run was closed here, and goes on there."""
    run = desk.deploy(runbook=shop).document["run"]
    journal = desk.runs / run / "journal.jsonl"
    journal.write_bytes(whole := b"\n".join(journal.read_bytes().split(b"\n")[:-3]) + b"\n")
    copy = servers.fresh_database(cluster_url(16), servers.database_name(database))
    desk.environment("staging", None)
    desk.environment("other", copy)
    done = desk.typed("ledger", "--env", "other", "--uninstall", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["beside"]) == (0, [run])
    assert journal.read_bytes() == whole
    assert len((journal.parent / "ledger-other.jsonl").read_bytes()) > len(whole)
    # That the copy left tells nothing of the original, whose ledger is lost later.
    desk.environment("other", None)
    desk.environment("staging", database)
    execute(database, "drop schema orchestrator cascade")
    assert "taken away" not in desk.typed("verify", "--env", "staging", "--run", run).stdout
    servers.drop_database(copy)


@MATRIX
def test_a_lease_of_a_living_process_keeps_it(desk: Desk, shop: str, database: str) -> None:
    """Of whatever table, as long as it is good; somebody else's session lock, too."""
    install(
        database, "update orchestrator.lease set released = false, run = 'r', expires_at = now() + interval '1 hour'"
    )
    assert "run r from host" in ask(desk, "--uninstall", "--yes", code=2)["error"]
    execute(database, "update orchestrator.lease set released = true")
    with psycopg.connect(database) as other:
        other.execute(f"select pg_advisory_lock({ledger.RUN_LOCK})".encode())
        assert "another run is at work" in ask(desk, "--uninstall", "--yes", code=2)["error"]


@MATRIX
def test_a_watch_goes_with_its_journal(desk: Desk, shop: str, database: str) -> None:
    """Its tables are known by their columns alone; where its journal is not, it is copied."""
    desk.deploy(runbook=shop)
    watch = json.loads(desk.typed("monitor", "--env", "staging", "--runbook", shop, "--json").stdout)["run"]
    found = ask(desk)
    assert (found["watches"], [each for each in found["lost"] if f"watch {watch}" in each] != []) == ([watch], True)
    journal = desk.runs / watch / "journal.jsonl"
    whole = journal.read_bytes()
    journal.unlink()
    assert watch in ask(desk, "--uninstall", "--yes")["copied"]
    assert (journal.read_bytes(), has_ledger(database)) == (whole, False)
