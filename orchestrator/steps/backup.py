"""Backup: taken and proved, or the deployment stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Done, Outcome
from orchestrator.core.ports import BackupTool, Recorder
from orchestrator.core.run import Run
from orchestrator.core.timeline import StepName


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBackup:
    """Writes files outside `runs/`; has no way back because it takes nothing away. `tool` is None for mode none."""

    tool: BackupTool | None
    description: str
    always: bool = False
    name: StepName = "backup"
    changes: bool = True

    def due(self, run: Run) -> str | None:
        """Not when nothing will change, unless a person asked for the backup itself."""
        if self.tool is None:
            return "backup.mode is none"
        if self.always or run.plan is None:
            return None
        if not run.plan.statements:
            return "nothing will change"
        if run.backup is not None and self.tool.missing(run.backup) is None:
            return f"taken by this run and still there: {run.backup.path or run.backup.restore}"
        return None

    def act(self, recorder: Recorder) -> Outcome:
        """Take it and prove it; what the tool raises stops the run."""
        if self.tool is None:
            return Done(note="no backup")
        proved = self.tool.take()
        recorder.record(proved)
        if proved.mode == "external":
            return Done(note=f"restore point {proved.restore}")
        tables, rows = counted(proved.tables, "table"), counted(proved.rows, "row")
        return Done(note=f"{tables}, {rows} restored and compared: {proved.path}")

    def preview(self, _: Run) -> Iterator[str]:
        """What would be taken."""
        yield self.description
