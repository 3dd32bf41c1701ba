"""How a step ends, how a run ends, and the errors a person may meet.

Every error of ours is one clear line: what is wrong, where, what to do. The exit codes are a promise to scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

StepState = Literal["done", "skipped", "held", "failed", "pending"]
RunState = Literal["done", "failed", "refused", "held", "running", "interrupted", "abandoned"]

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_HELD = 3

EXIT_CODES: dict[RunState, int] = {
    "done": EXIT_DONE,
    "failed": EXIT_FAILED,
    "refused": EXIT_REFUSED,
    "held": EXIT_HELD,
}


class OrchestratorError(Exception):
    """Something went wrong that the person at the terminal can act upon."""

    exit_code: ClassVar[int] = EXIT_FAILED


class Refused(OrchestratorError):
    """Refused before the first change: usage, preflight or a closed gate."""

    exit_code: ClassVar[int] = EXIT_REFUSED


class HeldBack(OrchestratorError):
    """The run stops here and can go on later; what was done stays done."""

    exit_code: ClassVar[int] = EXIT_HELD


class BadDocument(Refused):
    """A file that people write holds something that cannot be read: which file, which key, what to do."""

    def __init__(self, *, file: str, key: str, problem: str, remedy: str = "") -> None:
        """Keep the parts, so that a caller can point at the key."""
        self.file, self.key, self.problem, self.remedy = file, key, problem, remedy
        place = f"{file}: {key}" if key else file
        super().__init__(f"{place}: {problem}" + (f" ({remedy})" if remedy else ""))


class OpenRun(Refused):
    """An earlier run of this environment can still go on; it has to be resumed or abandoned first."""


class CannotConnect(Refused):
    """The database was not reached; the line says which one and why, never the password."""


class ConnectionLost(OrchestratorError):
    """The connection to the target broke in the middle of something; what only reads may be asked again."""


class JournalLost(OrchestratorError):
    """The run can no longer write its journal, so it stops where it is; what took effect is on record."""


class TargetLost(JournalLost):
    """The target did not answer within the time that the policy gives it; `resume` goes on."""

    exit_code: ClassVar[int] = EXIT_HELD


class LeaseLost(JournalLost):
    """Another process has taken this run's place; this one must not do anything more."""

    exit_code: ClassVar[int] = EXIT_HELD


class TargetChanged(JournalLost):
    """What answers at the target's address is another database than the one this run began on."""


class LockUnavailable(OrchestratorError):
    """A lock was not granted within the budget; nothing was changed and the attempt may be repeated."""

    def __init__(self, message: str, *, sqlstate: str, table: str, waited_ms: float = 0.0) -> None:
        """Keep the SQLSTATE (55P03, 40P01, 40001 or 57014), the table, and how long others were seen waiting."""
        self.sqlstate, self.table, self.waited_ms = sqlstate, table, waited_ms
        super().__init__(message)


class StatementRejected(OrchestratorError):
    """The server refused a statement for a reason that repeating will not change."""

    def __init__(self, message: str, *, sqlstate: str) -> None:
        """Keep the SQLSTATE, which tells orphans (23503) from everything else."""
        self.sqlstate = sqlstate
        super().__init__(message)

    @property
    def because_of_orphans(self) -> bool:
        """Whether rows without a parent stand in the way (foreign_key_violation)."""
        return self.sqlstate == "23503"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The step did what it should."""

    note: str = ""
    state: ClassVar[StepState] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The step had nothing to do, and says why."""

    note: str
    state: ClassVar[StepState] = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The step cannot go on now; what was done stays, and the run can be taken up again."""

    note: str
    remedy: str = ""
    state: ClassVar[StepState] = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The step found or met something that must not be passed over.

    `ours` is true when the cause lies in what this run did and false when it lies in the data (orphans), because the
    policy lets a run walk back by itself for the first and not for the second.
    """

    note: str
    remedy: str = ""
    ours: bool = True
    state: ClassVar[StepState] = "failed"


Outcome = Done | Skipped | Held | Failed
