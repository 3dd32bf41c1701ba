"""Whether the server has a core to spare: how long a small calculation takes there, against the best it ever took.

The number of cores cannot be asked for in SQL, and others use them too. The calculation is long enough (some 15 ms) for
the scheduler to let it wait when every core is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from orchestrator.adapters.postgres import Connection
from orchestrator.core.workers import SPARE

CALCULATION = "select count(*) from generate_series(1, 150000)"


@dataclass(slots=True)
class SpareCores:
    """Measures; the best time so far stands for a core of its own. Times are in ms."""

    _best: float = inf

    def calibrate(self, connection: Connection) -> None:
        """Before there is work of ours. Raises psycopg.Error."""
        for _ in range(3):
            self._best = min(self._best, _measured(connection))

    def found(self, connection: Connection) -> bool:
        """Whether the calculation goes as quickly as ever. Raises psycopg.Error."""
        now = _measured(connection)
        self._best = min(self._best, now)
        return now < self._best * SPARE


def _measured(connection: Connection) -> float:
    """How long it takes by the server's clock, sent in one piece."""
    with connection.pipeline():
        before = connection.execute("select clock_timestamp() as at")
        connection.execute(CALCULATION)
        after = connection.execute("select clock_timestamp() as at")
    first, second = before.fetchone(), after.fetchone()
    return (second["at"] - first["at"]).total_seconds() * 1000 if first and second else inf
