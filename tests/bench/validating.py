"""How quick each way to validate a key is, by how much changed since the last vacuum: where the ways cross.

Each measurement is the real thing, rolled back: ADD NOT VALID, the settings of a way, VALIDATE.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
from psycopg.rows import dict_row

from orchestrator.adapters import blockers
from orchestrator.adapters.condition import conditions
from orchestrator.core.plan import Statement
from orchestrator.core.validation import SETTINGS, Way, choose
from tests.bench import pages
from tests.bench.stage import Stage

SHARES = (0.0, 0.001, 0.01, 0.05, 0.2)
"""Which part of the rows of every referencing table is updated at random, and not vacuumed."""

LARGEST = 10
"""How many keys are measured: those that read most rows."""

Connection = psycopg.Connection[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """All measured keys together at one share of changed rows, medians in ms. `chosen` is what the engine takes."""

    share: float
    default: float
    steered: float
    whole: float
    chosen: float
    ways: str
    worst: float


def measure(stage: Stage, *, rounds: int) -> tuple[Crossing, ...]:
    """One copy of the data for each share."""
    stage.prepare()
    return tuple(_at(stage, share, rounds) for share in SHARES)


def _at(stage: Stage, share: float, rounds: int) -> Crossing:
    with stage.trial("vacuumed") as url, psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        if share:
            stage.change(connection, share)
        found: dict[str, dict[Way, float]] = {}
        chosen: dict[str, Way] = {}
        for add, validate in _largest(stage):
            chosen[add.id] = _choice(connection, add)
            # The first reading after a change sets hint bits: that is nobody's merit.
            _timed(connection, add, validate, "default")
            times = {way: [_timed(connection, add, validate, way) for _ in range(rounds)] for way in SETTINGS}
            found[add.id] = {way: median(taken) for way, taken in times.items()}
    taken = [found[name][way] for name, way in chosen.items()]
    totals = {way: sum(each[way] for each in found.values()) for way in SETTINGS}
    used = ", ".join(f"{list(chosen.values()).count(way)} {way}" for way in SETTINGS if way in chosen.values())
    worst = max(found[name][way] / found[name]["default"] for name, way in chosen.items())
    return Crossing(
        share=share,
        default=totals["default"],
        steered=totals["steered"],
        whole=totals["whole"],
        chosen=sum(taken),
        ways=used,
        worst=worst,
    )


def _largest(stage: Stage) -> Iterator[tuple[Statement, Statement]]:
    """ADD and VALIDATE of the keys whose tables have most rows."""
    adds = [each for each in stage.plan.statements if each.kind == "add"]
    adds.sort(key=lambda each: -stage.catalog.tables[each.proof.table].rows)
    for add in adds[:LARGEST]:
        name = add.proof.constraint
        yield add, next(e for e in stage.plan.statements if e.kind == "validate" and e.proof.constraint == name)


def _timed(connection: Connection, add: Statement, validate: Statement, way: Way) -> float:
    """How long VALIDATE takes in that way, in ms; nothing of it is kept."""
    with connection.transaction(force_rollback=True):
        connection.execute(add.sql.encode())
        for name, value in SETTINGS[way].items():
            connection.execute("select set_config(%s, %s, true)", (name, value))
        began = time.perf_counter()
        connection.execute(validate.sql.encode())
        return (time.perf_counter() - began) * 1000


def _choice(connection: Connection, add: Statement) -> Way:
    """What the engine would take, without a vacuum."""
    with connection.transaction(force_rollback=True):
        connection.execute(add.sql.encode())
        oid = blockers.oids(connection, [add.proof.table])[add.proof.table]
        seen = conditions(connection, oid, add.proof.constraint)
    if seen is None:
        return "default"
    return choose(seen.child, seen.parent, indexed=seen.indexed, keys=1, may_vacuum=False).way


def lines(found: tuple[Crossing, ...]) -> list[str]:
    """As a table."""
    head = f"{'changed':>8} {'default':>9} {'steered':>9} {'whole':>9} {'chosen':>9}  ratio  worst  ways"
    return [
        f"validation: the {LARGEST} keys that read most rows, ms together; the worst is that of a single key",
        head,
        *(
            f"{each.share:>8.1%} {each.default:>9.0f} {each.steered:>9.0f} {each.whole:>9.0f} {each.chosen:>9.0f}"
            f"  {each.chosen / each.default:>5.2f}  {each.worst:>5.2f}  {each.ways}"
            for each in found
        ),
    ]


def document(found: tuple[Crossing, ...]) -> dict[str, object]:
    """The numbers with their names."""
    names = ("share", "default", "steered", "whole", "chosen", "ways", "worst")
    return {"validation": [{name: getattr(each, name) for name in names} for each in found]}


def write(found: tuple[Crossing, ...], *, version: str, rows: int, command: str) -> Path:
    """The measurement as a page of docs/benchmarks, one for each major version; the path of it."""
    told = "\n".join(
        f"| {each.share:.1%} | {each.default:.0f} | {each.steered:.0f} | {each.whole:.0f} | {each.chosen:.0f} |"
        f" {each.chosen / each.default:.2f} | {each.worst:.2f} | {each.ways} |"
        for each in found
    )
    path = pages.FOLDER / f"validation-{version.split('.', maxsplit=1)[0]}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PAGE.format(version=version, rows=rows, keys=LARGEST, told=told, command=command), encoding="utf-8")
    return path


PAGE = """\
# Ways to validate, PostgreSQL {version}

The {keys} keys that read most rows, {rows:,} rows in the largest table, each VALIDATE really carried out and rolled
back. The first column is the share of rows that were updated at random since the last vacuum; times are ms for all keys
together, medians. *chosen* is what the engine takes for each key from the server's statistics, *ratio* compares it with
the planner's own way, *worst key* is the largest ratio of a single key.

| changed | default | steered | whole | chosen | ratio | worst key | ways chosen |
| --- | --- | --- | --- | --- | --- | --- | --- |
{told}

Repeat it with `{command}`.
"""
