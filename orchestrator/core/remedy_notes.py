"""What a person should know of a remediation before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.catalog import Catalog, Table, TableName
from orchestrator.core.contract import Relation


def trigger_notes(catalog: Catalog, names: Iterable[TableName]) -> Iterator[str]:
    """Triggers of people fire for what we do as for anybody."""
    for name in names:
        fires = sorted(each.name for each in catalog.tables[name].triggers if each.enabled in {"O", "A"})
        if fires:
            yield f"triggers of {name} fire: {', '.join(fires)}"


def left_notes(relation: Relation, how: str, sets: Sequence[str]) -> Iterator[str]:
    """Columns of the relation that keep their value."""
    left = [name for name in relation.columns if name not in sets]
    if how == "set-null" and left:
        yield f"{', '.join(sets)} alone becomes NULL, {', '.join(left)} stays: that is enough for MATCH SIMPLE"


def shared_notes(shared: Iterable[Relation], sets: Sequence[str]) -> Iterator[str]:
    """A column of a composite key can belong to another relation, too: what is written there changes both."""
    for each in shared:
        columns = ", ".join(name for name in sets if name in each.columns)
        yield f"{columns} belongs to {each.name}, too: its rows are counted before and after"


def generated_notes(relations: Iterable[Relation], table: Table, sets: Sequence[str]) -> Iterator[str]:
    """A key over a generated column changes with what that is made of, and only the server knows into what."""
    generated = {each.name: each.default or "" for each in table.columns if each.generated}
    for each in relations:
        for name in each.columns:
            if each.table == table.name and any(made_of in generated.get(name, "") for made_of in sets):
                yield f"{name} of {each.name} is made of a column that is written: audit that relation afterwards"


def referrer_notes(referrers: Iterable[Relation], catalog: Catalog, *, taken_away: bool) -> Iterator[str]:
    """Rows that are left alone, and what looking for who refers to them costs."""
    word = "taken away" if taken_away else "changed"
    for each in referrers:
        yield f"a row is not {word} while a row of {each.table} refers to it ({each.name}: {', '.join(each.columns)})"
        if not any(index.supports(each.columns) for index in catalog.tables[each.table].indexes):
            yield f"no index leads with {each.table}({', '.join(each.columns)}): each batch reads that whole table"
