"""What a catalog seems to lack: candidates, and what it seems to lack on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.catalog import TableName

THRESHOLD = 0.6
"""From which confidence on a candidate is worth a person's look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A foreign key that seems to be missing; `confidence` from 0 to 1.

    `shared` when the referenced table is one of several with the same identity, so that names alone do not tell which.
    """

    table: TableName
    columns: tuple[str, ...]
    referenced: TableName
    referenced_columns: tuple[str, ...]
    confidence: float
    reasons: tuple[str, ...]
    shared: bool = False

    @property
    def id(self) -> str:
        """As people write a relation."""
        return f"{self.table}({', '.join(self.columns)}) -> {self.referenced}({', '.join(self.referenced_columns)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Columns that seem to refer to nothing on purpose, and why.

    `referenced` is the table that they could refer to, None where nothing says which.
    """

    table: TableName
    columns: tuple[str, ...]
    referenced: TableName | None
    reason: str

    @property
    def id(self) -> str:
        """As people write it."""
        target = f" -> {self.referenced}" if self.referenced else ""
        return f"{self.table}({', '.join(self.columns)}){target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """What a catalog seems to lack, the surest first, and what it seems to lack on purpose.

    `others` are less likely readings of the same columns, for the rows to decide.
    """

    candidates: tuple[Candidate, ...]
    absences: tuple[Absence, ...]
    others: tuple[Candidate, ...] = ()

    def over(self, threshold: float) -> tuple[Candidate, ...]:
        """The candidates that are at least this sure."""
        return tuple(each for each in self.candidates if each.confidence >= threshold)
