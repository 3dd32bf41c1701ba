"""policy.create_missing_indexes: planned, shown, built, reported, walked back; and nothing of it without the policy."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

import psycopg
import pytest

from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.programs import dump_installation
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD
from tests import servers
from tests.acceptance.desk import Desk, counts, execute, finding, fingerprint, keys, rows, value
from tests.conftest import NEWEST, ClusterUrl
from tests.waiting import until

TABLES = """
create table parent (id int primary key);
create table child (id int primary key, parent_id int, "Other id" int);
create table parted (id int, parent_id int, day date) partition by range (day);
create table parted_old partition of parted for values from (minvalue) to ('2026-01-01');
create table parted_new partition of parted for values from ('2026-01-01') to (maxvalue);
create index on parted_old (parent_id);
insert into parent select generate_series(1, 5);
insert into child select i, i, i from generate_series(1, 5) i;
insert into parted select i, i, date '2025-12-30' + i from generate_series(1, 5) i;
"""
LINE = """
[[foreign_key]]
table = "{}"
columns = ["{}"]
references = {{ table = "parent", columns = ["id"] }}
"""
LINES = "".join(LINE.format(*each) for each in (("child", "parent_id"), ("child", "Other id"), ("parted", "parent_id")))
BUILT = ["ix_child_Other id", "ix_child_parent_id", "ix_parted_new_parent_id"]
POLICY = "create_missing_indexes = true"


@pytest.fixture(params=NEWEST)
def small(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[str]:
    """A database whose referencing columns mostly lack an index, on each version in turn."""
    url = servers.fresh_database(cluster_url(request.param))
    execute(url, TABLES)
    yield url
    servers.drop_database(url)


def built(url: str) -> list[str]:
    """The valid indexes that bear a name of ours."""
    query = (
        "select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid"
        " where c.relname like 'ix%%' and i.indisvalid order by c.relname collate \"C\""
    )
    return [name for (name,) in rows(url, query)]


def test_there_and_back_twice(desk: Desk, small: str) -> None:
    """Each index before its key, counted as a statement and not as a relation; the way back leaves what was before."""
    desk.environment("staging", small, policy=POLICY)
    runbook = desk.runbook(LINES)
    before = fingerprint(small)
    for _ in range(2):
        answer = desk.deploy(runbook=runbook)
        assert (answer.exit_code, counts(answer)) == (EXIT_DONE, {"added": 3})
        assert built(small) == BUILT
        done = [each["id"] for each in desk.events(answer, "statement_done")]
        assert len([each for each in done if each.startswith("index:")]) == len(BUILT)
        assert [each["id"] for each in desk.events(answer, "statement_intended")] == [
            each for each in done if each.startswith("index:")
        ]
        assert len(desk.report(answer)["statements"]) == len(done)
        assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")
        assert desk.validate(runbook=runbook).exit_code == EXIT_DONE
        assert desk.plan(runbook=runbook).document["statements"] == []
        back = desk.rollback(runbook=runbook)
        assert (back.exit_code, back.document["differences"]) == (EXIT_DONE, [])
        assert fingerprint(small) == before


def test_without_the_policy_nothing_changes(desk: Desk, small: str) -> None:
    """The same digest as ever, no index, and preflight says which columns lack one."""
    runbook = desk.runbook(LINES)
    desk.environment("staging", small)
    plain = desk.plan(runbook=runbook).document
    desk.environment("staging", small, policy=POLICY)
    asked = desk.plan(runbook=runbook).document
    desk.environment("staging", small, policy="create_missing_indexes = false")
    assert desk.plan(runbook=runbook).document == plain
    assert asked["digest"] != plain["digest"]
    assert [each["id"] for each in asked["statements"] if not each["id"].startswith("index:")] == [
        each["id"] for each in plain["statements"]
    ]
    assert not any("no index leads" in hazard for each in asked["statements"] for hazard in each["hazards"])
    lacking = finding(desk.preflight(runbook=runbook), "supporting-index")
    assert (lacking["status"], "public.parted_new(parent_id)" in lacking["observed"]) == ("fail", True)
    assert desk.deploy(runbook=runbook).exit_code == EXIT_DONE
    assert built(small) == []


def test_the_policy_is_acted_upon(desk: Desk, small: str) -> None:
    """Preflight does not list it any more among the settings that are not, and counts what is planned."""
    desk.environment("staging", small, policy=f"{POLICY}\nmonitor_rollback = true")
    answer = desk.preflight(runbook=desk.runbook(LINES))
    assert finding(answer, "settings-kept")["status"] == "pass"
    assert finding(answer, "supporting-index")["observed"] == "3 indexes are planned"


def test_the_right_to_create_is_asked_for(desk: Desk, small: str) -> None:
    """Who owns the tables may still lack CREATE in their schema; the statements for the DBA give it."""
    execute(
        small,
        "create role builder_of_test",
        "revoke create on schema public from public",
        *(f"alter table {name} owner to builder_of_test" for name in ("parent", "child", "parted", "parted_old")),
        "grant create on database {} to builder_of_test".format(value(small, "select quote_ident(current_database())")),
    )
    try:
        runbook = desk.runbook(LINE.format("child", "parent_id"))
        desk.environment("staging", small, policy=POLICY, more="")
        inventory = desk.inventory / "staging.toml"
        inventory.write_text(inventory.read_text("utf-8").replace("[policy]", 'role = "builder_of_test"\n[policy]'))
        found = finding(desk.preflight(runbook=runbook), "rights")
        assert (found["status"], found["observed"]) == ("fail", "CREATE in schema public (for an index)")
        said = desk.typed("preflight", "--env", "staging", "--runbook", runbook, "--grants")
        grant = next(line for line in said.stdout.splitlines() if "CREATE ON SCHEMA" in line)
        execute(small, grant)
        assert finding(desk.preflight(runbook=runbook), "rights")["status"] == "pass"
        assert desk.deploy(runbook=runbook).exit_code == EXIT_DONE
        assert built(small) == ["ix_child_parent_id"]
    finally:
        execute(small, "reassign owned by builder_of_test to current_user", "drop owned by builder_of_test")
        execute(small, "drop role builder_of_test")


def test_a_key_that_stands_gets_its_index_too(desk: Desk, small: str) -> None:
    """The relation stays present; the index is built all the same, and a dry run only shows it."""
    execute(small, "alter table child add constraint fk foreign key (parent_id) references parent (id)")
    desk.environment("staging", small, policy=POLICY)
    runbook = desk.runbook(LINE.format("child", "parent_id"))
    before = fingerprint(small)
    dry = desk.typed("deploy", "--env", "staging", "--runbook", runbook, "--dry-run")
    assert "CREATE INDEX CONCURRENTLY" in dry.stdout
    assert fingerprint(small) == before
    answer = desk.deploy(runbook=runbook)
    assert (answer.exit_code, counts(answer), built(small)) == (EXIT_DONE, {"present": 1}, ["ix_child_parent_id"])


def test_psql_can_run_the_script(desk: Desk, small: str) -> None:
    """The indexes stand outside of transactions there, and afterwards nothing is left to do."""
    desk.environment("staging", small, policy=POLICY)
    runbook = desk.runbook(LINES)
    script = desk.typed("plan", "--env", "staging", "--runbook", runbook, "--format", "sql").stdout
    major = int(value(small, "select current_setting('server_version_num')::int / 10000"))
    tools = dump_installation(server_major=major, restore_major=major)
    psql = [str(tools.program("psql")), "-X", "-q", "--dbname", small, "-f", "-"]
    done = subprocess.run(psql, input=script, env=tools.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert built(small) == BUILT
    assert desk.plan(runbook=runbook).document["statements"] == []


@pytest.mark.parametrize("then", ["resume", "rollback", "abandon and deploy"])
def test_a_run_that_was_held_in_the_middle(
    desk: Desk, small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], then: str
) -> None:
    """An invalid index stays when the run is interrupted; whatever is done next, it does not stay for good."""
    desk.environment("staging", small, policy=POLICY)
    runbook = desk.runbook(LINE.format("child", "parent_id"))
    before = fingerprint(small)
    with psycopg.connect(small) as old:
        old.execute("update child set id = id where id = 1")
        made: list[Interruption] = []
        original = Interruption.__init__

        def keep(self: Interruption, *given: object, **named: object) -> None:
            original(self, *given, **named)  # type: ignore[arg-type]
            made.append(self)

        monkeypatch.setattr(Interruption, "__init__", keep)
        asker = threading.Thread(target=ask_when_waiting, args=(small, made))
        asker.start()
        held = desk.deploy(runbook=runbook)
        asker.join()
        monkeypatch.undo()
        desk.environment("staging", small, policy=POLICY)
        old.rollback()
    assert (held.exit_code, built(small), keys(small)) == (EXIT_HELD, [], {})
    assert desk.status()["state"] == "held"
    assert "an index may stand that is not ready: index:public.child.ix_child_parent_id" in capsys.readouterr().out
    assert value(small, "select count(*) from pg_index where not indisvalid") == 1
    if then == "rollback":
        back = desk.rollback(runbook=runbook, run=held.document["run"])
        assert (back.exit_code, back.document["differences"]) == (EXIT_DONE, [])
        assert fingerprint(small) == before
        return
    if then == "resume":
        assert desk.resume(runbook=runbook).exit_code == EXIT_DONE
    else:
        desk.resume(runbook=runbook, abandon="a test")
        assert desk.deploy(runbook=runbook).exit_code == EXIT_DONE
    assert built(small) == ["ix_child_parent_id"]
    assert value(small, "select count(*) from pg_index where not indisvalid") == 0
    back = desk.rollback(runbook=runbook)
    assert (back.exit_code, back.document["differences"]) == (EXIT_DONE, [])
    assert fingerprint(small) == before


def ask_when_waiting(url: str, made: list[Interruption]) -> None:
    """Ask the run to stop once its build waits for somebody's transaction."""
    query = "select count(*) from pg_locks where not granted and locktype = 'virtualxid'"
    with psycopg.connect(url, autocommit=True) as look:
        until(lambda: look.execute(query).fetchone() != (0,))
    for each in made:
        each.ask("interrupted by a test")


def test_a_name_that_is_taken_is_told(desk: Desk, small: str) -> None:
    """Another table's index has the name: none is planned, the plan and preflight say why, and the key is added."""
    execute(small, "create index ix_child_parent_id on parent (id)")
    desk.environment("staging", small, policy=POLICY)
    runbook = desk.runbook(LINE.format("child", "parent_id"))
    plan = desk.plan(runbook=runbook).document
    told = "ix_child_parent_id is the name of an index of public.parent"
    assert [each["id"][:4] for each in plan["statements"]] == ["add:", "vali"]
    assert any(told in hazard for hazard in plan["statements"][0]["hazards"])
    assert told in finding(desk.preflight(runbook=runbook), "supporting-index")["observed"]
    assert desk.deploy(runbook=runbook).exit_code == EXIT_DONE


def test_a_failure_of_ours_takes_the_index_back(desk: Desk, small: str) -> None:
    """A key that the server refuses walks the run back by itself, the index with it."""
    desk.environment("staging", small, policy=POLICY)
    runbook = desk.runbook(LINE.format("child", "parent_id"))
    execute(
        small,
        """create function refuse() returns event_trigger language plpgsql as $$ begin
               if current_query() like '%fk_child_parent_id%' then raise exception 'not today'; end if; end $$;
           create event trigger refuse on ddl_command_end execute function refuse()""",
    )
    before = fingerprint(small)
    answer = desk.deploy(runbook=runbook)
    assert (answer.exit_code, answer.document["rolled_back"]) == (EXIT_FAILED, True)
    assert (built(small), fingerprint(small)) == ([], before)
