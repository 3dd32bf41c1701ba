"""`invoke monitor`: days of watching in seconds, on a real server, with a clock and a pause of our own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from orchestrator.adapters.runs import RunFolder
from orchestrator.adapters.watch_sampler import DatabaseSampler
from orchestrator.app import monitoring, walking_back
from orchestrator.app.answer import Answer
from orchestrator.app.documenting import docs
from orchestrator.app.monitoring import monitor
from orchestrator.app.watch_times import times
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import ConnectionLost, Refused
from orchestrator.core.watch import Sample
from tests import servers
from tests.acceptance.desk import ROOT, Desk, execute, keys
from tests.acceptance.test_slack import settings, words
from tests.slack_server import TOKEN, SlackServer

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
"""
TABLES = (
    "create table customers (id bigint primary key)",
    "create table orders (id bigint generated always as identity primary key, customer_id bigint not null)",
    "insert into customers select generate_series(1, 20)",
    "insert into orders (customer_id) select 1 + n % 20 from generate_series(1, 200) n",
)
SLOW = """
create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.025); return new; end $$;
create trigger slow before insert on orders for each row execute function slow();
"""
BEGAN = datetime(2026, 3, 3, 22, 0, tzinfo=UTC)


@dataclass(slots=True)
class Days:
    """A clock that goes on by the pauses, and what happens at which hour."""

    happens: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    now: datetime = BEGAN
    done: set[int] = field(default_factory=set)

    def clock(self) -> datetime:
        """What time it is."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Go on, and let happen what is due."""
        self.now += timedelta(seconds=seconds)
        hour = (self.now - BEGAN) // timedelta(hours=1)
        for due in sorted(each for each in self.happens if each <= hour and each not in self.done):
            self.done.add(due)
            self.happens[due]()


@dataclass(slots=True)
class Shop:
    """A deployed key on a small database, and its monitor."""

    desk: Desk
    url: str
    runbook: str
    run: str

    def watch(
        self, days: Days, for_: str | None = "72h", every: str = "1h", runs: Path | None = None, **rest: Path
    ) -> Answer:
        """`invoke monitor`, in this process; other `runs` are another machine's."""
        wanted = times(for_=for_, every=every)
        request = replace(self.desk.request(runbook=self.runbook), runs=runs or self.desk.runs)
        return monitor(request, run=None, wanted=wanted, clock=days.clock, wait=days.wait, **rest)

    def told(self, kind: str) -> list[dict[str, object]]:
        """What the journal of the watch says."""
        (path,) = [each for each in self.desk.runs.glob("*/journal.jsonl") if '"watch_began"' in each.read_text()]
        lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
        return [json.loads(each["data"]) for each in lines if each["kind"] == kind]


def opened(desk: Desk, url: str, policy: str = "", more: str = "") -> Shop:
    """Deploy the key."""
    execute(url, *TABLES)
    desk.environment("staging", url, policy=policy, more=more)
    book = desk.runbook(CONTRACT)
    answer = desk.deploy(runbook=book)
    assert answer.exit_code == 0
    return Shop(desk, url, book, answer.document["run"])


def test_a_slowdown_at_hour_30_is_advised_against_once(
    desk: Desk, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """25 ms more per insert: the command is on the terminal, in the report and in Slack; the watch goes on."""
    with SlackServer() as slack:
        desk.variable("SLACK_BOT_TOKEN", TOKEN)
        shop = opened(desk, database, more=settings(slack))
        answer = shop.watch(Days({30: lambda: execute(database, SLOW)}), every="2h")
        alerts = [each for each in slack.tops() if "ROLL BACK" in words(each)]
        assert len(alerts) == 1
    assert (answer.exit_code, answer.document["word"], answer.document["samples"]) == (1, "roll back", 37)
    where = f"--runbook {shop.runbook} --inventory {desk.inventory} --runs {desk.runs}"
    assert capsys.readouterr().out.count("  next: invoke rollback --env staging") == 1
    (judged,) = shop.told("watch_judged")
    assert (judged["word"], judged["was"], judged["automatic"]) == ("roll back", "go", False)
    assert judged["command"] == f"invoke rollback --env staging {where} --run {shop.run}"
    assert len(keys(database)) == 1
    page = (desk.runs / answer.document["run"] / "report.html").read_text("utf-8")
    assert 'id="watch"' in page
    assert "insert public.orders in ms over" in page
    report = json.loads((desk.runs / answer.document["run"] / "report.json").read_text("utf-8"))
    slow = next(each for each in report["watch"]["series"] if each["subject"] == "insert public.orders")
    assert len(slow["points"]) == 37
    assert max(each["value"] for each in slow["points"]) > slow["limit"] > slow["points"][0]["value"]
    assert report["watch"]["watched_s"] == pytest.approx(72 * 3600)
    docs(desk.request(runbook=shop.runbook), out=str(desk.folder / "docs"))
    told = (desk.folder / "docs/README_RUNBOOK.md").read_text("utf-8")
    assert f"run {shop.run} was watched from 2026-03-03 22:00 UTC to 2026-03-06 22:00 UTC" in told
    assert f"37 samples, 0 gaps, by watch {answer.document['run']}, which is over: its time is over" in told
    # On another machine, which has no folder of it.
    shutil.rmtree(desk.runs / answer.document["run"])
    docs(desk.request(runbook=shop.runbook), out=str(desk.folder / "docs"))
    assert (desk.folder / "docs/README_RUNBOOK.md").read_text("utf-8") == told


def test_the_policy_may_walk_back(desk: Desk, database: str) -> None:
    """With monitor_rollback the keys are gone two samples later, and the watch is over."""
    shop = opened(desk, database, policy="monitor_rollback = true")
    answer = shop.watch(Days({3: lambda: execute(database, SLOW)}))
    assert (answer.exit_code, answer.document["word"]) == (1, "roll back")
    assert keys(database) == {}
    assert answer.document["samples"] < 10
    (ended,) = shop.told("watch_ended")
    assert str(ended["reason"]).startswith("walked back by run")
    with pytest.raises(Refused, match="nothing to watch"):
        shop.watch(Days())


class Killed(BaseException):
    """Ends the monitor as SIGKILL would: nothing of the product catches it."""


def test_a_way_back_that_has_to_wait_is_tried_again(
    desk: Desk, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another run is at work, then the monitor dies when all is walked back: taken up, its watch comes to its end."""
    shop, calls = opened(desk, database, policy="monitor_rollback = true"), []

    def walk(*given: object, **named: object) -> Answer:
        calls.append(given)
        if len(calls) == 1:
            message = "another run is at work"
            raise Refused(message)
        walking_back.rollback(*given, **named)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(monitoring, "rollback", walk)
    days = Days({3: lambda: execute(database, SLOW)})
    with pytest.raises(Killed):
        shop.watch(days)
    assert (len(calls), keys(database)) == (2, {})
    assert "not walked back: another run is at work" in capsys.readouterr().out
    days.wait(3600)
    answer = shop.watch(days)
    assert (answer.exit_code, len(calls)) == (1, 2)
    assert [each["reason"] for each in shop.told("watch_ended")] == [f"run {shop.run} was walked back"]


def test_a_database_that_cannot_be_asked_has_not_been_walked_back(
    desk: Desk, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is gone and a server that does not answer end no watch; each sample says once why it does not."""
    shop, days, asked = opened(desk, database), Days(), []
    away = "postgresql://nobody:secret@127.0.0.1:1/none"

    def stop(watch: monitoring.Watch) -> None:
        site = watch.site
        asked.append(watch._walked_back())
        watch.site = replace(site, server=replace(site.server, url=Secret(away)))
        asked.append(watch._walked_back())
        watch.site = site
        site.interruption.ask("interrupted by SIGTERM", cancel=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitoring.Watch, "_report", stop)
        answer = shop.watch(days, every="2h")
    assert (answer.exit_code, asked) == (3, [False, False])

    def gone(*_: object, **__: object) -> Sample:
        message = "nobody is there"
        raise ConnectionLost(message)

    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitoring.Watch, "_report", lambda _: None)
        patch.setattr(DatabaseSampler, "take", gone)
        assert shop.watch(days, every="24h").document["word"] == "investigate"
    told = capsys.readouterr().out
    assert told.count("nothing could be seen") == told.count("nobody is there") == 4
    assert told.count("  database unknown: nobody is there") == 1


@pytest.fixture(scope="module")
def logging_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that writes its log as JSON."""
    more = {"logging_collector": "on", "log_destination": "jsonlog"}
    place = tmp_path_factory.mktemp("logging") / "cluster"
    with Cluster(directory=place, installation=server_installation(16), settings=more) as cluster:
        yield servers.fresh_database(cluster.url())
    cluster.discard()


def test_two_violations_an_hour_are_to_be_investigated(desk: Desk, logging_url: str) -> None:
    """From the server's log; one an hour is not, and when they stop the thresholds say go again."""

    def violate(times_: int) -> None:
        for _ in range(times_):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                execute(logging_url, "insert into orders (customer_id) values (-1)")

    shop = opened(desk, logging_url)
    happens = {5: lambda: violate(1), 10: lambda: violate(2), 11: lambda: violate(2)}
    answer = shop.watch(Days(happens), for_="20h")
    told = [(each["word"], each["reasons"]) for each in shop.told("watch_judged")]
    assert [word for word, _ in told] == ["investigate", "go"]
    assert "2.0 foreign-key violations an hour" in str(told[0][1])
    assert answer.document["worst"] == "investigate"
    assert answer.exit_code == 0
    counted = [sample["sample"]["log"]["violations"] for sample in shop.told("sample_taken")]  # type: ignore[index]
    assert sum(counted) == 5


def test_killed_and_taken_up_it_loses_no_sample(desk: Desk, database: str) -> None:
    """SIGKILL: gone on with there, then here; what was half written is cut off, every sample is there once."""
    shop, there = opened(desk, database), desk.folder / "there"
    own = ("--inventory", str(desk.inventory), "--runs", str(desk.runs), "--runbook", shop.runbook)
    line = [sys.executable, "-m", "invoke", "monitor", "--env", "staging", "--for", "9h", "--every", "1s", *own]
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    later = Days(now=datetime.now(UTC) + timedelta(hours=3))
    with subprocess.Popen(
        line, cwd=ROOT, env={**kept, "HOME": str(desk.folder), **desk.variables}, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        seen = 0
        for said in child.stdout:
            seen += " stands, writes by probes" in said
            if seen == 2:
                with pytest.raises(Refused, match=r"is watched already: .* from host"):
                    shop.watch(later, for_=None, runs=there)
                os.kill(child.pid, signal.SIGKILL)
                break
        child.wait(10)
    before = shop.told("sample_taken")
    assert len(before) >= 2
    (name,) = [each.parent.name for each in desk.runs.glob("*/journal.jsonl") if '"watch_began"' in each.read_text()]
    # What the last moment wrote here only is a sample of the child's that the other machine cannot have.
    brought = shop.watch(later, for_=None, runs=there).document["samples"] - 1
    assert len(before) - brought in {0, 1}
    with (there / name / "journal.jsonl").open("ab") as file:
        file.write(b'{"half": ')
    again = shop.watch(later, for_=None, runs=there)
    answer = shop.watch(later, for_=None)
    assert [again.document["run"], answer.document["run"]] == [name, name]
    after = shop.told("sample_taken")
    assert after[:brought] == before[:brought]
    assert len(after) == brought + 3 == answer.document["samples"]
    entries = list(RunFolder(root=desk.runs, run=name).entries())
    assert [each.seq for each in entries] == list(range(1, len(entries) + 1))
    assert all(now.previous == past.hash for past, now in pairwise(entries))
    report = json.loads((desk.runs / name / "report.json").read_text("utf-8"))
    assert len(report["watch"]["gaps"]) == 1


def test_one_sample_for_a_timer(desk: Desk, database: str, tmp_path: Path) -> None:
    """All is well: exit 0, and metrics for Prometheus; where they cannot be written that is said, and nothing else."""
    shop = opened(desk, database)
    metrics = tmp_path / "keys.prom"
    answer = shop.watch(Days(), for_=None, prometheus=metrics)
    assert (answer.exit_code, answer.document["word"]) == (0, "go")
    text = metrics.read_text("utf-8")
    labels = f'environment="staging",run="{shop.run}"'
    assert f"orchestrator_keys_standing{{{labels}}} 1.0" in text
    assert 'operation="insert"' in text
    again = shop.watch(Days(now=BEGAN + timedelta(minutes=5)), for_=None, prometheus=tmp_path / "no" / "x.prom")
    assert (again.exit_code, again.document["samples"]) == (0, 2)


def test_bad_input_is_one_line(desk: Desk, database: str) -> None:
    """Times that are none, and nothing to watch."""
    for word in ("5", "5x", "0s", "-1h", ""):
        with pytest.raises(Refused, match="a number with s, m, h or d"):
            times(for_=None, every=word)
    execute(database, *TABLES)
    desk.environment("staging", database)
    said = desk.typed("monitor", "--env", "staging", "--runbook", desk.runbook(CONTRACT))
    assert said.returncode == 2
    assert "nothing was deployed there" in said.stderr
    assert "Traceback" not in said.stderr
