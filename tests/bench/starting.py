"""How long `invoke --list` takes, beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.stage import ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Medians over the rounds, in ms."""

    rounds: int
    list_ms: float
    python_ms: float


def measure(*, rounds: int) -> Start:
    """Both in turn, after one time that nobody counts: it fills the caches."""
    words = {"list": ["-m", "invoke", "--list"], "python": ["-c", "pass"]}
    times: dict[str, list[float]] = {name: [] for name in words}
    for number in range(rounds + 1):
        for name, each in words.items():
            spent = _spent(each)
            if number:
                times[name].append(spent)
    return Start(rounds=rounds, list_ms=median(times["list"]), python_ms=median(times["python"]))


def lines(found: Start) -> list[str]:
    """One line."""
    return [
        f"start: invoke --list, median of {found.rounds}: {found.list_ms:.0f} ms,"
        f" of which a bare interpreter takes {found.python_ms:.0f} ms"
    ]


def document(found: Start) -> dict[str, object]:
    """The numbers with their names."""
    return asdict(found)


def _spent(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True)
    return (time.perf_counter() - began) * 1000
