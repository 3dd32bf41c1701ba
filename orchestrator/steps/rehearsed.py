"""Steps as a rehearsal takes them on its copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.ports import Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyIsBackup:
    """The backup on a copy: the copy itself was made by dump, restore and comparison, so that this has been rehearsed.

    Dumping the copy once more for each walk would prove nothing else.
    """

    tables: int
    rows: int
    name: StepName = "backup"
    changes: bool = False

    def due(self, _: Run) -> str | None:
        """Always: it says what stands for it."""
        return None

    def act(self, _: Recorder) -> Outcome:
        """Nothing is left to do."""
        rows = f"{counted(self.tables, 'table')}, {counted(self.rows, 'row')}"
        return Done(note=f"{rows}: dumped, restored and compared to make this copy")

    def preview(self, _: Run) -> Iterator[str]:
        """What stands for it."""
        yield "the copy was made by a dump that was restored and compared"
