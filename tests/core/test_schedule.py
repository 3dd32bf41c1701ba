"""The schedule: what may run beside what, what has to wait for what, and what is worth most."""

from __future__ import annotations

from orchestrator.core.catalog import TableName
from orchestrator.core.locks import Lock
from orchestrator.core.schedule import Schedule, exclude
from orchestrator.core.transaction import Kind, Transaction


def table(name: str) -> TableName:
    """A table of schema public."""
    return TableName(schema="public", name=name)


def work(kind: Kind, child: str, parent: str, *, after: frozenset[str] = frozenset()) -> Transaction:
    """ADD or VALIDATE of a key from one table to another."""
    add = kind != "validate"
    return Transaction(
        id=f"{kind}:{child}.{parent}",
        kind=kind,
        relation=f"{child} -> {parent}",
        constraint=f"fk_{child}_{parent}",
        statements=("alter table",),
        locks=(
            Lock(table=table(child), mode="SHARE ROW EXCLUSIVE" if add else "SHARE UPDATE EXCLUSIVE"),
            Lock(table=table(parent), mode="SHARE ROW EXCLUSIVE" if add else "ROW SHARE"),
        ),
        lock_timeout_ms=100,
        statement_timeout_ms=100 if add else 0,
        after=after or (frozenset() if add else frozenset({f"add:{child}.{parent}"})),
    )


def both(child: str, parent: str) -> tuple[Transaction, Transaction]:
    """The two statements of a key."""
    return work("add", child, parent), work("validate", child, parent)


def order(schedule: Schedule, *, workers: int = 1, now: float = 0.0) -> list[str]:
    """The ids in the order in which they begin when each ends before the next."""
    done: set[str] = set()
    found = []
    while (each := schedule.next(settled=done, running=(), workers=workers, now=now)) is not None:
        found.append(each.id)
        done.add(each.id)
    return found


def test_all_keys_that_touch_a_table_come_before_its_first_validation() -> None:
    """B refers to a and c to b: nothing on b is validated before c's key to b stands."""
    schedule = Schedule(transactions=(*both("b", "a"), *both("c", "b")))
    found = order(schedule)
    assert found.index("add:c.b") < found.index("validate:b.a")
    assert sorted(found) == sorted(each.id for each in schedule.transactions)


def test_a_validation_may_begin_while_others_keep_the_add_waiting_anyway() -> None:
    """The key from c to b is blocked by somebody else: b is validated meanwhile, and the ADD waits for that."""
    add, validate = both("b", "a")
    blocked = work("add", "c", "b")
    schedule = Schedule(transactions=(add, validate, blocked))
    schedule.postpone(blocked, 5.0)
    assert schedule.next(settled={add.id}, running=(), workers=1, now=1.0) == validate
    assert schedule.next(settled={add.id}, running=(validate,), workers=1, now=6.0) is None
    assert schedule.next(settled={add.id, validate.id}, running=(), workers=1, now=6.0) == blocked


def test_the_keys_of_one_table_in_sequence_different_tables_side_by_side() -> None:
    """Two validations on one referencing table exclude each other; a common referenced table is no obstacle."""
    first, second, other = (work("validate", *pair) for pair in (("b", "a"), ("b", "d"), ("c", "a")))
    schedule = Schedule(transactions=(first, second, other))
    done = set[str]()
    assert exclude(first, second)
    assert not exclude(first, other)
    assert schedule.next(settled=done, running=(first,), workers=2, now=0.0) == other
    assert schedule.next(settled=done, running=(first,), workers=1, now=0.0) is None
    assert schedule.next(settled=done, running=(first, other), workers=3, now=0.0) is None


def test_an_add_is_not_asked_for_while_its_table_is_validated() -> None:
    """It would wait for the VALIDATE, and writers behind it; the table that is only referenced is free."""
    running = work("validate", "b", "a")
    held, free = work("add", "c", "b"), work("add", "c", "a")
    schedule = Schedule(transactions=(running, held, free))
    assert schedule.next(settled=set(), running=(running,), workers=1, now=0.0) == free
    assert schedule.next(settled={free.id}, running=(running,), workers=1, now=0.0) is None


def test_critical_first_where_it_costs_nothing_else_the_longest_queue() -> None:
    """One worker does everything anyway: critical first. Several: where most work waits, so that none ends alone."""
    small, large, larger = (work("validate", *pair) for pair in (("b", "a"), ("c", "a"), ("c", "d")))
    schedule = Schedule(
        transactions=(small, large, larger),
        expected={small.id: 6.0, large.id: 4.0, larger.id: 5.0},
        rank={small.id: 0, large.id: 2, larger.id: 2},
    )
    assert order(schedule, workers=1) == [small.id, larger.id, large.id]
    assert order(schedule, workers=2)[0] == larger.id


def test_what_was_postponed_comes_back_in_time() -> None:
    """Not before its time, and the schedule knows when that is."""
    add = work("add", "b", "a")
    schedule = Schedule(transactions=(add,))
    schedule.postpone(add, 2.0)
    assert schedule.next(settled=set(), running=(), workers=1, now=1.9) is None
    assert schedule.waking((add,)) == 2.0
    assert schedule.next(settled=set(), running=(), workers=1, now=2.0) == add


def test_a_partitioned_table_comes_after_its_partitions() -> None:
    """The key that adopts waits for all that it adopts, also for one at work."""
    part = work("validate", "p1", "a")
    whole = work("adopt", "p", "a", after=frozenset({part.id}))
    schedule = Schedule(transactions=(part, whole))
    assert schedule.next(settled=set(), running=(part,), workers=2, now=0.0) is None
    assert schedule.next(settled={part.id}, running=(), workers=2, now=0.0) == whole
