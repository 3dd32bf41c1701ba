"""The picture of tables and keys: every table and key is in it, always at the same place, and nothing overlaps."""

from __future__ import annotations

import itertools
from dataclasses import replace

from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation, default_name
from orchestrator.core.fates import RelationRow
from orchestrator.core.key_graph import BOX_HEIGHT, BOX_WIDTH, MOST_TABLES, key_graph
from tests.acceptance.desk import MASTER
from tests.journals import fully_done, summary_of, the_plan, walked_back


def rows(*links: tuple[str, str]) -> tuple[RelationRow, ...]:
    """Relations between these tables, referencing and referenced."""
    relations = tuple(
        Relation(
            table=TableName(schema="public", name=child),
            columns=(f"{parent}_{number}",),
            referenced=TableName(schema="public", name=parent),
            referenced_columns=("id",),
            name=default_name(child, [parent, str(number)]),
        )
        for number, (child, parent) in enumerate(links)
    )
    return summary_of(fully_done(the_plan(Contract(relations=relations)))).relations


def test_the_master_tables_are_all_there_and_do_not_overlap() -> None:
    """One box for each table, one line for each key, all inside the picture."""
    relations = summary_of(walked_back(the_plan(load_contract(MASTER / "foreign_keys.toml")))).relations
    graph = key_graph(relations)
    assert len(graph.lines) == len(relations)
    assert len({box.table for box in graph.boxes}) == len(graph.boxes) == graph.tables
    taken = sorted((box.top, box.left) for box in graph.boxes)
    for (top, left), (next_top, next_left) in itertools.pairwise(taken):
        assert next_top > top + BOX_HEIGHT or next_left > left + BOX_WIDTH
    points = [point for line in graph.lines for point in line.points]
    assert all(0 <= left <= graph.width and 0 <= top <= graph.height for left, top in points)
    assert max(box.left for box in graph.boxes) + BOX_WIDTH < graph.width
    assert graph == key_graph(relations)


def test_what_refers_stands_below_what_it_refers_to() -> None:
    """Over a row between, too."""
    graph = key_graph(rows(("c", "b"), ("b", "a"), ("c", "a")))
    tops = {box.table: box.top for box in graph.boxes}
    assert tops["public.a"] < tops["public.b"] < tops["public.c"]
    assert {len(line.points) for line in graph.lines} == {2, 4}


def test_circles_and_keys_to_the_own_table_are_drawn() -> None:
    """Where no order is right, one is taken."""
    graph = key_graph(rows(("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")))
    assert len(graph.boxes) == 3
    assert len(graph.lines) == 4


def test_the_gravest_key_lies_on_top_and_colours_its_table() -> None:
    """What failed is not hidden by what did not."""
    first, *others = rows(("a", "b"), ("a", "c"), ("d", "b"))
    graph = key_graph((replace(first, fate="failed"), *others))
    assert graph.lines[-1].relation.fate == "failed"
    fates = {box.table: box.fate for box in graph.boxes}
    assert (fates["public.a"], fates["public.b"]) == ("failed", None)


def test_too_many_tables_make_no_picture() -> None:
    """They are counted all the same; no relation is no picture either."""
    graph = key_graph(rows(*((f"t{number}", "hub") for number in range(MOST_TABLES))))
    assert (graph.tables, graph.boxes, graph.lines) == (MOST_TABLES + 1, (), ())
    assert not key_graph(()).boxes
