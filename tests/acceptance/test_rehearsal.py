"""A rehearsal: a copy, the runbook there, back from every boundary and there again; the copy is gone afterwards."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.evidence import read_evidence, verifying_key
from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.inventory import load_environment
from orchestrator.app.answer import Answer
from orchestrator.app.on_copy import OnCopy
from orchestrator.core.catalog import TableName
from orchestrator.core.locks import CONFLICTS
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, EXIT_REFUSED, Refused
from orchestrator.core.timeline import STANDARD_STEPS
from tests import servers
from tests.acceptance.desk import (
    BASE_ROWS,
    Desk,
    contents,
    contract_lines,
    counts,
    execute,
    finding,
    fingerprint,
    has_ledger,
    keys,
    rows,
    value,
)
from tests.acceptance.test_interruption import no_session, started, when
from tests.adapters.test_evidence import write_pair
from tests.conftest import MATRIX, ClusterUrl

SCRATCH = "select datname from pg_database where datname like 'orchestrator\\_scratch\\_%'"
BEFORE = STANDARD_STEPS[: STANDARD_STEPS.index("apply")]
BOUNDARIES = [*BEFORE, "apply, half of it", "apply", "validate"]
FEW = ("punchlists", "workflow_stages")


def evidence(desk: Desk, answer: Answer) -> dict[str, object]:
    """What the rehearsal's own journal says that it proves."""
    (event,) = desk.events(answer, "evidence_recorded")
    return dict(event["evidence"])


def test_a_rehearsal_walks_back_from_every_boundary(desk: Desk, staging: str) -> None:
    """All fingerprints are equal, every statement was measured, nothing of the source changed, the copy is gone."""
    desk.environment("staging", staging, policy="approvals = 1")
    execute(staging, BASE_ROWS)
    before, held = fingerprint(staging), contents(staging)
    answer = desk.rehearse()
    assert answer.exit_code == EXIT_DONE
    proved = answer.document["evidence"]
    assert [each["boundary"] for each in proved["ways_back"]] == BOUNDARIES
    assert all(each["proved"] for each in proved["ways_back"])
    assert [each["statements"] for each in proved["ways_back"]] == [*(0 for _ in BEFORE), 44, 88, 88]
    assert proved["verdict"] == answer.document["verdict"] == "GO"
    assert proved["digest"] == desk.plan().document["digest"]
    assert counts(answer) == {"added": 44, "present": 1, "deferred": 11}
    assert len({each["id"] for each in evidence(desk, answer)["statements"]}) == 88  # type: ignore[attr-defined]
    assert finding(answer, "C6.runtime_execution")["status"] == "pass"
    assert (fingerprint(staging), contents(staging)) == (before, held)
    assert rows(staging, SCRATCH) == []
    assert not (desk.runs / answer.document["run"] / "copy").exists()
    desk.environment("staging", staging)
    assert desk.deploy().exit_code == EXIT_DONE


def test_the_locks_really_held_are_those_of_the_plan(desk: Desk, master_on: str) -> None:
    """Read from pg_locks inside each transaction: per table the strongest is the planned one; and it can be signed."""
    private, _ = write_pair(desk.folder)
    desk.environment("staging", master_on, more=f'[evidence]\nkey = {{ file = "{private}" }}')
    answer = desk.rehearse(only=FEW)
    assert answer.exit_code == EXIT_DONE
    assert finding(answer, "rehearsal.locks")["status"] == "pass"
    (plan,) = desk.events(answer, "plan_recorded")
    planned = {each["id"]: strongest(each["locks"]) for each in plan["plan"]["statements"]}
    statements = evidence(desk, answer)["statements"]
    measured = {each["id"]: strongest(each["locks"]) for each in statements}  # type: ignore[attr-defined]
    assert measured == planned
    assert {mode for locks in planned.values() for mode in locks.values()} == {
        "SHARE ROW EXCLUSIVE",
        "SHARE UPDATE EXCLUSIVE",
        "ROW SHARE",
    }
    signed(desk, answer)


def signed(desk: Desk, answer: Answer) -> None:
    """The file in the run's folder holds what the journal holds, and its chain's head, and its signature is good."""
    assert answer.document["evidence"]["signed"]
    path = Path(answer.document["evidence"]["file"])
    found = read_evidence(path, verifying_key(load_environment(desk.inventory, "staging")))
    assert found.digest == answer.document["evidence"]["digest"]
    assert json.loads(path.read_text())["head"] == desk.entries(answer)[-1].hash
    assert found.tables.keys() >= {str(TableName(schema="public", name=name)) for name in FEW}


def strongest(locks: list[dict[str, object]]) -> dict[str, str]:
    """The mode on each table that keeps most others out."""
    found: dict[str, str] = {}
    for lock in sorted(locks, key=lambda each: len(CONFLICTS[each["mode"]])):  # type: ignore[index]
        found[str(lock["table"])] = str(lock["mode"])
    return found


def test_a_copy_like_production(desk: Desk, staging: str, cluster_url: ClusterUrl, master_template: ClusterUrl) -> None:
    """Staging is done; in production one key stands, one stands NOT VALID: plan and tables are production's."""
    prod = servers.fresh_database(cluster_url(18), master_template(18))
    desk.book = desk.runbook("".join(contract_lines("punchlists", "punchlist_items", "workflow_stages")))
    try:
        desk.environment("prod", prod, kind="production", backup="")
        execute(
            prod,
            "alter table punchlists add constraint fk_punchlists_workflow_instance_id"
            " foreign key (workflow_instance_id) references workflow_instances (id) on delete restrict",
            "alter table punchlist_items add constraint by_hand foreign key (punchlist_id)"
            " references punchlists (id) on delete cascade not valid",
        )
        desk.deploy()
        stands, there = fingerprint(staging), fingerprint(prod)
        answer = desk.rehearse(like="prod")
        proved = evidence(desk, answer)
        assert answer.exit_code == EXIT_DONE
        assert proved["like"] == "prod"
        assert proved["digest"] == desk.plan("prod").document["digest"]
        with psycopg.connect(prod, row_factory=psycopg.rows.dict_row) as connection:
            catalog = read_catalog(connection)
        tables = {str(name): value for name, value in catalog.fingerprints.items()}
        assert {name: tables[name] for name in proved["tables"]} == proved["tables"]  # type: ignore[attr-defined]
        assert (fingerprint(staging), fingerprint(prod)) == (stands, there)
        assert not has_ledger(prod)
    finally:
        servers.drop_database(prod)


def test_a_copy_that_cannot_be_made_like_it(desk: Desk, staging: str, database: str) -> None:
    """The other environment has no tables: the difference is told, exit 2, nothing is left open."""
    desk.environment("prod", database)
    answer = desk.rehearse(like="prod")
    assert answer.exit_code == EXIT_REFUSED
    assert "cannot be made like prod" in answer.document["reason"]
    assert rows(staging, SCRATCH) == []
    assert desk.deploy().exit_code == EXIT_DONE


def test_the_plan_is_empty_when_everything_stands(desk: Desk, staging: str) -> None:
    """Nothing changes, so that every way back is the empty one."""
    desk.deploy()
    answer = desk.rehearse()
    assert answer.exit_code == EXIT_DONE
    ways = answer.document["evidence"]["ways_back"]
    assert [(each["boundary"], each["statements"]) for each in ways] == [
        (name, 0) for name in BOUNDARIES if "half" not in name
    ]


@pytest.mark.parametrize(
    ("moment", "following"),
    [("the copy is made", "deploy"), ("writes are measured", "rehearse"), ("the walks", "deploy")],
)
def test_the_copy_is_gone_after_a_kill(desk: Desk, staging: str, moment: str, following: str) -> None:
    """SIGKILL leaves a database, a dump and an open run: the next rehearsal or deployment removes them all."""
    execute(staging, BASE_ROWS)
    reached: dict[str, Callable[[], bool]] = {
        "the copy is made": lambda: True,
        "writes are measured": lambda: measuring(staging),
        "the walks": lambda: walking(desk),
    }
    with started(desk, "rehearse", *quickly(writes=moment == "writes are measured")) as process:
        when(process, lambda: made(staging) and reached[moment]())
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    (left,) = desk.runs.glob("*")
    no_session(staging)
    assert len(rows(staging, SCRATCH)) == 1
    with pytest.raises(Refused, match="repeated and not resumed"):
        desk.resume()
    answer = getattr(desk, following)(only=FEW)
    assert answer.exit_code == EXIT_DONE
    assert rows(staging, SCRATCH) == []
    assert not (left / "copy").exists()
    assert value(staging, "select count(*) from orchestrator.run where not closed") == 0
    assert (len(keys(staging)) > 1) == (following == "deploy")


def made(url: str) -> bool:
    """Whether a scratch database is there, and the run on record in the ledger."""
    return bool(rows(url, SCRATCH)) and has_ledger(url) and bool(rows(url, "select from orchestrator.run"))


def quickly(*, writes: bool) -> tuple[str, ...]:
    """A few tables; writes are only measured where the test is about that."""
    return ("--only", ",".join(FEW), *(() if writes else ("--no-performance",)))


def measuring(url: str) -> bool:
    """Whether several clients write to the copy."""
    query = "select from pg_stat_activity where application_name like 'orchestrator/%%performance'"
    return len(rows(url, query)) > 1


def walking(desk: Desk) -> bool:
    """Whether a walk has changed the copy."""
    found = desk.runs.glob("*/walks/*/journal.jsonl")
    return any('"statement_done"' in path.read_text("utf-8") for path in found)


@pytest.mark.parametrize("until", [made, measuring, None], ids=["while copying", "while measuring", "while walking"])
def test_an_interrupted_rehearsal(desk: Desk, staging: str, until: Callable[[str], bool] | None) -> None:
    """Ctrl-C: exit 3, the copy is gone, the run is closed, and nothing stands in the way of a deployment."""
    execute(staging, BASE_ROWS)
    with started(desk, "rehearse", *quickly(writes=until is measuring)) as process:
        when(process, lambda: until(staging) if until else walking(desk))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == EXIT_HELD, said
    document = json.loads(said)
    assert (document["state"], document["verdict"], document["evidence"]) == ("failed", "HOLD", None)
    assert "repeated, not resumed" in document["reason"]
    assert document["next_steps"][-1].startswith("invoke rehearse --env staging ")
    assert document["next_steps"][-1].endswith(f" --only {','.join(FEW)}")
    assert rows(staging, SCRATCH) == []
    assert desk.deploy(only=FEW).exit_code == EXIT_DONE


def test_an_extension_that_the_scratch_server_lacks(desk: Desk, cluster_url: ClusterUrl) -> None:
    """Told before anything: exit 2, one line, no ledger and no scratch database."""
    source, scratch = servers.fresh_database(cluster_url(15)), servers.fresh_database(cluster_url(16))
    try:
        if not rows(source, "select from pg_available_extensions where name = 'citext'"):
            pytest.skip("the server of version 15 has no contrib extensions")
        execute(source, "create extension citext", "create table a (id int primary key)")
        desk.variable("SCRATCH_URL", scratch)
        desk.environment("staging", source, more='[scratch]\non = { url = { env = "SCRATCH_URL" } }')
        runbook = desk.runbook(
            '[[foreign_key]]\ntable = "a"\ncolumns = ["id"]\nreferences = { table = "a", columns = ["id"] }'
        )
        answer = desk.rehearse(runbook=runbook)
        assert answer.exit_code == EXIT_REFUSED
        assert answer.document["state"] == "refused"
        assert "the scratch server lacks extension citext" in answer.document["reason"]
        assert not has_ledger(source)
        assert rows(scratch, SCRATCH) == []
    finally:
        servers.drop_database(source)
        servers.drop_database(scratch)


@MATRIX
def test_a_role_that_may_make_no_database(desk: Desk, owner: str) -> None:
    """Refused with what to do, exit 2; on an embedded server the same role rehearses."""
    desk.environment("staging", owner)
    answer = desk.rehearse(only=FEW)
    assert answer.exit_code == EXIT_REFUSED
    assert "permission denied to create database" in answer.document["reason"]
    assert not has_ledger(owner)
    desk.environment("staging", owner, more='[scratch]\non = "embedded"')
    answer = desk.rehearse(only=FEW)
    assert answer.exit_code == EXIT_DONE
    assert [each["boundary"] for each in answer.document["evidence"]["ways_back"]] == BOUNDARIES


def test_a_table_that_is_missing(desk: Desk, staging: str) -> None:
    """Preflight says so on the copy: NO-GO, and the reason is that one."""
    execute(staging, "alter table punchlist_items rename to elsewhere")
    answer = desk.rehearse()
    assert answer.exit_code == EXIT_FAILED
    assert finding(answer, "tables-and-columns")["status"] == "fail"
    assert finding(answer, "rehearsal.ways-back")["status"] == "pass"


@MATRIX
def test_a_rehearsal_is_told_in_the_history(desk: Desk, staging: str) -> None:
    """With all runs; the status stays that of the last deployment."""
    deployed = desk.deploy(only=FEW).document["run"]
    rehearsed = desk.rehearse(only=FEW).document["run"]
    assert [each["run"] for each in desk.history()] == [deployed, rehearsed]
    assert desk.status()["run"] == deployed
    assert desk.verified(rehearsed) == (EXIT_DONE, "whole")
    desk.deploy(until="audit")
    assert desk.rollback().document["rolls_back"] == deployed


def test_orphans_are_found_on_the_copy(desk: Desk, staging: str) -> None:
    """NO-GO, exit 1: the rehearsal is over and closed, and says why; production stays shut."""
    execute(staging, BASE_ROWS, "update workflow_instances set config_version_id = 'nobody'")
    answer = desk.rehearse()
    assert answer.exit_code == EXIT_FAILED
    assert (answer.document["state"], answer.document["verdict"]) == ("failed", "NO-GO")
    assert answer.document["evidence"]["verdict"] == "NO-GO"
    assert finding(answer, "orphans")["status"] == "fail"
    assert rows(staging, SCRATCH) == []
    assert value(staging, "select count(*) from orchestrator.run where not closed") == 0


CHECK = """-- id: custom.never
-- title: Is it as it should be?
-- severity: important
-- kind: structural
-- expected: yes
-- remedy: none

select false as passed, 'no' as observed
"""


@MATRIX
def test_a_hold_is_told_and_the_rehearsal_goes_on(desk: Desk, database: str) -> None:
    """One important finding: every way back is walked all the same, and the verdict is HOLD, exit 3."""
    desk.environment("staging", database, kind="staging")
    execute(
        database,
        "create table parent (id int primary key)",
        "create table child (id int primary key, parent_id int)",
        "create index on child (parent_id)",
    )
    runbook = desk.runbook(
        '[[foreign_key]]\ntable = "child"\ncolumns = ["parent_id"]\nreferences = { table = "parent", columns = ["id"] }'
    )
    (Path(runbook) / "checks").mkdir()
    (Path(runbook) / "checks" / "never.sql").write_text(CHECK, encoding="utf-8")
    answer = desk.rehearse(runbook=runbook)
    assert answer.exit_code == EXIT_HELD
    assert (answer.document["state"], answer.document["verdict"]) == ("done", "HOLD")
    assert [each["boundary"] for each in answer.document["evidence"]["ways_back"]] == BOUNDARIES
    assert value(database, "select count(*) from orchestrator.run where not closed") == 0


def test_a_way_back_that_is_not_proved(desk: Desk, staging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is not what it was: NO-GO, exit 1."""
    count = iter(range(1000))
    monkeypatch.setattr(OnCopy, "fingerprint", lambda _: f"{next(count):064}")
    answer = desk.rehearse(only=FEW)
    assert answer.exit_code == EXIT_FAILED
    assert finding(answer, "rehearsal.ways-back")["status"] == "fail"
    assert not any(each["proved"] for each in answer.document["evidence"]["ways_back"])


def test_a_bad_key_is_one_line(desk: Desk, staging: str) -> None:
    """Before anything is begun, and without a word of what the file holds."""
    (desk.folder / "key.pem").write_text("hunter2")
    desk.environment("staging", staging, more=f'[evidence]\nkey = {{ file = "{desk.folder / "key.pem"}" }}')
    said = desk.typed("rehearse", "--env", "staging")
    assert said.returncode == EXIT_REFUSED
    assert said.stderr.startswith("error: staging: evidence.key: cannot be read as a key")
    assert said.stderr.count("\n") == 1
    assert "hunter2" not in said.stderr
    assert not has_ledger(staging)
