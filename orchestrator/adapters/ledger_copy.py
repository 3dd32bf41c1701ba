"""What is kept of a ledger before it is taken away: every journal beside us, and the whole schema where asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from orchestrator.adapters import events, ledger, points
from orchestrator.adapters.child import Child, ChildFailed, Order
from orchestrator.adapters.dump import explained, link
from orchestrator.adapters.postgres import Connection, Server
from orchestrator.adapters.programs import dump_installation
from orchestrator.adapters.runs import JOURNAL, RunFolder
from orchestrator.adapters.silence import still_there
from orchestrator.adapters.standing import SCHEMA, entries, journals
from orchestrator.core.chain import chain_flaw, head_flaw
from orchestrator.core.entry import Entry, Head
from orchestrator.core.leaving import Copied, LedgerTable, continues, covers
from orchestrator.core.outcome import Refused

TAKEN_AWAY: Final = "uninstalled.json"
"""Beside a run's journal: when its ledger was taken away, and by whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalCopies:
    """Copies the journals of one environment's ledger into `root`; `record` is noted beside each."""

    root: Path
    environment: str
    record: Mapping[str, Any]
    stopped: Callable[[], str | None]

    def take(self, connection: Connection, tables: tuple[LedgerTable, ...], done: Copied) -> None:
        """Every journal, each once its chain was verified; `done` tells as it goes.

        Raises Refused where a chain is broken, a file cannot be written, or somebody asked to stop.
        """
        for run, head in journals(connection, tables):
            if reason := self.stopped():
                message = f"stopped: {reason}; the ledger stands as it was"
                raise Refused(message)
            kept = entries(connection, tables, run)
            _verified(run, kept, head)
            folder = RunFolder(root=self.root, run=run)
            self._keep(folder, kept, head, done)
            facts = {**self.record, "run": run, "events": len(kept), "head": kept[-1].hash if kept else ""}
            _durably(folder.file(TAKEN_AWAY), [json.dumps(facts, ensure_ascii=False)])
            points.reached("ledger:copied")

    def _keep(self, folder: RunFolder, kept: tuple[Entry, ...], head: Head | None, done: Copied) -> None:
        """Where it belongs, never over a copy that says something else: that is the original's, or has more."""
        copy = _copy(folder)
        foreign = head is not None and head.environment != self.environment
        if copy and covers(copy, kept):
            done.there.append(folder.run)
        elif foreign or copy is None or not continues(copy, kept):
            _durably(folder.file(f"ledger-{self.environment}.jsonl"), map(events.to_line, kept))
            done.beside.append(folder.run)
        else:
            _durably(folder.file(JOURNAL), map(events.to_line, kept))
            done.written.append(folder.run)


def forget(root: Path, runs: Iterable[str]) -> None:
    """Take the notes away again: the ledger stands."""
    for run in runs:
        with suppress(OSError):
            (RunFolder(root=root, run=run).path / TAKEN_AWAY).unlink()


def taken_away(connection: Connection, folder: RunFolder, environment: str) -> str | None:
    """When and by whom the ledger of a run was taken away, None where that is not known. Raises psycopg.Error.

    A note that is older than the ledger of now says nothing: that one stood when it was written. One of a copy, whose
    ledger came along with its original's runs, says nothing of the original.
    """
    note = _note(folder)
    if note is None or note.get("environment") != environment:
        return None
    if ledger.version_of(connection) is not None:
        query = "select min(installed_at) as since from orchestrator.ledger"
        row = connection.execute(query).fetchone()
        if row and row["since"] <= datetime.fromisoformat(note["at"]):
            return None
    at = f"{datetime.fromisoformat(note['at']):%Y-%m-%d %H:%M} UTC"
    return f"the ledger of run {folder.run} was taken away on {at} by {note.get('by')} on {note.get('host')}"


def _note(folder: RunFolder) -> dict[str, str] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        found: dict[str, str] = json.loads((folder.path / TAKEN_AWAY).read_text(encoding="utf-8"))
        # One that was edited into something else says nothing.
        return found if datetime.fromisoformat(found["at"]).tzinfo else None
    return None


def dump_ledger(connection: Connection, server: Server, directory: Path) -> Path:
    """The whole schema as a script that psql restores. Raises OrchestratorError."""
    major = connection.info.server_version // 10000
    tools = dump_installation(server_major=major, restore_major=major)
    path = directory / f"orchestrator-{server.environment}-{server.run}.sql"
    new = path.with_name(f".{path.name}.new")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.touch(mode=0o600)
    except OSError as error:
        message = f"--keep-copy {directory}: cannot be written ({error.strerror})"
        raise Refused(message) from error
    way = link(connection, server)
    command = [str(tools.program("pg_dump")), f"--schema={SCHEMA}", f"--file={new}", "--no-password"]
    command += [f"--role={server.role}"] if server.role else []
    order = Order(
        name="pg_dump", command=command, environment=tools.environment() | way.environment, secrets=way.secrets
    )
    try:
        with Child(order) as child:
            child.finish(meanwhile=partial(still_there, connection))
    except ChildFailed as error:
        new.unlink(missing_ok=True)
        raise explained(error) from None
    new.replace(path)
    _sync(directory)
    return path


def _verified(run: str, kept: tuple[Entry, ...], head: Head | None) -> None:
    flaw = chain_flaw(run, kept) or head_flaw(kept, head)
    if flaw is not None:
        message = (
            f"run {run}: {flaw.problem}: the ledger is the only witness of that and is not taken away; keep it with"
            " pg_dump --schema=orchestrator, then drop the schema by hand"
        )
        raise Refused(message)


def _copy(folder: RunFolder) -> tuple[Entry, ...] | None:
    """The copy beside us, empty where there is none, None for a file that is no journal."""
    try:
        return tuple(folder.entries())
    except Refused:
        return None


def _durably(path: Path, lines: Iterable[str]) -> None:
    """Write a file in one step and force it to the disk: what it was made from is about to go. Raises Refused."""
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def _sync(folder: Path) -> None:
    """The names in a folder, too: a rename is on the disk once its folder is (fsync(2))."""
    at = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)
