"""The document set on paper: its view rendered, its words counted, its files written; and the schema it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql

from orchestrator.adapters.orphan_sql import counted
from orchestrator.adapters.runbooks import SuiteCheck
from orchestrator.adapters.templates import render
from orchestrator.core.catalog import Catalog, Table
from orchestrator.core.contract import Contract, Relation
from orchestrator.core.documents import DocumentSet
from orchestrator.core.journal.documents import SchemaDescribed, TableDescribed
from orchestrator.core.outcome import Refused
from orchestrator.core.pages import PAGES, WORDS_A_MINUTE, Page, minutes, word_count
from orchestrator.core.performance import ACCEPTED_MS, ROLL_BACK_MS
from orchestrator.core.plan import Plan

MARK: Final = "<!-- Made by invoke docs from the journal. Do not edit: it is made anew. -->"
"""The first line of our documents, by which a file of somebody else is known."""

MOST: Final = 4

STEPS: Final[Mapping[str, str]] = {
    "preflight": "everything that can be checked beforehand",
    "plan": "contract against catalog, as ordered statements",
    "audit": "orphans of every relation, counted exactly",
    "gates": "decision, evidence, window and what else guards production",
    "approval": "somebody other than the initiator says yes",
    "backup": "a backup, restored and compared as proof",
    "apply": "the statements, each committed with its record",
    "validate": "what stands against what was promised",
    "performance": "what the keys cost per write",
}

DELETES: Final[Mapping[str, str]] = {
    "no action": "refuse while a row still refers to it at the end of the statement",
    "restrict": "refuse while a row refers to it",
    "cascade": "delete the rows that refer to it",
    "set null": "empty the columns that refer to it",
    "set default": "give the columns that refer to it their default",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as it is read: `words` are those of its text, `minutes` how long they take."""

    page: Page
    text: str
    words: int
    minutes: int


def documents(docs: DocumentSet) -> tuple[Document, ...]:
    """All documents of a set. Equal views give equal bytes.

    How long a document is stands in documents, so they are rendered twice: a number is one word, whatever it says.
    A user's template may make more of a number than a word, and is rendered until it comes to rest, or `MOST` times.
    """
    lengths, texts = dict.fromkeys((page.key for page in docs.pages), 0), {}
    for _ in range(MOST):
        texts = dict(_rendered(docs, lengths))
        counted_now = {page.key: word_count(text) for page, text in texts.items()}
        if counted_now == lengths:
            break
        lengths = counted_now
    return tuple(
        Document(page=page, text=f"{MARK}\n{text}", words=lengths[page.key], minutes=minutes(lengths[page.key]))
        for page, text in texts.items()
    )


def _rendered(docs: DocumentSet, lengths: Mapping[str, int]) -> Iterable[tuple[Page, str]]:
    reading = {key: minutes(words) for key, words in lengths.items()}
    for page in docs.pages:
        text = render(
            f"docs_{page.key}.md.j2",
            docs=docs,
            page=page,
            lengths=lengths,
            minutes=reading,
            totals={guide.role: sum(reading[key] for key in guide.reads) for guide in docs.guides},
            pace=WORDS_A_MINUTE,
            steps=STEPS,
            deletes=DELETES,
            existence=existence_query,
            limits={"accepted_ms": f"{ACCEPTED_MS:.0f}", "roll_back_ms": f"{ROLL_BACK_MS:.0f}"},
        )
        yield page, text


def existence_query(relation: Relation) -> str:
    """What the application asks before it writes a row; `$1` stands for the first column, and so on.

    FOR KEY SHARE is the lock that the key's own trigger takes: the row stays until the COMMIT.
    """
    tests = [
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.SQL(f"${number}"))
        for number, column in enumerate(relation.referenced_columns, start=1)
    ]
    table = sql.Identifier(relation.referenced.schema, relation.referenced.name)
    query = sql.SQL("SELECT 1 FROM {} WHERE {} FOR KEY SHARE;").format(table, sql.SQL(" AND ").join(tests))
    return query.as_string(None)


def described(contract: Contract, catalog: Catalog, plan: Plan, checks: Iterable[SuiteCheck]) -> SchemaDescribed:
    """The contract's tables as an event: what each has, and how orphans are counted."""
    refers = {each.table for each in contract.promised}
    found = [(name, catalog.table(name)) for name in contract.tables]
    promised = (each for each in plan.relations if each.relation.deferred is None)
    askable = [each.relation for each in promised if each.status != "impossible"]
    return SchemaDescribed(
        tables=tuple(_described(table, refers=name in refers) for name, table in found if table),
        absent=tuple(str(name) for name, table in found if table is None),
        orphan_queries={each.id: counted(each, catalog).as_string(None) for each in askable},
        checks=tuple((each.id, each.title) for each in checks),
    )


def _described(table: Table, *, refers: bool) -> TableDescribed:
    partial = tuple(sorted(each.name for each in table.indexes if each.unique and each.partial))
    return TableDescribed(
        schema=table.name.schema,
        table=table.name.name,
        refers=refers,
        columns=len(table.columns),
        indexes=sum(not each.primary and not (each.unique and each.partial) for each in table.indexes),
        partial_unique=partial,
        checks=tuple(sorted(each.name for each in table.constraints if each.kind == "check")),
        foreign_keys=len(table.foreign_keys),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFolder:
    """Where the documents lie. Only files of our names are written, and only over those that we made."""

    path: Path

    def check(self) -> None:
        """Raises Refused when the folder is none, or has a file of ours that somebody else wrote."""
        try:
            there = next(each for each in (self.path, *self.path.absolute().parents) if each.exists())
            if not there.is_dir():
                message = f"--out {self.path}: {there} is a file; name a folder"
                raise Refused(message)
            foreign = [page.file for page in PAGES if (self.path / page.file).exists() and not self._ours(page)]
        except OSError as error:
            message = f"--out {self.path}: cannot be read ({error.strerror})"
            raise Refused(message) from error
        if foreign:
            message = f"--out {self.path}: {foreign[0]} was not made by invoke docs; move it, or choose another folder"
            raise Refused(message)

    def write(self, made: Iterable[Document]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Write each document in one step, take away those of ours that are in the set no more; tell both.

        Raises Refused when the folder cannot be written.
        """
        written = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for each in made:
                written.append(self.path / each.page.file)
                _replace(written[-1], each.text)
            stale = [page for page in PAGES if self.path / page.file not in written and self._ours(page)]
            gone = [self.path / page.file for page in stale]
            for path in gone:
                path.unlink()
        except OSError as error:
            message = f"--out {self.path}: cannot be written ({error.strerror})"
            raise Refused(message) from error
        return tuple(written), tuple(gone)

    @property
    def others(self) -> tuple[str, ...]:
        """What else lies there; it is left as it is."""
        ours = {page.file for page in PAGES}
        try:
            return tuple(sorted(each.name for each in self.path.iterdir() if each.name not in ours))
        except OSError:
            return ()

    def _ours(self, page: Page) -> bool:
        """Whether that document is there and begins with our mark."""
        try:
            with (self.path / page.file).open("rb") as opened:
                return opened.readline().strip() == MARK.encode()
        except OSError:
            return False


def _replace(path: Path, text: str) -> None:
    """Write beside it and rename. A word that is no Unicode text, as in a folder's name, is written as an escape."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(text.encode("utf-8", "backslashreplace"))
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
