"""Going on: what counts as the same runbook."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.resumption import definition, edited
from orchestrator.core.timeline import STANDARD_STEPS

RELATION = Relation(
    table=TableName(schema="public", name="child"),
    columns=("parent_id",),
    referenced=TableName(schema="public", name="parent"),
    referenced_columns=("id",),
    name="fk",
)


def told(*relations: Relation, checks: tuple[tuple[str, str], ...] = (("a", "select 1"),)) -> tuple[str, ...]:
    """The definition of a runbook."""
    return definition(STANDARD_STEPS, Contract(relations=relations), checks)


def test_the_order_of_lines_in_a_file_does_not_matter() -> None:
    """Relations are found by what they are, not by where they stand."""
    other = replace(RELATION, columns=("other_id",), name="fk2")
    assert edited(told(RELATION, other), told(other, RELATION)) == ()


def test_every_part_of_a_relation_matters() -> None:
    """Whatever is edited, the line before and the line after are shown."""
    for change in (
        {"on_delete": "cascade"},
        {"on_update": "cascade"},
        {"name": "other"},
        {"match": "full"},
        {"deferrable": "initially deferred"},
        {"priority": "critical"},
        {"deferred": "later"},
        {"referenced_columns": ("code",)},
    ):
        was, now = edited(told(RELATION), told(replace(RELATION, **change)))
        assert was.startswith("was: relation public.child")
        assert now.startswith("is: relation public.child")


def test_commands_on_hosts_in_another_order_are_an_edit() -> None:
    """They are given one after the other; relations have no order."""
    one, two = "on hosts A (sha256 1)", "on hosts B (sha256 2)"
    assert edited((*told(RELATION), one, two), (*told(RELATION), two, one)) == (
        "the commands on hosts stand in another order",
    )
    assert edited((*told(RELATION), one, two), (*told(RELATION), one, two)) == ()


def test_an_edited_check_is_seen() -> None:
    """By the hash of its text."""
    was, now = edited(told(RELATION), told(RELATION, checks=(("a", "select 2"),)))
    assert "check a" in was
    assert "check a" in now
