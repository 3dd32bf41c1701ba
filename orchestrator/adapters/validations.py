"""Validations in lanes: each in the way that promises to be the shortest, after a vacuum where that pays."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg

from orchestrator.adapters.attempts import Attempts
from orchestrator.adapters.condition import vacuum, way_of
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.lanes import Taken
from orchestrator.adapters.postgres import Connection, is_lost
from orchestrator.core.catalog import TableName
from orchestrator.core.journal import Event, StatementDone
from orchestrator.core.outcome import HeldBack
from orchestrator.core.transaction import Transaction
from orchestrator.core.validation import SETTINGS, Choice, Pace


@dataclass(slots=True, kw_only=True)
class Validations:
    """Of one run: which tables it has vacuumed already, and how this server compares with the predictions."""

    attempts: Attempts
    interruption: Interruption
    _pace: Pace = field(default_factory=Pace)
    _vacuumed: set[TableName] = field(default_factory=set)

    def carry_out(self, connection: Connection, work: Transaction, attempts: int, keys: int) -> Taken:
        """In a lane's thread: choose, vacuum, validate. `keys` of its table are left; 0 means not to think about it.

        Raises what an attempt raises.
        """
        if self.interruption.reason is not None:
            message = f"{self.interruption.reason}; {work.id} was not begun"
            raise HeldBack(message)
        notes: tuple[Event, ...] = ()
        choice: Choice | None = None
        try:
            if keys:
                choice, notes = self._way(connection, work, keys)
        except psycopg.Error as error:
            raise self.attempts.meaning(error, work) from error
        predicted = round(choice.predicted_ms * self._pace.factor, 1) if choice else None
        way, why, settings = (choice.way, choice.why, SETTINGS[choice.way]) if choice else ("", "", None)
        event = work.event(attempts=attempts, way=way, why=why, predicted_ms=predicted)
        return Taken(entry=self.attempts.carry_out(connection, work, event, settings=settings), notes=notes)

    def learn(self, done: StatementDone | None) -> None:
        """Compare a prediction with what came of it."""
        if done is not None and done.predicted_ms:
            self._pace.learn(done.predicted_ms / self._pace.factor, done.duration_ms)

    def _way(self, connection: Connection, work: Transaction, keys: int) -> tuple[Choice | None, tuple[Event, ...]]:
        """The way for one key, after the vacuum that it asks for. Raises psycopg.Error."""
        table = work.locks[0].table
        (oid,) = self.attempts.known(connection, [table])
        choice, seen = way_of(connection, oid, work.constraint, keys=keys, may_vacuum=table not in self._vacuumed)
        if choice is None or seen is None or not choice.vacuum:
            return choice, ()
        self._vacuumed.add(table)
        notes: tuple[Event, ...] = ()
        try:
            with self.interruption.cancelling(connection), self.attempts.watching(connection, work):
                notes = (vacuum(connection, table, seen.child),)
        except psycopg.Error as error:
            # It was only to save time: without it another way is as good.
            if is_lost(error):
                raise
        return way_of(connection, oid, work.constraint, keys=keys, may_vacuum=False)[0], notes
