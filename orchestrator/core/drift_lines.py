"""Whether two databases are alike where a plan touches them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract, Relation, touched
from orchestrator.core.plan import Plan


def contract_lines(catalog: Catalog, contract: Contract) -> tuple[str, ...]:
    """All that stands in the tables of a contract and their partitions, line by line."""
    return tuple(_lines(catalog, contract.tables, {}))


def plan_lines(catalog: Catalog, plan: Plan) -> tuple[str, ...]:
    """The same for a plan's tables, without keys of the contract that this plan adds, validates or leaves for later.

    Staging may have them already.
    """
    promised = [each for each in plan.relations if each.relation.deferred is None]
    own: dict[TableName, list[Relation]] = defaultdict(list)
    for each in plan.relations:
        if each.status in {"missing", "deferred"}:
            for member in catalog.family(each.relation.table):
                own[member].append(each.relation)
    return tuple(_lines(catalog, touched(each.relation for each in promised), own))


def table_lines(catalog: Catalog, names: Iterable[str]) -> tuple[str, ...]:
    """All that stands in the tables of these printed names."""
    wanted = frozenset(names)
    return tuple(line for name, table in catalog.tables.items() if str(name) in wanted for line in table.lines())


def without_keys(lines: Iterable[str], plan: Plan) -> tuple[str, ...]:
    """Recorded lines without the keys that the plan's statements make, known by their names."""
    own = tuple({f"{each.proof.table}: foreign key {each.proof.constraint} " for each in plan.statements})
    return tuple(line for line in lines if not line.startswith(own))


def differences(mine: Iterable[str], theirs: Iterable[str], *, here: str, there: str) -> tuple[str, ...]:
    """What only one of two environments has, in words; what both have is not told."""
    first, second = set(mine), set(theirs)
    only_here = (f"only in {here}: {line}" for line in sorted(first - second))
    return (*only_here, *(f"only in {there}: {line}" for line in sorted(second - first)))


def _lines(catalog: Catalog, names: Iterable[TableName], own: dict[TableName, list[Relation]]) -> Iterator[str]:
    for member in sorted({each for name in names for each in catalog.family(name)}):
        table = catalog.table(member)
        if table is None:
            continue
        kept = tuple(key for key in table.foreign_keys if not any(each.same_link(key) for each in own.get(member, ())))
        yield from replace(table, foreign_keys=kept).lines()
