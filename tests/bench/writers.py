"""The load as the bench sees it: started, warm, recording, and stopped by a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.adapters.child import die_with_us
from orchestrator.core.outcome import OrchestratorError
from tests.bench.load import SETTINGS, Order
from tests.bench.stage import ROOT, Stage
from tests.bench.writing import pairs

STOP_WITHIN_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Writers at work; their records are in `folder`."""

    folder: Path
    process: subprocess.Popen[str]

    @property
    def complained(self) -> Path:
        """What they wrote to stderr."""
        return self.folder / "complained"

    def go_on_for(self, seconds: float) -> None:
        """Let them write for that long. Raises OrchestratorError when they end before."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        self.check()

    def check(self) -> None:
        """Raise OrchestratorError when one of them is gone before it was told to end."""
        if self.process.poll():
            lines = self.complained.read_text("utf-8", errors="replace").split("\n")
            message = f"the writers ended: {next(filter(None, lines), 'they said nothing')}"
            raise OrchestratorError(message)


@contextmanager
def loaded(stage: Stage, url: str, folder: Path, *, order: Order, writers: int, seed: int) -> Iterator[Load]:
    """The writers of one trial, warm; ended when the block is left. Raises OrchestratorError when they do not start."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(_settings(stage, url, order, writers, seed)), encoding="utf-8")
    with (folder / "complained").open("wb") as complained:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complained,
            text=True,
            preexec_fn=die_with_us(signal.SIGKILL),  # noqa: PLW1509  calls nothing but prctl
        )
    load = Load(folder=folder, process=process)
    try:
        assert process.stdout
        if process.stdout.readline().strip() != "ready":
            process.wait(STOP_WITHIN_S)
            load.check()
        yield load
    finally:
        _stop(process)
    load.check()


def _settings(stage: Stage, url: str, order: Order, writers: int, seed: int) -> dict[str, object]:
    tables = {
        str(each.name): {
            "update": each.update().as_string(None),
            "insert": each.insert().as_string(None) if each.copied else None,
            "ids": [str(row) for row in each.ids],
        }
        for each in stage.targets
    }
    relations = [(str(child), str(parent)) for child, parent in pairs(stage.runbook.contract)]
    return {"url": url, "order": order, "writers": writers, "seed": seed, "tables": tables, "relations": relations}


def _stop(process: subprocess.Popen[str]) -> None:
    with process:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            # Its writers ask the kernel to end them with it.
            process.kill()
