"""Gates that preflight stands in front of, and the words of overrides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.core.catalog import TableName
from orchestrator.core.evidence import Evidence, WayBack
from orchestrator.core.gate_facts import Facts, GoRun, Kinship, Rehearsed, most_ms
from orchestrator.core.gate_list import GATES, Overrides, overrides
from orchestrator.core.host_time import measured_in
from orchestrator.core.host_work import Place
from orchestrator.core.identity import Identity
from orchestrator.core.inventory import Database, Environment, EnvironmentHead, Host
from orchestrator.core.marker import Marker
from orchestrator.core.outcome import Refused
from orchestrator.core.plan import Plan, Proof, Statement
from orchestrator.core.resumption import command_lines
from orchestrator.core.run import Run
from orchestrator.core.timeline import on_hosts, standard_runbook
from orchestrator.core.windows import Opening
from tests.journals import began

NOW = datetime(2026, 12, 15, 16, 0, tzinfo=UTC)
HERE = Marker(environment="prod", system_identifier="7", database="app", oid=5)

EVIDENCE = Evidence(
    run="r1",
    runbook="shop",
    environment="staging",
    like=None,
    digest="d" * 64,
    fingerprint="f" * 64,
    lines=("public.orders: column id bigint",),
    target=Identity(system_identifier="8", database="app", server_version=160003, role="ayu"),
    scratch_version=160003,
    finished=NOW - timedelta(hours=1),
    verdict="GO",
    steps={"apply": 1000.0, "validate": 500.0},
    ways_back=(WayBack(boundary="apply", before="f", after="f", duration_ms=2000.0, statements=2),),
)

STATEMENT = Statement(
    id="add.orders.user_id",
    kind="add",
    relation="orders.user_id",
    sql="alter table ...",
    undo=(),
    restore=(),
    proof=Proof(table=TableName(schema="public", name="orders"), constraint="orders_user_id_fkey", state="not valid"),
    locks=(),
    undo_locks=(),
    lock_timeout_ms=100,
    statement_timeout_ms=1000,
)


def facts(rehearsed: Rehearsed | None = None, **changes: object) -> Facts:
    """A production where everything is as it should be."""
    plan = Plan(
        runbook="shop", environment="prod", digest="d" * 64, fingerprint="", relations=(), statements=(STATEMENT,)
    )
    head = EnvironmentHead(name="prod", kind="production", evidence_from="staging")
    made = Facts(
        environment=Environment(environment=head, database=Database(url="postgresql://x")),
        where="",
        runbook=standard_runbook("shop"),
        plan=plan,
        decision=None,
        now=NOW,
        zone=UTC,
        opening=Opening(inside=True),
        server_version=160003,
        recovering=False,
        here=HERE,
        marker=HERE,
        mine=("public.orders: column id bigint",),
        rehearsed=rehearsed or Rehearsed(environment="staging", evidence=(EVIDENCE,), kinship="different"),
        steps=("backup", "apply", "validate"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def status(name: str, given: Facts) -> tuple[str, str]:
    """Status and words of one gate."""
    (gate,) = (each for each in GATES if each.name == name)
    found = gate.find(given)
    assert (found.severity, bool(found.remedy)) == ("critical", found.status != "pass")
    return found.status, found.observed


@pytest.mark.parametrize(
    ("kinship", "expected"), [("same", "fail"), ("copy", "pass"), ("same server", "pass"), ("different", "pass")]
)
def test_identity_is_proved(kinship: Kinship, expected: str) -> None:
    """Only one database under two names is closed; the finding names both."""
    found, text = status("identity", facts(Rehearsed(environment="staging", kinship=kinship)))
    assert (found, "staging" in text) == (expected, True)


@pytest.mark.parametrize(("identifier", "expected"), [("8", "pass"), ("7", "unknown"), ("", "unknown")])
def test_identity_from_a_file(identifier: str, expected: str) -> None:
    """Where staging cannot be reached, another identifier in its evidence is proof; the same or none is not."""
    evidence = replace(EVIDENCE, target=replace(EVIDENCE.target, system_identifier=identifier))
    shown = Rehearsed(environment="staging", evidence=(evidence,), problem="not reached", file="e.json")
    assert status("identity", facts(shown))[0] == expected
    assert status("same_tables", facts(shown))[0] == "pass"
    assert status("staging_run", facts(shown))[0] == "unknown"


def test_a_standby_is_closed() -> None:
    """It cannot be written to."""
    assert status("standby", facts(recovering=True))[0] == "fail"
    assert status("standby", facts())[0] == "pass"


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (None, "pass"),
        (HERE, "pass"),
        (replace(HERE, database="renamed"), "pass"),
        (replace(HERE, system_identifier=""), "pass"),
        (replace(HERE, environment="staging"), "fail"),
        (replace(HERE, system_identifier="8"), "fail"),
        (replace(HERE, oid=6), "fail"),
    ],
)
def test_a_strange_marker(marker: Marker | None, expected: str) -> None:
    """A renamed database is the same, a restored one is not, and an identifier that nobody may see says nothing."""
    assert status("marker", facts(marker=marker))[0] == expected


@pytest.mark.parametrize(("ahead", "expected"), [(timedelta(hours=23), "pass"), (timedelta(hours=25), "fail")])
def test_evidence_of_the_future_never_ages(ahead: timedelta, expected: str) -> None:
    """Another machine's clock may differ a little; evidence of the year 9999 would open production for good."""
    shown = Rehearsed(environment="staging", evidence=(replace(EVIDENCE, finished=NOW + ahead),))
    assert status("rehearsal", facts(shown))[0] == expected


def test_a_way_back_that_walked_nothing_proves_nothing() -> None:
    """A plan with statements needs one on which something was taken back; every reader tells it in the same words."""
    (way,) = EVIDENCE.ways_back
    empty = replace(way, boundary="plan", statements=0)
    nothing = replace(EVIDENCE, ways_back=(empty,))
    given = facts(Rehearsed(environment="staging", evidence=(nothing,), kinship="different"))
    assert status("rehearsal", given) == ("fail", f"{judged(nothing)}: no way back was walked")
    assert nothing.ways_told == "nothing had to be walked back"
    assert replace(EVIDENCE, ways_back=(empty, way)).ways_told == "1 way back proved"
    assert replace(EVIDENCE, ways_back=(replace(way, after="g"), way)).ways_told == "1 of 2 ways back proved"


def judged(evidence: Evidence) -> str:
    """What the gate says of the evidence before what speaks against it."""
    return f"run {evidence.run} for plan {evidence.digest[:12]}, 1.0 h old, GO"


def test_versions_of_rehearsal_and_run() -> None:
    """Either may differ."""
    run = GoRun(run="r2", finished=NOW, digest="d" * 64, server_version=150004)
    shown = Rehearsed(environment="staging", evidence=(EVIDENCE,), runs=(run,), kinship="different")
    assert status("same_version", facts(shown)) == ("fail", "run r2 was on PostgreSQL 15; this is 16")
    assert status("same_version", facts(shown, server_version=150001))[0] == "fail"
    assert status("same_version", facts())[0] == "pass"


@pytest.mark.parametrize(("seconds", "expected"), [(5.2, "fail"), (5.3, "pass")])
def test_time_left_counts_the_way_back(seconds: float, expected: str) -> None:
    """At most 2.25 s of work and 3 s for the way back."""
    opening = Opening(inside=True, ends=NOW + timedelta(seconds=seconds))
    assert status("time_left", facts(opening=opening))[0] == expected


def test_time_left_counts_commands_on_hosts() -> None:
    """As they were measured in staging, else by their timeout; batch by batch, with the time to be well, and back."""
    items = (
        on_hosts("echo", title="Quick", batch=2, health=False, timeout_s=60),
        on_hosts("echo", title="Slow", timeout_s=10, settle_s=5, undo="echo"),
    )
    hosts = tuple(Host(name=f"api-{number}", ssh=f"api-{number}") for number in range(3))
    run = Run("r2")
    run.started = replace(began("deploy"), definition=command_lines(items))
    run.hosts.places = {("quick", host.name): Place(state="done", duration_ms=1000.0) for host in hosts}
    measured = measured_in(run)
    assert list(measured.values()) == [1000.0]
    staged = GoRun(run="r2", finished=NOW, digest="d" * 64, server_version=160003, on_hosts=measured)
    rolling = facts(
        Rehearsed(environment="staging", evidence=(EVIDENCE,), runs=(staged,), kinship="different"),
        runbook=replace(standard_runbook("shop"), on_any_road=items),
        environment=replace(facts().environment, host=hosts),
        steps=("apply", "hosts", "validate"),
    )
    assert most_ms(rolling) == 2250.0 + 3000.0 + 45000.0
    for seconds, expected in ((98.2, "fail"), (98.3, "pass")):
        ends = Opening(inside=True, ends=NOW + timedelta(seconds=seconds))
        told = status("time_left", replace(rolling, opening=ends))
        assert told[0] == expected
        assert "; of that 48.0 s for commands on hosts, by the timeout of Slow, 45.0 s for their way back" in told[1]
    assert most_ms(replace(rolling, steps=("validate",))) == 750.0


@pytest.mark.parametrize("name", ["rehearsal", "staging_run", "same_tables", "time_left"])
def test_a_plan_without_statements_needs_no_evidence(name: str) -> None:
    """There is nothing that it could do."""
    empty = replace(facts().plan, statements=())
    nobody = Rehearsed(environment="staging", problem="away")
    soon = Opening(inside=True, ends=NOW + timedelta(seconds=1))
    assert status(name, facts(nobody, opening=soon, plan=empty))[0] == "pass"
    assert status(name, facts(nobody, opening=soon))[0] == "unknown"


def test_time_that_nothing_tells_of_is_unknown() -> None:
    """Without any measure it is not guessed; what the rehearsal did not measure, staging did."""
    nothing = facts(Rehearsed(environment="staging"), opening=Opening(inside=True, ends=NOW + timedelta(hours=9)))
    assert status("time_left", nothing)[0] == "unknown"
    run = GoRun(run="r2", finished=NOW, digest="d" * 64, server_version=160003, steps={"backup": 250.0, "apply": 9.0})
    both = facts(Rehearsed(environment="staging", evidence=(EVIDENCE,), runs=(run,)))
    assert most_ms(both) == 2500.0


def test_an_override_takes_the_weight_and_leaves_the_finding() -> None:
    """What is open is not overridden; what was said of the hour does not last."""
    (gate,) = (each for each in GATES if each.name == "window")
    shut = gate.find(facts(opening=Opening(inside=False), environment=_with_window()))
    said = overrides("window, gate.same_version", " urgent ")
    over = said.over(shut)
    assert (over.severity, over.status, "(overridden: urgent)" in over.observed) == ("optional", "fail", True)
    opened = gate.find(facts())
    assert said.over(opened) == opened
    assert said.used((shut, opened)) == ("gate.window",)
    assert said.lasting() == Overrides(names=frozenset({"same_version"}), reason="urgent")


def _with_window() -> Environment:
    from orchestrator.core.inventory import Policy, Window

    window = Window(days=("Tue",), start="22:00", end="23:00", timezone="UTC")
    return replace(facts().environment, policy=Policy(window=window))


@pytest.mark.parametrize("name", ["identity", "standby", "marker", "decision", "drift", "orphans", "approvals"])
def test_what_has_no_override(name: str) -> None:
    """Refused by name."""
    with pytest.raises(Refused, match=name):
        overrides(name, "why")
