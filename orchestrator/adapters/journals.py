"""The journals of a runbook, as far as its checklist needs them: statements, plans and counts are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from orchestrator.adapters import events, ledger_answers, ledger_watch
from orchestrator.adapters.ledger import version_of
from orchestrator.adapters.postgres import Connection, plainly, statement
from orchestrator.adapters.runs import JOURNAL, all_runs
from orchestrator.core.checklist import Confirmation
from orchestrator.core.entry import Entry
from orchestrator.core.journal import AnswerHeard, RunStarted
from orchestrator.core.run import Run

KINDS: Final = (
    "run_started",
    "run_resumed",
    "step_started",
    "step_finished",
    "findings_recorded",
    "statement_undone",
    "answer_heard",
    "run_finished",
    "watch_ended",
)

KIND = re.compile(r'"kind": "(\w+)"')
"""In a line of a journal's copy; within the event's own data every quote is escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journals:
    """Runs with only what a checklist needs, what people confirmed in them, and which journals could not be read."""

    entries: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    answers: tuple[Confirmation, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, oldest first."""
        return tuple(events.fold_entries(name, self.entries[name]) for name in sorted(self.entries))

    @property
    def confirmations(self) -> Iterator[Confirmation]:
        """Manual items that people confirmed, in a run or beside all runs."""
        yield from self.answers
        for entry in (each for entries in self.entries.values() for each in entries if each.kind == "answer_heard"):
            said = events.decode(entry.kind, entry.data)
            if isinstance(said, AnswerHeard) and said.answer == "confirm":
                yield Confirmation(
                    item=said.subject, person=said.person, at=entry.at, note=said.note, proof=said.proof, run=entry.run
                )

    def with_others(self, others: Journals) -> Journals:
        """These and others; where both have a run, this one's entries stay."""
        return Journals(
            entries={**others.entries, **self.entries},
            answers=tuple(dict.fromkeys(self.answers + others.answers)),
            unread=self.unread + others.unread,
        )


def in_ledger(connection: Connection, *, runbook: str, environments: Iterable[str]) -> Journals:
    """What the ledger of a database has. Raises Refused, ConnectionLost."""
    if version_of(connection) is None:
        return Journals()
    values = {"runbook": runbook, "environments": list(environments), "kinds": list(KINDS)}
    with plainly("reading the journal in schema orchestrator", reading=True):
        rows = [Entry(**row) for row in connection.execute(statement("journals"), values)]
        if ledger_watch.readable(connection):
            rows += [Entry(**row) for row in connection.execute(statement("watch_journals"), values)]
    return Journals(
        entries={run: tuple(found) for run, found in groupby(rows, key=lambda each: each.run)},
        answers=tuple(
            # The name is what the row says; the role was written by the server, whatever the row says of a proof.
            Confirmation(
                item=each.subject,
                person=each.person,
                at=each.at,
                note=each.note,
                proof=f"role {each.actor}",
                run=each.run,
            )
            for each in ledger_answers.confirmations(connection, runbook)
        ),
    )


def in_folder(root: Path, *, runbook: str, environments: Iterable[str]) -> Journals:
    """What the copies in a folder of runs have; a copy that cannot be read is named."""
    found, unread, wanted = {}, [], frozenset(environments)
    for folder in all_runs(root):
        try:
            entries = _read(folder.path / JOURNAL, runbook, wanted)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            unread.append(f"{folder.path / JOURNAL} cannot be read ({error})")
            continue
        if entries:
            found[folder.run] = entries
    return Journals(entries=found, unread=tuple(unread))


def _read(path: Path, runbook: str, environments: frozenset[str]) -> tuple[Entry, ...]:
    """The events of one copy; none when its beginning tells that it is another runbook's or another environment's."""
    with path.open(encoding="utf-8") as file:
        lines = events.read_lines(line for line in file if _needed(line))
        first = next(lines, None)
        started = events.decode(first.kind, first.data) if first else None
        if first is None or not isinstance(started, RunStarted):
            return ()
        if started.runbook != runbook or started.environment not in environments:
            return ()
        return (first, *lines)


def _needed(line: str) -> bool:
    kind = KIND.search(line)
    return kind is None or kind.group(1) in KINDS
