"""Charts for Markdown in Mermaid's language, which pull requests draw. Names are escaped: none can end its label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from orchestrator.adapters.words import duration, fate_word, shortened
from orchestrator.core.fates import FATES, Fate, RelationRow
from orchestrator.core.key_graph import GRAVEST, MOST_TABLES
from orchestrator.core.summary import StepRow, Summary

MOST_KEYS: Final = 400
"""Mermaid draws at most 500 edges by default (its option maxEdges)."""

MOST_LETTERS: Final = 40

PLAIN: Final = frozenset("_.- ")
"""Besides letters and digits: what means nothing to Mermaid within quotes."""

LINES: Final[Mapping[Fate, str]] = {
    "added": "-->",
    "present": "-->",
    "deferred": "-.->",
    "missing": "-.->|not there|",
    "failed": "==>|failed|",
}
COLOURS: Final[Mapping[Fate, str]] = {
    "added": "#2e8b57",
    "present": "#3f78b3",
    "deferred": "#8a929b",
    "missing": "#c98a00",
    "failed": "#d1372b",
}
"""In the middle between light and dark: the page that draws it may be either."""

STATES: Final[Mapping[str, str]] = {"done": "done, ", "failed": "crit, ", "refused": "crit, ", "held": "active, "}


def escaped(name: str) -> str:
    """A name as a label between quotes: every character that could mean something is written as its number."""
    line = shortened(" ".join(name.split()), MOST_LETTERS)
    return "".join(each if each.isalnum() or each in PLAIN else f"#{ord(each)};" for each in line)


def key_chart(relations: Sequence[RelationRow]) -> str:
    """Tables and keys, each pointing at the table that it refers to; empty when there are none, or too many to read."""
    names = tuple(dict.fromkeys(name for row in relations for name in (row.table_name, row.referenced_table)))
    if not names or len(names) > MOST_TABLES or len(relations) > MOST_KEYS:
        return ""
    return "\n".join(_keys(relations, {name: f"t{number}" for number, name in enumerate(names)}))


def _keys(relations: Sequence[RelationRow], nodes: Mapping[str, str]) -> Iterator[str]:
    yield "flowchart BT"
    for name, node in nodes.items():
        yield f'    {node}["{escaped(name)}"]'
    for row in relations:
        yield f"    {nodes[row.table_name]} {LINES[row.fate]} {nodes[row.referenced_table]}"
    for fate in FATES:
        numbers = ",".join(str(number) for number, row in enumerate(relations) if row.fate == fate)
        if numbers:
            yield f"    linkStyle {numbers} stroke:{COLOURS[fate]},stroke-width:2px"
    for fate in GRAVEST:
        tables = [node for name, node in nodes.items() if _gravest(name, relations) == fate]
        if tables:
            yield f"    classDef {fate} stroke:{COLOURS[fate]},stroke-width:2px"
            yield f"    class {','.join(tables)} {fate}"


def _gravest(table: str, relations: Sequence[RelationRow]) -> Fate | None:
    fates = {row.fate for row in relations if row.table_name == table}
    return next((each for each in GRAVEST if each in fates), None)


def key_legend(relations: Sequence[RelationRow]) -> str:
    """The chart in words: how many keys of each fate."""
    counts = {fate: sum(row.fate == fate for row in relations) for fate in FATES}
    return ", ".join(f"{count} {fate_word(fate)}" for fate, count in counts.items() if count)


def step_chart(summary: Summary) -> str:
    """The steps on the clock: planned, rehearsed, actual. Empty when none has begun or was planned."""
    rows = tuple(_steps(summary))
    head = ("gantt", "    dateFormat x", "    axisFormat %H:%M:%S", "    todayMarker off")
    return "\n".join((*head, *rows)) if rows else ""


def _steps(summary: Summary) -> Iterator[str]:
    """A section per step. What was planned and rehearsed stands one after the other from the beginning."""
    began = _epoch_ms(summary.started)
    compared = {each.step: each for each in summary.comparison}
    planned_at = rehearsed_at = began
    for step in summary.steps:
        tasks: list[str] = []
        each = compared.get(step.id)
        if each and each.planned:
            tasks.append(_task("planned", "", planned_at, each.planned.ms))
            planned_at += each.planned.ms
        if each and each.rehearsed_ms is not None:
            tasks.append(_task("rehearsed", "", rehearsed_at, each.rehearsed_ms))
            rehearsed_at += each.rehearsed_ms
        tasks.extend(_actual(step, began))
        if tasks:
            yield f"    section {''.join(letter for letter in step.id if letter.isalnum() or letter in '_- ')}"
            yield from tasks


def _actual(step: StepRow, began: float) -> Iterator[str]:
    if step.start_ms is not None:
        yield _task("actual", STATES.get(step.state, "active, "), began + step.start_ms, step.duration_ms)


def _task(name: str, state: str, start: float, ms: float | None) -> str:
    """One bar; Mermaid's own words decide its colour. Nothing in it comes from a database."""
    told = "not ended" if ms is None else duration(ms)
    return f"    {name} {told} :{state}{start:.0f}, {start + max(1.0, ms or 0.0):.0f}"


def _epoch_ms(told: str) -> float:
    return datetime.strptime(told, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp() * 1000
