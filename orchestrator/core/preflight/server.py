"""Checks of the server and the way to it: version, identity, connection, capacity, other runners."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.core.checks import Check, Judgement, Row, Subject, failed, none_of, passed, unknown
from orchestrator.core.inventory import Policy

OLDEST, NEWEST = 14, 18
"""The major versions that are supported."""


def judge_version(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """Older servers are refused."""
    major = subject.catalog.major
    return failed(f"PostgreSQL {major}") if major < OLDEST else passed(f"PostgreSQL {major}")


def judge_newer(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """A newer server may work, but nobody measured it."""
    major = subject.catalog.major
    return failed(f"PostgreSQL {major}") if major > NEWEST else passed(f"PostgreSQL {major}")


def judge_identity(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """24 and law 8: no other environment of the inventory is this very database."""
    same = [
        f"{subject.environment.name} and {row['environment']} are one database (proved by an advisory lock)"
        for row in rows
        if row["relation"] == "same"
    ]
    told = {
        "copy": "is a physical copy",
        "same server": "is another database of this server",
        "different": "is different",
    }
    known = [f"{row['environment']} {told[str(row['relation'])]}" for row in rows if str(row["relation"]) in told]
    return none_of(same, well="; ".join(known) or "no other environment can be reached from here")


def judge_compared(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """24: which other environments could not be compared, and why."""
    silent = [f"{row['environment']}: {row['problem']}" for row in rows if row["problem"]]
    return unknown("; ".join(silent)) if silent else passed("all environments of the inventory were compared")


def judge_primary(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """24: a standby cannot be written to."""
    recovering = rows[0]["in_recovery"]
    return failed("the server is in recovery: a read-only standby") if recovering else passed("a primary")


def judge_pooler(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """15: a transaction pooler gives each transaction another session; locks and settings are then nobody's."""
    row = rows[0]
    return failed(str(row["observed"])) if row["pooled"] else passed("each connection has a session of its own")


def judge_locks(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """20: pg_dump locks every table at once, in each of its connections."""
    row = rows[0]
    needed, slots = int(str(row["needed"])), int(str(row["slots"]))
    text = f"{needed} locks needed, room for {slots}"
    return passed(text) if needed <= slots else failed(text)


def judge_backup(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """21: room for the backup, and a pg_dump that is not older than the server."""
    return none_of(
        [str(row["problem"]) for row in rows if row["problem"]], well="; ".join(str(r["text"]) for r in rows)
    )


def judge_runners(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """22: nobody else migrates this database now."""
    lines = [f"{row['what']} is held by pid {row['pid']} ({row['application'] or 'no name'})" for row in rows]
    return none_of(lines, well="no other migration runner")


def judge_deadlock_timeout(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """23: with a budget under deadlock_timeout we are the one who gives up, never the application."""
    timeout, budget = int(str(rows[0]["ms"])), subject.environment.policy.lock_timeout_ms
    text = f"budget {budget} ms, deadlock_timeout {timeout} ms"
    return passed(text) if budget < timeout else failed(text)


NOT_KEPT: Mapping[str, Callable[[Policy], bool]] = {}
"""Settings that no step acts upon yet; a new one stands here until something does."""


def judge_timeouts(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """16: timeouts that role or database set; our connections set their own."""
    return passed("; ".join(f"{row['setting']} for {row['scope']}" for row in rows) or "none set for role or database")


def judge_encryption(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """A production server is reached over a connection that proves who it is."""
    row = rows[0]
    text = f"sslmode={row['sslmode']} to {row['host']}"
    fine = row["loopback"] or row["sslmode"] == "verify-full" or not subject.environment.is_production
    return passed(text) if fine else failed(text)


def judge_policy(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """What the inventory asks for and this version does not do: never passed over in silence."""
    asked = [key for key, wanted in NOT_KEPT.items() if wanted(subject.environment.policy)]
    return none_of(asked, well="all of it", most=len(NOT_KEPT))


SERVER: tuple[Check, ...] = (
    Check(
        id="settings-kept",
        title="Which settings of the inventory does this version not act upon?",
        severity="optional",
        expected="none",
        remedy="do by hand what these settings ask for, until a version that keeps them",
        judge=judge_policy,
    ),
    Check(
        id="version",
        title="Is the server's version supported?",
        severity="critical",
        expected=f"PostgreSQL {OLDEST} or newer",
        remedy="upgrade the server",
        judge=judge_version,
    ),
    Check(
        id="version-known",
        title="Is the server's version one that was measured?",
        severity="important",
        expected=f"PostgreSQL {OLDEST} to {NEWEST}",
        remedy="rehearse on a copy first, or use a newer version of this program",
        judge=judge_newer,
    ),
    Check(
        id="identity",
        title="Is this database told apart from every other environment?",
        severity="critical",
        expected="no other environment of the inventory is this database",
        remedy="point the environments at their own databases; each environment needs its own",
        judge=judge_identity,
        probe="identity",
    ),
    Check(
        id="identity-compared",
        title="Could every other environment be compared?",
        severity="optional",
        expected="all were reached",
        remedy="set the URLs of the other environments, so that they can be told apart",
        judge=judge_compared,
        probe="identity",
    ),
    Check(
        id="primary",
        title="Can this database be written to?",
        severity="critical",
        expected="a primary, not in recovery",
        remedy="connect to the primary",
        judge=judge_primary,
        probe="primary",
    ),
    Check(
        id="pooler",
        title="Is there a transaction pooler in between?",
        severity="critical",
        expected="no: one session per connection",
        remedy="connect to the server itself, or through a pooler in session mode",
        judge=judge_pooler,
        probe="pooler",
    ),
    Check(
        id="encryption",
        title="Does the connection prove who the server is?",
        severity="important",
        expected="sslmode=verify-full in production, off loopback",
        remedy="add sslmode=verify-full and sslrootcert to the URL",
        judge=judge_encryption,
        probe="encryption",
    ),
    Check(
        id="lock-table",
        title="Is there room in the lock table?",
        severity="critical",
        expected="room for all tables in each connection of pg_dump",
        remedy="raise max_locks_per_transaction (needs a restart)",
        judge=judge_locks,
        probe="lock_table",
    ),
    Check(
        id="backup-tools",
        title="Can the backup be taken?",
        severity="critical",
        expected="pg_dump not older than the server, and room on the disk",
        remedy="install the client programs of the server's version, or choose another backup.directory",
        judge=judge_backup,
        probe="backup",
    ),
    Check(
        id="other-runners",
        title="Does another migration runner work on this database?",
        severity="critical",
        expected="nobody holds Prisma's advisory lock or ours",
        remedy="wait until it has finished",
        judge=judge_runners,
        probe="runners",
    ),
    Check(
        id="deadlock-timeout",
        title="Is the lock budget shorter than deadlock_timeout?",
        severity="optional",
        expected="policy.lock_timeout_ms below deadlock_timeout",
        remedy="lower policy.lock_timeout_ms",
        judge=judge_deadlock_timeout,
        probe="deadlock_timeout",
    ),
    Check(
        id="timeouts",
        title="Which timeouts are set for the role or the database?",
        severity="optional",
        expected="known",
        remedy="",
        judge=judge_timeouts,
        probe="timeouts",
    ),
)
