"""The page of a run that goes on: written at each step, reloading itself, and never in the way."""

from __future__ import annotations

import pytest

from orchestrator.adapters.runs import RunFolder
from orchestrator.app.live import LiveReport
from orchestrator.core.journal import StepStarted
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.run import fold
from tests.acceptance.desk import Desk
from tests.journals import BEGAN, began

RELOADS = 'http-equiv="refresh"'


def test_each_step_writes_the_page_and_a_full_disk_stops_nothing(
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
    answer = desk.deploy(until="audit")
    assert answer.exit_code == EXIT_DONE
    assert [each for each in ("preflight", "plan", "audit") if any(f">{each}</th>" in page for page in pages)]
    assert len(pages) >= 3
    assert all("Not finished" in page for page in pages)
    assert RELOADS not in desk.file(answer, "report.html")
    assert "<testsuites" in desk.file(answer, "report.xml")
    assert not list((desk.runs / answer.document["run"]).glob(".*"))


def test_a_page_that_is_slow_to_write_is_written_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may take its share of the run and no more."""
    times = iter((0.0, 2.0, 50.0, 101.0, 101.5))
    written: list[int] = []
    page = LiveReport(folder=RunFolder(root=None, run="r1"), clock=lambda: next(times))  # type: ignore[arg-type]
    monkeypatch.setattr(LiveReport, "write", lambda self, run: written.append(1))
    run = fold("r1", [(began(), BEGAN)])
    for count in (1, 1, 2):
        page.listen(StepStarted(step="plan"), run)
        assert len(written) == count
