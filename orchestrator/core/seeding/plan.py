"""The whole filling of a database, table by table, as texts that wait to be written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract
from orchestrator.core.seeding.choice import choose
from orchestrator.core.seeding.fields import Kinds, numbers_itself
from orchestrator.core.seeding.following import Chosen
from orchestrator.core.seeding.lines import Text, text_of
from orchestrator.core.seeding.proportions import TREE, Proportions, order_of, rows_of
from orchestrator.core.seeding.shape import Shape, shape_of
from orchestrator.core.seeding.sketch import Sketch, sketch_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """One table to fill. `after`: tables whose rows must be there before; `counted`: columns to count on from."""

    text: Text
    wanted: int
    after: frozenset[TableName]
    counted: tuple[str, ...]


def tables_of(contract: Contract, catalog: Catalog) -> tuple[TableName, ...]:
    """The tables that would be filled. Raises Refused when one does not exist or cannot be."""
    return tuple(shape_of(contract, catalog).tables)


def fillings(
    contract: Contract, catalog: Catalog, kinds: Kinds, *, rows: int, seed: int, proportions: Proportions = TREE
) -> Iterator[Filling]:
    """Every table with its rows, parents first; the same for the same seed.

    Nothing is held of a table but the numbers of its rows' parents. Raises Refused, before the first table, when
    the tables cannot be filled: a constraint, a type or a circle that is not understood.
    """
    shape = shape_of(contract, catalog)
    order = order_of(shape)
    sketches = sketch_all(shape, order, rows_of(order, rows, proportions), kinds)
    return _chosen(shape, sketches, seed)


def _chosen(shape: Shape, sketches: tuple[Sketch, ...], seed: int) -> Iterator[Filling]:
    by_name = {each.name: each for each in sketches}
    fields = {each.name: each.fields for each in sketches}
    done: dict[TableName, Chosen] = {}
    for sketch in sketches:
        chosen = choose(sketch, by_name, done, seed=seed)
        done[sketch.name] = _remembered(chosen, sketch)
        yield _filling(sketch, text_of(sketch, chosen, shape, fields, seed=seed), shape)


def _remembered(chosen: Chosen, sketch: Sketch) -> Chosen:
    """Only what children will ask; the rest goes with the text."""
    bound = {each: values for each, values in chosen.bound.items() if each in sketch.kept}
    return Chosen(rows=chosen.rows, bound=bound, ordinals=None, drawn={})


def _filling(sketch: Sketch, text: Text, shape: Shape) -> Filling:
    enforced = {link.parent for link in shape.of(sketch.name) if link.enforced and not link.to_itself}
    written = set(text.columns)
    counted = tuple(x.name for x in sketch.table.columns if x.name in written and numbers_itself(x))
    return Filling(
        text=text,
        wanted=sketch.wanted,
        after=frozenset(enforced - {link.parent for link in sketch.cut}),
        counted=counted,
    )
