"""The runbook's own checks: asked one by one, always rolled back, and never a pass by accident."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.postgres import Server
from orchestrator.adapters.runbooks import SuiteCheck, load_runbook
from orchestrator.adapters.suite import CheckSuite
from orchestrator.core.checks import Finding, FindingStatus
from orchestrator.core.outcome import ConnectionLost
from tests import servers
from tests.conftest import server_of

ROOT = Path(__file__).parents[2] / "runbooks"
TABLE = "create table t (id int primary key); insert into t values (1), (2)"
WELL = "select true as passed, 'fine' as observed"


def check(sql: str, **changes: object) -> SuiteCheck:
    """A structural check with that SQL, and what a test changes."""
    values = {
        "id": "C9.sample",
        "title": "Is it so?",
        "severity": "critical",
        "kind": "structural",
        "expected": "so",
        "remedy": "think again",
        **changes,
    }
    return SuiteCheck(sql=sql, **values)  # type: ignore[arg-type]


def behavioural(sql: str, **changes: object) -> SuiteCheck:
    """A check that may write."""
    return check(sql, kind="behavioural", **changes)


def run(server: Server, *checks: SuiteCheck, allowed: bool = True, all_keys: bool = True) -> tuple[Finding, ...]:
    """The findings of these checks."""
    suite = CheckSuite(server=server, checks=checks, lock_timeout_ms=100)
    return suite.run(behavioural=allowed, all_keys=all_keys)


def count(url: str) -> int:
    """The rows of t."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from t").fetchone()
    assert row
    return int(row[0])


@pytest.fixture
def table(database: str) -> str:
    """A database with a table of two rows."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLE)
    return database


def test_a_check_that_holds(server: Server) -> None:
    """Passed, with what was observed and no advice."""
    assert run(server, check(WELL)) == (
        Finding(
            id="C9.sample",
            title="Is it so?",
            severity="critical",
            status="pass",
            observed="fine",
            expected="so",
        ),
    )


def test_a_check_that_does_not_hold(server: Server) -> None:
    """Failed, with advice; the data is to blame only where the check says so."""
    sql = "select false as passed, '3 rows' as observed"
    ours, theirs = run(server, check(sql), check(sql, blames_data=True))
    assert (ours.status, ours.observed, ours.remedy) == ("fail", "3 rows", "think again")
    assert (ours.caused_by_data, theirs.caused_by_data) == (False, True)


def test_a_check_that_passes_blames_nobody(server: Server) -> None:
    """Blame belongs to a failure."""
    assert not run(server, check(WELL, blames_data=True))[0].caused_by_data


def test_several_statements_end_with_the_answer(server: Server, table: str) -> None:
    """Only the last result counts; the statements before it are seen by it."""
    sql = (
        "insert into t values (3); select 7 as other; select count(*) = 3 as passed, count(*)::text as observed from t"
    )
    finding = run(server, behavioural(sql))[0]
    assert (finding.status, finding.observed) == ("pass", "3")
    assert count(table) == 2


def test_a_block_may_hand_its_answer_on(server: Server, table: str) -> None:
    """A DO block that catches errors, as the shipped checks do."""
    sql = """
    do $$ declare refused boolean := false; begin
        begin insert into t values (1); exception when unique_violation then refused := true; end;
        perform set_config('check.refused', refused::text, true);
    end $$;
    select current_setting('check.refused')::boolean as passed, '100 % refused' as observed;
    """
    finding = run(server, behavioural(sql))[0]
    assert (finding.status, finding.observed) == ("pass", "100 % refused")


WRONG = (
    ("select 1 as something", "does not end with one row (passed, observed)"),
    ("select true as passed", "does not end with one row (passed, observed)"),
    ("select true as passed, 'x' as observed where false", "row"),
    ("select true as passed, 'x' as observed union all select false, 'y'", "one row"),
    ("select null::boolean as passed, 'x' as observed", "passed"),
    ("select 'false' as passed, 'x' as observed", "passed"),
    ("select 2 as passed, 'x' as observed", "passed"),
    (f"{WELL}; create temp table x (a int)", ""),
    (f"{WELL}; do $$ begin end $$", ""),
    ("", ""),
    ("-- nothing", ""),
)


@pytest.mark.parametrize(("sql", "told"), WRONG, ids=[case[0] for case in WRONG])
def test_an_answer_of_the_wrong_shape_is_unknown(server: Server, sql: str, told: str) -> None:
    """Neither a pass nor a fail: no row, two rows, other columns, something that is no truth value."""
    finding = run(server, behavioural(sql))[0]
    assert finding.status == "unknown"
    assert told in finding.observed
    assert "\n" not in finding.observed
    assert finding.counts_against


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select * from nowhere", 'relation "nowhere" does not exist'),
        ("select 1 / 0 = 1 as passed, 'x' as observed", "division by zero"),
        ("selekt", 'syntax error at or near "selekt"'),
        ("do $$ begin raise exception 'two%lines', chr(10); end $$", "two"),
        ("select $1 as passed, 'x' as observed", "parameter"),
    ],
)
def test_a_check_that_errs_is_unknown(server: Server, sql: str, told: str) -> None:
    """With the server's own words, on one line; the checks after it are asked all the same."""
    finding, following = run(server, check(sql), check(WELL))
    assert finding.status == "unknown"
    assert finding.observed.startswith("could not be found out: ")
    assert told in finding.observed
    assert "\n" not in finding.observed
    assert following.status == "pass"


@pytest.mark.parametrize("sql", ["insert into t values (3)", "create table u (a int)", "truncate t", "drop table t"])
def test_a_structural_check_cannot_write(server: Server, table: str, sql: str) -> None:
    """It runs on a read-only connection: what writes is refused by the server and stays unknown."""
    finding = run(server, check(f"{sql}; {WELL}"))[0]
    assert finding.status == "unknown"
    assert "read-only transaction" in finding.observed
    assert count(table) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "insert into t values (3)",
        "delete from t",
        "truncate t",
        "drop table t",
        "create schema s create table u (a int)",
        "do $$ begin insert into t values (3); end $$",
    ],
)
def test_nothing_stays(server: Server, table: str, sql: str) -> None:
    """Rows and definitions alike are rolled back after the answer."""
    assert run(server, behavioural(f"{sql}; {WELL}"))[0].status == "pass"
    assert count(table) == 2
    with psycopg.connect(table) as connection:
        assert connection.execute("select to_regnamespace('s')").fetchone() == (None,)


COMMITS = (
    f"insert into t values (3); commit; {WELL}",
    f"insert into t values (3); end; {WELL}",
    f"commit; insert into t values (3); {WELL}",
    f"rollback; insert into t values (3); {WELL}",
    f"insert into t values (3); commit and chain; {WELL}",
    f"insert into t values (3); {WELL}; commit",
    f"commit; begin; insert into t values (3); commit; {WELL}",
    f"do $$ begin insert into t values (3); commit; end $$; {WELL}",
    f"commit; do $$ begin insert into t values (3); commit; end $$; {WELL}",
    f"insert into t values (3); prepare transaction 'x'; {WELL}",
    f"rollback; begin read write; insert into t values (3); commit; {WELL}",
    f"rollback; set transaction read write; insert into t values (3); {WELL}",
    f"abort; begin read write; insert into t values (3); end; {WELL}",
)


@pytest.mark.parametrize("sql", COMMITS)
def test_a_check_that_commits_leaves_nothing_either(server: Server, table: str, sql: str) -> None:
    """Law 7 holds against the check itself: a COMMIT in it is refused, and the next check is asked."""
    finding, following = run(server, behavioural(sql), behavioural(WELL))
    assert count(table) == 2
    assert finding.status == "unknown"
    assert following.status == "pass"


@pytest.mark.parametrize(
    "begin", ["set transaction read write", "set default_transaction_read_only = off", "commit; begin read write"]
)
def test_a_structural_check_cannot_free_itself(server: Server, table: str, begin: str) -> None:
    """Read-only stays read-only, in this check and in the ones after it."""
    run(server, check(f"{begin}; insert into t values (3); {WELL}"), check(f"insert into t values (4); {WELL}"))
    assert count(table) == 2


def test_a_check_may_make_constraints_immediate(server: Server, table: str) -> None:
    """How a deferred key is tried without a COMMIT."""
    with psycopg.connect(table, autocommit=True) as connection:
        connection.execute("create table u (id int references t deferrable initially deferred)")
    sql = """
    do $$ declare refused boolean := false; begin
        insert into u values (9);
        begin set constraints all immediate; exception when foreign_key_violation then refused := true; end;
        perform set_config('check.refused', refused::text, true);
    end $$;
    select current_setting('check.refused')::boolean as passed, 'refused' as observed
    """
    finding = run(server, behavioural(sql))[0]
    assert (finding.status, finding.observed) == ("pass", "refused")


def test_a_check_needs_no_right_but_its_own(server: Server, table: str) -> None:
    """Where temporary tables are not for everyone, checks that write are asked all the same."""
    role = f"role_{servers.database_name(table)}"
    with psycopg.connect(table, autocommit=True) as connection:
        connection.execute(f'revoke temporary on database "{servers.database_name(table)}" from public'.encode())
        connection.execute(f"create role {role}".encode())
        connection.execute(f"alter table t owner to {role}".encode())
        finding = run(replace(server, role=role), behavioural(f"insert into t values (3); {WELL}"))[0]
        connection.execute("alter table t owner to current_user")
        connection.execute(f"drop role {role}".encode())
    assert (finding.status, finding.observed) == ("pass", "fine")


def test_settings_of_one_check_do_not_reach_the_next(server: Server) -> None:
    """They are rolled back with the transaction."""
    sql = "set search_path = nowhere; set work_mem = '64kB'; " + WELL
    seen = "select current_setting('work_mem') <> '64kB' as passed, 'x' as observed"
    assert [each.status for each in run(server, behavioural(sql), behavioural(seen))] == ["pass", "pass"]


def test_a_check_does_not_wait_for_a_lock(server: Server, table: str) -> None:
    """It waits no longer than the lock budget, and stays unknown."""
    with psycopg.connect(table) as holder:
        holder.execute("lock table t")
        finding = run(server, behavioural(f"insert into t values (3); {WELL}"))[0]
    assert finding.status == "unknown"
    assert "lock timeout" in finding.observed


def test_a_connection_that_breaks_is_no_finding(server: Server) -> None:
    """A check whose session was ended says nothing about the target: the whole suite is asked again, or held."""
    with pytest.raises(ConnectionLost, match="terminat"):
        run(server, check("select pg_terminate_backend(pg_backend_pid())"), check(WELL))


def test_behavioural_checks_are_left_out_where_they_are_not_allowed(server: Server, table: str) -> None:
    """In production: named, without weight, and nothing is written even for a moment."""
    finding, asked = run(server, behavioural(f"insert into t values (3); {WELL}"), check(WELL), allowed=False)
    assert (finding.status, finding.severity) == ("unknown", "optional")
    assert finding.observed == "not asked: the environment does not allow it"
    assert not finding.counts_against
    assert asked.status == "pass"


@pytest.mark.parametrize(("all_keys", "status"), [(True, "pass"), (False, "unknown")])
def test_checks_that_need_all_keys(server: Server, all_keys: bool, status: FindingStatus) -> None:
    """Left out, named and without weight while keys are missing; others are asked."""
    special, plain = run(server, behavioural(WELL, needs_keys=True), behavioural(WELL), all_keys=all_keys)
    assert special.status == status
    assert not special.counts_against
    assert ("it needs every key of the contract" in special.observed) is not all_keys
    assert plain.status == "pass"


@pytest.mark.parametrize(("all_keys", "status"), [(True, "pass"), (False, "unknown")])
def test_structural_checks_may_need_all_keys_too(server: Server, all_keys: bool, status: FindingStatus) -> None:
    """The mark means the same for either kind."""
    assert run(server, check(WELL, needs_keys=True), all_keys=all_keys)[0].status == status


def test_the_checks_of_the_master_tables(master_on: str) -> None:
    """On the base migration each is answered, or left out because keys are missing; none errs, no row stays."""
    before = rows(master_on)
    checks = load_runbook("master_tables", root=ROOT).checks
    findings = run(server_of(master_on), *checks, all_keys=False)
    assert [each.id for each in findings] == [each.id for each in checks]
    assert [each for each in findings if each.status == "fail" or "could not" in each.observed] == []
    assert sum(each.status == "unknown" for each in findings) == sum(each.needs_keys for each in checks)
    assert rows(master_on) == before


def rows(url: str) -> dict[str, int]:
    """Every table of people and how many rows it has."""
    with psycopg.connect(url) as connection:
        names = [row[0] for row in connection.execute("select relname from pg_stat_user_tables").fetchall()]
        counts = [connection.execute(f'select count(*) from "{name}"'.encode()).fetchone() for name in names]
    return {name: row[0] for name, row in zip(names, counts, strict=True) if row}
