"""What preflight asks about the objects of option B before a plan takes them away, or puts newer ones there."""

from __future__ import annotations

from orchestrator.core.audit_objects import SCHEMA
from orchestrator.core.checks import Check, Judgement, Row, Subject, none_of
from orchestrator.core.plan import OF_AUDITS


def judge_dependents(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """What depends on an object that the plan drops would stop it, after the keys were added and validated.

    Nothing is dropped with CASCADE: what others built on ours is theirs. Source: pg_depend.
    """
    pieces = {each.proof.constraint for each in subject.plan.statements if each.kind in OF_AUDITS}
    going = {each.key for each in subject.catalog.audit_objects if each.piece in pieces}
    # The schema goes with its tables only: a new piece in it drops nothing.
    lines = [
        f"{row['told']} is in schema {SCHEMA}"
        if row["kind"] == "schema"
        else f"{row['told']} depends on {row['kind']} {SCHEMA}.{row['name']}"
        for row in rows
        if (row["kind"], row["name"]) in going
    ]
    return none_of(lines, well="nothing of others depends on what goes")


AUDITS: tuple[Check, ...] = (
    Check(
        id="audit-dependents",
        title="Does anything of others depend on the objects of option B that this plan drops?",
        severity="critical",
        expected="nothing: what others built on them is never dropped",
        remedy="drop what is named, or move it elsewhere, and make it anew afterwards",
        judge=judge_dependents,
        probe="audit_dependents",
    ),
)
