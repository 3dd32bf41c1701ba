"""What a contract promises: names by default, links, differences, and what `--only` leaves out."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from orchestrator.core.catalog import ForeignKey, TableName
from orchestrator.core.contract import NAME_LIMIT, NAME_STEM, Contract, Relation, default_name, touched


def relation(**changes: object) -> Relation:
    """A relation of two columns, with what a test changes."""
    plain = Relation(
        table=TableName(schema="public", name="c"),
        columns=("a", "b"),
        referenced=TableName(schema="public", name="p"),
        referenced_columns=("x", "y"),
        name="k",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def key(**changes: object) -> ForeignKey:
    """The key that keeps that relation, with what a test changes."""
    plain = ForeignKey(
        name="k", columns=("a", "b"), referenced=TableName(schema="public", name="p"), referenced_columns=("x", "y")
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_short_name_is_told_in_full() -> None:
    """fk, table and columns, joined."""
    assert default_name("workflow_instances", ("config_version_id",)) == "fk_workflow_instances_config_version_id"
    assert default_name("c", ("a", "b")) == "fk_c_a_b"


@pytest.mark.parametrize("column", ["x" * 58, "ü" * 29, "日" * 19 + "x", "𝄞" * 14 + "xx"])
def test_63_bytes_are_kept(column: str) -> None:
    """The limit counts bytes: exactly 63 of them need no cut, whatever the characters are."""
    name = default_name("t", (column,))
    assert name == f"fk_t_{column}"
    assert len(name.encode()) == NAME_LIMIT


@pytest.mark.parametrize("column", ["x" * 59, "x" * 200, "ü" * 30, "日" * 20, "𝄞" * 15, "xü" * 40, "xx日" * 40])
def test_a_longer_name_is_cut_at_a_whole_character(column: str) -> None:
    """Up to 54 bytes, `_`, and 8 digits of the SHA-256 of the full name."""
    full = f"fk_t_{column}"
    name = default_name("t", (column,))
    stem, digits = name[:-9], name[-8:]
    assert name[-9] == "_"
    assert digits == sha256(full.encode()).hexdigest()[:8]
    assert full.startswith(stem)
    following = full[len(stem)]
    assert NAME_STEM - len(following.encode()) < len(stem.encode()) <= NAME_STEM
    assert len(name.encode()) <= NAME_LIMIT


def test_long_names_that_begin_alike_differ() -> None:
    """The digits are of the whole name, so the cut makes no two keys of a table collide."""
    names = {default_name("t", ("x" * 70 + end,)) for end in "abc"}
    assert len(names) == 3


def test_the_order_of_column_pairs_does_not_change_a_link() -> None:
    """(a, b) to (x, y) is (b, a) to (y, x), and not (a, b) to (y, x)."""
    assert relation().same_link(key(columns=("b", "a"), referenced_columns=("y", "x")))
    assert not relation().same_link(key(referenced_columns=("y", "x")))
    assert not relation().same_link(key(referenced=TableName(schema="other", name="p")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"on_delete": "cascade"}, "on delete is cascade, not no action"),
        ({"on_update": "restrict"}, "on update is restrict, not no action"),
        ({"match": "full"}, "match is full, not simple"),
        ({"deferrable": "initially deferred"}, "deferrable is initially deferred, not not"),
        ({"on_delete_columns": ("a",)}, "on delete columns is ['a'], not []"),
    ],
)
def test_differences_are_told_one_by_one(change: dict[str, object], told: str) -> None:
    """The whole definition is compared; name, columns' order and validity are not part of it."""
    assert relation().differences(key(**change)) == (told,)
    assert relation().differences(key(name="other", validated=False)) == ()


def test_the_order_of_delete_columns_does_not_matter() -> None:
    """SET NULL (a, b) does what SET NULL (b, a) does."""
    both = relation(on_delete="set null", on_delete_columns=("b", "a"))
    assert both.differences(key(on_delete="set null", on_delete_columns=("a", "b"))) == ()


def test_deferred_relations_are_not_promised() -> None:
    """They stay in the contract, with their reason, but touch no table."""
    contract = Contract(relations=(relation(deferred="later"), relation(name="l", columns=("a", "c"))))
    assert [each.name for each in contract.promised] == ["l"]
    assert touched(contract.relations) == contract.tables


def test_tables_are_named_once_and_sorted() -> None:
    """Both sides of each relation, a self-reference once."""
    own = relation(referenced=TableName(schema="public", name="c"), name="own")
    contract = Contract(relations=(relation(), own))
    assert [str(name) for name in contract.tables] == ["public.c", "public.p"]


def test_a_relation_tells_itself() -> None:
    """The id is what journals and reports know it by."""
    assert relation().id == "public.c(a, b) -> public.p(x, y)"
