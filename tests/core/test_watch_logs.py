"""Logs of hosts in a watch: what their counts make of a reading, and what the thresholds make of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestrator.adapters import events
from orchestrator.core.journal import Event, SampleTaken, WatchBegan
from orchestrator.core.run import fold
from orchestrator.core.summary import summarize
from orchestrator.core.watch import HostSeen, LogRead, Sample, with_hosts
from orchestrator.core.watch_logs import HostLogRead, LogPlace
from orchestrator.core.watch_rules import Judgement, hours, judge, violations_per_hour
from orchestrator.core.watched import Watched
from tests.journals import BEGAN, began

LOG = "/var/log/api.log"


def read(errors: int = 0, violations: int = 0, lines: int = 100, *, first: bool = False, unknown: str = "") -> HostSeen:
    """A host, and what came into its log."""
    log = HostLogRead(
        host="api-1",
        log=LOG,
        places=(LogPlace(file=LOG, inode=1, offset=9),),
        lines=lines,
        errors=errors,
        violations=violations,
        first=first,
        unknown=unknown,
    )
    return HostSeen(host="api-1", healthy=True, ms=1.0, logs=(log,))


def sample(number: int, *hosts: HostSeen, log: LogRead | None = None, minutes: int = 60) -> Sample:
    """One an hour."""
    at = BEGAN + timedelta(minutes=minutes * number)
    return Sample(at=at, host="h", every_s=minutes * 60, method="none", hosts=hosts, log=log)


def watched(*samples: Sample, before: Sample | None = None) -> Watched:
    """A watch that took these."""
    found = Watched()
    found.see(WatchBegan(of="r0", for_s=3600.0, before=before))
    for each in samples:
        found.see(SampleTaken(sample=each))
    return found


def judged(found: Watched) -> Judgement:
    """What the thresholds say at the end."""
    return judge(found.held_against, found.readings, most_lag_s=30)


def samples(*hosts: HostSeen) -> Iterator[Sample]:
    """A first one, which only finds the place, and these."""
    yield sample(0, read(first=True))
    yield from (sample(number, each) for number, each in enumerate(hosts, 1))


def test_two_violations_an_hour_are_to_be_investigated() -> None:
    """One is not."""
    assert judged(watched(*samples(read(violations=1)))).word == "go"
    told = judged(watched(*samples(read(), read(violations=2))))
    assert (told.word, told.reasons[0][:34]) == ("investigate", "2.0 foreign-key violations an hour")


def test_a_violation_that_both_logs_tell_counts_once() -> None:
    """The server's log is believed where it can be read, and the hosts' where it cannot."""
    server = LogRead(file="f", offset=1, violations=1)
    found = watched(
        sample(0, read(first=True)), sample(1, read(violations=5), log=server), sample(2, read(violations=3))
    )
    assert [each.violations for each in found.readings] == [0, 1, 3]
    untold = watched(sample(0, read(first=True)), sample(1, read(unknown="refused", violations=0)))
    assert untold.readings[-1].violations is None


def test_the_server_s_silence_is_told_beside_the_hosts_counts() -> None:
    """Other hosts may have an application, too; without any count violations are unknown as before."""
    unknown = {"violations": "no log file"}
    elsewhere = {"violations elsewhere": "only the logs of hosts are counted: no log file"}
    assert with_hosts(unknown, (read(),)) == elsewhere
    assert with_hosts(unknown, (read(unknown="refused"),)) == {**unknown, f"{LOG} of api-1": "refused"}


@pytest.mark.parametrize(("errors", "word"), [(7, "go"), (8, "roll back")])
def test_errors_are_held_against_those_before_the_deployment(errors: int, word: str) -> None:
    """More than 5 points above the 2 % of then, in two of the last three samples."""
    before = sample(-1, read(errors=2, first=True))
    found = watched(*samples(read(errors=2), read(errors=errors), read(errors=errors)), before=before)
    assert found.held_against.log_errors == {f"{LOG} of api-1": 2.0}
    told = judged(found)
    assert told.word == word
    assert told.by_logs == (word == "roll back"), "whoever writes a line must not take keys away with it"
    assert "".join(told.reasons)[:41] in {"", f"{errors}.0 % of what comes into {LOG} of "[:41]}


def test_an_hour_is_that_of_all_readings_up_to_it() -> None:
    """What is told of an hour is the same, whether all that came before is looked through or only the hour."""
    minutes = (0, 1, 30, 59, 60, 61, 119, 120, 121, 122, 300, 301)
    at = (replace(sample(0, read(violations=each % 3)), at=BEGAN + timedelta(minutes=each)) for each in minutes)
    readings = watched(*at).readings
    each_hour = [violations_per_hour(hour) for _, hour in hours(readings)]
    assert each_hour == [violations_per_hour(readings[:count]) for count in range(1, len(readings) + 1)]
    assert max(len(hour) for _, hour in hours(readings)) < len(readings)


def test_without_a_baseline_the_first_samples_are_it() -> None:
    """Errors that grow are seen against them, a few lines say nothing, and one noisy sample decides nothing."""
    three = (read(errors=1), read(errors=1), read(errors=1))
    assert judged(watched(*samples(*three, read(errors=50)))).word == "go"
    assert judged(watched(*samples(*three, read(errors=50), read(errors=50)))).word == "roll back"
    assert judged(watched(*samples(*three, *(read(errors=5, lines=9),) * 3))).word == "go"


def series(*taken: Sample) -> Mapping[str, list[float]]:
    """What a report shows of a watch."""
    told: list[tuple[Event, datetime]] = [(began("monitor"), BEGAN), (WatchBegan(of="r0", for_s=3600.0), BEGAN)]
    view = summarize(fold("w", [*told, *((SampleTaken(sample=each), each.at) for each in taken)])).watch
    assert view is not None
    return {each.subject: [point.value for point in each.points] for each in view.series}


def test_where_a_log_was_left_is_kept_while_it_cannot_be_read() -> None:
    """The next sample goes on from there, and the series has no value of that time."""
    taken = (*samples(read(errors=3), read(unknown="refused", lines=0)),)
    assert watched(*taken).logs["api-1", LOG].places[0].offset == 9
    assert series(*taken)[f"errors in {LOG} of api-1"] == [3.0]


def test_failed_health_checks_are_a_share_of_the_last_hour() -> None:
    """A series of its own, where one failed."""
    seen = [
        HostSeen(host=host, healthy=True, ms=1.0, failed=failed and host == "api-1")
        for failed in (False, True, False, False, False, False)
        for host in ("api-1", "api-2")
    ]
    taken = [sample(number, *seen[2 * number : 2 * number + 2], minutes=15) for number in range(6)]
    shown = series(*taken)
    assert shown["failed health checks of api-1"] == [0.0, 50.0, 33.3, 25.0, 25.0, 0.0]
    assert "failed health checks of api-2" not in shown


def test_samples_of_older_runs_are_still_read() -> None:
    """What they do not have is as if nobody had asked."""
    kind, data = events.encode(SampleTaken(sample=sample(0, HostSeen(host="api-1", healthy=True, ms=1.0))))
    old = data.replace(',"failed":null', "").replace('"failed":null,', "").replace('"logs":[],', "")
    assert "logs" not in old
    event = events.decode(kind, old)
    assert isinstance(event, SampleTaken)
    assert (event.sample.hosts[0].failed, event.sample.hosts[0].logs, event.sample.violations) == (None, (), None)
