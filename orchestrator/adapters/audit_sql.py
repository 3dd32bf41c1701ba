"""Writes the SQL of option B from templates: schema `orphan_audit` with history, recorder, and each relation's part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from psycopg import sql

from orchestrator.adapters.orphan_sql import listed, source
from orchestrator.adapters.sql_templates import render_sql
from orchestrator.core.audit_objects import SCHEMA, AuditObject, ObjectKind, comment_of
from orchestrator.core.audit_plan import HISTORY, RECORD, RECORDER, Piece
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Relation
from orchestrator.core.locks import Lock, Mode

INVESTIGATE_PER_HOUR: Final = 1
"""More new orphans an hour than this are to be investigated: what the facts say of foreign-key violations."""

KEEP: Final = "90 days"
HOURLY: Final = "17 * * * *"
JOB: Final = "orphan_audit"
KNOWN_AT_MOST: Final = 10_000
"""Orphans of a relation whose keys are kept as hashes; of more than that only the count is compared."""

SAMPLE_AT_MOST: Final = 20
LOCK_TIMEOUT: Final = "5s"
"""How long the count of a relation waits for who has its tables locked; a wait that is over is told as a problem."""

RECORDING_LOCK: Final = 6_871_440_817_001
"""The advisory lock of who records an audit in this database."""

# Functions before the views that nothing of theirs depends on; the finding before the audit that it refers to.
LAST_FIRST: Final[Mapping[ObjectKind, int]] = {"procedure": 0, "function": 0, "view": 1, "table": 2, "schema": 3}
KINDS: Final[Mapping[ObjectKind, sql.SQL]] = {
    "procedure": sql.SQL("PROCEDURE"),
    "function": sql.SQL("FUNCTION"),
    "view": sql.SQL("VIEW"),
    "table": sql.SQL("TABLE"),
    "schema": sql.SQL("SCHEMA"),
}
TABLES: Final = ("known", "finding", "audit_run")
COUNTING: Final = ("audited", "count_orphans", "begin_audit", "note_finding", "finish_audit")
RECORDING: Final[Sequence[tuple[ObjectKind, str]]] = (
    ("procedure", RECORD),
    *(("function", each) for each in (*COUNTING, "schedule", "unschedule", "scheduled")),
)
SCHEDULE: Final = "SELECT orphan_audit.schedule()"
UNSCHEDULE: Final = "SELECT orphan_audit.unschedule()"


@dataclass(frozen=True, slots=True)
class AuditSql:
    """The writer that plans are made with."""

    def history(self) -> Piece:
        """The schema and its three tables."""
        objects: list[tuple[ObjectKind, str]] = [("schema", SCHEMA), *(("table", each) for each in TABLES)]
        text = render_sql("audit_history.sql.j2", schema=sql.Identifier(SCHEMA))
        return _piece(HISTORY, text, objects)

    def recorder(self) -> Piece:
        """The procedure that records an audit, and what schedules it where pg_cron is installed."""
        text = render_sql(
            "audit_recorder.sql.j2",
            schema=sql.Identifier(SCHEMA),
            schema_name=sql.Literal(SCHEMA),
            ours=sql.Literal('{"made_by": "orchestrator"%"relation"%'),
            keep=sql.Literal(KEEP),
            known_at_most=sql.Literal(KNOWN_AT_MOST),
            sample_at_most=sql.Literal(SAMPLE_AT_MOST),
            lock_timeout=sql.Literal(LOCK_TIMEOUT),
            recording=sql.Literal(RECORDING_LOCK),
            investigate_per_hour=sql.Literal(INVESTIGATE_PER_HOUR),
            hourly=sql.Literal(HOURLY),
            job=sql.Literal(JOB),
        )
        return _piece(RECORDER, text, RECORDING, last=SCHEDULE)

    def relation(self, relation: Relation, name: str, catalog: Catalog) -> Piece:
        """A view, and `check_`, `lock_` and `require_`: whether a reference holds, until when, or else an error."""
        view, check, lock, require = (_named(prefix + name) for prefix in ("", "check_", "lock_", "require_"))
        values = [sql.SQL(f"${number}") for number in range(1, len(relation.columns) + 1)]
        refuses = render_sql(
            "audit_require.sql.j2",
            lock=lock,
            values=sql.SQL(", ").join(values),
            told=sql.Literal(f"{relation.id}: no row for ("),
            schema=sql.Literal(relation.table.schema),
            table=sql.Literal(relation.table.name),
            constraint=sql.Literal(relation.name),
        )
        text = render_sql(
            "audit_relation.sql.j2",
            view=view,
            check=check,
            lock=lock,
            require=require,
            orphans=listed(relation, catalog),
            arguments=_arguments(relation, catalog),
            passes=_passes(relation, values),
            parent=source(relation.referenced, catalog),
            equal=_equal(relation, values),
            refuses=sql.Literal(refuses),
        )
        objects: list[tuple[ObjectKind, str]] = [("view", name)]
        objects += [("function", prefix + name) for prefix in ("check_", "lock_", "require_")]
        # A view asks for what a reader asks for; a function that takes FOR KEY SHARE for more, on the referenced table.
        modes: dict[TableName, Mode] = {relation.table: "ACCESS SHARE", relation.referenced: "ROW SHARE"}
        locks = tuple(Lock(table=table, mode=mode) for table, mode in modes.items())
        about = {"relation": relation.id, "priority": relation.priority}
        return _piece(name, text, objects, relation=relation.id, locks=locks, about=about)

    def drop(self, objects: Sequence[AuditObject]) -> tuple[str, ...]:
        """Without CASCADE: what others built on them, or put beside them, keeps them."""
        return _drop([(each.kind, each.name) for each in objects])

    def recreate(self, objects: Sequence[AuditObject]) -> tuple[str, ...]:
        """Views before the functions, the job last; a table's text is not known, so that none comes back this way."""
        known = sorted((each for each in objects if each.definition), key=lambda each: -LAST_FIRST[each.kind])
        texts = [_definition(each) for each in known]
        job = (SCHEDULE,) if ("function", "schedule") in {each.key for each in known} else ()
        return (*texts, *(_comment(each.kind, each.name, each.comment) for each in known), *job)


def _piece(
    name: str,
    text: str,
    objects: Sequence[tuple[ObjectKind, str]],
    *,
    last: str = "",
    relation: str = "",
    locks: tuple[Lock, ...] = (),
    about: Mapping[str, str] | None = None,
) -> Piece:
    digest = sha256("\n".join((text, last, *sorted((about or {}).values()))).encode()).hexdigest()[:16]
    comment = comment_of(name, digest, **(about or {}))
    comments = (_comment(kind, each, comment) for kind, each in objects)
    return Piece(
        name=name,
        sql=";\n".join((text.removesuffix(";"), *comments, *((last,) if last else ()))),
        drop=_drop(objects),
        objects=frozenset(objects),
        digest=digest,
        relation=relation,
        locks=locks,
    )


def _drop(objects: Sequence[tuple[ObjectKind, str]]) -> tuple[str, ...]:
    ordered = sorted(objects, key=lambda each: (LAST_FIRST[each[0]], TABLES.index(each[1]) if each[1] in TABLES else 0))
    texts = [sql.SQL("DROP {} {}").format(KINDS[kind], _of(kind, name)).as_string(None) for kind, name in ordered]
    # The job goes first: it would call a function that is not there any more.
    scheduled = {("function", "unschedule"), ("function", "scheduled")} <= set(objects)
    return ((UNSCHEDULE,) if scheduled else ()) + tuple(texts)


def _comment(kind: ObjectKind, name: str, text: str) -> str:
    written = sql.SQL("COMMENT ON {} {} IS {}").format(KINDS[kind], _of(kind, name), sql.Literal(text))
    return written.as_string(None)


def _definition(found: AuditObject) -> str:
    text = found.definition.strip().removesuffix(";")
    if found.kind == "view":
        return sql.SQL("CREATE VIEW {} AS {}").format(_named(found.name), sql.SQL(text)).as_string(None)
    return text


def _of(kind: ObjectKind, name: str) -> sql.Identifier:
    return sql.Identifier(name) if kind == "schema" else _named(name)


def _named(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


def _arguments(relation: Relation, catalog: Catalog) -> sql.Composed:
    """One for each referencing column, under its name; its type is as the server wrote it, quoted where it must be."""
    columns = [catalog.tables[relation.table].column(each) for each in relation.columns]
    parts = (sql.SQL("{} {}").format(sql.Identifier(each.name), sql.SQL(each.type_name)) for each in columns if each)
    return sql.SQL(", ").join(parts)


def _passes(relation: Relation, values: Sequence[sql.SQL]) -> sql.Composed:
    """MATCH SIMPLE lets a reference pass when any column is NULL, MATCH FULL only when all are."""
    word = sql.SQL(" AND ") if relation.match == "full" else sql.SQL(" OR ")
    return word.join(sql.SQL("{} IS NULL").format(each) for each in values)


def _equal(relation: Relation, values: Sequence[sql.SQL]) -> sql.Composed:
    """The key's comparisons; an argument has no collation of its own, so that the referenced column's decides."""
    pairs = zip(relation.referenced_columns, values, strict=True)
    return sql.SQL(" AND ").join(sql.SQL("parent.{} = {}").format(sql.Identifier(name), value) for name, value in pairs)
