"""Going on with a run that another process began: the same runbook, and a catalog that is where the journal says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from orchestrator.core.additions import check_stands
from orchestrator.core.audit_plan import left_standing
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.drift import line_differences
from orchestrator.core.host_approval import MARK, commands_in
from orchestrator.core.indexes import index_lines
from orchestrator.core.journal import CatalogRecorded
from orchestrator.core.plan import OF_AUDITS, Statement
from orchestrator.core.run import Run
from orchestrator.core.timeline import STEP_VERSIONS, Item, StepName


def definition(steps: Iterable[StepName], contract: Contract, checks: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What a run carries out, line by line: steps by name and version, relations, checks by the hash of their text."""
    return (
        *(f"step {name}, version {STEP_VERSIONS[name]}" for name in steps),
        *((f"relation keys that are missing are not added ({contract.road})",) if contract.road else ()),
        *sorted(_relation_line(each) for each in contract.relations),
        *sorted(f"check {name} (sha256 {sha256(text.encode()).hexdigest()[:16]})" for name, text in checks),
    )


def command_lines(items: Iterable[Item]) -> tuple[str, ...]:
    """The commands on hosts, line by line; by hash, as they may be long."""
    return tuple(f"{MARK}{each.title} (sha256 {each.on_hosts.digest})" for each in items if each.on_hosts)


def _relation_line(each: Relation) -> str:
    words = [f"relation {each.id} named {each.name}", f"on delete {each.on_delete}", f"on update {each.on_update}"]
    words += [f"columns {', '.join(each.on_delete_columns)}"] if each.on_delete_columns else []
    words += [f"match {each.match}"] if each.match != "simple" else []
    words += [f"deferrable {each.deferrable}"] if each.deferrable != "not" else []
    words += [f"priority {each.priority}"]
    words += [f"deferred: {each.deferred}"] if each.deferred else []
    return ", ".join(words)


def edited(then: Iterable[str], now: Iterable[str]) -> tuple[str, ...]:
    """What was edited since a run began, in words."""
    before, after = tuple(then), tuple(now)
    first, second = set(before), set(after)
    if first == second and commands_in(before) != commands_in(after):
        return ("the commands on hosts stand in another order",)
    return (*(f"was: {line}" for line in sorted(first - second)), *(f"is: {line}" for line in sorted(second - first)))


def strangers(run: Run, catalog: Catalog, before: CatalogRecorded, now: CatalogRecorded) -> tuple[str, ...]:
    """What somebody else did to the tables since the plan was made, in words; what this run did is not told.

    The statements on record must have left what they should, and every other line must be as it was.
    """
    planned = {each.id: each for each in run.plan.statements} if run.plan else {}
    standing = [planned[each.id] for each in run.standing if each.id in planned]
    begun = [planned[each.id] for each in run.leftovers if each.id in planned]
    mine = tuple(_prefixes([*standing, *begun], catalog))
    return (
        *(
            f"{each.id} took effect, and what it made is not there any more"
            for each in standing
            if not _holds(each, catalog)
        ),
        *line_differences(_without(before.lines, mine), _without(now.lines, mine)),
    )


def _prefixes(statements: Iterable[Statement], catalog: Catalog) -> Iterator[str]:
    """How the lines of this run's keys and indexes begin.

    On partitions a partitioned table's key stands under other names; an index has its name quoted where it must be.
    """
    for each in statements:
        if each.kind in {"history", "script", *OF_AUDITS}:
            continue
        if each.kind == "index":
            yield from index_lines(each.proof)
            continue
        if each.kind in {"check", "validate check"}:
            yield f"{each.proof.table}: constraint {each.proof.constraint} CHECK "
            continue
        yield f"{each.proof.table}: foreign key {each.proof.constraint} "
        for part in catalog.family(each.proof.table)[1:]:
            yield f"{part}: foreign key "


def _without(lines: Iterable[str], prefixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in lines if not line.startswith(prefixes))


def _holds(statement: Statement, catalog: Catalog) -> bool:
    if statement.kind in {"history", "script"}:
        # A row, which no catalog has: its own guard finds out when it is taken back. What a script did nobody knows.
        return True
    if statement.kind in OF_AUDITS:
        return left_standing(statement, catalog) == (statement.kind == "install")
    if statement.kind in {"check", "validate check"}:
        return check_stands(statement, catalog)
    table = catalog.table(statement.proof.table)
    if statement.kind == "index":
        return table is not None and any(
            each.name == statement.proof.constraint and each.valid for each in table.indexes
        )
    key = (
        next((each for each in table.foreign_keys if each.name == statement.proof.constraint), None) if table else None
    )
    return key is not None and (key.validated or statement.proof.state != "valid")
