"""Given numbers in, judgement out: the thresholds of 10 and 20 ms, table by table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.performance import Costs, Latency, Overhead, Timing, Word, compare, finding
from orchestrator.core.verdict import judge

OLD, KEY, OTHER = "public.child.fk_old", "public.child.fk_new", "public.child.fk_other"


def timed(ms: float | None, *, table: str = "public.child", unknown: str = "", **keys: float) -> Timing:
    """An insert of so many ms; the keys are named old, new and other."""
    names = {"old": OLD, "new": KEY, "other": OTHER}
    triggers = {names[key]: spent for key, spent in keys.items()}
    return Timing(table=table, operation="insert", ms=ms, triggers=triggers, rows=12, method="copy", unknown=unknown)


def costs(*timings: Timing, **rest: object) -> Costs:
    """What was measured at one time."""
    return Costs(timings=timings, **rest)  # type: ignore[arg-type]


def loaded(average: float, *, p95: float = 0.0, idle: float = 0.0) -> Costs:
    """Only a concurrent run."""
    latency = Latency(table="public.child", average_ms=average, p95_ms=p95, transactions=100)
    return Costs(timings=(), latencies=(latency,), idle_ms=idle)


def overhead(before: Costs, after: Costs) -> Overhead:
    """The judgement of the only table."""
    (only,) = compare(before, after).overheads
    return only


@pytest.mark.parametrize(
    ("more", "word", "status", "severity", "verdict"),
    [
        (0.0, "accepted", "pass", "important", "GO"),
        (10.0, "accepted", "pass", "important", "GO"),
        (10.5, "hold", "fail", "important", "HOLD"),
        (20.0, "hold", "fail", "important", "HOLD"),
        (20.5, "roll back", "fail", "critical", "NO-GO"),
    ],
)
def test_ten_ms_are_accepted_and_more_than_twenty_are_not(
    more: float, word: Word, status: str, severity: str, verdict: str
) -> None:
    """Both limits belong to the better side."""
    judged = overhead(costs(timed(1.0)), costs(timed(1.0 + more)))
    found = finding(judged)
    assert (judged.ms, judged.word) == (more, word)
    assert (found.id, found.status, found.severity) == ("performance.public.child", status, severity)
    assert judge([found]).word == verdict


def test_time_in_the_new_keys_counts_though_noise_hides_it() -> None:
    """A write that seems quicker afterwards still bears what its new keys take; a key from before does not count."""
    compared = compare(costs(timed(40.0, old=5.0)), costs(timed(30.0, old=9.0, new=8.0, other=4.0)))
    (write,) = compared.writes
    assert write.new_keys == (KEY, OTHER)
    assert write.overhead_ms == 12.0
    assert compared.overheads[0].word == "hold"
    assert f"insert 40.00 -> 30.00 ms, of which {KEY} 8.00 ms" in finding(compared.overheads[0]).observed


def test_a_slow_key_without_an_index_is_named_with_what_to_do() -> None:
    """The finding says which key, on which columns, and asks for the index."""
    without = {KEY: "public.child(parent_id)", OTHER: "public.child(only_inserted_here)"}
    before, after = replace(timed(0.1), operation="delete"), replace(timed(312.0, new=311.5), operation="delete")
    insert = timed(0.2, other=0.1)
    judged = overhead(costs(before, timed(0.1)), costs(after, insert, unindexed=without))
    found = finding(judged)
    assert judged.slow_keys == (KEY,)
    assert judged.unindexed == (f"{KEY} on public.child(parent_id)",)
    assert f"no index for {KEY} on public.child(parent_id)" in found.observed
    assert found.remedy.startswith(f"create an index concurrently for {KEY}")


def test_a_missing_index_is_no_failure_by_itself() -> None:
    """The numbers decide: a delete that is quick enough passes, and still tells that nothing leads to its rows."""
    before, after = replace(timed(0.1), operation="delete"), replace(timed(9.0, new=8.5), operation="delete")
    found = finding(overhead(costs(before), costs(after, unindexed={KEY: "public.child(parent_id)"})))
    assert (found.status, found.remedy) == ("pass", "")
    assert f"no index for {KEY} on public.child(parent_id)" in found.observed


def test_a_slow_key_with_its_index_is_named_too() -> None:
    """Then the way out is another one."""
    found = finding(overhead(costs(timed(0.1)), costs(timed(15.0, new=14.0))))
    assert f"defer {KEY} in the contract" in found.remedy


def test_under_load_the_average_counts_without_what_the_machine_added() -> None:
    """Transactions that touch no table became 4 ms slower too: that is not the keys' doing."""
    compared = compare(loaded(2.0, p95=3.0, idle=1.0), loaded(17.0, p95=80.0, idle=5.0))
    (load,) = compared.loads
    assert (load.before_p95_ms, load.after_p95_ms) == (3.0, 80.0)
    assert load.overhead_ms == 11.0
    assert compared.overheads[0].word == "hold"


def test_whatever_would_not_be_accepted_by_itself_is_told() -> None:
    """The worst first; what is quick enough is not mentioned."""
    judged = overhead(
        replace(loaded(1.0), timings=(timed(0.1), replace(timed(0.1), operation="update"))),
        replace(loaded(99.0), timings=(timed(50.0), replace(timed(0.2), operation="update"))),
    )
    assert judged.cause == "a transaction under load 1.00 -> 99.00 ms; insert 0.10 -> 50.00 ms"


def test_a_quicker_machine_is_no_credit() -> None:
    """When transactions without tables became quicker, nothing is added to the others."""
    (load,) = compare(loaded(2.0, idle=3.0), loaded(2.5, idle=1.0)).loads
    assert load.overhead_ms == 0.5


def test_what_was_not_measured_is_unknown_with_its_reason() -> None:
    """No number, no pass; the reason stands in the finding."""
    nothing = timed(None, unknown="the table has no rows")
    found = finding(overhead(costs(nothing), costs(nothing)))
    assert (found.status, found.severity) == ("unknown", "important")
    assert found.observed == "not measured: insert: the table has no rows"


def test_a_part_that_was_not_measured_leaves_the_rest_unknown_but_not_better() -> None:
    """Quick inserts do not vouch for deletes; slow ones stay slow."""
    unknown = Timing(table="public.child", operation="delete", unknown="no row is free to be written")
    quick = overhead(costs(timed(1.0), unknown), costs(timed(1.2), unknown))
    slow = overhead(costs(timed(1.0), unknown), costs(timed(31.0), unknown))
    assert (quick.word, slow.word) == ("unknown", "roll back")
    assert "not measured: delete: no row is free to be written" in finding(quick).observed


def test_a_table_of_one_side_only_is_not_left_out() -> None:
    """Neither a table that was there before nor one that came."""
    gone, came = timed(1.0, table="public.gone"), timed(2.0, table="public.came", new=1.5)
    compared = compare(costs(gone), costs(came))
    words = {each.table: each.word for each in compared.overheads}
    assert words == {"public.gone": "unknown", "public.came": "unknown"}
    assert compared.overheads[1].ms == 1.5


def test_a_table_without_latency_says_why() -> None:
    """The concurrent run is told as well when it did not happen."""
    before, after = costs(timed(1.0)), costs(timed(1.0), untried={"public.child": "pgbench failed"})
    judged = overhead(before, after)
    assert judged.unknown == ("under load: pgbench failed",)
