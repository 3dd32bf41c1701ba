"""A plan for a large schema, against `pg_dump --schema-only` of the same database, round by round."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from orchestrator.adapters import introspection
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.json_text import json_text
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.programs import server_installation
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.answers import plan_document
from orchestrator.core.inventory import Secret
from orchestrator.core.matching import match_all
from orchestrator.core.plan_making import make_plan
from tests import servers
from tests.bench.many_tables import ManyTables

ROOT = Path(__file__).parents[2]
TARGET_RATIO = 1.0
TARGET_MB = 400
SETTINGS = {"max_locks_per_transaction": "1024"}
"""pg_dump locks every table in one transaction."""

UNUSUAL = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})

MEASURED = """
import json, resource, subprocess, sys, time
with open(sys.argv[1], "wb") as output:
    began = time.perf_counter()
    code = subprocess.run(sys.argv[2:], stdout=output).returncode
    spent = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
print(json.dumps({"code": code, "seconds": spent, "mb": peak / 1e6}))
"""
"""In a small process of its own: a child's peak counts from what its parent was when it began."""

INNER = frozenset({"queries", "assembling", "fingerprint", "matching", "planning"})

INVENTORY = """
[environment]
name = "large"
kind = "staging"

[database]
url = { env = "LARGE_SCHEMA_URL" }
"""

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one program took: seconds, and its peak of memory in MB."""

    seconds: float
    mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeSchema:
    """Medians over the rounds; `parts` are the seconds of each part of a plan that is made within this process."""

    postgres: int
    tables: int
    keys: int
    standing: int
    rounds: int
    dump: Cost
    plan: Cost
    parts: tuple[tuple[str, float], ...]

    @property
    def ratio(self) -> float:
        """How many times what pg_dump takes: the whole command, from the start of Python to the last line of JSON."""
        return self.plan.seconds / self.dump.seconds

    @property
    def inner_ratio(self) -> float:
        """How many times what pg_dump takes: reading the catalog and planning, without contract and JSON."""
        return sum(seconds for name, seconds in self.parts if name in INNER) / self.dump.seconds


def measure(folder: Path, *, tables: int, keys: int, rounds: int, postgres: int = 16, share: int = 3) -> LargeSchema:
    """Both in turn on one database, of whose keys every `share`-th stands; the first of each counts for nothing."""
    schema = ManyTables(tables=tables, keys=keys, share=share)
    cluster = Cluster(directory=folder / "cluster", installation=server_installation(postgres), settings=SETTINGS)
    with cluster:
        url = servers.fresh_database(cluster.url())
        schema.build(url)
        schema.write_contract(folder / "runbook")
        (folder / "inventory").mkdir()
        (folder / "inventory" / "large.toml").write_text(INVENTORY, encoding="utf-8")
        dump, plan = partial(_dump, folder, url, postgres), partial(_plan, folder, url)
        dump(), plan()
        rounded = [(dump(), plan(), dict(_parts(folder, url))) for _ in range(rounds)]
        cluster.discard()
    dumps, plans, parts = zip(*rounded, strict=True)
    return LargeSchema(
        postgres=postgres,
        tables=tables,
        keys=keys,
        standing=schema.standing,
        rounds=rounds,
        dump=_median(dumps),
        plan=_median(plans),
        parts=tuple((name, median(each[name] for each in parts)) for name in parts[0]),
    )


def _median(costs: Iterable[Cost]) -> Cost:
    known = list(costs)
    return Cost(seconds=median(each.seconds for each in known), mb=median(each.mb for each in known))


def _dump(folder: Path, url: str, postgres: int) -> Cost:
    tools = server_installation(postgres)
    command = [str(tools.program("pg_dump")), "--schema-only", "--dbname", url, "--file", str(folder / "schema.sql")]
    return _cost(folder / "dump.out", command, tools.environment())


def _plan(folder: Path, url: str) -> Cost:
    places = {"runbook": folder / "runbook", "inventory": folder / "inventory", "runs": folder / "runs"}
    options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
    command = [sys.executable, "-m", "invoke", "plan", "--env", "large", *options, "--json"]
    # As in a person's shell: compiled files are kept, what is written to a file is buffered.
    shell = {name: value for name, value in os.environ.items() if name not in UNUSUAL}
    return _cost(folder / "plan.json", command, shell | {"LARGE_SCHEMA_URL": url})


def _cost(output: Path, command: list[str], environment: dict[str, str]) -> Cost:
    """What a command takes that writes to a file. Raises CalledProcessError."""
    measured = [sys.executable, "-I", "-S", "-c", MEASURED, str(output), *command]
    done = subprocess.run(measured, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    if found["code"]:
        raise subprocess.CalledProcessError(found["code"], command)
    return Cost(seconds=found["seconds"], mb=found["mb"])


def _parts(folder: Path, url: str) -> Iterator[tuple[str, float]]:
    """What `invoke plan --json` does, part by part; starting Python is not among them.

    The command reads the contract while it waits for the queries: the parts add up to more than it takes.
    """
    # As tasks.py does.
    gc.disable()
    contract, spent = _timed(lambda: load_contract(folder / "runbook" / "foreign_keys.toml"))
    yield "contract", spent
    queries = _Stopwatch()
    server = Server(environment="large", url=Secret(url), source="the bench", run="bench")
    with server.session("bench", read_only=True) as connection, connection.transaction():
        for setting in introspection.SETTINGS:
            connection.execute(setting)
        rows = partial(introspection._rows, connection)
        version = connection.info.server_version
        catalog, spent = _timed(
            lambda: introspection._assemble(version, lambda *of, **on: queries.around(rows(*of, **on)))
        )
    yield "queries", queries.seconds
    yield "assembling", spent - queries.seconds
    yield "fingerprint", _timed(lambda: catalog.fingerprint)[1]
    matching = _timed(lambda: match_all(contract, catalog))[1]
    yield "matching", matching
    plan, spent = _timed(
        lambda: make_plan(
            runbook="large",
            environment="large",
            contract=contract,
            catalog=catalog,
            writer=QuotedDdl(),
            lock_budget_ms=100,
        )
    )
    yield "planning", spent - matching
    with (folder / "plan.json").open("w", encoding="utf-8") as file:
        yield "rendering", _timed(lambda: file.writelines(json_text(plan_document(plan))))[1]
    gc.enable()


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    began = time.perf_counter()
    made = make()
    return made, time.perf_counter() - began


@dataclass(slots=True, kw_only=True)
class _Stopwatch:
    """Adds up the seconds in which rows are waited for and taken over."""

    seconds: float = 0.0

    def around(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The same rows."""
        began = time.perf_counter()
        for row in rows:
            self.seconds += time.perf_counter() - began
            yield row
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began


def lines(found: LargeSchema) -> list[str]:
    """The numbers for people."""
    kept = "kept" if found.ratio <= TARGET_RATIO and found.plan.mb <= TARGET_MB else "not kept"
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in found.parts)
    return [
        f"large schema: {found.tables} tables, {found.keys} keys of which {found.standing} stand,"
        f" PostgreSQL {found.postgres}, {found.rounds} rounds, medians",
        f"  plan {found.plan.seconds:.2f} s, pg_dump --schema-only {found.dump.seconds:.2f} s: {found.ratio:.2f} times",
        f"  memory: plan {found.plan.mb:.0f} MB, pg_dump {found.dump.mb:.0f} MB",
        f"  (at most {TARGET_RATIO:g} times and {TARGET_MB} MB: {kept})",
        f"  catalog and plan alone, without Python's start, contract and JSON: {found.inner_ratio:.2f} times",
        f"  parts of a plan, s: {parts}",
    ]


def document(found: LargeSchema) -> dict[str, object]:
    """The numbers with their names."""
    return {
        "large_schema": {
            "postgres": found.postgres,
            "tables": found.tables,
            "keys": found.keys,
            "standing": found.standing,
            "rounds": found.rounds,
            "plan_s": round(found.plan.seconds, 3),
            "dump_s": round(found.dump.seconds, 3),
            "ratio": round(found.ratio, 2),
            "inner_ratio": round(found.inner_ratio, 2),
            "plan_mb": round(found.plan.mb),
            "dump_mb": round(found.dump.mb),
            "target_ratio": TARGET_RATIO,
            "target_mb": TARGET_MB,
            "parts_s": {name: round(seconds, 3) for name, seconds in found.parts},
        }
    }


def main() -> None:
    """Measure this alone and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.large_schema")
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", type=int, default=16, choices=(15, 16, 18))
    parser.add_argument("--share", type=int, default=3, help="every so manieth key stands: 1 for all")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        print("\n".join(lines(measure(Path(folder), **vars(chosen)))))


if __name__ == "__main__":
    main()
