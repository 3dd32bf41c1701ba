"""`invoke monitor` with the log of a host: a server without a log of its own, and hours of watching in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.app.baseline import record_baseline
from orchestrator.app.opening import open_site
from orchestrator.core.journal import BaselineTaken, Event
from orchestrator.core.watch_readings import baseline
from tests.acceptance.desk import Desk
from tests.acceptance.test_monitor import Days, Killed, Shop, opened
from tests.far_hosts import FarHost

INFO = "2026-11-25 10:00:00 INFO well\n"
ERROR = "2026-11-25 10:00:00 ERROR not well\n"
VIOLATION = '{"level":50,"msg":"no","err":{"code":"P2003","meta":{"token":"hush-hush"}}}\n'


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    """One host for the module."""
    host = FarHost(tmp_path_factory.mktemp("far") / "host").start()
    yield host
    host.stop()


@dataclass(slots=True)
class Kept:
    """A journal that only keeps."""

    events: list[Event] = field(default_factory=list)

    def record(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)


def writes(log: Path, *lines: str) -> Callable[[], None]:
    """What happens at an hour."""

    def write() -> None:
        with log.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    return write


def counted(shop: Shop, *names: str) -> list[tuple[int, ...]]:
    """What the journal has of the host's log, sample by sample."""
    logs = [each["sample"]["hosts"][0]["logs"][0] for each in shop.told("sample_taken")]  # type: ignore[index]
    return [tuple(log[name] for name in names) for log in logs]


def test_a_host_s_log_is_judged(desk: Desk, database: str, far: FarHost, tmp_path: Path) -> None:
    """Two violations an hour: investigate; 8 points more errors than in the first samples: roll back.

    Killed in between and taken up, no line is counted twice and none is lost, and none is on record. A log that cannot
    be read is unknown, and judged as nothing.
    """
    log, metrics = tmp_path / "api.log", tmp_path / "keys.prom"
    log.write_text(INFO * 60, "utf-8")
    shop = opened(desk, database, more=far.line(more=f'log = ["{log}", "{tmp_path}/none.log"]'))
    usual, worse = (INFO * 98, ERROR * 2), (INFO * 90, ERROR * 10)

    def kill() -> None:
        writes(log, *usual, VIOLATION)()
        raise Killed

    days = Days({1: writes(log, *usual, VIOLATION), 2: kill})
    with pytest.raises(Killed):
        shop.watch(days, for_="5h", prometheus=metrics)
    log.rename(tmp_path / "api.log.1")
    writes(log, VIOLATION)()
    days.happens = {3: writes(log, *usual), 4: writes(log, *worse), 5: writes(log, *worse)}
    answer = shop.watch(days, for_="5h", prometheus=metrics)
    assert (answer.exit_code, answer.document["word"]) == (1, "roll back")
    assert counted(shop, "lines", "errors", "violations") == [
        (60, 0, 0), (101, 3, 1), (102, 4, 2), (100, 2, 0), (100, 10, 0), (100, 10, 0),
    ]  # fmt: skip
    judged = [(each["word"], str(each["reasons"])) for each in shop.told("watch_judged")]
    assert [word for word, _ in judged] == ["investigate", "go", "roll back"]
    assert "2.0 foreign-key violations an hour" in judged[0][1]
    assert f"10.0 % of what comes into {log} of api-1 are errors" in judged[2][1]
    (unknown, *_) = [each["sample"]["unknown"] for each in shop.told("sample_taken")]  # type: ignore[index]
    assert "no file is called" in unknown[f"{tmp_path}/none.log of api-1"]
    assert "violations elsewhere" in unknown
    folder = desk.runs / answer.document["run"]
    assert "hush-hush" not in (folder / "journal.jsonl").read_text("utf-8")
    page = (folder / "report.html").read_text("utf-8")
    assert f"errors in {log} of api-1" in page
    told = metrics.read_text("utf-8")
    where = f'environment="staging",host="api-1",log="{{}}",run="{shop.run}"'
    assert f"orchestrator_host_log_errors_percent{{{where.format(log)}}} 10.0" in told
    assert f"orchestrator_host_log_readable{{{where.format(tmp_path / 'none.log')}}} 0.0" in told


def test_the_baseline_of_a_production_database_has_its_hosts_errors(
    desk: Desk, database: str, far: FarHost, tmp_path: Path
) -> None:
    """The end of the log as it was before the first statement: what later samples are held against."""
    log = tmp_path / "api.log"
    log.write_text(INFO * 97 + ERROR * 3, "utf-8")
    desk.environment("prod", database, kind="production", backup="", more=far.line(more=f'log = "{log}"'))
    journal = Kept()
    with ExitStack() as stack:
        record_baseline(open_site(desk.request("prod"), stack, read_only=True), journal)  # type: ignore[arg-type]
    (taken,) = journal.events
    assert isinstance(taken, BaselineTaken)
    assert baseline(taken.sample, ()).log_errors == {f"{log} of api-1": 3.0}
