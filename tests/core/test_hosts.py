"""What a look at a host means: each limit from both sides, loops, and what is this run's doing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.checks import Finding
from orchestrator.core.hosts import Disk, HealthSeen, HostFacts, ServiceSeen, Trouble, ailing, findings
from orchestrator.core.inventory import Host, HostLimits, Service
from orchestrator.core.verdict import judge

HOST = Host(name="api-1", ssh="deploy@api-1", service=Service(manager="systemd", name="api"), health="http://api-1/h")
WELL = HostFacts(
    host="api-1",
    disks=(Disk(mount="/", free_percent=40, free_mb=9000),),
    load=1.0,
    cores=2,
    skew_s=0.1,
    within_s=0.1,
    service=ServiceSeen(standing="running", told="active (running)", restarts=2, up_s=900),
    health=HealthSeen(status=200, latency_ms=12),
)


def found(facts: HostFacts, before: HostFacts | None = None) -> dict[str, Finding]:
    """The findings of one host by the last word of their ids."""
    earlier = {"api-1": before} if before else {}
    given = findings((HOST,), {"api-1": facts}, HostLimits(), before=earlier)
    return {each.id.rpartition(".")[2]: each for each in given}


def test_a_host_that_is_well_passes_everything() -> None:
    """Six findings, all of them good."""
    well = found(WELL, WELL)
    assert list(well) == ["reachable", "disk", "load", "clock", "service", "health"]
    assert {each.status for each in well.values()} == {"pass"}
    assert ailing(HOST, WELL, WELL) == ""


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("disk", replace(WELL, disks=(Disk(mount="/var", free_percent=9.9, free_mb=90_000),))),
        ("disk", replace(WELL, disks=(Disk(mount="/var", free_percent=60, free_mb=499),))),
        ("load", replace(WELL, load=8.1)),
        ("clock", replace(WELL, skew_s=-2.2)),
        ("service", replace(WELL, service=ServiceSeen(standing="failed", told="failed (failed)"))),
        ("service", replace(WELL, service=ServiceSeen(standing="missing", told="no such unit"))),
        ("health", replace(WELL, health=HealthSeen(status=200, latency_ms=2001))),
        ("health", replace(WELL, health=HealthSeen(status=302, latency_ms=1))),
        ("health", replace(WELL, health=HealthSeen(problem="Connection refused"))),
    ],
)
def test_each_limit_has_another_side(name: str, facts: HostFacts) -> None:
    """That finding fails with what to do, and no other."""
    failed = {key: each for key, each in found(facts).items() if each.status != "pass"}
    assert list(failed) == [name]
    assert failed[name].remedy


def test_what_lies_within_the_time_of_the_answer_is_no_skew() -> None:
    """A slow way says nothing about a clock."""
    assert found(replace(WELL, skew_s=3.0, within_s=1.1))["clock"].status == "pass"
    assert found(replace(WELL, skew_s=3.2, within_s=1.1))["clock"].status == "fail"


def test_a_service_that_restarts_is_told_as_a_loop() -> None:
    """The count grew since the look before, it is starting once more, or it was seen to."""
    service = WELL.service
    assert service is not None
    grown = replace(WELL, service=replace(service, restarts=3))
    again = replace(WELL, service=ServiceSeen(standing="starting", told="activating (auto-restart)", restarts=1))
    seen = replace(WELL, service=replace(service, loops=True))
    for facts in (grown, again, seen):
        finding = found(facts, WELL)["service"]
        assert finding.status == "fail"
        assert "restarts in a loop" in finding.observed
        assert "restarts in a loop" in ailing(HOST, facts, WELL)
    assert found(grown)["service"].status == "pass"


@pytest.mark.parametrize(
    ("trouble", "word"), [("unreachable", "HOLD"), ("changed key", "NO-GO"), ("unknown key", "NO-GO")]
)
def test_one_host_down_is_held_and_a_strange_key_is_refused(trouble: Trouble, word: str) -> None:
    """What could not be looked at is not told as if it had been; the health URL is asked all the same."""
    facts = HostFacts(host="api-1", trouble=trouble, told="why", remedy="what", health=HealthSeen(status=200))
    assert list(found(facts)) == ["reachable", "health"]
    assert judge(found(facts).values()).word == word


def test_only_what_was_well_before_is_this_runs_doing() -> None:
    """A failure that stood before, or that no run can cause, walks nothing back by itself."""
    sick = replace(WELL, service=ServiceSeen(standing="failed", told="failed"), health=HealthSeen(status=503))
    assert not found(sick, WELL)["service"].caused_by_data
    assert not found(sick, WELL)["health"].caused_by_data
    assert found(sick, sick)["service"].caused_by_data
    assert found(sick, sick)["health"].caused_by_data
    full = replace(WELL, disks=(Disk(mount="/", free_percent=1, free_mb=1),))
    assert found(full, WELL)["disk"].caused_by_data
