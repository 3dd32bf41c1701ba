"""What the counts of orphans mean: which relations can be counted, and the finding over all of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from orchestrator.core.catalog import Catalog
from orchestrator.core.checks import Finding
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.journal.audits import AuditRecorded
from orchestrator.core.matching import match_all
from orchestrator.core.nouns import counted
from orchestrator.core.ports import Orphans
from orchestrator.core.remediation import HOWS
from orchestrator.core.run import Run


def countable(contract: Contract, catalog: Catalog) -> tuple[Relation, ...]:
    """The promised relations whose rows can be compared at all, also where it was decided against their keys."""
    found = match_all(contract, catalog)
    return tuple(each.relation for each in found if each.relation.deferred is None and each.status != "impossible")


def counted_before(relations: Iterable[Relation], run: Run) -> tuple[Orphans, ...]:
    """What an audit that was begun and cut short has on record: relations without orphans.

    One that had orphans is counted again: they are what the person may have repaired in between.
    """
    known = ((each, run.counting.get((each.id, "audit"))) for each in relations)
    return tuple(
        Orphans(
            relation=relation,
            count=0,
            query=found.query,
            sample=(),
            duration_ms=found.duration_ms,
            method=found.method,
        )
        for relation, found in known
        if found is not None and not found.orphans
    )


def remediate(where: str, name: str) -> str:
    """What to type to see what can be done about the orphans of the relation of that name; it changes nothing."""
    return f"invoke remediate {where} --relation {shlex.quote(name)} --how {HOWS[0]}"


def where_of(run: Run) -> str:
    """The options by which a run's environment, runbook and folders are named again."""
    return f"--env {run.started.environment}{run.started.options.get('where', '')}" if run.started else ""


def orphan_finding(results: tuple[Orphans, ...], run: Run, *, refuse: bool, name: str = "orphans") -> Finding:
    """One finding over all relations, counted in a run: the data's fault, never ours."""
    guilty = [each for each in results if each.count]
    observed = "; ".join(f"{each.relation.id}: {each.count}" for each in guilty)
    return Finding(
        id=name,
        title="Does every reference lead to a row?",
        severity="critical" if refuse else "optional",
        status="fail" if guilty else "pass",
        observed=observed or f"no orphan in {counted(len(results), 'relation')}",
        expected="no orphans",
        remedy=f"what can be done: {remediate(where_of(run), guilty[0].relation.name)}" if guilty else "",
        caused_by_data=True,
    )


def after_audit(event: AuditRecorded, where: str) -> Iterator[str]:
    """What to type after a recorded audit: for the gravest relation with orphans, and for what could not be counted."""
    ill = sorted((each for each in event.found if each.orphans), key=lambda each: each.health != "alert")
    for each in ill[:1]:
        yield f"what can be done: {remediate(where, each.relation)}"
    yield from (f"mend why {each.relation} cannot be counted: {each.problem}" for each in event.found if each.problem)
    if event.found:
        yield f"to look again: invoke audit {where} --record"
