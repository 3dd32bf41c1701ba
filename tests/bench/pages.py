"""What stays of a bench: a page in Markdown and a chart, for `docs/benchmarks/`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.bench.obstacles import BUSIEST
from tests.bench.online import Online, Row, number
from tests.bench.stage import BUDGET_MS, ROOT
from tests.bench.trial import Condition
from tests.bench.ways import TITLES

TEMPLATES = Path(__file__).parent
FOLDER = ROOT / "docs" / "benchmarks"

LEAST_MS = 1.0
WAIT_LEFT, WAIT_WIDTH = 190, 300
WALL_LEFT, WALL_WIDTH = 630, 160
BAR, GAP, HEAD = 16, 20, 92
MOST_TICKS = 4
OBSTACLES: Mapping[str, str] = {
    "none": "no obstacle",
    "idle": "beside a transaction that stays idle",
    "autovacuum": "beside an autovacuum",
}
SHAPES: Mapping[str, str] = {
    "tree": "most rows in one table",
    "broad": "many large tables",
}
ORDERS: Mapping[str, str] = {
    "parent": "parent, then child",
    "child": "child, then parent",
    "mixed": "both orders",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A way in one group: both bars as lengths in px, the mark of the same load alone, and their words."""

    title: str
    way: str
    top: int
    wait: float
    wait_words: str
    alone: float
    wall: float
    wall_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The ways in the same surroundings."""

    title: str
    top: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis: px from its left, and what it says."""

    left: float
    label: str


def write(found: Online, *, command: str, others: Sequence[Sequence[str]], folder: Path = FOLDER) -> tuple[Path, Path]:
    """Page and chart into that folder; `others` are what the other sections of the same bench told."""
    folder.mkdir(parents=True, exist_ok=True)
    chart_at, page_at = (folder / f"online-{found.major}-{found.shape}.{form}" for form in ("svg", "md"))
    chart_at.write_text(chart(found), encoding="utf-8")
    page_at.write_text(page(found, command=command, others=others, picture=chart_at.name), encoding="utf-8")
    return page_at, chart_at


def page(found: Online, *, command: str, others: Sequence[Sequence[str]], picture: str) -> str:
    """The page."""
    rows = tuple(found.rows_of_table())
    return (
        _environment()
        .get_template("online.md.j2")
        .render(
            found=found,
            shape=SHAPES[found.shape],
            rows=rows,
            bounded=[each for each in rows if each.bound_s and each.wall_s],
            unfinished=[each for each in rows if each.errors],
            cores=os.cpu_count(),
            budget_ms=BUDGET_MS,
            blocked=BUSIEST.name,
            command=command,
            others=others,
            picture=picture,
            number=number,
        )
    )


def chart(found: Online) -> str:
    """The chart: per group and way the longest wait of a writer on a logarithmic axis, and the wall time."""
    every = tuple(found.rows_of_table())
    state = every[0].condition.state
    rows = [each for each in every if each.condition.state == state]
    most_ms = _above(max(each.longest_ms for each in rows))
    most_s = max((each.wall_s or 0.0) for each in rows) or 1.0
    groups = tuple(_groups(rows, most_ms, most_s))
    return (
        _environment()
        .get_template("online.svg.j2")
        .render(
            found=found,
            state=state,
            groups=groups,
            height=groups[-1].bars[-1].top + BAR + GAP,
            wait_ticks=tuple(_powers(most_ms)),
            wall_ticks=tuple(_steps(most_s)),
            budget=_log(BUDGET_MS, most_ms),
            budget_ms=BUDGET_MS,
            wait_left=WAIT_LEFT,
            wall_left=WALL_LEFT,
            ways={letter: TITLES[letter] for letter in found.matrix.ways},
        )
    )


def _groups(rows: Sequence[Row], most_ms: float, most_s: float) -> Iterator[Group]:
    top = HEAD
    for _, members in groupby(rows, key=lambda row: (row.condition.order, row.condition.obstacle)):
        mine = list(members)
        bars = tuple(_bar(row, top + (BAR + 2) * place, most_ms, most_s) for place, row in enumerate(mine, start=1))
        yield Group(title=_surroundings(mine[0].condition), top=top, bars=bars)
        top = bars[-1].top + BAR + GAP


def _bar(row: Row, top: int, most_ms: float, most_s: float) -> Bar:
    aborted = f", {row.aborted} aborted" if row.aborted else ""
    some = "" if row.finished == row.rounds else f" ({row.finished} of {row.rounds})"
    return Bar(
        title=row.condition.title,
        way=row.condition.way,
        top=top,
        wait=_log(row.longest_ms, most_ms),
        wait_words=f"{row.longest_ms:.0f} ms{aborted}",
        alone=_log(row.baseline_longest_ms, most_ms),
        wall=WALL_WIDTH * (row.wall_s or 0.0) / most_s,
        wall_words=f"{row.wall_s:.2f} s{some}" if row.wall_s else "never finished",
    )


def _surroundings(condition: Condition) -> str:
    return f"Writers: {ORDERS[condition.order]}; {OBSTACLES[condition.obstacle]}"


def _log(ms: float, most: float) -> float:
    """Where a time lies on the axis from 1 ms to `most`, in px."""
    return round(WAIT_WIDTH * math.log10(max(ms, LEAST_MS)) / math.log10(most), 1)


def _above(ms: float) -> float:
    """The next power of ten, at least the one above the budget."""
    return 10.0 ** max(3, math.ceil(math.log10(max(ms, LEAST_MS))))


def _powers(most: float) -> Iterator[Tick]:
    for power in range(round(math.log10(most)) + 1):
        yield Tick(left=_log(10.0**power, most), label=f"{10**power:,}".replace(",", " "))


def _steps(most: float) -> Iterator[Tick]:
    """A few round numbers from 0 to `most`."""
    unit = 10.0 ** math.floor(math.log10(most))
    step = next(each for each in (unit / 5, unit / 2, unit, 2 * unit, 5 * unit) if most / each <= MOST_TICKS)
    for count in range(int(most / step) + 1):
        yield Tick(left=round(WALL_WIDTH * count * step / most, 1), label=f"{count * step:g}")


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name and ".svg" in name),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
