"""`invoke monitor` with the log of a host: a server without a log of its own, and hours of watching in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


def test_two_violations_an_hour_in_a_host_s_log_are_to_be_investigated(
    desk: Desk, database: str, far: FarHost, tmp_path: Path
) -> None:
    """One is not; killed in between and taken up, no line is counted twice and none is lost; no line is on record."""
    log, metrics = tmp_path / "api.log", tmp_path / "keys.prom"
    log.write_text(INFO * 60, "utf-8")
    shop = opened(desk, database, more=far.line(more=f'log = "{log}"'))

    def kill() -> None:
        writes(log, VIOLATION)()
        raise Killed

    days = Days({1: writes(log, VIOLATION), 2: kill})
    with pytest.raises(Killed):
        shop.watch(days, for_="4h", prometheus=metrics)
    assert (tmp_path / "keys.prom").read_text("utf-8").count("orchestrator_host_log_readable{") == 1
    log.rename(tmp_path / "api.log.1")
    writes(log, VIOLATION, INFO * 100)()
    days.happens = {3: writes(log, INFO * 50), 4: writes(log, INFO * 80)}
    answer = shop.watch(days, for_="4h", prometheus=metrics)
    assert answer.document["word"] == "go"
    judged = [(each["word"], str(each["reasons"])) for each in shop.told("watch_judged")]
    assert [word for word, _ in judged] == ["investigate", "go"]
    assert "2.0 foreign-key violations an hour" in judged[0][1]
    assert counted(shop, "lines", "violations")[:5] == [(60, 0), (1, 1), (102, 2), (50, 0), (80, 0)]
    journal = (desk.runs / answer.document["run"] / "journal.jsonl").read_text("utf-8")
    assert "hush-hush" not in journal
    assert "violations elsewhere" in journal
    page = (desk.runs / answer.document["run"] / "report.html").read_text("utf-8")
    assert f"errors in {log} of api-1" in page
    assert "foreign-key violations" in page
    assert "host_log_errors_percent{" in metrics.read_text("utf-8")


def test_errors_in_a_host_s_log_roll_back(desk: Desk, database: str, far: FarHost, tmp_path: Path) -> None:
    """More than 5 points above the first samples; a log that cannot be read is unknown, and judged as nothing."""
    log = tmp_path / "api.log"
    log.write_text(INFO, "utf-8")
    shop = opened(desk, database, more=far.line(more=f'log = ["{log}", "{tmp_path}/none.log"]'))
    usual, worse = writes(log, INFO * 98, ERROR * 2), writes(log, INFO * 90, ERROR * 10)
    days = Days({1: usual, 2: usual, 3: usual, 4: worse, 5: worse})
    answer = shop.watch(days, for_="5h")
    assert (answer.exit_code, answer.document["word"]) == (1, "roll back")
    (judged,) = shop.told("watch_judged")
    assert "10.0 % of what comes into" in str(judged["reasons"])
    assert "8.0 points more than before" in str(judged["reasons"])
    (unknown, *_) = [each["sample"]["unknown"] for each in shop.told("sample_taken")]  # type: ignore[index]
    assert "no file is called" in unknown[f"{tmp_path}/none.log of api-1"]
