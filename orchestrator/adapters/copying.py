"""A scratch copy of the target: dumped, restored and compared as a backup is, and gone after the block."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from orchestrator.adapters import points
from orchestrator.adapters.backup import DumpBackup
from orchestrator.adapters.dump_folder import sweep_unproved
from orchestrator.adapters.postgres import Server, plainly
from orchestrator.adapters.runs import RunFolder
from orchestrator.adapters.scratch import ScratchSource, shape
from orchestrator.core.catalog import TableName
from orchestrator.core.outcome import OrchestratorError, Refused

STEP = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What the copy holds. Times in ms."""

    tables: int
    rows: int
    dump_ms: float
    restore_ms: float
    compare_ms: float

    @property
    def duration_ms(self) -> float:
        """What a backup of the target takes, too."""
        return self.dump_ms + self.restore_ms + self.compare_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchCopy:
    """Copies of one target. The dump lies in the run's folder, and only until it is restored."""

    server: Server
    scratch: ScratchSource
    folder: RunFolder

    @contextmanager
    def place(self) -> Iterator[Server]:
        """An empty scratch database, dropped after the block.

        Raises Refused when there is none to be had, as when an extension is missing there.
        """
        with plainly("looking at the database", reading=True), self.server.session(STEP, read_only=True) as source:
            like = shape(source)
        with ExitStack() as stack:
            try:
                place = stack.enter_context(self.scratch.database(like=like))
            except OrchestratorError as error:
                raise Refused(str(error)) from error
            yield place

    def fill(self, place: Server, tables: tuple[TableName, ...]) -> Copied:
        """Everything that the target holds, compared row by row; `tables` get the statistics that plans need.

        The ledger that came along belongs to the target and goes. Raises OrchestratorError.
        """
        directory = (self.folder.path / STEP).resolve()
        backup = DumpBackup(server=self.server, scratch=self.scratch, directory=directory, keep=0, run=self.folder.run)
        try:
            proof = backup.copy(place)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        points.reached("copy:restored")
        self._settle(place, tables)
        return Copied(**proof)

    def _settle(self, place: Server, tables: tuple[TableName, ...]) -> None:
        with plainly("preparing the copy"), place.session(STEP, read_only=False) as connection:
            connection.execute("drop schema if exists orchestrator cascade")
        vacuum(place, tables)


def vacuum(place: Server, tables: tuple[TableName, ...]) -> None:
    """Take dead rows away on a copy, and give it statistics. Raises OrchestratorError."""
    with plainly("vacuuming the copy"), place.session(STEP, read_only=False) as connection:
        for name in tables:
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(name.schema, name.name)))


def execute(place: Server, statements: tuple[str, ...]) -> None:
    """Carry statements out on a copy, each in a transaction of its own. Raises OrchestratorError."""
    with plainly("making the copy like the other environment"), place.session(STEP, read_only=False) as connection:
        for text in statements:
            connection.execute(text.encode())


def sweep_dumps(root: Path) -> None:
    """Remove the dumps that killed rehearsals left below `runs/`: they hold the target's rows."""
    for directory in root.glob(f"*/{STEP}"):
        sweep_unproved(directory)
