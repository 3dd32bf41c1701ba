"""A watch that another machine goes on with: two folders of runs stand for two machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from orchestrator.adapters import ledger, ledger_watch
from orchestrator.adapters.journals import in_ledger
from orchestrator.adapters.runs import RunFolder
from orchestrator.app import baseline, monitoring, reading, verifying, watch_keeping
from orchestrator.app.answer import Answer
from orchestrator.app.monitoring import monitor
from orchestrator.app.request import Request
from orchestrator.app.watch_times import times
from orchestrator.core.entry import Entry
from orchestrator.core.outcome import LeaseLost, Refused
from orchestrator.core.run import Run
from tests import servers
from tests.acceptance.desk import Desk, execute, fingerprint, value, with_parameters
from tests.acceptance.test_monitor import Days, Shop, opened
from tests.conftest import ClusterUrl

LAPSED = "update orchestrator.watch set expires_at = clock_timestamp()"

SET_BACK = """
set session_replication_role = replica;
delete from orchestrator.watch_event e using orchestrator.watch w where w.id = e.run and not w.closed and e.seq > 5;
update orchestrator.watch w set token = 1, expires_at = clock_timestamp(), head_seq = 5, head_hash = e.hash
from orchestrator.watch_event e where e.run = w.id and e.seq = 5 and not w.closed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine: a folder of runs, and a monitor."""

    request: Request

    def watch(self, days: Days, for_: str | None = None) -> Answer:
        """`invoke monitor`; without a time one sample."""
        wanted = times(for_=for_, every="1h")
        return monitor(self.request, run=None, wanted=wanted, clock=days.clock, wait=days.wait)

    def entries(self, answer: Answer) -> tuple[Entry, ...]:
        """The journal of a watch, as this machine has it."""
        return tuple(RunFolder(root=self.request.runs, run=answer.document["run"]).entries())


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A deployed key, a laptop and a desktop."""

    shop: Shop
    laptop: Machine
    desktop: Machine

    @property
    def url(self) -> str:
        """The database."""
        return self.shop.url

    def kept(self, answer: Answer) -> tuple[Entry, ...]:
        """The journal of a watch, as the database has it."""
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
            return ledger_watch.entries(connection, answer.document["run"])


@pytest.fixture(scope="module")
def shop(cluster_url: ClusterUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A deployed key that every test here watches."""
    url = servers.fresh_database(cluster_url(16))
    with pytest.MonkeyPatch.context() as patch:
        yield opened(Desk(folder=tmp_path_factory.mktemp("desk"), monkeypatch=patch), url)


@pytest.fixture
def place(shop: Shop, tmp_path: Path) -> Iterator[Place]:
    """Two machines that have no watch yet."""
    request = shop.desk.request(runbook=shop.runbook)
    laptop, desktop = (Machine(request=replace(request, runs=tmp_path / name)) for name in ("laptop", "desktop"))
    yield Place(shop=shop, laptop=laptop, desktop=desktop)
    execute(shop.url, "update orchestrator.watch set closed = true")


def watch(run: Run) -> bool:
    """Whether that run is one."""
    return run.started is not None and run.started.task == "monitor"


def later(days: Days) -> Days:
    """The same clock, an hour on."""
    return Days(now=days.now + timedelta(hours=1))


def test_forward_back_and_forward_again(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """One sample each, by turns: one watch, no gap, and whoever has neither folder reads it from the database."""
    before = fingerprint(place.url)
    days = Days()
    answers = [place.laptop.watch(days)]
    for each in (place.desktop, place.laptop, place.desktop):
        days = later(days)
        answers.append(each.watch(days))
    assert len({each.document["run"] for each in answers}) == 1
    assert [each.document["samples"] for each in answers] == [1, 2, 3, 4]
    last = answers[-1]
    assert place.desktop.entries(last) == place.kept(last)
    assert place.laptop.entries(last) == place.kept(last)[: len(place.laptop.entries(last))]
    assert fingerprint(place.url) == before
    stranger = replace(place.laptop.request, runs=place.laptop.request.runs.with_name("stranger"))
    capsys.readouterr()
    reading.show_report(stranger, run=last.document["run"], form="md")
    assert "monitor" in capsys.readouterr().out
    told = reading.runs(stranger, latest_only=True).document["watch"]
    assert (told["run"], told["state"]) == (last.document["run"], "stopped")
    for request in (place.laptop.request, place.desktop.request):
        assert verifying.verify(request, run=last.document["run"]).document["state"] == "whole"
    ended = place.laptop.watch(Days(now=days.now + timedelta(days=3)))
    assert ended.document["samples"] == 5
    assert place.kept(ended)[-1].kind == "run_finished"
    assert value(place.url, "select count(*) from orchestrator.watch where not closed") == 0
    with psycopg.connect(place.url, autocommit=True, row_factory=dict_row) as connection:
        (known,) = [
            each for each in in_ledger(connection, runbook="custom", environments=["staging"]).runs if watch(each)
        ]
    assert known.watched.ended is not None


@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "slow"])
def test_the_first_comes_back_and_is_told(place: Place, monkeypatch: pytest.MonkeyPatch, *, asleep: bool) -> None:
    """It stops with exit 3; asleep it takes no sample more, and one that it took anyway stays beside the journal."""
    if asleep:
        monkeypatch.setattr(watch_keeping, "GRACE_S", -1e6)
    days, there = Days(), []

    def taken_over() -> None:
        with pytest.raises(Refused, match=r"is watched already: run \S+ from host .* since .* stop that one, or wait"):
            place.desktop.watch(days)
        execute(place.url, LAPSED)
        there.append(place.desktop.watch(days))

    days.happens = {2: taken_over}
    with pytest.raises(LeaseLost, match=r"host \S+ as \S+ goes on with this watch, since .* to go on here: invoke mon"):
        place.laptop.watch(days, "9h")
    assert LeaseLost.exit_code == 3
    (answer,) = there
    again = place.laptop.watch(later(days))
    assert again.document["run"] == answer.document["run"]
    assert (answer.document["samples"], again.document["samples"]) == (3, 4)
    assert place.laptop.entries(again) == place.kept(again)
    lost = [each.kind for each in RunFolder(root=place.laptop.request.runs, run=again.document["run"]).lost()]
    assert lost == ([] if asleep else ["sample_taken"])
    found = verifying.verify(place.laptop.request, run=again.document["run"]).document
    assert (found["state"], "1 event kept beside" in found["problem"]) == ("whole", not asleep)


@contextmanager
def closed_to_all(url: str, at: Days, *, from_: int, to: int) -> Iterator[None]:
    """The database takes no connection between two hours."""
    name = conninfo_to_dict(url)["dbname"]
    outside = with_parameters(url, dbname="postgres")
    shut, open_ = (f'alter database "{name}" with allow_connections {word}' for word in ("false", "true"))
    at.happens = {from_: lambda: execute(outside, shut), to: lambda: execute(outside, open_)}
    try:
        yield
    finally:
        execute(outside, open_)


def test_samples_of_the_time_when_the_database_was_away_are_brought(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are on disk first, and in the database in order once it answers; also when it was set back."""
    days = Days()
    with closed_to_all(place.url, days, from_=2, to=4):
        days.happens = {**days.happens, 5: lambda: execute(place.url, SET_BACK)}
        answer = place.laptop.watch(days, "6h")
    told = capsys.readouterr().out
    assert answer.document["samples"] == 7
    assert told.count("kept on this machine only: staging: cannot connect") == 1
    assert len(re.findall("kept in the database, too, from now on: [0-9]+ events brought", told)) == 1
    assert place.kept(answer) == place.laptop.entries(answer)


def test_an_end_that_the_database_missed_is_brought_by_the_next(place: Place) -> None:
    """The watch ended while it was away: the next monitor on that machine closes it there and begins a new one."""
    days = Days()
    with closed_to_all(place.url, days, from_=1, to=9):
        answer = place.laptop.watch(days, "2h")
        assert len(place.laptop.entries(answer)) > 4
    execute(place.url, LAPSED)
    again = place.laptop.watch(later(days))
    assert again.document["run"] != answer.document["run"]
    assert place.kept(answer) == place.laptop.entries(answer)


class DaysAhead(datetime):
    """The clock of a machine whose battery is empty."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> DaysAhead:
        """Four days too late."""
        return super().now(tz) + timedelta(days=4)


def test_a_machine_whose_clock_is_wrong_does_not_end_the_watch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples have the time of the server, which both machines ask."""
    wanted = times(for_=None, every="1h")
    first = monitor(place.laptop.request, run=None, wanted=wanted)
    monkeypatch.setattr(baseline, "datetime", DaysAhead)
    second = monitor(place.desktop.request, run=None, wanted=wanted)
    assert (second.document["run"], second.document["samples"]) == (first.document["run"], 2)
    assert "watch_ended" not in [each.kind for each in place.kept(second)]


def test_two_that_begin_at_the_same_moment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused, and its watch, which has no sample, is closed."""
    begun: list[Answer | None] = []
    begin = monitoring._begin

    def late(*given: object) -> None:
        begin(*given)  # type: ignore[arg-type]
        if not begun:
            begun.append(None)
            begun.append(place.desktop.watch(Days()))

    monkeypatch.setattr(monitoring, "_begin", late)
    with pytest.raises(Refused, match="began to watch it before"):
        place.laptop.watch(Days())
    answer = begun[-1]
    assert answer is not None
    again = place.laptop.watch(Days())
    assert (again.document["run"], again.document["samples"]) == (answer.document["run"], 2)


def test_a_broken_chain_is_not_gone_on_with(place: Place) -> None:
    """Somebody changed a sample in the database."""
    place.laptop.watch(Days())
    execute(
        place.url,
        "set session_replication_role = replica;"
        " update orchestrator.watch_event set actor = 'x' where kind = 'sample_taken'",
    )
    with pytest.raises(Refused, match=r"chain of watch \S+ is broken in the database: event 4 .*was changed"):
        place.desktop.watch(Days())
    execute(place.url, "set session_replication_role = replica; delete from orchestrator.watch_event")
    with pytest.raises(Refused, match="is broken in the database"):
        place.desktop.watch(Days())


def test_without_rights_it_is_a_watch_of_this_machine(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The role reads the ledger and may not write: said once; with the rights of the guide all is brought."""
    execute(
        place.url,
        "create role watches login password 'w'",
        "grant usage on schema orchestrator to watches",
        "grant select on all tables in schema orchestrator to watches",
        "grant select, insert, update, delete on customers, orders to watches",
    )
    try:
        monkeypatch.setenv("STAGING_URL", with_parameters(place.url, user="watches", password="w"))
        days = Days()
        answer = place.laptop.watch(days, "1h")
        told = capsys.readouterr().out
        assert place.kept(answer) == ()
        alone = place.laptop.watch(days)
        execute(
            place.url,
            "grant insert, update on orchestrator.watch to watches",
            "grant insert on orchestrator.watch_event to watches",
            "grant execute on function orchestrator.target() to watches",
        )
        both = place.laptop.watch(later(days))
        assert (both.document["run"], both.document["samples"]) == (alone.document["run"], 2)
        assert place.kept(both) == place.laptop.entries(both)
    finally:
        execute(place.url, "drop owned by watches", "drop role watches")
    assert answer.document["samples"] == 2
    assert told.count("kept on this machine only: needs: grant select, insert, update on orchestrator.watch") == 1


def test_an_older_ledger_is_upgraded(place: Place) -> None:
    """What was deployed by an older program is watched by this one."""
    older = "drop table orchestrator.watch, orchestrator.watch_event; delete from orchestrator.ledger where version = 6"
    execute(place.url, older)
    answer = place.laptop.watch(Days())
    assert place.kept(answer) == place.laptop.entries(answer)
    assert value(place.url, "select max(version) from orchestrator.ledger") == ledger.VERSION
    execute(place.url, older, "update orchestrator.run set closed = false")
    held = place.laptop.watch(later(Days()))
    assert held.document["samples"] == 2
    assert value(place.url, "select to_regclass('orchestrator.watch')") is None
    execute(place.url, "update orchestrator.run set closed = true")
    place.laptop.watch(later(later(Days())))
    assert place.kept(held) == place.laptop.entries(held)
