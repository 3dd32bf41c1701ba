"""What seeding decides before a database is touched."""

from __future__ import annotations

from random import Random

import pytest

from orchestrator.core.catalog import Catalog, Column, Table, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.inventory import EnvironmentHead
from orchestrator.core.outcome import Refused
from orchestrator.core.seeding.columns import ColumnType, Field, Place, field_of
from orchestrator.core.seeding.limits import Limits, conditions, mentioned, read
from orchestrator.core.seeding.proportions import order_of, refuse_too_few, rows_of
from orchestrator.core.seeding.shape import refuse_production, shape_of
from orchestrator.core.seeding.shares import shares


def name(table: str) -> TableName:
    """A table of schema public."""
    return TableName(schema="public", name=table)


def relation(table: str, column: str, parent: str) -> Relation:
    """A relation to the column `id` of a table."""
    return Relation(
        table=name(table),
        columns=(column,),
        referenced=name(parent),
        referenced_columns=("id",),
        name=f"fk_{table}_{column}",
    )


def catalog(**tables: dict[str, bool]) -> Catalog:
    """Tables of whole numbers: column name to NOT NULL."""
    made = {
        name(table): Table(
            name=name(table),
            columns=tuple(
                Column(name=column, type_name="integer", base_type=23, not_null=must)
                for column, must in {"id": True, **columns}.items()
            ),
        )
        for table, columns in tables.items()
    }
    return Catalog(server_version=160000, tables=made)


def field(base: str, limits: Limits | None = None, *, labels: tuple[str, ...] = (), array: bool = False) -> Field:
    """The field of a NOT NULL column `c`."""
    place = Place(column="c", stem="c", mark="0" * 31, nullable=False)
    made = field_of(place, ColumnType(base=base, labels=labels, array=array), limits or Limits())
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("definition", "column", "expected"),
    [
        (
            "CHECK (((status)::text = ANY ((ARRAY['A'::character varying, 'B'::character varying])::text[])))",
            "status",
            Limits(options=("A", "B")),
        ),
        ("CHECK ((n > 0))", "n", Limits(low="0", low_open=True)),
        ("CHECK (((n >= 1) AND (n <= 10)))", "n", Limits(low="1", high="10")),
        ("CHECK (((n IS NULL) OR (n < (5)::numeric)))", "n", Limits(high="5", high_open=True)),
        ("CHECK (((k = 'x'::text) OR (k = 'it''s'::text)))", "k", Limits(options=("x", "it's"))),
        ('CHECK (("Kind" = ANY (ARRAY[\'x\'::public."My Enum"])))', "Kind", Limits(options=("x",))),
        ("CHECK ((char_length(code) <= 5))", "code", Limits(longest=5)),
        ("CHECK ((VALUE <> 3)) NOT VALID", "value", Limits(never=("3",))),
        ("CHECK ((ends > starts))", "starts", Limits(early=True)),
        ("CHECK ((a <> b))", "a", Limits(differs=("b",))),
    ],
)
def test_a_simple_check_is_read(definition: str, column: str, expected: Limits) -> None:
    """Options, bounds, lengths and comparisons of columns are understood as the server prints them."""
    reading = read(definition)
    assert reading.understood
    assert reading.limits[column] == expected


@pytest.mark.parametrize(
    "definition",
    ["CHECK ((a ~ '^x'::text))", "CHECK (((a > 1) OR (b > 1)))", "CHECK ((a IS NULL))", "CHECK ((f(a) > 1))"],
)
def test_what_is_not_sure_is_not_understood(definition: str) -> None:
    """Nothing is guessed: the constraint is reported with its columns."""
    assert not read(definition).understood
    assert mentioned(definition, ("a", "x")) == ("a",)


def test_the_value_of_a_partial_index_is_found() -> None:
    """Only conjuncts that ask for one value count."""
    assert list(conditions("((status)::text = 'ACTIVE'::text)")) == [("status", "ACTIVE")]
    assert list(conditions("((is_default = true) AND (gone IS NULL))")) == [("is_default", "t")]


@pytest.mark.parametrize(
    "base",
    ["integer", "smallint", "numeric(4,2)", "character varying(40)", "character varying(3)", "character(2)", "text",
     "uuid", "date", "timestamp(3) without time zone", "time without time zone", "interval", "jsonb", "bytea", "inet"],
)  # fmt: skip
def test_numbers_become_different_values(base: str) -> None:
    """A field never writes the same text for two numbers below its capacity."""
    made = field(base)
    sample = range(min(made.capacity, 3000))
    assert len({made.write(number) for number in sample}) == len(sample)


def test_values_keep_their_limits() -> None:
    """Bounds, forbidden values, lengths and labels are kept; labels are escaped for COPY."""
    assert {field("integer", Limits(low="1", high="3")).write(n) for n in range(3)} == {"1", "2", "3"}
    assert field("integer", Limits(low="1", high="3", never=("2",))).capacity == 2
    assert float(field("double precision", Limits(low="0", low_open=True, high="1", high_open=True)).write(98)) == 0.99
    assert len(field("character varying(7)").write(12345)) <= 7
    assert field("mood", labels=("a\tb",)).write(0) == "a\\tb"
    assert field("text", array=True).write(1) == '{"c-000000001"}'


def test_rows_grow_with_the_distance_from_the_roots() -> None:
    """The deepest table gets all rows, each level above a quarter, and parents come first."""
    found = catalog(a={}, b={"a": True}, c={"b": True}, d={"b": True})
    contract = Contract(relations=(relation("b", "a", "a"), relation("c", "b", "b"), relation("d", "b", "b")))
    order = order_of(shape_of(contract, found))
    rows = {each.name: count for each, count in rows_of(order, 8000).items()}
    assert [each.name for each in order.tables][:2] == ["a", "b"]
    assert rows == {"a": 500, "b": 2000, "c": 8000, "d": 4000}


def test_a_circle_is_cut_where_null_is_allowed() -> None:
    """Two tables that refer to one another are filled all the same."""
    found = catalog(a={"b": False}, b={"a": True})
    shape = shape_of(Contract(relations=(relation("a", "b", "b"), relation("b", "a", "a"))), found)
    assert [link.columns for link in order_of(shape).cut] == [("b",)]


def test_missing_tables_are_named() -> None:
    """A contract about tables that do not exist is refused by name."""
    with pytest.raises(Refused, match=r"public\.gone"):
        shape_of(Contract(relations=(relation("a", "b", "gone"),)), catalog(a={"b": True}))


def test_shares_are_skewed_and_complete() -> None:
    """Few parents have many children, every child has a parent, and a limit holds."""
    counts = sorted(shares(10_000, 1000, None, Random(1)), reverse=True)
    assert sum(counts) == 10_000
    assert sum(counts[:200]) > 5_000
    assert min(counts) >= 1
    limited = shares(10_000, 1000, 3, Random(1))
    assert (sum(limited), max(limited)) == (3000, 3)


def test_production_and_no_rows_are_refused() -> None:
    """Seed is for staging and scratch, and writes at least one row."""
    with pytest.raises(Refused, match="staging and scratch"):
        refuse_production(EnvironmentHead(name="prod", kind="production"))
    refuse_production(EnvironmentHead(name="staging", kind="staging"))
    with pytest.raises(Refused, match="at least 1"):
        refuse_too_few(0)
