"""What the audit of orphans costs: ours against one NOT EXISTS count per relation, and the memory of our process.

`python -m tests.bench.auditing` is one audit of ours as a process of its own, of which the memory is told; the URL of
the database comes on its standard input.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.orphans import OrphanQueries
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.runbooks import load_runbook
from orchestrator.core.audit import countable
from orchestrator.core.contract import Relation
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import OrchestratorError
from tests.bench.stage import ROOT, RUN, RUNBOOK, Stage, State

TARGET_RATIO = 0.5
TARGET_MIB = 150
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Medians over the rounds in one state; the peak memory of our process in bytes."""

    state: State
    rows: int
    relations: int
    orphans: int
    rounds: int
    ours_ms: float
    plain_ms: float
    peak_bytes: int

    @property
    def ratio(self) -> float:
        """Ours as a share of the plain counts."""
        return self.ours_ms / self.plain_ms


def measure(stage: Stage, *, states: tuple[State, ...], rounds: int) -> list[Audit]:
    """Both in turn, round by round, on one copy per state. Raises OrchestratorError when they do not count the same."""
    stage.prepare()
    return [_audit(stage, state, rounds) for state in states]


def lines(found: list[Audit]) -> list[str]:
    """One line per state."""
    return [
        f"audit: {each.relations} relations, {each.rows} rows in the largest table, {each.state}, medians of"
        f" {each.rounds}: ours {each.ours_ms:.0f} ms, plain NOT EXISTS {each.plain_ms:.0f} ms: {each.ratio:.2f}"
        f" (at most {TARGET_RATIO}), {each.peak_bytes / MIB:.0f} MiB at most in our process (under {TARGET_MIB})"
        for each in found
    ]


def document(found: list[Audit]) -> dict[str, object]:
    """The numbers with their names, per state."""
    return {each.state: {**asdict(each), "ratio": round(each.ratio, 3)} for each in found}


def _audit(stage: Stage, state: State, rounds: int) -> Audit:
    relations = countable(stage.runbook.contract, stage.catalog)
    ours, plain, peak, orphans = [], [], 0, set()
    with stage.trial(state) as url:
        for _ in range(rounds):
            told = _ours(url)
            ours.append(told["ms"])
            peak = max(peak, told["peak_bytes"])
            spent, counted = _plain(url, relations)
            plain.append(spent)
            orphans |= {told["orphans"], counted}
    if len(orphans) != 1:
        message = f"the two ways to count orphans do not agree: {sorted(orphans)}"
        raise OrchestratorError(message)
    return Audit(
        state=state,
        rows=stage.rows,
        relations=len(relations),
        orphans=orphans.pop(),
        rounds=rounds,
        ours_ms=median(ours),
        plain_ms=median(plain),
        peak_bytes=peak,
    )


def _ours(url: str) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.bench.auditing"]
    done = subprocess.run(command, cwd=ROOT, input=url, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"the audit ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
        raise OrchestratorError(message)
    told: dict[str, int] = json.loads(done.stdout)
    return told


def _plain(url: str, relations: tuple[Relation, ...]) -> tuple[float, int]:
    """One count per relation on one connection, as anybody would write it: ms, and what was found."""
    found = 0
    with psycopg.connect(url, autocommit=True, application_name="bench/plain") as connection:
        began = time.perf_counter()
        for each in relations:
            row = connection.execute(plain_count(each)).fetchone()
            found += row[0] if row else 0
        return (time.perf_counter() - began) * 1000, found


def plain_count(relation: Relation) -> sql.Composed:
    """Rows of which no column is NULL and to which no parent belongs."""
    child = [sql.SQL("c.{}").format(sql.Identifier(name)) for name in relation.columns]
    parent = [sql.SQL("p.{}").format(sql.Identifier(name)) for name in relation.referenced_columns]
    same = [sql.SQL("{} = {}").format(mine, theirs) for mine, theirs in zip(child, parent, strict=True)]
    there = [sql.SQL("{} is not null").format(each) for each in child]
    return sql.SQL("select count(*) from {} c where {} and not exists (select from {} p where {})").format(
        qualified(relation.table),
        sql.SQL(" and ").join(there),
        qualified(relation.referenced),
        sql.SQL(" and ").join(same),
    )


def main() -> None:
    """Audit that database; one JSON document."""
    server = Server(environment="bench", url=Secret(sys.stdin.read()), source="the bench", run=RUN)
    contract = load_runbook(RUNBOOK, root=ROOT / "runbooks").contract
    catalog = DatabaseCatalog(server=server).catalog()
    began = time.perf_counter()
    orphans = sum(each.count for each in OrphanQueries(server=server).count(countable(contract, catalog), catalog))
    spent = (time.perf_counter() - began) * 1000
    print(json.dumps({"ms": spent, "orphans": orphans, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int:
    """The most memory that this process has held.

    Linux counts in ru_maxrss what the parent held when it started us; VmHWM begins anew with the program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    # KiB, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
