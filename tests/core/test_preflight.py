"""The preflight list as data: every item has a check of the right weight, and the judges read answers as told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.core.catalog import Catalog
from orchestrator.core.checks import Answer, Check, Finding, FindingStatus, Row, Subject, none_of
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Database, Environment, EnvironmentHead, Kind, Policy
from orchestrator.core.plan import Plan
from orchestrator.core.preflight import CHECKS
from orchestrator.core.verdict import judge

BY_ID: Mapping[str, Check] = {check.id: check for check in CHECKS}

ITEMS: Mapping[int, tuple[str, ...]] = {
    1: ("open-transactions",),
    2: ("prepared-transactions",),
    3: ("vacuum",),
    4: ("row-security",),
    5: ("rights",),
    6: ("comparable-types", "same-types"),
    7: ("referenced-unique",),
    8: ("supporting-index",),
    9: ("different-keys", "names"),
    10: ("enforced",),
    11: ("partitions",),
    12: ("tables-and-columns",),
    13: ("collations",),
    14: ("invalid-indexes",),
    15: ("pooler",),
    16: ("timeouts",),
    17: ("replica-lag",),
    18: ("logical-replication",),
    19: ("event-triggers",),
    20: ("lock-table",),
    21: ("backup-tools",),
    22: ("other-runners",),
    23: ("deadlock-timeout",),
    24: ("identity", "identity-compared", "primary"),
    25: ("hot-parents",),
    26: ("synchronous-standbys",),
}
"""The numbers of the preflight list and the checks that answer them."""

BESIDES = {
    "settings-kept",
    "contract",
    "unspoken-columns",
    "version",
    "version-known",
    "encryption",
    "audit-dependents",
}
"""Checks that the list does not number."""

CRITICAL = {
    "row-security",
    "rights",
    "comparable-types",
    "referenced-unique",
    "different-keys",
    "enforced",
    "partitions",
    "tables-and-columns",
    "pooler",
    "lock-table",
    "backup-tools",
    "other-runners",
    "identity",
    "primary",
    "version",
    "audit-dependents",
}
IMPORTANT = {"names", "invalid-indexes", "replica-lag", "logical-replication", "encryption", "version-known"}


def subject(kind: Kind = "staging", *, version: int = 160000, policy: Policy | None = None) -> Subject:
    """An environment with an empty contract on an empty catalog."""
    return Subject(
        environment=Environment(
            environment=EnvironmentHead(name="here", kind=kind),
            database=Database(url="postgresql://db/app"),
            policy=policy or Policy(),
        ),
        contract=Contract(relations=()),
        catalog=Catalog(server_version=version, tables={}),
        plan=Plan(runbook="r", environment="here", digest="", fingerprint="", relations=(), statements=()),
    )


def found(check: str, *rows: Row, about: Subject | None = None) -> Finding:
    """What a check makes of these rows."""
    return BY_ID[check].find(about or subject(), Answer(rows=rows))


def test_every_item_of_the_list_has_its_checks() -> None:
    """26 numbers, no check without a number but the ones that DESIGN.md names, no id twice."""
    assert sorted(ITEMS) == list(range(1, 27))
    numbered = [check for checks in ITEMS.values() for check in checks]
    assert len(BY_ID) == len(CHECKS)
    assert {*numbered, *BESIDES} == BY_ID.keys()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_severities_are_those_of_the_design(check: Check) -> None:
    """Critical and important as DESIGN.md lists them; everything else is optional."""
    expected = "critical" if check.id in CRITICAL else "important" if check.id in IMPORTANT else "optional"
    assert check.severity == expected


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_that_counts_says_what_to_do(check: Check) -> None:
    """Title, what was expected, and a remedy wherever a no has weight."""
    assert check.title.endswith("?")
    assert check.expected
    assert check.remedy or check.severity == "optional"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_what_cannot_be_found_out_is_unknown(check: Check) -> None:
    """A probe that failed is unknown with its reason, and decides only where the matter is critical."""
    finding = check.find(subject(), Answer(problem="permission denied"))
    assert (finding.status, finding.observed, finding.remedy) == ("unknown", "permission denied", check.remedy)
    assert judge([finding]).word == ("NO-GO" if check.severity == "critical" else "GO")


@pytest.mark.parametrize(
    ("version", "supported", "known"),
    [
        (130022, "fail", "pass"),
        (140000, "pass", "pass"),
        (180004, "pass", "pass"),
        (190000, "pass", "fail"),
    ],
)
def test_versions(version: int, supported: FindingStatus, known: FindingStatus) -> None:
    """14 to 18; older is refused, newer is an important finding."""
    about = subject(version=version)
    assert found("version", about=about).status == supported
    assert found("version-known", about=about).status == known
    assert found("version-known", about=about).observed == f"PostgreSQL {version // 10000}"


@pytest.mark.parametrize(
    ("kind", "sslmode", "loopback", "status"),
    [
        ("production", "prefer", False, "fail"),
        ("production", "require", False, "fail"),
        ("production", "verify-ca", False, "fail"),
        ("production", "verify-full", False, "pass"),
        ("production", "prefer", True, "pass"),
        ("staging", "disable", False, "pass"),
        ("scratch", "disable", False, "pass"),
    ],
)
def test_production_asks_for_verify_full(kind: Kind, sslmode: str, loopback: bool, status: FindingStatus) -> None:
    """Off loopback and in production only; the finding names mode and host."""
    row = {"sslmode": sslmode, "host": "db.example", "loopback": loopback}
    finding = found("encryption", row, about=subject(kind))
    assert (finding.status, finding.observed) == (status, f"sslmode={sslmode} to db.example")


@pytest.mark.parametrize(
    ("rows", "status", "told"),
    [
        ([], "pass", "no other environment"),
        ([("prod", "different", None)], "pass", "prod is different"),
        ([("prod", "copy", None)], "pass", "prod is a physical copy"),
        ([("prod", "same server", None)], "pass", "prod is another database of this server"),
        ([("prod", "same", None)], "fail", "here and prod are one database"),
        ([("a", "different", None), ("b", "same", None)], "fail", "here and b are one database"),
        ([("prod", None, "PROD_URL is not set")], "pass", "no other environment"),
    ],
)
def test_identity(rows: list[tuple[str, str | None, str | None]], status: FindingStatus, told: str) -> None:
    """Only proved sameness refuses; a physical copy is allowed and told."""
    answers = [{"environment": name, "relation": relation, "problem": problem} for name, relation, problem in rows]
    finding = found("identity", *answers)
    assert finding.status == status
    assert told in finding.observed


def test_environments_that_were_not_compared_are_named() -> None:
    """Not reached is neither same nor different: unknown, with the reason of each."""
    row = {"environment": "prod", "relation": None, "problem": "PROD_URL is not set"}
    finding = found("identity-compared", row)
    assert (finding.status, finding.observed) == ("unknown", "prod: PROD_URL is not set")
    assert found("identity-compared", {**row, "problem": None}).status == "pass"


def test_a_standby_is_refused() -> None:
    """In recovery nothing can be written."""
    assert found("primary", {"in_recovery": False}).status == "pass"
    assert "read-only standby" in found("primary", {"in_recovery": True}).observed


def test_a_pooler_is_refused() -> None:
    """The observation of the probe is told as it is."""
    row = {"pooled": True, "observed": "two connections share server process 7"}
    assert (found("pooler", row).status, found("pooler", row).observed) == ("fail", row["observed"])
    assert found("pooler", {**row, "pooled": False}).status == "pass"


@pytest.mark.parametrize(("needed", "status"), [(0, "pass"), (6400, "pass"), (6401, "fail")])
def test_the_lock_table(needed: int, status: FindingStatus) -> None:
    """Every table in each connection of pg_dump must find a slot; exactly full is full enough."""
    finding = found("lock-table", {"needed": needed, "slots": 6400})
    assert (finding.status, finding.observed) == (status, f"{needed} locks needed, room for 6400")


def test_backup_problems_are_told_together() -> None:
    """Disk and tools are two rows; each may be the problem, and both are told."""
    disk, tools = {"problem": None, "text": "9 MiB free"}, {"problem": None, "text": "pg_dump 16"}
    assert found("backup-tools", disk, tools).observed == "9 MiB free; pg_dump 16"
    bad = found("backup-tools", {**disk, "problem": "not enough room"}, {"problem": "pg_dump is older", "text": ""})
    assert (bad.status, bad.observed) == ("fail", "not enough room; pg_dump is older")


@pytest.mark.parametrize(("lag", "status"), [(None, "pass"), (0, "pass"), (30, "pass"), ("30.1", "fail")])
def test_replica_lag_against_the_policy(lag: object, status: FindingStatus) -> None:
    """Over policy.max_replica_lag_s fails; a replica that has nothing to replay has no lag."""
    finding = found("replica-lag", {"name": "r1", "lag_s": lag, "hidden": False})
    assert finding.status == status
    assert ("r1 lags 30.1 s" in finding.observed) == (status == "fail")


def test_the_policy_decides_about_lag() -> None:
    """Another limit, another answer."""
    row = {"name": "r1", "lag_s": 45, "hidden": False}
    assert found("replica-lag", row, about=subject(policy=Policy(max_replica_lag_s=60))).status == "pass"


def test_hidden_lag_is_unknown() -> None:
    """A role without pg_monitor sees that replicas exist and not how they do: never a pass."""
    finding = found("replica-lag", {"name": None, "lag_s": None, "hidden": True})
    assert finding.status == "unknown"
    assert "pg_monitor" in finding.observed
    assert found("replica-lag").observed == "0 replicas within 30 s"


@pytest.mark.parametrize(("budget", "status"), [(100, "pass"), (999, "pass"), (1000, "fail"), (2000, "fail")])
def test_the_budget_is_under_deadlock_timeout(budget: int, status: FindingStatus) -> None:
    """So that the application is never the one who is aborted."""
    finding = found("deadlock-timeout", {"ms": 1000}, about=subject(policy=Policy(lock_timeout_ms=budget)))
    assert (finding.status, finding.observed) == (status, f"budget {budget} ms, deadlock_timeout 1000 ms")


def test_hot_parents_are_named() -> None:
    """Over 100 writes/s is hot; the busiest is told in any case; no statistics is unknown."""
    calm, hot = {"name": "public.a", "writes_per_s": 3.5}, {"name": "public.b", "writes_per_s": 100.1}
    assert found("hot-parents", calm).observed == "at most 3.5 writes/s (public.a)"
    assert (found("hot-parents", calm, hot).status, found("hot-parents", calm, hot).observed) == (
        "fail",
        "public.b 100.1/s",
    )
    assert found("hot-parents").status == "unknown"


def test_synchronous_standbys_and_timeouts_only_inform() -> None:
    """Both pass and say what is set."""
    assert found("synchronous-standbys", {"value": ""}).observed == "no synchronous standby"
    told = found("synchronous-standbys", {"value": "FIRST 1 (a)"})
    assert (told.status, told.observed) == ("pass", "synchronous_standby_names = FIRST 1 (a)")
    timeout = found("timeouts", {"setting": "statement_timeout=1s", "scope": "role ayu"})
    assert (timeout.status, timeout.observed) == ("pass", "statement_timeout=1s for role ayu")


def test_holders_of_locks_are_named() -> None:
    """Who, since when, and on what; a holder without a name has none."""
    row = {"pid": 7, "usename": "app", "application": "", "state": "idle in transaction", "age_s": 12.5, "tables": "a"}
    finding = found("open-transactions", row)
    assert finding.status == "fail"
    assert finding.observed == "pid 7 (app, no name) idle in transaction, 12.5 s, holds a"


def test_vacuum_tells_running_from_near() -> None:
    """One that runs, or the share of the freeze age that is used up."""
    rows = [
        {"name": "public.a", "running": True, "used_percent": 1},
        {"name": "public.b", "running": False, "used_percent": 95},
    ]
    assert found("vacuum", *rows).observed == "public.a: being vacuumed; public.b: 95 % of the freeze age"


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "x0"), (5, "x0; x1; x2; x3; x4"), (6, "x0; x1; x2; x3; x4 and 1 more")],
)
def test_long_lists_say_how_many_more(count: int, told: str) -> None:
    """The first five, and the number of the others."""
    assert none_of([f"x{number}" for number in range(count)], well="fine").observed == told


def test_no_line_is_well() -> None:
    """Nothing to tell is a pass."""
    assert (none_of([], well="fine").status, none_of([], well="fine").observed) == ("pass", "fine")


def test_a_passing_check_gives_no_advice() -> None:
    """The remedy belongs to a no."""
    assert found("primary", {"in_recovery": False}).remedy == ""
    assert found("primary", {"in_recovery": True}).remedy
