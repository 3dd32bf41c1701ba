"""Which columns of a copied row need values of their own, and what those are."""

from __future__ import annotations

import pytest

from orchestrator.core.catalog import Column, Constraint, Index, Table, TableName
from orchestrator.core.fresh_rows import NoFreshRow, Renewal, fresh_value, renewed


def index(*columns: str | None, name: str = "i", **rest: bool | str) -> Index:
    """A unique index."""
    return Index(
        **{  # type: ignore[arg-type]
            "name": name,
            "columns": columns,
            "operator_classes": (),
            "definition": "CREATE UNIQUE INDEX i ON t USING btree (lower(code))",
            "unique": True,
            **rest,
        }
    )


def table(*indexes: Index, checks: tuple[str, ...] = (), **types: str) -> Table:
    """A table with columns of these types."""
    return Table(
        name=TableName(schema="public", name="t"),
        columns=tuple(Column(name=name, type_name=kind, base_type=0) for name, kind in types.items()),
        indexes=indexes,
        constraints=tuple(Constraint(name="c", kind="check", definition=each) for each in checks),
    )


def test_one_column_of_each_unique_index_is_renewed() -> None:
    """Not more than needed; what refers to something stays."""
    indexes = (index("id", primary=True), index("id", "code", name="j"), index("parent", "day", name="k"))
    found = table(*indexes, id="uuid", code="text", parent="uuid", day="date")
    assert renewed(found, [("parent",)]) == Renewal(fresh=("id", "day"))


def test_a_column_that_a_check_limits_is_renewed_last() -> None:
    """Its new value would mostly be refused."""
    found = table(index("kind", "code"), checks=("CHECK ((kind = ANY (ARRAY['a'::text])))",), kind="text", code="text")
    assert renewed(found, ()) == Renewal(fresh=("code",))
    assert renewed(table(index("kind"), checks=("CHECK ((kind <> 'a'::text))",), kind="text"), ()).fresh == ("kind",)


def test_an_expression_is_known_by_the_columns_in_it() -> None:
    """The unique index is on lower(code)."""
    assert renewed(table(index(None), code="text", other="text"), ()) == Renewal(fresh=("code",))


def test_where_only_references_are_unique_one_of_them_is_exchanged_as_a_whole() -> None:
    """All columns of a composite reference come from the same row."""
    found = table(index("a", "b", "kind"), checks=("CHECK ((kind <> 'a'::text))",), a="uuid", b="uuid", kind="text")
    assert renewed(found, [("a", "b")]) == Renewal(fresh=(), exchanged=("a", "b"))
    assert renewed(found, [("a",), ("b",)]) == Renewal(fresh=(), exchanged=("a",))


def test_a_key_that_is_a_reference_cannot_be_copied_and_is_named() -> None:
    """Every parent may have its row already."""
    with pytest.raises(NoFreshRow, match="unique index one_key"):
        renewed(table(index("a", name="one_key"), a="uuid"), [("a",)])


def test_an_index_over_some_rows_is_left_to_the_server() -> None:
    """The copied row may lie outside."""
    assert renewed(table(index("a", partial=True), a="uuid"), [("a",)]) == Renewal(fresh=())


@pytest.mark.parametrize(
    "kind",
    [
        "uuid",
        "text",
        "character varying",
        "character varying(20)",
        "character(8)",
        "public.citext",
        "smallint",
        "integer",
        "bigint",
        "date",
        "timestamp(3) without time zone",
        "timestamp with time zone",
    ],
)
def test_values_are_the_same_for_a_seed_and_differ_between_seeds(kind: str) -> None:
    """So that both measurements write the same, and two clients never the same at once."""
    values = {fresh_value(kind, str(number)) for number in range(12)}
    assert len(values) == 12
    assert fresh_value(kind, "1") in values
    assert None not in values


@pytest.mark.parametrize("kind", ["character varying(3)", "character", "boolean", "jsonb", "public.mood", "numeric"])
def test_types_without_a_sure_value_have_none(kind: str) -> None:
    """Too short to be new, or not known."""
    assert fresh_value(kind, "1") is None
