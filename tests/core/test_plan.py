"""The plan: which statements, in which order, and a digest that knows what matters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from orchestrator.core.catalog import Catalog, Column, ForeignKey, Index, Table, TableName
from orchestrator.core.contract import Contract, Priority, Relation
from orchestrator.core.plan import Plan, Statement, plan_digest
from orchestrator.core.plan_making import make_plan

INT, INT_OPS = 23, 1978


def name(table: str) -> TableName:
    """A table of schema public."""
    return TableName(schema="public", name=table)


def table(called: str, *columns: str, **more: object) -> Table:
    """A table with an id, its primary key, and integer columns."""
    plain = Table(
        name=name(called),
        columns=tuple(Column(name=each, type_name="integer", base_type=INT) for each in ("id", *columns)),
        indexes=(
            Index(
                name=f"{called}_pkey",
                columns=("id",),
                operator_classes=(INT_OPS,),
                definition="",
                unique=True,
                primary=True,
            ),
        ),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def catalog(*tables: Table, version: int = 160000) -> Catalog:
    """A catalog in which integers can be compared."""
    return Catalog(
        server_version=version,
        tables={each.name: each for each in tables},
        comparable=frozenset({(INT_OPS, INT)}),
    )


def relation(child: str, column: str, parent: str, **more: object) -> Relation:
    """child(column) to parent(id), under a name made of both."""
    plain = Relation(
        table=name(child),
        columns=(column,),
        referenced=name(parent),
        referenced_columns=("id",),
        name=f"{child}_{column}",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Words:
    """A writer that writes no SQL, so that a test sees what was asked of it."""

    end: str = ""

    def add(self, relation: Relation, *, not_valid: bool) -> str:
        """Add."""
        return f"add {relation.table}.{relation.name}{' not valid' if not_valid else ''}{self.end}"

    def validate(self, table: TableName, name: str) -> str:
        """Validate."""
        return f"validate {table}.{name}"

    def drop(self, table: TableName, name: str) -> str:
        """Drop."""
        return f"drop {table}.{name}"


TABLES = (table("c", "p_id", "q_id"), table("d", "p_id"), table("p"), table("q"))
LINES = (relation("c", "p_id", "p"), relation("c", "q_id", "q"), relation("d", "p_id", "p"))


def plan(*lines: Relation, on: Catalog | None = None, end: str = "", **more: object) -> Plan:
    """The plan of these lines."""
    asked = {"environment": "staging", "runbook": "r", "lock_budget_ms": 100} | more
    return make_plan(
        contract=Contract(relations=lines or LINES),
        catalog=on or catalog(*TABLES),
        writer=Words(end),
        **asked,  # type: ignore[arg-type]
    )


def kinds(made: Plan) -> list[str]:
    """What is done, in order."""
    return [each.kind for each in made.statements]


def test_all_adds_come_before_the_first_validate() -> None:
    """An ADD that waits for a VALIDATE of the same table makes its writers wait."""
    assert kinds(plan()) == ["add"] * 3 + ["validate"] * 3
    assert [each.id for each in plan().statements][::3] == ["add:public.c.c_p_id", "validate:public.c.c_p_id"]


class Watched(Mapping[TableName, Table]):
    """Tables that count how often somebody goes through all of them."""

    def __init__(self, *tables: Table) -> None:
        self.tables = {each.name: each for each in tables}
        self.walks = 0

    def __getitem__(self, name: TableName) -> Table:
        return self.tables[name]

    def __len__(self) -> int:
        return len(self.tables)

    def __iter__(self) -> Iterator[TableName]:
        self.walks += 1
        return iter(self.tables)


def test_a_long_contract_goes_through_all_tables_no_more_often_than_a_short_one() -> None:
    """Or a plan of thousands of keys on thousands of tables would take minutes."""
    columns = [f"p{number}_id" for number in range(50)]
    walks = []
    for lines in (1, 50):
        tables = Watched(table("c", *columns), table("p"))
        on = replace(catalog(), tables=tables)
        assert len(plan(*(relation("c", each, "p") for each in columns[:lines]), on=on).statements) == 2 * lines
        walks.append(tables.walks)
    assert walks[0] == walks[1]


def test_heirs_are_named() -> None:
    """They are not covered by the key of the table that they inherit from."""
    tables = (table("c", "p_id"), table("d", inherits=(name("c"),)), table("e", inherits=(name("c"),)), table("p"))
    (add, _) = plan(LINES[0], on=catalog(*tables)).statements
    assert "tables that inherit from public.c are not covered: public.d, public.e" in add.hazards


def test_what_matters_most_comes_first() -> None:
    """By priority, and in the contract's order within one."""
    priorities: tuple[Priority, ...] = ("low", "critical", "medium")
    lines = [replace(line, priority=priority) for line, priority in zip(LINES, priorities, strict=True)]
    adds = [each.proof.constraint for each in plan(*lines).statements if each.kind == "add"]
    assert adds == ["c_q_id", "d_p_id", "c_p_id"]


def test_only_what_is_missing_is_done() -> None:
    """Present, deferred, different and impossible relations have a status and no statement."""
    key = ForeignKey(name="k", columns=("p_id",), referenced=name("p"), referenced_columns=("id",))
    on = catalog(
        table("c", "p_id", foreign_keys=(key,)),
        table("d", "p_id", foreign_keys=(replace(key, on_delete="cascade"),)),
        table("p"),
    )
    later = relation("c", "id", "p", deferred="later")
    made = plan(relation("c", "p_id", "p"), relation("d", "p_id", "p"), relation("c", "x", "p"), later, on=on)
    assert [each.status for each in made.relations] == ["present", "different", "impossible", "deferred"]
    assert [each.standing for each in made.relations] == ["k", "k", None, None]
    assert made.statements == ()
    assert made.tables == ()


def test_what_stands_not_valid_is_only_validated() -> None:
    """Under the name that it has; the way back makes it NOT VALID again and does not take it away."""
    key = ForeignKey(name="other", columns=("p_id",), referenced=name("p"), referenced_columns=("id",), validated=False)
    made = plan(LINES[0], on=catalog(table("c", "p_id", foreign_keys=(key,)), table("p")))
    assert [each.sql for each in made.statements] == ["validate public.c.other"]
    assert made.statements[0].undo == ("drop public.c.other", "add public.c.other not valid")


def test_every_statement_knows_its_way_back_its_proof_and_its_locks() -> None:
    """ADD and its DROP block writers of both tables; VALIDATE blocks none."""
    add, validate = plan(LINES[0]).statements
    assert (add.sql, add.undo) == ("add public.c.c_p_id not valid", ("drop public.c.c_p_id",))
    assert (add.proof.state, validate.proof.state) == ("not valid", "valid")
    assert [(lock.table.name, lock.mode) for lock in add.locks] == [
        ("c", "SHARE ROW EXCLUSIVE"),
        ("p", "SHARE ROW EXCLUSIVE"),
    ]
    assert [(lock.table.name, lock.mode) for lock in validate.locks] == [
        ("c", "SHARE UPDATE EXCLUSIVE"),
        ("p", "ROW SHARE"),
    ]
    assert all(lock.mode == "ACCESS EXCLUSIVE" for each in (add, validate) for lock in each.undo_locks)
    assert (add.lock_timeout_ms, add.statement_timeout_ms, validate.statement_timeout_ms) == (100, 100, 0)


def test_a_self_reference_locks_one_table() -> None:
    """Once."""
    made = plan(relation("c", "p_id", "c"))
    assert [lock.table.name for lock in made.statements[0].locks] == ["c"]
    assert made.tables == (name("c"),)


def parts(version: int) -> Plan:
    """The plan for a partitioned table with two partitions, of which one has two of its own."""
    whole, sub = table("c", "p_id", kind="partitioned"), name("c_sub")
    return plan(
        LINES[0],
        on=catalog(
            whole,
            table("c_1", "p_id", partition_of=name("c")),
            table("c_sub", "p_id", partition_of=name("c"), kind="partitioned"),
            table("c_2", "p_id", partition_of=sub),
            table("c_3", "p_id", partition_of=sub),
            table("p"),
            version=version,
        ),
    )


@pytest.mark.parametrize("version", [140000, 150000, 160000, 170000])
def test_partitions_come_first_before_18(version: int) -> None:
    """Each leaf gets its key NOT VALID, is validated, and then the whole adopts them."""
    made = parts(version)
    assert kinds(made) == ["add"] * 3 + ["validate"] * 3 + ["adopt"]
    assert [each.proof.table.name for each in made.statements[:3]] == ["c_1", "c_2", "c_3"]
    last = made.statements[-1]
    assert (last.sql, last.proof.state) == ("add public.c.c_p_id", "valid")
    assert [lock.table.name for lock in last.locks] == ["c", "c_1", "c_sub", "c_2", "c_3", "p"]
    assert last.hazards[0] == "takes its locks on every partition too"
    assert [str(each.relation.id) for each in made.relations] == ["public.c(p_id) -> public.p(id)"]


def test_partitions_are_one_key_since_18() -> None:
    """The partitioned table takes NOT VALID itself."""
    made = parts(180000)
    assert [each.sql for each in made.statements] == ["add public.c.c_p_id not valid", "validate public.c.c_p_id"]


def hazards(made: Plan) -> str:
    """All hazards of the first statement."""
    return "; ".join(made.statements[0].hazards)


def test_hazards_are_told() -> None:
    """Waiting writers, the missing index, heirs that are not covered, SET NULL on what cannot be null."""
    assert "writers of both tables wait up to 100 ms" in hazards(plan(LINES[0]))
    assert "no index leads with p_id: deleting a referenced row scans public.c" in hazards(plan(LINES[0]))
    index = Index(name="i", columns=("p_id", "id"), operator_classes=(INT_OPS,) * 2, definition="")
    helped = catalog(table("c", "p_id", indexes=(index,)), table("p"))
    assert "no index" not in hazards(plan(LINES[0], on=helped))
    heir = table("h", "p_id", inherits=(name("c"),))
    assert "not covered: public.h" in hazards(plan(LINES[0], on=catalog(*TABLES, heir)))
    fixed = table("c", columns=(Column(name="p_id", type_name="integer", base_type=INT, not_null=True),))
    doomed = plan(replace(LINES[0], on_delete="set null"), on=catalog(fixed, table("p")))
    assert "ON DELETE SET NULL would fail: p_id cannot be null" in hazards(doomed)


def test_the_digest_is_64_hexadecimal_digits() -> None:
    """SHA-256."""
    assert re.fullmatch("[0-9a-f]{64}", plan().digest)


def test_the_digest_does_not_know_where_when_and_in_which_order() -> None:
    """Order, environment, runbook, timeouts, hazards, versions: staging and production can have the same."""
    digest = plan().digest
    assert plan(*reversed(LINES)).digest == digest
    assert plan(environment="prod", runbook="other", lock_budget_ms=7).digest == digest
    assert plan(on=catalog(*reversed(TABLES), table("more"), version=180000)).digest == digest


@pytest.mark.parametrize(
    "changed",
    [
        plan(end=" "),
        plan(*LINES[:2]),
        plan(*LINES, relation("c", "id", "p", deferred="later")),
        plan(replace(LINES[0], name="renamed"), *LINES[1:]),
        plan(replace(LINES[0], deferred="later"), *LINES[1:]),
        plan(replace(LINES[0], columns=("q_id",), name="c_p_id"), replace(LINES[1], columns=("p_id",)), LINES[2]),
    ],
    ids=["one character of SQL", "a line less", "a line more", "a name", "a status", "columns"],
)
def test_the_digest_knows_what_would_be_done(changed: Plan) -> None:
    """Any change of a statement, of a relation or of a status is another plan."""
    assert changed.digest != plan().digest


def test_the_digest_knows_the_way_back() -> None:
    """Evidence for one undo is none for another."""
    made = plan()
    first, *rest = made.statements
    other: tuple[Statement, ...] = (replace(first, undo=("drop nothing",)), *rest)
    assert plan_digest(made.relations, made.statements) == made.digest
    assert plan_digest(made.relations, other) != made.digest
    later: tuple[Statement, ...] = (replace(first, lock_timeout_ms=1, hazards=()), *rest)
    assert plan_digest(made.relations, later) == made.digest


def test_the_fingerprint_is_of_the_catalog_it_was_made_for() -> None:
    """Whoever carries it out later can see that something changed."""
    on = catalog(*TABLES)
    assert plan(on=on).fingerprint == on.fingerprint
    assert plan(on=catalog(*TABLES, table("more"))).fingerprint != on.fingerprint
