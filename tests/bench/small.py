"""What a whole deployment costs where there is nothing to wait for: all keys on empty tables, against psql."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.programs import Installation
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.plan import Plan
from tests.bench import ways
from tests.bench.stage import Stage

TARGET_S = 1.5
ORDER: tuple[ways.Letter, ...] = ("c", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """Medians over the rounds, in s, of the whole programs, their start included."""

    keys: int
    rounds: int
    ours_s: float
    psql_s: float

    @property
    def difference_s(self) -> float:
        """What preflight, audit, journal and checks cost on top."""
        return self.ours_s - self.psql_s


def measure(folder: Path, stage: Stage, *, rounds: int) -> Small:
    """Both in turn, each on a database of its own. Raises OrchestratorError when one fails."""
    ours: list[float] = []
    theirs: list[float] = []
    keys = 0
    for _ in range(rounds):
        for letter in ORDER:
            with stage.empty() as url:
                plan = stage.plan_of(DatabaseCatalog(server=stage.server(url)).catalog())
                keys = sum(each.kind == "add" for each in plan.statements)
                (ours if letter == "c" else theirs).append(
                    _spent(letter, plan, stage.programs(), url, folder / "small")
                )
    return Small(keys=keys, rounds=rounds, ours_s=median(ours), psql_s=median(theirs))


def lines(found: Small) -> list[str]:
    """One line."""
    kept = "kept" if found.difference_s <= TARGET_S else "not kept"
    return [
        f"small: {found.keys} keys on empty tables, medians of {found.rounds}: ours {found.ours_s:.2f} s, psql"
        f" {found.psql_s:.2f} s: {found.difference_s:.2f} s more (at most {TARGET_S:g}: {kept})"
    ]


def document(found: Small) -> dict[str, object]:
    """The numbers with their names."""
    return {**asdict(found), "difference_s": round(found.difference_s, 3), "target_s": TARGET_S}


def _spent(letter: ways.Letter, plan: Plan, programs: Installation, url: str, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    way = ways.start(letter, plan, programs, url, folder, workers="auto")
    code = way.process.wait()
    spent = time.perf_counter() - began
    if code:
        message = f"{ways.TITLES[letter]} on empty tables ended with {code}: {way.trouble()}"
        raise OrchestratorError(message)
    return spent
