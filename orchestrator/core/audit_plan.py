"""Option B as statements: what is installed where keys are not added, and what goes once they are.

A piece is what one statement installs: the history, the recorder, and for each relation a view of its orphans with its
validation functions. Every object carries the piece's digest in its comment: so a second plan has nothing to do, and
nothing that is not ours is ever dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Protocol

from orchestrator.core.audit_objects import SCHEMA, AuditObject, by_piece, strangers_in
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.locks import Lock
from orchestrator.core.outcome import Refused
from orchestrator.core.plan import VALIDATE_LOCK_TIMEOUT_MS, Plan, Proof, Statement, StatementKind, plan_digest

HISTORY: Final = "history"
RECORDER: Final = "recorder"
BASE: Final = (HISTORY, RECORDER)
RECORD: Final = "record_audit"
"""What the procedure of the recorder is called; in older versions it was a function."""

NAME_BYTES: Final = 55
"""63 bytes that an identifier may have, less those of the longest prefix (`require_`)."""

RESERVED: Final = frozenset(
    {"audit_run", "finding", "known", "audit_run_pkey", "finding_pkey", "known_pkey", "audit_run_id_seq"}
)
"""What the history calls its tables and what belongs to them."""

HISTORY_GOES: Final = "the history of the audits goes, and does not come back on the way back"
BACK_DROPS: Final = "its way back drops the history of the audits"
VIEWS_PIN: Final = "a column that a view reads can be neither dropped nor given another type while the view stands"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one statement installs: its SQL, what drops it again, and the objects (kind and name) that it makes."""

    name: str
    sql: str
    drop: tuple[str, ...]
    objects: frozenset[tuple[str, str]]
    digest: str
    relation: str = ""
    locks: tuple[Lock, ...] = ()


class AuditWriter(Protocol):
    """Writes the SQL of option B with every identifier quoted."""

    def history(self) -> Piece:
        """The schema and the tables that keep what was found."""

    def recorder(self) -> Piece:
        """The procedure that records an audit, and its schedule."""

    def relation(self, relation: Relation, name: str, catalog: Catalog) -> Piece:
        """The view of a relation's orphans, and the functions that check a reference before it is written."""

    def drop(self, objects: Sequence[AuditObject]) -> tuple[str, ...]:
        """What takes away objects that stand; nothing that depends on them."""

    def recreate(self, objects: Sequence[AuditObject]) -> tuple[str, ...]:
        """What brings back objects as the server printed them, with their comments."""


def with_audits(plan: Plan, *, catalog: Catalog, whole: Contract, writer: AuditWriter, wanted: bool) -> Plan:
    """The plan with what option B installs, or, on another road, with what takes it away again after the keys.

    `whole` is the contract before `--only`. Raises Refused when something in the schema is not ours.
    """
    if not wanted and not by_piece(catalog.audit_objects):
        return plan
    _refuse_strangers(catalog, wanted=wanted)
    maker = _Maker(plan=plan, catalog=catalog, writer=writer, names=piece_names(whole.relations))
    statements = (*plan.statements, *(maker.installs(whole) if wanted else maker.removals(whole)))
    return replace(plan, statements=statements, digest=plan_digest(plan.relations, statements))


def piece_names(relations: Iterable[Relation]) -> Mapping[str, str]:
    """What a relation's objects are called, by its id: table and columns; where two would agree, with a hash."""
    known = tuple(relations)
    plain = {each.id: "_".join((each.table.name, *each.columns)) for each in known}
    often = Counter(plain.values())
    return {
        name: _fitting(text, name, plainly=often[text] == 1 and text not in RESERVED) for name, text in plain.items()
    }


def _fitting(text: str, relation: str, *, plainly: bool) -> str:
    if plainly and len(text.encode()) <= NAME_BYTES:
        return text
    tail = sha256(relation.encode()).hexdigest()[:8]
    return f"{text.encode()[: NAME_BYTES - 9].decode(errors='ignore')}_{tail}"


def _refuse_strangers(catalog: Catalog, *, wanted: bool) -> None:
    """Raises Refused: a schema of that name that we did not make stays as it is."""
    foreign = strangers_in(catalog.audit_objects)
    schema = [each for each in foreign if each.kind == "schema"]
    if wanted and schema:
        message = f"schema {SCHEMA} is there and was not made by this program: rename it, option B needs that name"
        raise Refused(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Turns pieces into statements."""

    plan: Plan
    catalog: Catalog
    writer: AuditWriter
    names: Mapping[str, str]

    @property
    def standing(self) -> Mapping[str, tuple[AuditObject, ...]]:
        """What stands of each piece."""
        return by_piece(self.catalog.audit_objects)

    def installs(self, whole: Contract) -> Iterator[Statement]:
        """The pieces that are lacking or stale, then those whose relation is not promised any more."""
        standing = self.standing
        for piece in (self.writer.history(), self.writer.recorder(), *self._of_relations()):
            there = standing.get(piece.name, ())
            # History is kept: a table is never replaced by an empty one.
            if piece.name == HISTORY and there:
                continue
            if {each.key for each in there} != piece.objects or {each.digest for each in there} != {piece.digest}:
                yield self._install(piece, there)
        promised = {self.names[each.id] for each in whole.promised}
        for name, there in standing.items():
            if name not in {*BASE, *promised}:
                yield self._remove(name, there, None)

    def removals(self, whole: Contract) -> Iterator[Statement]:
        """Relations first, then the recorder, then the history; what `--only` left without its key keeps its audit."""
        narrowed = {each.relation.id for each in self.plan.relations if each.relation.deferred is not None}
        kept = {self.names[each.id] for each in whole.promised if each.id in narrowed} & self.standing.keys()
        pieces = {each.name: each for each in self._of_relations()}
        pieces |= {each.name: each for each in (self.writer.history(), self.writer.recorder())}
        for name in sorted(self.standing.keys() - {*BASE, *kept}):
            yield self._remove(name, self.standing[name], pieces.get(name))
        for name in () if kept else reversed(BASE):
            if name in self.standing:
                yield self._remove(name, self.standing[name], pieces[name])

    def _of_relations(self) -> Iterator[Piece]:
        """In the contract's order; what cannot be compared has none."""
        for each in self.plan.relations:
            if each.relation.deferred is None and each.status != "impossible":
                yield self.writer.relation(each.relation, self.names[each.relation.id], self.catalog)

    def _install(self, piece: Piece, there: tuple[AuditObject, ...]) -> Statement:
        """Install, in place of what stands of an older text; the way back brings that back."""
        hazards = () if piece.name == RECORDER else (VIEWS_PIN,) if piece.relation else (BACK_DROPS,)
        return _statement(
            kind="install",
            piece=piece.name,
            digest=piece.digest,
            relation=piece.relation,
            sql=";\n".join((*self.writer.drop(there), piece.sql)),
            undo=(*piece.drop, *self.writer.recreate(there)),
            locks=piece.locks,
            hazards=hazards,
        )

    def _remove(self, name: str, there: tuple[AuditObject, ...], piece: Piece | None) -> Statement:
        """Take away; the way back installs the same text again, or what the server printed of another one."""
        same = piece is not None and {each.digest for each in there} == {piece.digest}
        back = (piece.sql,) if piece is not None and (same or name in BASE) else self.writer.recreate(there)
        return _statement(
            kind="remove",
            piece=name,
            digest=there[0].digest,
            relation=piece.relation if piece else "",
            sql=";\n".join(self.writer.drop(there)),
            undo=back,
            locks=piece.locks if piece else (),
            hazards=(HISTORY_GOES,) if name == HISTORY else (),
        )


def _statement(
    *,
    kind: StatementKind,
    piece: str,
    digest: str,
    relation: str,
    sql: str,
    undo: tuple[str, ...],
    locks: tuple[Lock, ...],
    hazards: tuple[str, ...],
) -> Statement:
    # Dropping a view or a function asks for nothing on the tables that it reads.
    return Statement(
        id=f"{kind}:{SCHEMA}.{piece}",
        kind=kind,
        relation=relation,
        sql=sql,
        undo=undo,
        restore=(),
        proof=Proof(
            table=TableName(schema=SCHEMA, name=piece),
            constraint=piece,
            state="valid" if kind == "install" else "absent",
            digest=digest,
        ),
        locks=locks if kind == "install" else (),
        undo_locks=() if kind == "install" else locks,
        lock_timeout_ms=VALIDATE_LOCK_TIMEOUT_MS,
        statement_timeout_ms=0,
        hazards=hazards,
    )


def audits_alike(*, copy: Catalog, other: Catalog, writer: AuditWriter) -> Iterator[str]:
    """The statements that give a copy the pieces of another environment: those, and no others."""
    mine, theirs = by_piece(copy.audit_objects), by_piece(other.audit_objects)
    unlike = {name for name in mine.keys() | theirs.keys() if not _same(mine.get(name), theirs.get(name))}
    for name in (*sorted(unlike - {*BASE}), *reversed(BASE)):
        if name in unlike and name in mine:
            yield from writer.drop(mine[name])
    for piece in (writer.history(), writer.recorder()):
        if piece.name in unlike and piece.name in theirs:
            yield piece.sql
    for name in sorted(unlike - {*BASE}):
        yield from writer.recreate(theirs.get(name, ()))


def _same(mine: Sequence[AuditObject] | None, theirs: Sequence[AuditObject] | None) -> bool:
    """Whether both have a piece, with the same objects of the same text."""
    return {(each.key, each.digest) for each in mine or ()} == {(each.key, each.digest) for each in theirs or ()}


def left_standing(statement: Statement, catalog: Catalog) -> bool:
    """Whether the objects of an installed piece are there as the statement left them."""
    there = by_piece(catalog.audit_objects).get(statement.proof.constraint, ())
    return bool(there) and {each.digest for each in there} == {statement.proof.digest}


def objection_to_undoing(statement: Statement, catalog: Catalog) -> str | None:
    """Why a piece must not be dropped, or installed again; None when it may."""
    there = bool(by_piece(catalog.audit_objects).get(statement.proof.constraint))
    if statement.kind == "remove":
        return "stands again already" if there else None
    if not there:
        return "gone already"
    changed = f"{statement.proof.constraint} in schema {SCHEMA} is no longer what this run installed"
    return None if left_standing(statement, catalog) else changed


def audits_before(statements: Sequence[Statement]) -> Mapping[str, frozenset[str]]:
    """What each piece waits for: an installed one for the schema; a removal for all else, and for the one before it."""
    first = frozenset(each.id for each in statements if each.kind == "install" and each.proof.constraint == HISTORY)
    found = {each.id: first - {each.id} for each in statements if each.kind == "install"}
    before = frozenset(each.id for each in statements if each.kind != "remove")
    for each in statements:
        if each.kind == "remove":
            found[each.id] = before
            before = frozenset({each.id})
    return found
