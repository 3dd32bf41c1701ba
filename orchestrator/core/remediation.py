"""What may be done about the rows of one relation that refer to nothing, decided from contract and catalog alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import NAME_LIMIT, Contract, Relation
from orchestrator.core.elsewhere import ancestors, sharing, standing_keys
from orchestrator.core.matching import match
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Refused
from orchestrator.core.remedy_columns import HOWS, TAKES_AWAY, How, NoKey, row_key, written
from orchestrator.core.remedy_notes import generated_notes, left_notes, referrer_notes, shared_notes, trigger_notes

__all__ = ["HOWS", "TAKES_AWAY", "How"]

DONE_WORDS: dict[How, str] = {
    "set-null": "set to null",
    "delete": "deleted",
    "reassign": "reassigned",
    "quarantine": "moved to quarantine",
}

SCHEMA = "orchestrator_quarantine"
"""What remediation took away is kept here. It is no part of the ledger, because it is the application's data."""

FIRST_ROWS = 100
MOST_ROWS = 5_000
"""How many rows a batch has at first, and at most where nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The columns of the kept rows that are ours, under names that the table does not use itself."""

    number: str
    run: str
    at: str
    left: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What is done about the orphans of a relation.

    `key` is the unique key by which rows are found again, `sets` the columns that are written, `columns` what is kept
    of a row in `kept`, `writable` what a row can be put back from. `referrers` are keys and relations by which other
    rows may refer to one of these: such a row is left alone. `strong` locks rows against references to them, too.
    `immediate` tells that no unique key is checked only at the commit. `shared` are other relations of the table over
    a column that is written.
    """

    relation: Relation
    how: How
    to: tuple[str, ...] = ()
    key: tuple[str, ...]
    sets: tuple[str, ...]
    columns: tuple[str, ...]
    writable: tuple[str, ...]
    kept: TableName
    marks: Marks
    referrers: tuple[Relation, ...]
    strong: bool
    immediate: bool
    notes: tuple[str, ...] = ()
    shared: tuple[Relation, ...] = ()


def find_relation(text: str, contract: Contract) -> Relation:
    """The relation that a person means: the constraint's name, or TABLE.COLUMN, TABLE.COLUMN,COLUMN. Raises Refused."""
    found = [each for each in contract.relations if text in set(_names(each))]
    if len(found) == 1:
        return replace(found[0], deferred=None)
    if found:
        message = f"--relation {text}: {len(found)} relations are called so: {', '.join(each.name for each in found)}"
        raise Refused(message)
    known = [_names_line(each) for each in contract.relations]
    near = get_close_matches(text, known, n=3, cutoff=0.4)
    hint = f"; near: {', '.join(near)}" if near else "; invoke plan shows them"
    message = f"--relation {text}: no such relation in the contract{hint}"
    raise Refused(message)


def _names_line(relation: Relation) -> str:
    return f"{relation.table.name}.{','.join(relation.columns)}"


def _names(relation: Relation) -> Iterator[str]:
    yield from (relation.name, relation.id)
    for table in (relation.table.name, str(relation.table)):
        for columns in (",".join(relation.columns), ", ".join(relation.columns)):
            yield from (f"{table}.{columns}", f"{table}({columns})")


def parse_how(text: str | None) -> How:
    """Raises Refused."""
    for each in HOWS:
        if text == each:
            return each
    given = f"--how {text}: no such way" if text else "--how is missing"
    message = f"{given}; one of {', '.join(HOWS)}"
    raise Refused(message)


def parse_to(text: str | None, relation: Relation, how: How) -> tuple[str, ...]:
    """The key of the row that orphans are given to: one value, or a JSON list for several columns. Raises Refused."""
    if (text is not None) != (how == "reassign"):
        message = "--how reassign needs --to KEY" if text is None else "--to goes with --how reassign only"
        raise Refused(message)
    if text is None:
        return ()
    wanted = len(relation.columns)
    parts: Sequence[object] = [text]
    if wanted > 1:
        try:
            parts = json.loads(text) if text.startswith("[") else text.split(",")
        except json.JSONDecodeError:
            parts = ()
        if len(parts) != wanted:
            columns = counted(wanted, "column")
            message = f'--to {text}: {relation.target} has {columns}: --to \'["first", "second"]\''
            raise Refused(message)
    if any(each is None or isinstance(each, list | dict | bool) or "\0" in str(each) for each in parts):
        message = f"--to {text}: every column of {relation.target} needs a value"
        raise Refused(message)
    return tuple(map(str, parts))


def make_remedy(
    relation: Relation, how: How, to: tuple[str, ...], *, contract: Contract, catalog: Catalog, run: str
) -> Remedy:
    """The remedy for this relation on this catalog. Raises Refused with the reason why it cannot be."""
    found = match(relation, catalog)
    if found.status == "impossible":
        message = f"{relation.id} cannot be remediated: {found.reason}"
        raise Refused(message)
    table = catalog.tables[relation.table]
    key = row_key(table)
    if key is None:
        raise NoKey(str(relation.table))
    others = tuple(sharing(relation, contract, catalog))
    sets = written(relation, how, table, others)
    shared = tuple(each for each in others if set(each.columns) & set(sets))
    columns = tuple(each.name for each in table.columns)
    everything = how in TAKES_AWAY
    referrers = tuple(_referrers(relation, contract, catalog, None if everything else frozenset(sets)))
    unique = [each for each in table.indexes if each.unique]
    names = (relation.table, *catalog.family(relation.table)[1:])
    return Remedy(
        relation=relation,
        how=how,
        to=to,
        key=key,
        sets=sets,
        columns=columns if everything else tuple(dict.fromkeys((*key, *sets))),
        writable=tuple(each.name for each in table.columns if not each.generated),
        kept=TableName(schema=SCHEMA, name=kept_name(relation.table.name, run)),
        marks=_marks(columns),
        referrers=referrers,
        strong=everything or any(set(each.columns) & set(sets) for each in unique),
        immediate=all(each.immediate for each in unique),
        notes=(
            *left_notes(relation, how, sets),
            *trigger_notes(catalog, names),
            *shared_notes(shared, sets),
            *generated_notes(contract.relations, table, sets),
            *referrer_notes(referrers, catalog, taken_away=everything),
        ),
        shared=shared,
    )


def kept_name(table: str, run: str) -> str:
    """`TABLE RUN`, within the length of a name; a run works on one relation only, so that the run makes it unique."""
    room = NAME_LIMIT - len(f" {run}".encode())
    return f"{table.encode()[:room].decode(errors='ignore')} {run}"


def _marks(columns: Collection[str]) -> Marks:
    taken = set(columns)

    def free(name: str) -> str:
        while name in taken:
            name += "_"
        return name

    return Marks(number=free("kept_number"), run=free("kept_by_run"), at=free("kept_at"), left=free("kept_because"))


def _referrers(
    relation: Relation, contract: Contract, catalog: Catalog, written: frozenset[str] | None
) -> Iterator[Relation]:
    """Keys that stand and relations of the contract that lead to the table, each once, as if to the table itself.

    A key can lead to a partition of it, or to what it is a partition of. `written` limits them to keys over one of
    these columns.
    """
    family = {*catalog.family(relation.table), *ancestors(relation.table, catalog)}
    seen: set[tuple[TableName, frozenset[tuple[str, str]]]] = set()
    for each in (*standing_keys(catalog), *(replace(each, deferred=None) for each in contract.relations)):
        if each.referenced not in family or match(each, catalog).status == "impossible":
            continue
        if written is not None and not written & set(each.referenced_columns):
            continue
        own = replace(each, referenced=relation.table)
        if (own.table, own.pairs) not in seen:
            seen.add((own.table, own.pairs))
            yield own


def next_size(size: int, *, spent_ms: float, budget_ms: float, most: int) -> int:
    """How many rows the next batch has: a batch is to take about a third of the lock budget."""
    if spent_ms > budget_ms / 2:
        return max(1, size // 2)
    return min(most, size * 2) if spent_ms < budget_ms / 4 else size
