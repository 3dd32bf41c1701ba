"""`invoke contract --suggest`: the keys that a database seems to lack, written for a person to confirm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from orchestrator.adapters.inclusion import InclusionQueries
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.loading import apply_migrations
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.runbooks import RunbookFolder
from orchestrator.adapters.scratch import EmbeddedScratch, Shape
from orchestrator.adapters.suggested_lines import append, known_contract
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS, new_run_id
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract, default_name
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.suggestion.candidate import THRESHOLD, Absence, Candidate, Suggestions
from orchestrator.core.suggestion.inclusion import Inclusion, Measured, questions, with_data
from orchestrator.core.suggestion.search import suggest as search
from orchestrator.core.timeline import standard_runbook

STEP = "suggest"
TOLD = 500
"""Suggestions and absences that are told on the screen; all of them are in the file and in the document."""

EVERY = 100
"""After so many candidates a line tells how far the asking is."""

ANY = Shape(major=14, encoding="UTF8", collation="C.UTF-8", ctype="C.UTF-8")
"""What an empty database for migrations needs: any server that is supported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line says beside the request."""

    threshold: float = THRESHOLD
    with_data: bool = False


def wishes(*, threshold: str | None, with_data: bool) -> Wishes:
    """The options of the task, checked. Raises Refused."""
    if threshold is None:
        return Wishes(with_data=with_data)
    try:
        wanted = float(threshold)
    except ValueError:
        wanted = -1.0
    if not 0 <= wanted <= 1:
        message = f"--threshold {threshold}: must be a number from 0 to 1, such as {THRESHOLD}"
        raise Refused(message)
    return Wishes(threshold=wanted, with_data=with_data)


def suggest(request: Request, wanted: Wishes) -> Answer:
    """Look for keys, tell them with their reasons, append them to the contract. Raises OrchestratorError."""
    path = RUNBOOKS / request.runbook if (RUNBOOKS / request.runbook).is_dir() else Path(request.runbook)
    contract = known_contract(path)
    folder = RunbookFolder(path=path, runbook=standard_runbook(path.resolve().name), contract=contract)
    with ExitStack() as stack:
        screen, catalog, server = _opened(request, folder, stack, wanted)
        found = search(catalog)
        measured: dict[str, Inclusion] = {}
        if server:
            measured.update(_measured(screen, InclusionQueries(server=server, catalog=catalog), found))
            found = with_data(found, measured)
        sure = found.over(wanted.threshold)
        new = list(_unknown(sure, contract))
        file = append(path, new, [_name(each, catalog) for each in new])
        _tell(screen, new, found, file, known=len(sure) - len(new))
    return Answer(document=_document(request, wanted, new, found, file, measured), exit_code=EXIT_DONE)


def _opened(
    request: Request, folder: RunbookFolder, stack: ExitStack, wanted: Wishes
) -> tuple[Screen, Catalog, Server | None]:
    """The catalog of an environment, or of the runbook's migrations when none is named; a server to ask rows of."""
    if request.env:
        site = open_site(request, stack, read_only=True, folder=folder)
        return site.screen, site.catalog(STEP).catalog(), site.server if wanted.with_data else None
    migrations = folder.migrations()
    if wanted.with_data or not migrations:
        without = "--with-data" if wanted.with_data else f"{folder.path} has no migrations to take them from"
        message = f"whose tables? {without}: name an environment with --env"
        raise Refused(message)
    screen = Screen(json=request.json)
    stack.callback(screen.close)
    with EmbeddedScratch(run=new_run_id()).database(like=ANY) as server:
        apply_migrations(server, migrations, Contract(relations=()))
        return screen, DatabaseCatalog(server=server, step=STEP).catalog(), None


def _measured(screen: Screen, queries: InclusionQueries, found: Suggestions) -> Iterator[tuple[str, Inclusion]]:
    wanted = list(questions(found))
    for number, (candidate, inclusion) in enumerate(queries.measure(wanted), start=1):
        if number % EVERY == 0:
            screen.line(f"asked the rows of {number} of {counted(len(wanted), 'candidate')}")
        yield candidate.id, inclusion


def _unknown(candidates: Iterable[Candidate], contract: Contract) -> Iterator[Candidate]:
    """Those about whose columns the contract says nothing yet: what it says is a person's word, or an earlier guess."""
    known: dict[TableName, list[frozenset[str]]] = {}
    for relation in contract.relations:
        known.setdefault(relation.table, []).append(frozenset(relation.columns))
    for each in candidates:
        if not any(set(each.columns) <= columns for columns in known.get(each.table, ())):
            yield each


def _name(candidate: Candidate, catalog: Catalog) -> str:
    """A name for the key that no other constraint of its table has."""
    taken = catalog.tables[candidate.table].names_taken()
    name = default_name(candidate.table.name, candidate.columns)
    return name if name not in taken else default_name(candidate.table.name, (*candidate.columns, "suggested"))


def _tell(screen: Screen, new: list[Candidate], found: Suggestions, file: Path, *, known: int) -> None:
    for each in new[:TOLD]:
        screen.line(f"{each.confidence:.2f} {each.id}")
        screen.line(f"     {'; '.join(each.reasons)}")
    if len(new) > TOLD:
        screen.line(f"and {len(new) - TOLD} more, each with its reasons in {file}")
    for absence in found.absences[:TOLD]:
        screen.line(f"{absence.id}: {absence.reason}", status="absent")
    if len(found.absences) > TOLD:
        screen.line(f"and {len(found.absences) - TOLD} more, all of them with --json", status="absent")
    told = f", {known} more stand in the contract already" if known else ""
    alone = counted(len(found.absences), "column that looks", "columns that look")
    screen.line(f"{counted(len(new), 'suggestion')}{told}, {alone} left alone on purpose")
    if new:
        screen.line(f"written to {file} with suggested = true: remove the mark from what is right", status="done")


def _document(
    request: Request, wanted: Wishes, new: list[Candidate], found: Suggestions, file: Path, measured: Measured
) -> dict[str, object]:
    return {
        "runbook": request.runbook,
        "environment": request.env,
        "threshold": wanted.threshold,
        "file": str(file),
        "suggestions": list(_suggested(new, measured)),
        "known": len(found.over(wanted.threshold)) - len(new),
        "doubtful": len(found.candidates) - len(found.over(wanted.threshold)),
        "absent": list(_absent(found.absences)),
    }


def _suggested(candidates: Iterable[Candidate], measured: Measured) -> Iterator[Mapping[str, object]]:
    for each in candidates:
        target = each.referenced
        yield {
            "schema": each.table.schema,
            "table": each.table.name,
            "columns": list(each.columns),
            "references": {"schema": target.schema, "table": target.name, "columns": list(each.referenced_columns)},
            "confidence": each.confidence,
            "reasons": list(each.reasons),
            "data": _data(measured.get(each.id)),
        }


def _data(seen: Inclusion | None) -> Mapping[str, object] | None:
    if seen is None:
        return None
    return {
        "rows": seen.rows,
        "orphans": seen.orphans,
        "distinct": seen.distinct,
        "keys": seen.keys,
        "exact": seen.exact,
    }


def _absent(absences: Iterable[Absence]) -> Iterator[Mapping[str, object]]:
    for each in absences:
        target = {"schema": each.referenced.schema, "table": each.referenced.name} if each.referenced else None
        yield {
            "schema": each.table.schema,
            "table": each.table.name,
            "columns": list(each.columns),
            "references": target,
            "reason": each.reason,
        }
