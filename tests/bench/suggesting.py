"""How good `contract --suggest` is: over schemas whose true keys are known, without data and with rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from orchestrator.core.suggestion.candidate import THRESHOLD
from orchestrator.core.suggestion.search import suggest
from tests import servers
from tests.bench.pages import FOLDER
from tests.suggestion.facts import catalog_of
from tests.suggestion.filled import ORPHANS, build, populate, suggested_with_data
from tests.suggestion.score import Score, macro, own_schemas, real_schemas, score, scored

ROWS = 2000
LIMIT_S = 30
COLUMNS = ("order", "invoice", "customer", "product", "payment", "contract", "shipment", "ticket", "project", "branch")
PARTS = ("line", "item", "detail", "group", "kind", "plan", "note", "rule", "setting", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """A catalog of many tables: seconds of the search alone."""

    tables: int
    columns: int
    candidates: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggesting:
    """Scores by what they were made from, and by whether the schema is a real one or one of ours."""

    real: Mapping[str, tuple[Score, ...]]
    own: Mapping[str, tuple[Score, ...]]
    large: Large


def measure(folder: Path, *, tables: int, postgres: int = 16) -> Suggesting:
    """Every schema in turn, on an embedded server where rows are needed."""
    cluster = Cluster(directory=folder / "suggesting", installation=server_installation(postgres))
    with cluster:
        real, own = (_both(cluster, list(schemas)) for schemas in (real_schemas(), own_schemas()))
    return Suggesting(real=real, own=own, large=_large(tables))


def lines(found: Suggesting) -> list[str]:
    """One line per kind of schema and of evidence, and one for the large catalog."""
    told = []
    for kind, scores in (("real schemas", found.real), ("schemas of ours", found.own)):
        for how, each in scores.items():
            precision, recall = macro(each)
            told.append(
                f"suggest: {len(each)} {kind} {how}: precision {precision:.3f}, recall {recall:.3f} (means),"
                f" lowest precision {min(one.precision for one in each):.3f}"
            )
    large = found.large
    told.append(
        f"suggest: {large.tables} tables, {large.columns} columns: {large.candidates} candidates"
        f" in {large.seconds:.1f} s (under {LIMIT_S})"
    )
    return told


def document(found: Suggesting) -> dict[str, object]:
    """The numbers with their names."""
    return asdict(found)


def write(found: Suggesting, *, command: str, folder: Path = FOLDER) -> Path:
    """The page into that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "suggestions.md"
    path.write_text("\n".join(_page(found, command)), encoding="utf-8")
    return path


def _both(cluster: Cluster, schemas: list[tuple[str, Mapping[str, Any]]]) -> Mapping[str, tuple[Score, ...]]:
    return {
        "without data": tuple(scored(name, facts) for name, facts in schemas),
        "with data": tuple(_with_rows(cluster, name, facts) for name, facts in schemas),
    }


def _with_rows(cluster: Cluster, name: str, facts: Mapping[str, Any]) -> Score:
    url = servers.fresh_database(cluster.url())
    build(url, facts)
    populate(url, facts, rows=ROWS)
    found = suggested_with_data(url)
    servers.drop_database(url)
    return score(name, facts, found.over(THRESHOLD), absent=len(found.absences))


def _large(tables: int) -> Large:
    """Tables with names of three words, each with columns that name others in full, in part, and not at all."""
    names = [
        f"{first}_{second}_{PARTS[number % len(PARTS)]}_{number}"
        for number in range(tables)
        for first, second in [(COLUMNS[number % 7], COLUMNS[number // 7 % 10])]
    ]
    facts = [_wide(name, names, number) for number, name in enumerate(names)]
    catalog = catalog_of(facts)
    began = time.perf_counter()
    found = suggest(catalog)
    return Large(
        tables=tables,
        columns=sum(len(each["columns"]) for each in facts),
        candidates=len(found.candidates),
        seconds=time.perf_counter() - began,
    )


def _wide(name: str, names: list[str], number: int) -> dict[str, Any]:
    others = (names[(number * step + 1) % len(names)] for step in (3, 7, 11))
    columns = ["id", *dict.fromkeys(f"{each}_id" for each in others), "created_by", "parent_id", "owner_id", "xyz_ref"]
    columns += [f"{COLUMNS[number % 10]}_id", f"{PARTS[number % 10]}_id"]
    facts = [{"name": each, "type": "bigint", "base_type": "bigint", "not_null": False} for each in columns]
    return {
        "schema": "public", "table": name, "columns": facts, "primary_key": ["id"], "uniques": [], "indexes": [],
    }  # fmt: skip


def _page(found: Suggesting, command: str) -> Iterator[str]:
    yield "# Suggested foreign keys"
    yield ""
    yield f"`invoke contract --suggest` at its default threshold ({THRESHOLD}), against the keys that really belong"
    yield "to each schema. *Precision* is the share of suggestions that are keys, *recall* the share of keys that"
    yield "were suggested; means are over schemas, not over keys. *Told absent* counts columns that look left alone"
    yield "on purpose. With data: rows by the generator of `invoke seed` along the true keys,"
    yield f"{ROWS:,} in the largest table, {ORPHANS:.0%} of the references made orphans; tables that no key touches are"
    yield "empty, and columns that are no keys hold values of their own, so rows tell more there than they may in life."
    yield "The rules were made with both sets of schemas at hand, so the figures are no promise for others."
    for title, scores in (("Nine real schemas", found.real), ("Schemas of our own, in other styles", found.own)):
        yield from ("", f"## {title}", "", *_table(scores))
    large = found.large
    yield ""
    yield (
        f"A catalog of {large.tables:,} tables with {large.columns:,} columns took {large.seconds:.1f} s without data"
        f" ({large.candidates:,} candidates)."
    )
    yield from ("", f"Repeat it with `{command}`.", "")


def _table(scores: Mapping[str, tuple[Score, ...]]) -> Iterator[str]:
    plain, asked = scores["without data"], scores["with data"]
    yield (
        "| schema | keys | suggested | right | precision | recall | told absent"
        " | precision with data | recall with data |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for one, other in zip(plain, asked, strict=True):
        yield (
            f"| {one.schema} | {one.keys} | {one.suggested} | {one.right} | {one.precision:.3f} | {one.recall:.3f}"
            f" | {one.absent} | {other.precision:.3f} | {other.recall:.3f} |"
        )
    yield _means(plain, asked)


def _means(plain: Iterable[Score], asked: Iterable[Score]) -> str:
    figures = (*macro(plain), *macro(asked))
    precision, recall, with_precision, with_recall = (f"**{each:.3f}**" for each in figures)
    return f"| **mean** | | | | {precision} | {recall} | | {with_precision} | {with_recall} |"
