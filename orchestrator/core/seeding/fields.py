"""The columns of a table that are written, with what their types and CHECK constraints allow."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.catalog import Column, Constraint, Table, TableName
from orchestrator.core.outcome import Refused
from orchestrator.core.seeding.columns import TYPE, WHOLE, ColumnType, Field, Place, field_of, mark_of
from orchestrator.core.seeding.limits import Limits, mentioned, read
from orchestrator.core.seeding.shape import Shape

Kinds = Mapping[tuple[TableName, str], ColumnType]


def fields_of(shape: Shape, name: TableName, kinds: Kinds) -> tuple[dict[str, Field], list[tuple[str, str]]]:
    """Field per column that is not linked, in the table's order, and pairs of columns that must differ.

    A column is left to the database when it numbers itself and nothing refers to it, or when its constraint or
    type is not understood and it has a default. Raises Refused when it has none and may not be NULL.
    """
    table = shape.tables[name]
    limits, left = _limits(shape, table, kinds)
    plain = [each for each in table.columns if not (shape.is_linked(name, each.name) or each.generated)]
    ours = [each for each in plain if each.name in shape.referenced(name) or not numbers_itself(each)]
    if not ours and len(plain) == len(table.columns):
        ours = plain  # COPY needs a column
    found = {
        each.name: _field(shape, table, each, kinds, limits.get(each.name, Limits()))
        for each in ours
        if each.name not in left
    }
    fields = {column: field for column, field in found.items() if field is not None}
    return fields, [(one, other) for one, each in limits.items() for other in each.differs]


def numbers_itself(column: Column) -> bool:
    """Whether the database counts for this column."""
    return bool(column.identity) or "nextval(" in (column.default or "")


def _field(shape: Shape, table: Table, column: Column, kinds: Kinds, limits: Limits) -> Field | None:
    kind = kinds[table.name, column.name]
    referred = column.name in shape.referenced(table.name)
    origin = shape.origin(table.name, column.name) if referred else (table.name, column.name)
    if referred:
        for holder in shape.sharing(origin):
            limits = limits.also(_room(kinds[holder]))
    nullable = not (column.not_null or kind.not_null or limits.not_null or referred)
    place = Place(
        column=column.name,
        stem=origin[0].name if referred else column.name,
        mark=mark_of(*origin),
        nullable=nullable,
        uuid_like="uuid" in (column.default or ""),
    )
    field = field_of(place, kind, limits)
    if field is None and nullable | (column.default is not None) | kind.has_default:
        return None
    if field is None:
        message = f"{table.name}: no values are known for column {column.name} of type {column.type_name}"
        raise Refused(message)
    return field


def _room(kind: ColumnType) -> Limits:
    """How much of a value a column can hold that refers to it."""
    found = TYPE.match(kind.base)
    word, size = (found["word"], found["size"]) if found else ("", None)
    if word in WHOLE:
        return Limits(high=str(WHOLE[word]))
    return Limits(longest=int(size)) if size and word.startswith("character") else Limits()


def _limits(shape: Shape, table: Table, kinds: Kinds) -> tuple[dict[str, Limits], set[str]]:
    """Limits per column, and the columns that are left to their defaults."""
    limits: dict[str, Limits] = {}
    left: set[str] = set()
    for check in (each for each in table.constraints if each.kind in ("check", "exclusion")):
        reading = read(check.definition)
        if check.kind == "exclusion" or not reading.understood:
            left |= _leave(shape, table, check, kinds)
            continue
        for column, found in reading.limits.items():
            limits[column] = limits.get(column, Limits()).also(found)
    for each in table.columns:
        for definition in kinds[table.name, each.name].checks:
            reading = read(definition)
            known = limits.get(each.name, Limits())
            limits[each.name] = known.also(reading.limits.get("value", Limits()))
            if not reading.understood:
                quoted = each.name.replace('"', '""')
                named = Constraint(name=f"of {each.type_name}", kind="check", definition=f'"{quoted}"')
                left |= _leave(shape, table, named, kinds)
    return limits, left


def _leave(shape: Shape, table: Table, check: Constraint, kinds: Kinds) -> set[str]:
    """The columns of a constraint that is not understood: all of them get their defaults, or NULL."""
    named = mentioned(check.definition, (column.name for column in table.columns))
    for column in table.columns:
        if column.name not in named or shape.is_linked(table.name, column.name) or column.generated:
            continue
        filled = column.default is not None or kinds[table.name, column.name].has_default or not column.not_null
        if not filled or column.name in shape.referenced(table.name):
            message = f"{table.name}: constraint {check.name} is not understood, and {column.name} has no default"
            raise Refused(message)
    return set(named)
