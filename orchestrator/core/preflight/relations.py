"""Checks that contract and catalog answer between them; most need no further question to the server."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.audit_objects import SCHEMA
from orchestrator.core.checks import Check, Judgement, Row, Subject, none_of, passed
from orchestrator.core.contract import Relation
from orchestrator.core.indexes import lacking_indexes, repaired, without_index
from orchestrator.core.matching import Match, Matter, differing_types, match_all
from orchestrator.core.nouns import counted
from orchestrator.core.plan import OF_AUDITS


def _matches(subject: Subject) -> tuple[Match, ...]:
    return match_all(subject.contract, subject.catalog)


def _obstacles(subject: Subject, *matters: Matter) -> list[str]:
    return [
        f"{found.relation.id}: {obstacle.text}"
        for found in _matches(subject)
        for obstacle in found.obstacles
        if obstacle.matter in matters
    ]


def _existing(subject: Subject) -> Iterator[Relation]:
    """The promised relations whose tables and columns exist."""
    for found in _matches(subject):
        if found.status != "deferred" and not any(each.matter in {"missing", "kind"} for each in found.obstacles):
            yield found.relation


def judge_missing(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """12: every table and column of the contract exists."""
    return none_of(_obstacles(subject, "missing"), well="all tables and columns exist")


def judge_types(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """6: an equality operator exists, decided from pg_amop and pg_cast as ADD FOREIGN KEY does."""
    return none_of(_obstacles(subject, "type"), well="all pairs of columns can be compared")


def judge_same_types(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """6: different types that can be compared work, but an index may not be used as hoped."""
    lines = [line for each in _existing(subject) for line in differing_types(each, subject.catalog)]
    return none_of(lines, well="every referencing column has the type of its key")


def judge_unique(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """7: the referenced columns are an immediate unique key."""
    return none_of(_obstacles(subject, "unique"), well="every referenced key is unique")


def judge_definitions(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """9: nothing stands in place of a promised key with another definition."""
    lines = [f"{each.relation.id}: {each.reason}" for each in _matches(subject) if each.status == "different"]
    return none_of(lines, well="no key stands with another definition")


def judge_names(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """9: the name of a missing key is free on its table; a present key may have any name."""
    taken, elsewhere = [], []
    for found in _matches(subject):
        table = subject.catalog.table(found.relation.table)
        if found.status == "present" and found.reason:
            elsewhere.append(f"{found.relation.id} {found.reason}")
        elif found.standing is None and table and found.status != "deferred":
            taken += [f"{found.relation.name} on {table.name}"] if found.relation.name in table.names_taken() else []
    well = "all names are free" + (f"; under another name: {'; '.join(elsewhere)}" if elsewhere else "")
    return none_of(taken, well=well)


def judge_enforced(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """10: valid is not enforced: triggers may be off, the session may be a replica, PostgreSQL 18 has NOT ENFORCED."""
    lines = [
        f"{key.name} on {name}: {'triggers disabled' if key.enforced else 'NOT ENFORCED'}"
        for name in subject.contract.tables
        if (table := subject.catalog.table(name))
        for key in table.foreign_keys
        if not (key.enforced and key.triggers_enabled)
    ]
    lines += [f"session_replication_role = {row['value']} for {row['scope']}" for row in rows]
    return none_of(lines, well="all keys of these tables are enforced")


def judge_partitions(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """11: partitioned tables are planned for; a foreign table or view among them cannot have a key."""
    lines = _obstacles(subject, "kind", "persistence", "generated", "version", "collation")
    heirs = [
        f"{table.name} inherits from {parent}"
        for table in subject.catalog.tables.values()
        for parent in table.inherits
        if any(parent == relation.table for relation in subject.contract.promised)
    ]
    partitioned = [
        str(name)
        for name in subject.contract.tables
        if (table := subject.catalog.table(name)) and table.kind == "partitioned"
    ]
    well = f"partitioned: {', '.join(partitioned) or 'none'}"
    return none_of(lines, well=well + (f"; not covered by the key: {'; '.join(heirs)}" if heirs else ""))


def judge_collations(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """13: collations agree; MATCH FULL and deferrable keys are named, because they behave in another way."""
    special = [
        f"{each.id} is {'MATCH FULL' if each.match == 'full' else 'DEFERRABLE'}"
        for each in subject.contract.promised
        if each.match == "full" or each.deferrable != "not"
    ]
    return none_of(_obstacles(subject, "collation"), well="; ".join(special) or "collations agree")


def judge_support(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """8: without an index on the referencing columns, deleting one referenced row scans the table."""
    policy = subject.environment.policy
    relations = tuple(_existing(subject))
    if not policy.create_missing_indexes:
        lines = [
            f"{table}({', '.join(each.columns)})"
            for each in relations
            for table in without_index(each, subject.catalog)
        ]
        return none_of(lines, well="every referencing column leads an index")
    built = len(repaired(subject.plan))
    # What the plan does not build, and why.
    lines = [
        f"{each.table}({', '.join(each.columns)}): {each.taken}"
        for each in lacking_indexes(relations, subject.catalog)
        if each.taken
    ]
    return none_of(
        lines,
        well=f"{counted(built, 'index is', 'indexes are')} planned"
        if built
        else "every referencing column leads an index",
    )


def judge_invalid_indexes(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """14: an interrupted CREATE INDEX CONCURRENTLY leaves an index that slows writes and serves nobody.

    One that the plan builds again is mended by that.
    """
    mended = repaired(subject.plan)
    lines = [
        f"{index.name} on {name}"
        for name in subject.contract.tables
        if (table := subject.catalog.table(name))
        for index in table.indexes
        if not index.valid and (name, index.name) not in mended
    ]
    return none_of(lines, well="all indexes of these tables are valid")


def judge_uncovered(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """Columns that look like references (…_id) and that neither the contract nor a key speaks of."""
    spoken = {(each.table, column) for each in subject.contract.relations for column in each.columns}
    lines = []
    for name in sorted({each.table for each in subject.contract.relations}):
        table = subject.catalog.table(name)
        keyed = {column for key in table.foreign_keys for column in key.columns} if table else set()
        lines += [
            f"{name}.{column.name}"
            for column in (table.columns if table else ())
            if column.name.endswith("_id") and (name, column.name) not in spoken and column.name not in keyed
        ]
    return none_of(lines, well="every reference-shaped column is spoken of", most=12)


def judge_rows_hidden(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    """4: a policy that applies to us hides rows from the count and from VALIDATE."""
    return none_of(
        [f"row security hides rows of {row['name']} from this role" for row in rows], well="no row is hidden"
    )


def judge_rights(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
    """5: ownership of the referencing table, SELECT and REFERENCES, the right to lock, CREATE for the ledger.

    An index that is planned needs CREATE in its schema, which an owner of the table may lack. On a road without keys
    less is needed; schema orphan_audit is asked about when a statement of the plan is about it.
    """
    column = "without_keys" if subject.contract.road else "lacking"
    audits = any(each.kind in OF_AUDITS for each in subject.plan.statements)
    asked = [row for row in rows if audits or row["name"] != f"schema {SCHEMA}"]
    lines = [f"{row[column]} on {row['name']}" for row in asked if row[column]]
    building = {str(table) for table, _ in repaired(subject.plan)}
    lacking = {str(row["lacking_for_index"]) for row in rows if row["name"] in building and row["lacking_for_index"]}
    lines += [f"{each} (for an index)" for each in sorted(lacking)]
    return none_of(lines, well="this role has the rights it needs")


def judge_work(subject: Subject, _: tuple[Row, ...]) -> Judgement:
    """How many relations there are and what is to be done about them."""
    matches = _matches(subject)
    words = ("present", "missing", "different", "impossible", "deferred")
    counts = ", ".join(f"{sum(each.status == word for each in matches)} {word}" for word in words)
    return passed(f"{len(subject.contract.promised)} promised: {counts}")


RELATIONS: tuple[Check, ...] = (
    Check(
        id="contract",
        title="How does the contract stand against the catalog?",
        severity="optional",
        expected="every relation has a status",
        remedy="",
        judge=judge_work,
    ),
    Check(
        id="tables-and-columns",
        title="Do all tables and columns of the contract exist?",
        severity="critical",
        expected="all exist",
        remedy="apply the migrations first, or mark the line as deferred with its reason",
        judge=judge_missing,
    ),
    Check(
        id="comparable-types",
        title="Can each referencing column be compared with its key?",
        severity="critical",
        expected="an equality operator for each pair",
        remedy="change the column's type in a migration of its own, or mark the line as deferred",
        judge=judge_types,
    ),
    Check(
        id="same-types",
        title="Do referencing columns have the type of their key?",
        severity="optional",
        expected="the same type",
        remedy="give both columns the same type when you next change the table",
        judge=judge_same_types,
    ),
    Check(
        id="referenced-unique",
        title="Is every referenced key unique, immediate and not partial?",
        severity="critical",
        expected="a unique key",
        remedy="create a unique index on the referenced columns first (CREATE UNIQUE INDEX CONCURRENTLY)",
        judge=judge_unique,
    ),
    Check(
        id="different-keys",
        title="Does a key with another definition stand where one is promised?",
        severity="critical",
        expected="none: what stands is as promised, or absent",
        remedy="change the contract's line or the key; it is never changed for you",
        judge=judge_definitions,
    ),
    Check(
        id="names",
        title="Are the names of the missing keys free?",
        severity="important",
        expected="no other constraint has the name",
        remedy="give the line another name in the contract",
        judge=judge_names,
    ),
    Check(
        id="enforced",
        title="Are the keys of these tables enforced?",
        severity="critical",
        expected="triggers enabled, no replica role, no NOT ENFORCED",
        remedy="ALTER TABLE … ENABLE TRIGGER ALL, and ALTER ROLE or DATABASE … RESET session_replication_role",
        judge=judge_enforced,
        probe="replica_role",
    ),
    Check(
        id="partitions",
        title="Can keys be planned on partitioned, inheriting and special tables?",
        severity="critical",
        expected="every table is an ordinary or a partitioned one",
        remedy="mark the line as deferred: PostgreSQL cannot keep this key",
        judge=judge_partitions,
    ),
    Check(
        id="collations",
        title="Do collations agree, and which keys are MATCH FULL or deferrable?",
        severity="optional",
        expected="no nondeterministic collation against another",
        remedy="give both columns the same collation",
        judge=judge_collations,
    ),
    Check(
        id="supporting-index",
        title="Does an index lead with the referencing columns?",
        severity="optional",
        expected="a valid, complete index",
        remedy="CREATE INDEX CONCURRENTLY on the columns; deleting a referenced row scans the table without one",
        judge=judge_support,
    ),
    Check(
        id="invalid-indexes",
        title="Are all indexes of these tables valid?",
        severity="important",
        expected="no invalid index",
        remedy="DROP INDEX CONCURRENTLY and build it again (REINDEX INDEX CONCURRENTLY)",
        judge=judge_invalid_indexes,
    ),
    Check(
        id="unspoken-columns",
        title="Which reference-shaped columns does the contract not speak of?",
        severity="optional",
        expected="each is in the contract, if only as deferred",
        remedy="add a line for each, or leave it when it is no reference",
        judge=judge_uncovered,
    ),
    Check(
        id="row-security",
        title="Does row-level security hide rows from this role?",
        severity="critical",
        expected="no policy applies to this role",
        remedy="connect as a role with BYPASSRLS, or as the owner without FORCE ROW LEVEL SECURITY",
        judge=judge_rows_hidden,
        probe="row_security",
    ),
    Check(
        id="rights",
        title="May this role add, check and drop the keys, and write the journal?",
        severity="critical",
        expected="owner of the tables, or SELECT, REFERENCES and a write right on the referenced ones",
        remedy="invoke preflight --grants prints the statements for the DBA",
        judge=judge_rights,
        probe="rights",
    ),
)
