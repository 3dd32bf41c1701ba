"""A contract laid beside a source: what is new, what changes, what stands alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.contract_update import ContractUpdate, Source, update_of


def key(table: str = "a", column: str = "b_id", target: str = "b", name: str = "") -> Relation:
    """A key of one column."""
    return Relation(
        table=TableName(schema="public", name=table),
        columns=(column,),
        referenced=TableName(schema="public", name=target),
        referenced_columns=("id",),
        name=name or f"{table}_{column}_fkey",
    )


def laid(lines: tuple[Relation, ...], keys: tuple[Relation, ...], **more: object) -> ContractUpdate:
    """What the keys do to the lines."""
    source = Source(name="x", relations=keys)
    return update_of(Contract(relations=lines), replace(source, **more))  # type: ignore[arg-type]


def test_what_people_decide_is_no_difference() -> None:
    """Priority and deferral are theirs; a source's own deferral counts for a new line only."""
    line = replace(key(), priority="critical", deferred="later")
    update = laid((line,), (replace(key(), deferred="db_constraint=False"),))
    assert (update.changes, update.unchanged, update.doubted) == (False, (line,), ())
    update = laid((key(),), (replace(key(), deferred="db_constraint=False"),))
    assert (update.changes, [each.reason for each in update.doubted]) == (False, ["db_constraint=False"])


def test_a_source_changes_only_what_it_speaks_of() -> None:
    """Prisma has no word for DEFERRABLE."""
    line = replace(key(), deferrable="initially deferred", on_delete="cascade")
    (changed,) = laid((line,), (key(),), speaks_of=("on_delete", "name")).changed
    assert changed.lines == (("on_delete", "cascade", "no action"),)
    (changed,) = laid((line,), (key(),)).changed
    assert [each[0] for each in changed.lines] == ["on_delete", "deferrable"]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        (key(target="c"), (("references", "public.c(id)", "public.b(id)"),)),
        (key(column="c", name="a_b_id_fkey"), (("columns", ("c",), ("b_id",)),)),
        (key(name="other"), (("name", "other", "a_b_id_fkey"),)),
    ],
)  # fmt: skip
def test_a_line_is_found_again_by_link_by_name_and_by_columns(line: Relation, lines: object) -> None:
    """A key that moved is a change, not one new line and one that stands alone."""
    update = laid((line,), (key(),))
    assert [each.lines for each in update.changed] == [lines]
    assert update.added == update.alone == ()


def test_columns_that_name_more_than_one_key_find_nothing() -> None:
    """Then nobody can say which line is meant."""
    update = laid((key(target="c"), key(target="d", name="second")), (replace(key(), name="third"),))
    assert (len(update.added), len(update.alone), update.changed) == (1, 2, ())


def test_the_order_of_a_compound_keys_columns_is_no_difference() -> None:
    """What counts is which column refers to which."""
    two = replace(key(), columns=("x", "y"), referenced_columns=("p", "q"))
    assert laid((two,), (replace(two, columns=("y", "x"), referenced_columns=("q", "p")),)).changes is False
    both = replace(two, on_delete="set null", on_delete_columns=("x", "y"))
    assert laid((both,), (replace(both, on_delete_columns=("y", "x")),)).changes is False


def test_the_same_key_under_a_second_name_is_left_out() -> None:
    """A contract has one line for it."""
    update = laid((), (key(), key(name="twice")))
    assert [each.name for each in update.added] == ["a_b_id_fkey"]
    assert [(each.key, each.reason) for each in update.left_out] == [
        ("public.a(b_id) -> public.b(id) as twice", "a_b_id_fkey is the same key")
    ]


def test_what_is_not_wanted_still_brings_lines_up_to_date() -> None:
    """A key that stands here already is no new line, but the line that is there learns of it."""
    update = laid((key(name="old"),), (key(), key("z")), wanted=lambda _: False)
    assert (update.added, len(update.changed)) == ((), 1)
