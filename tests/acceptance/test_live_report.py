"""The page of a run that goes on: written once a step lasts, reloading itself, and never in the way."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.adapters.runs import RunFolder
from orchestrator.app import live
from orchestrator.app.live import LiveReport
from orchestrator.core.journal import RunFinished, StepStarted
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.run import fold
from orchestrator.core.summary import summarize
from tests.acceptance.desk import Desk
from tests.journals import BEGAN, began

RELOADS = 'http-equiv="refresh"'


@dataclass(slots=True)
class Alarms:
    """Alarms that a test sets off itself."""

    made: list[Alarm] = field(default_factory=list)

    def after(self, seconds: float, act: Callable[[], None]) -> Alarm:
        """One more."""
        assert seconds == live.LASTS_S
        self.made.append(Alarm(act=act))
        return self.made[-1]


@dataclass(slots=True, kw_only=True)
class Alarm:
    """Rings by hand, or, with `at_once`, as soon as it is set."""

    act: Callable[[], None]
    at_once: bool = False
    cancelled: bool = False

    def start(self) -> None:
        """Set it."""
        if self.at_once:
            self.act()

    def cancel(self) -> None:
        """Whoever sets it off now has not heard."""
        self.cancelled = True

    def join(self) -> None:
        """It rings in this thread."""


def test_each_step_that_lasts_has_its_page_and_a_full_disk_stops_nothing(
    desk: Desk, staging: str, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page on the way reloads itself; that none of them can be kept does not disturb; the last one stays."""
    pages: list[str] = []
    replace = RunFolder.replace

    def full(self: RunFolder, name: str, text: str) -> object:
        if RELOADS in text:
            pages.append(text)
            message = "no space left"
            raise Refused(message)
        return replace(self, name, text)

    monkeypatch.setattr(RunFolder, "replace", full)
    monkeypatch.setattr(live, "timer", lambda _, act: Alarm(act=act, at_once=True))
    answer = desk.deploy(until="audit")
    assert answer.exit_code == EXIT_DONE
    assert [each for each in ("preflight", "plan", "audit") if any(f">{each}</th>" in page for page in pages)]
    assert len(pages) >= 3
    assert all("Not finished" in page for page in pages)
    assert RELOADS not in desk.file(answer, "report.html")
    assert "Written 2" not in desk.file(answer, "report.html")
    assert "<testsuites" in desk.file(answer, "report.xml")
    assert not list((desk.runs / answer.document["run"]).glob(".*"))


def test_a_step_at_work_is_shown_while_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a real alarm: the page comes by itself, in a thread that is gone when the run is over."""
    monkeypatch.setattr(live, "LASTS_S", 0.0)
    there = threading.Event()
    replace = RunFolder.replace

    def kept(self: RunFolder, name: str, text: str) -> object:
        path = replace(self, name, text)
        there.set()
        return path

    monkeypatch.setattr(RunFolder, "replace", kept)
    folder = RunFolder(root=tmp_path, run="r1")
    page, run = LiveReport(folder=folder), fold("r1", [(began(), BEGAN), (StepStarted(step="backup"), BEGAN)])
    before = threading.active_count()
    page.listen(StepStarted(step="backup"), run)
    assert there.wait(30)
    page.listen(RunFinished(state="done", reason="", events=1, head=""), run)
    text = (folder.path / live.PAGE).read_text("utf-8")
    assert RELOADS in text
    assert re.search(r"Written \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, when this step had begun", text)
    assert "backup" in text
    assert threading.active_count() == before


def test_no_page_comes_late_and_one_that_is_slow_is_written_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is over has no page any more; a page may take its share of the run and no more."""
    times = iter((0.0, 0.5, 2.5, 50.0, 103.0, 104.0, 104.5))
    alarms, written = Alarms(), list[str]()
    monkeypatch.setattr(live, "timer", alarms.after)
    monkeypatch.setattr(live, "report", lambda *_, **__: "page")
    monkeypatch.setattr(RunFolder, "samples", lambda _: {})
    monkeypatch.setattr(RunFolder, "replace", lambda _, name, text: written.append(text))
    page = LiveReport(folder=RunFolder(root=None, run="r1"), clock=lambda: next(times))  # type: ignore[arg-type]
    run = fold("r1", [(began(), BEGAN)])
    page.listen(StepStarted(step="plan"), run)  # 0.0
    assert not written
    alarms.made[0].act()  # 0.5 to 2.5: from 102.5 on there may be another
    assert written == ["page"]
    page.listen(StepStarted(step="audit"), run)  # 50.0
    assert alarms.made[0].cancelled
    assert len(alarms.made) == 1
    page.listen(StepStarted(step="apply"), run)  # 103.0
    assert len(alarms.made) == 2
    page.listen(RunFinished(state="done", reason="", events=1, head=""), run)
    assert alarms.made[1].cancelled
    assert written == ["page"]


def test_without_a_thread_there_is_no_page_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine at its limit of processes gives none."""

    def refused(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refused)
    page, run = LiveReport(folder=RunFolder(root=tmp_path, run="r1")), fold("r1", [(began(), BEGAN)])
    page.listen(StepStarted(step="plan"), run)
    page.listen(StepStarted(step="apply"), run)
    assert not list(tmp_path.iterdir())


def test_a_page_gives_way_to_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The run may hold locks while it is made: each answer of the server is taken up at once."""
    usual, while_made = sys.getswitchinterval(), list[float]()

    def made(*_: object, **__: object) -> str:
        while_made.append(sys.getswitchinterval())
        return "page"

    monkeypatch.setattr(live, "report", made)
    page = LiveReport(folder=RunFolder(root=tmp_path, run="r1"))
    page.keep(summarize(fold("r1", [(began(), BEGAN)])))
    assert (while_made[0] < usual / 10, sys.getswitchinterval()) == (True, usual)
