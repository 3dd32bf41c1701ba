"""The events of a run: the journal is the only truth, and whatever is shown anywhere was folded from these."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.core.identity import Identity
from orchestrator.core.journal.audits import AuditRecorded
from orchestrator.core.journal.documents import SchemaDescribed
from orchestrator.core.journal.gates import AnswerHeard, EvidenceRecorded, GatesOverridden, TimesPredicted
from orchestrator.core.journal.hosts import (
    HostCommandDone,
    HostCommandFailed,
    HostCommandIntended,
    HostSaid,
    HostSettled,
    HostsSeen,
    HostUndoPassedOver,
)
from orchestrator.core.journal.messages import DeliveryGivenUp, MessageDelivered
from orchestrator.core.journal.remediation import (
    KeptTableDropped,
    KeptTableMade,
    RemediationCounted,
    RemediationPlanned,
    RowRefused,
    RowsPutBack,
    RowsRemediated,
)
from orchestrator.core.journal.runs import (
    ConnectionRestored,
    HoldAsked,
    LedgerOpened,
    LedgerRewound,
    NotificationQueued,
    RunFinished,
    RunResumed,
    RunStarted,
    Task,
)
from orchestrator.core.journal.statements import (
    BlockerTerminated,
    KeyRestored,
    LockAttemptFailed,
    StatementDone,
    StatementFailed,
    StatementIntended,
    StatementPostponed,
    StatementUndone,
    TableVacuumed,
    UndoPassedOver,
    WalkBackBegan,
    WalkedBack,
    WorkersChanged,
)
from orchestrator.core.journal.steps import (
    BackupProved,
    CatalogRecorded,
    FindingsRecorded,
    OrphansCounted,
    PerformanceMeasured,
    PlanRecorded,
    StepFinished,
    StepStarted,
    VerdictGiven,
)
from orchestrator.core.journal.watch import BaselineTaken, SampleTaken, WatchBegan, WatchEnded, WatchJudged

Event = (
    RunStarted
    | LedgerOpened
    | RunResumed
    | HoldAsked
    | ConnectionRestored
    | LedgerRewound
    | StepStarted
    | StepFinished
    | FindingsRecorded
    | VerdictGiven
    | PlanRecorded
    | CatalogRecorded
    | OrphansCounted
    | BackupProved
    | PerformanceMeasured
    | LockAttemptFailed
    | StatementPostponed
    | BlockerTerminated
    | TableVacuumed
    | WorkersChanged
    | StatementIntended
    | StatementDone
    | StatementFailed
    | StatementUndone
    | KeyRestored
    | UndoPassedOver
    | WalkBackBegan
    | WalkedBack
    | EvidenceRecorded
    | TimesPredicted
    | GatesOverridden
    | AnswerHeard
    | NotificationQueued
    | MessageDelivered
    | DeliveryGivenUp
    | RunFinished
    | SchemaDescribed
    | RemediationPlanned
    | KeptTableMade
    | RowsRemediated
    | RowsPutBack
    | RowRefused
    | KeptTableDropped
    | RemediationCounted
    | BaselineTaken
    | WatchBegan
    | SampleTaken
    | WatchJudged
    | WatchEnded
    | AuditRecorded
    | HostsSeen
    | HostCommandIntended
    | HostSaid
    | HostCommandDone
    | HostCommandFailed
    | HostSettled
    | HostUndoPassedOver
)


def kind_of(event: type[Event] | Event) -> str:
    """The event's name in the ledger: `StatementDone` is `statement_done`."""
    name = event.__name__ if isinstance(event, type) else type(event).__name__
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


EVENT_TYPES: Mapping[str, type[Event]] = {kind_of(each): each for each in Event.__args__}

__all__ = [
    "EVENT_TYPES",
    "AnswerHeard",
    "AuditRecorded",
    "BackupProved",
    "BaselineTaken",
    "BlockerTerminated",
    "CatalogRecorded",
    "ConnectionRestored",
    "DeliveryGivenUp",
    "Event",
    "EvidenceRecorded",
    "FindingsRecorded",
    "GatesOverridden",
    "HoldAsked",
    "HostCommandDone",
    "HostCommandFailed",
    "HostCommandIntended",
    "HostSaid",
    "HostSettled",
    "HostUndoPassedOver",
    "HostsSeen",
    "Identity",
    "KeptTableDropped",
    "KeptTableMade",
    "KeyRestored",
    "LedgerOpened",
    "LedgerRewound",
    "LockAttemptFailed",
    "MessageDelivered",
    "NotificationQueued",
    "OrphansCounted",
    "PerformanceMeasured",
    "PlanRecorded",
    "RemediationCounted",
    "RemediationPlanned",
    "RowRefused",
    "RowsPutBack",
    "RowsRemediated",
    "RunFinished",
    "RunResumed",
    "RunStarted",
    "SampleTaken",
    "SchemaDescribed",
    "StatementDone",
    "StatementFailed",
    "StatementIntended",
    "StatementPostponed",
    "StatementUndone",
    "StepFinished",
    "StepStarted",
    "TableVacuumed",
    "Task",
    "TimesPredicted",
    "UndoPassedOver",
    "VerdictGiven",
    "WalkBackBegan",
    "WalkedBack",
    "WatchBegan",
    "WatchEnded",
    "WatchJudged",
    "WorkersChanged",
    "kind_of",
]
