"""The folder of a runbook: its contract, its timeline, its checks and its migrations."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from orchestrator.adapters.additions import additions_of
from orchestrator.adapters.as_is import script_of
from orchestrator.adapters.decisions import DECISION, decision_of
from orchestrator.adapters.documents import nearest, parse, read_text, read_toml
from orchestrator.adapters.history import history_of
from orchestrator.core.additions import NO_ADDITIONS, Additions
from orchestrator.core.as_is import Script
from orchestrator.core.catalog import Action, Deferrable, TableName, table_name
from orchestrator.core.checklist import item_key
from orchestrator.core.checks import Severity
from orchestrator.core.contract import NAME_LIMIT, SUGGESTED, Contract, Priority, Relation, default_name
from orchestrator.core.decision import Decision
from orchestrator.core.history import History
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.standard_roads import STANDARD_ROADS
from orchestrator.core.timeline import STANDARD_STEPS, Item, Runbook, StepName, standard_runbook

CONTRACT = "foreign_keys.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """`references` of a contract's line."""

    table: str
    columns: tuple[str, ...]
    schema: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKeyLine:
    """One `[[foreign_key]]` as it is written."""

    table: str
    columns: tuple[str, ...]
    references: References
    schema: str = "public"
    on_delete: Action = "no action"
    on_update: Action = "no action"
    deferrable: Deferrable = "not"
    match: Literal["simple", "full"] = "simple"
    name: str | None = None
    priority: Priority = "medium"
    deferred: str | None = None
    on_delete_columns: tuple[str, ...] = ()
    suggested: bool = False

    def relation(self) -> Relation:
        """The line with its defaults filled in."""
        target = table_name(self.references.schema or self.schema, self.references.table)
        return Relation(
            table=table_name(self.schema, self.table),
            columns=self.columns,
            referenced=target,
            referenced_columns=self.references.columns,
            on_delete=self.on_delete,
            on_update=self.on_update,
            match=self.match,
            deferrable=self.deferrable,
            name=self.name if self.name is not None else default_name(self.table, self.columns),
            priority=self.priority,
            deferred=SUGGESTED if self.suggested and self.deferred is None else self.deferred,
            on_delete_columns=self.on_delete_columns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFile:
    """`foreign_keys.toml` as it is written."""

    foreign_key: tuple[ForeignKeyLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteCheck:
    """A check of the runbook's own suite: SQL that ends with one row (passed boolean, observed text).

    `needs_keys` marks one that only holds once every key stands, `blames_data` one whose failure is not ours.
    """

    id: str
    title: str
    severity: Severity
    kind: Literal["structural", "behavioural"]
    expected: str
    remedy: str
    sql: str
    needs_keys: bool = False
    blames_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookFolder:
    """A runbook with everything that lies in its folder."""

    path: Path
    runbook: Runbook
    contract: Contract
    checks: tuple[SuiteCheck, ...] = ()
    decision: Decision | None = None
    history: History | None = None
    additions: Additions = NO_ADDITIONS
    script: Script | None = None

    @property
    def steps(self) -> tuple[StepName, ...]:
        """The steps of a deployment on the road that was decided for."""
        return self.runbook.steps_for(self.decision.option if self.decision else None)

    @property
    def on_hosts(self) -> tuple[Item, ...]:
        """The items of that road that have a command for hosts."""
        return self.runbook.on_hosts(self.decision.option if self.decision else None)

    def migrations(self) -> tuple[tuple[str, str], ...]:
        """Name and SQL of each migration, in the order of their names."""
        found = sorted(self.path.glob("migrations/*/migration.sql"))
        return tuple((path.parent.name, read_text(path)) for path in found)


def load_runbook(name: str, *, root: Path, with_decision: bool = True, with_roads: bool = False) -> RunbookFolder:
    """The runbook of that name below `root`, or in that folder. Raises Refused, BadDocument.

    Without its decision for who is about to decide: the one in the folder may not hold any more. One that names no
    roads takes the standard ones once something is decided, and `with_roads` before that, too.
    """
    path = root / name if (root / name).is_dir() else Path(name)
    if not path.is_dir():
        known = tuple(sorted(each.parent.name for each in root.glob(f"*/{CONTRACT}")))
        hint = nearest(name, known) if known else "no runbook here"
        message = f"unknown runbook {name!r}: {hint} (a name in {root} or a folder with {CONTRACT})"
        raise Refused(message)
    if not (path / CONTRACT).exists():
        message = f"{path}: no {CONTRACT}; a runbook folder needs one"
        raise Refused(message)
    runbook, additions, script = _timeline(path), additions_of(path), script_of(path)
    contract = load_contract(path / CONTRACT, may_be_empty=bool(additions or script))
    # While nothing is decided such a runbook has no roads: no decision is asked of it, and production stays open.
    if not runbook.roads and contract.relations and (with_roads or (path / DECISION).exists()):
        runbook = replace(runbook, roads=dict(STANDARD_ROADS))
    return RunbookFolder(
        path=path,
        runbook=runbook,
        contract=replace(contract, beside=additions.tables),
        checks=tuple(_checks(path / "checks")),
        decision=decision_of(path, runbook) if with_decision else None,
        history=history_of(path),
        additions=additions,
        script=script,
    )


def load_contract(path: Path, *, may_be_empty: bool = False) -> Contract:
    """The contract of a file. Raises BadDocument with file and key for the first mistake."""
    return contract_of(path, read_toml(path), may_be_empty=may_be_empty)


def contract_of(path: Path, document: dict[str, Any], *, may_be_empty: bool = False) -> Contract:
    """The contract that a document of that file is; empty only for a runbook with additions. Raises BadDocument."""
    if not may_be_empty and not document.get("foreign_key"):
        raise BadDocument(file=str(path), key="foreign_key", problem="no relation", remedy="write [[foreign_key]]")
    written = parse(path, document, ContractFile)
    relations = tuple(each.relation() for each in written.foreign_key)
    for number, key, problem in _mistakes(relations):
        raise BadDocument(file=str(path), key=f"foreign_key[{number}].{key}", problem=problem)
    return Contract(relations=relations)


def _mistakes(relations: tuple[Relation, ...]) -> Iterator[tuple[int, str, str]]:
    links: dict[object, int] = {}
    names: dict[tuple[TableName, str], int] = {}
    for number, each in enumerate(relations, start=1):
        yield from ((number, key, problem) for key, problem in _line_mistakes(each))
        link = (each.table, each.referenced, each.pairs)
        if link in links:
            yield number, "columns", f"the same relation as foreign_key[{links[link]}]: {each.id}"
        if (each.table, each.name) in names:
            yield number, "name", f"{each.name} is also the name of foreign_key[{names[each.table, each.name]}]"
        links[link] = names[each.table, each.name] = number


def _line_mistakes(each: Relation) -> Iterator[tuple[str, str]]:
    if not each.columns:
        yield "columns", "names no column"
    if len(each.columns) != len(each.referenced_columns):
        yield "references.columns", f"{counted(len(each.referenced_columns), 'column')} for {len(each.columns)}"
    for key, columns in (("columns", each.columns), ("references.columns", each.referenced_columns)):
        if len(set(columns)) != len(columns):
            yield key, "names a column twice"
    if len(each.name.encode()) > NAME_LIMIT:
        yield "name", f"is longer than {NAME_LIMIT} bytes: PostgreSQL would cut it off"
    if not each.name:
        yield "name", "is empty"
    if each.deferred is not None and not each.deferred.strip():
        yield "deferred", "is empty: say why it is not part of this release"
    if each.on_delete_columns and each.on_delete not in {"set null", "set default"}:
        yield "on_delete_columns", "only goes with on_delete set null or set default"
    if not set(each.on_delete_columns) <= set(each.columns):
        yield "on_delete_columns", "names a column that is not among columns"


def _timeline(path: Path) -> Runbook:
    """RUNBOOK of the folder's runbook.py, or the standard one."""
    file = path / "runbook.py"
    if not file.exists():
        return standard_runbook(path.resolve().name)
    spec = importlib.util.spec_from_file_location(f"runbook_{path.name}", file)
    if spec is None or spec.loader is None:
        raise BadDocument(file=str(file), key="", problem="cannot be imported")
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # The file is the user's code: whatever it raises is one line for the user, not a traceback of ours.
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadDocument(file=str(file), key="", problem=problem) from error
    finally:
        sys.dont_write_bytecode = writes
    runbook = getattr(module, "RUNBOOK", None)
    if not isinstance(runbook, Runbook):
        raise BadDocument(file=str(file), key="RUNBOOK", problem="is missing or no Runbook")
    if runbook.steps != STANDARD_STEPS:
        # No step may be left out or moved: each gate stands on the one before.
        raise BadDocument(file=str(file), key="RUNBOOK.steps", problem=f"must be {', '.join(STANDARD_STEPS)}")
    for option in (*runbook.roads, None):
        titles = Counter(item_key(each.title) for each in runbook.on_hosts(option))
        for title in (each for each, count in titles.items() if count > 1 or not each):
            problem = f"{title!r} is the title of several commands: the journal must tell them apart"
            raise BadDocument(file=str(file), key="on_hosts", problem=problem, remedy="give each a title of its own")
    return runbook


def _checks(folder: Path) -> Iterator[SuiteCheck]:
    known: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        text = read_text(path)
        check = _check(path, dict(re.findall(r"^-- (\w+): (.+)$", text, re.MULTILINE)), text)
        if check.id in known:
            raise BadDocument(file=str(path), key="id", problem=f"{check.id} is also the id of {known[check.id]}")
        known[check.id] = path.name
        yield check


MARKS = {"needs": "all keys", "blame": "data"}
"""Marks that a check may have, and the one word that each knows."""


def _check(path: Path, head: Mapping[str, str], text: str) -> SuiteCheck:
    for key in ("id", "title", "severity", "kind", "expected", "remedy"):
        if not head.get(key):
            raise BadDocument(file=str(path), key=key, problem="is missing", remedy=f"a line `-- {key}: …` at the top")
    if head["severity"] not in get_args(Severity):
        raise BadDocument(file=str(path), key="severity", problem=nearest(head["severity"], get_args(Severity)))
    kinds = ("structural", "behavioural")
    if head["kind"] not in kinds:
        raise BadDocument(file=str(path), key="kind", problem=nearest(head["kind"], kinds))
    for key, word in MARKS.items():
        if head.get(key, word) != word:
            raise BadDocument(file=str(path), key=key, problem=f"is {head[key]!r}, only {word!r} is known")
    known = {"id", "title", "severity", "kind", "expected", "remedy"}
    return TypeAdapter(SuiteCheck).validate_python(
        {key: head[key] for key in known}
        | {
            "sql": text,
            "needs_keys": head.get("needs") == "all keys",
            "blames_data": head.get("blame") == "data",
        }
    )
