"""Checks of what goes on in the server at this moment: none of them decides, all of them tell what to expect."""

from __future__ import annotations

from orchestrator.core.checks import Check, Judgement, Row, Subject, none_of, passed, unknown
from orchestrator.core.nouns import counted

HOT_WRITES_PER_S = 100.0


def judge_transactions(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """1: one idle transaction that wrote to a table keeps ADD waiting, not VALIDATE."""
    lines = [
        f"pid {row['pid']} ({row['usename']}, {row['application'] or 'no name'}) {row['state']}, {row['age_s']} s,"
        f" holds {row['tables']}"
        for row in rows
    ]
    return none_of(lines, well="no transaction holds a conflicting lock on these tables")


def judge_prepared(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """2: prepared transactions keep their locks without a process."""
    lines = [f"{row['gid']} of {row['owner']} since {row['prepared']}" for row in rows]
    return none_of(lines, well="no prepared transaction")


def judge_vacuum(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """3: an autovacuum holds SHARE UPDATE EXCLUSIVE; one that prevents wraparound never gives way."""
    lines = [
        f"{row['name']}: " + ("being vacuumed" if row["running"] else f"{row['used_percent']} % of the freeze age")
        for row in rows
    ]
    return none_of(lines, well="no vacuum runs or is near on these tables")


def judge_replicas(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """17: lag over the policy; the way back also conflicts with queries on standbys."""
    hidden = [row for row in rows if row["lag_s"] is None and row["hidden"]]
    if hidden:
        return unknown(f"{counted(len(hidden), 'replica')} whose lag this role may not see (grant pg_monitor)")
    limit = subject.environment.policy.max_replica_lag_s
    late = [f"{row['name']} lags {row['lag_s']} s" for row in rows if float(str(row["lag_s"] or 0)) > limit]
    return none_of(late, well=f"{counted(len(rows), 'replica')} within {limit} s")


def judge_logical(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """18: keys do not travel to subscribers, and rows that arrive from a publisher are not checked by keys."""
    return none_of([f"{row['name']} {row['what']}" for row in rows], well="no logical replication of these tables")


def judge_hot(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """25: writes per second since the statistics were reset, per referenced table."""
    if not rows:
        return unknown("no statistics for the referenced tables")
    hot = [
        f"{row['name']} {row['writes_per_s']}/s" for row in rows if float(str(row["writes_per_s"])) > HOT_WRITES_PER_S
    ]
    most = max(rows, key=lambda row: float(str(row["writes_per_s"])))
    return none_of(hot, well=f"at most {most['writes_per_s']} writes/s ({most['name']})")


def judge_event_triggers(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """19: an event trigger runs inside our short transactions."""
    return none_of([f"{row['name']} on {row['event']}" for row in rows], well="no event trigger on DDL")


def judge_synchronous(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """26: short DDL commits locally, so a slow standby holds no lock; the run's end waits for it once."""
    names = str(rows[0]["value"]) if rows else ""
    return passed(f"synchronous_standby_names = {names}" if names else "no synchronous standby")


ACTIVITY: tuple[Check, ...] = (
    Check(
        id="open-transactions",
        title="Which open transactions hold locks on these tables?",
        severity="optional",
        expected="none",
        remedy="wait for them or end them; a lock is only asked for within the budget",
        judge=judge_transactions,
        probe="transactions",
    ),
    Check(
        id="prepared-transactions",
        title="Are there prepared transactions?",
        severity="optional",
        expected="none",
        remedy="COMMIT PREPARED or ROLLBACK PREPARED, if nobody will: they keep their locks for ever",
        judge=judge_prepared,
        probe="prepared",
    ),
    Check(
        id="vacuum",
        title="Is a table being vacuumed, or near autovacuum_freeze_max_age?",
        severity="optional",
        expected="no",
        remedy="VACUUM (FREEZE) the table before, so that no wraparound vacuum comes between",
        judge=judge_vacuum,
        probe="vacuum",
    ),
    Check(
        id="replica-lag",
        title="Do replicas keep up?",
        severity="important",
        expected="lag within policy.max_replica_lag_s",
        remedy="wait until the replicas have caught up",
        judge=judge_replicas,
        probe="replicas",
    ),
    Check(
        id="logical-replication",
        title="Are these tables published or subscribed to?",
        severity="important",
        expected="no",
        remedy="add the keys on subscribers too, and count orphans there: replicated rows are not checked",
        judge=judge_logical,
        probe="logical",
    ),
    Check(
        id="hot-parents",
        title="How busy are the referenced tables?",
        severity="optional",
        expected=f"at most {HOT_WRITES_PER_S:.0f} writes/s",
        remedy="choose a quieter hour: each key waits for a gap between writes",
        judge=judge_hot,
        probe="hot",
    ),
    Check(
        id="event-triggers",
        title="Do event triggers run on our DDL?",
        severity="optional",
        expected="none",
        remedy="make sure that they are quick and allow ALTER TABLE",
        judge=judge_event_triggers,
        probe="event_triggers",
    ),
    Check(
        id="synchronous-standbys",
        title="Do commits wait for standbys?",
        severity="optional",
        expected="known",
        remedy="",
        judge=judge_synchronous,
        probe="synchronous",
    ),
)
