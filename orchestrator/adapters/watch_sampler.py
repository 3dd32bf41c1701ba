"""One sample of the watch: every question is asked for itself, and one that is not answered says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.orphans import OrphanQueries
from orchestrator.adapters.postgres import Connection, Server, is_lost, plain_line, plainly
from orchestrator.adapters.watch_hosts import NOTHING_READ
from orchestrator.adapters.watch_log import Unreadable, read_log
from orchestrator.adapters.watch_statements import statements
from orchestrator.adapters.watch_writes import Counting, WriteProbes
from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.matching import match_all
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.ports import HostWatcher
from orchestrator.core.watch import LOCK_WAITS, KeysSeen, LogRead, Method, Sample, Transactions, Write, with_hosts
from orchestrator.core.watch_logs import HostLogRead

ORPHANS_EVERY: Final = timedelta(hours=1)
"""Counting reads whole tables: keys that stand NOT VALID let no new orphan in by themselves."""

TRANSACTIONS: Final = """
select xact_commit as committed, xact_rollback as rolled_back, coalesce(stats_reset::text, '') as since
from pg_stat_database where datname = current_database()
"""

WAITS: Final = """
select 1000 * extract(epoch from clock_timestamp() - l.waitstart)::float8 as ms,
       format('pid %s (%s) waits for pid %s', l.pid, a.application_name,
              array_to_string(pg_blocking_pids(l.pid), ', ')) as told
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where not l.granted and l.waitstart is not null and a.datname = current_database()
order by l.waitstart limit 1
"""

REPLICAS: Final = """
select count(*)::integer as replicas, max(extract(epoch from replay_lag))::float8 as lag_s,
       count(*) filter (where state is null)::integer as hidden from pg_stat_replication
"""

SETTLED: Final = 5
"""Transactions of a new session of ours and of reading the catalog, which nobody counts one by one."""

WHAT_WRITES_NEED: Final = "pg_stat_statements is not installed, and no row could be written to try"


@dataclass(slots=True, kw_only=True)
class DatabaseSampler:
    """Takes samples of one database and its hosts. `clock` tells the server's time.

    `beside` are the transactions that keeping a sample adds after it was taken.
    """

    server: Server
    contract: Contract
    hosts: HostWatcher
    host: str
    lock_timeout_ms: int
    clock: Callable[[Connection], datetime]
    probes: bool = True
    beside: int = 0
    _probes: WriteProbes = field(init=False)
    _unknown: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is known of the tables yet."""
        self._probes = WriteProbes(contract=self.contract, lock_timeout_ms=self.lock_timeout_ms)

    def take(
        self,
        last: Sample | None,
        log: LogRead | None,
        *,
        every_s: float,
        gap: str = "",
        logs: Mapping[tuple[str, str], HostLogRead] = NOTHING_READ,
    ) -> Sample:
        """A sample now; `last` is the one before, `log` how far the server's log was read, `logs` those of the hosts.

        Raises OrchestratorError.

        What is read stays as it was when nobody keeps this sample: the next one tells the same.
        """
        self._unknown = {}
        with self.server.session("monitor") as session, plainly("taking a sample"):
            counting = Counting(session, committed=SETTLED + self.beside)
            connection = counting.asking
            at = self.clock(connection)
            transactions = self._answer("transactions", lambda: self._transactions(connection))
            wait = self._answer(LOCK_WAITS, lambda: connection.execute(WAITS).fetchone()) or {}
            replicas = self._answer("replicas", lambda: self._replicas(connection)) or {}
            read = self._answer("violations", lambda: read_log(connection, log))
            catalog = read_catalog(session)
            keys = self._answer("keys", lambda: self._keys(catalog, last.keys if last else None, at))
            method, since, writes = self._writes(counting, catalog)
        if transactions:
            own = {"own_committed": counting.committed, "own_rolled_back": counting.rolled_back}
            transactions = replace(transactions, **own)
        hosts = self.hosts.look(logs)
        return Sample(
            at=at,
            host=self.host,
            every_s=every_s,
            method=method,
            since=since,
            writes=writes,
            transactions=transactions,
            log=replace(read, own=counting.violations) if read else None,
            lock_wait_ms=round(wait.get("ms", 0.0), 1),
            waiting=wait.get("told", ""),
            replicas=replicas.get("replicas", 0),
            lag_s=replicas.get("lag_s"),
            keys=keys,
            hosts=hosts,
            unknown=with_hosts(self._unknown, hosts),
            gap=gap,
        )

    def _answer(self, subject: str, ask: Callable[[], Any]) -> Any:
        """An answer, or None and the reason. Raises psycopg.Error when the connection is lost or we are stopped."""
        try:
            return ask()
        except psycopg.Error as error:
            if is_lost(error) or self.server.interruption.reason:
                raise
            self._unknown[subject] = plain_line(error)
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                self._unknown[subject] += "; needs: grant pg_monitor to this role" + NEEDED.get(subject, "")
        except (Unreadable, OrchestratorError) as error:
            self._unknown[subject] = str(error)
        return None

    def _transactions(self, connection: Connection) -> Transactions:
        row = connection.execute(TRANSACTIONS).fetchone() or {}
        return Transactions(committed=row["committed"], rolled_back=row["rolled_back"], since=row["since"])

    def _replicas(self, connection: Connection) -> Mapping[str, Any]:
        row = connection.execute(REPLICAS).fetchone() or {}
        if row["hidden"]:
            self._unknown["replicas"] = "their lag is hidden (needs: grant pg_monitor to this role)"
        elif row["replicas"] and row["lag_s"] is None:
            # replay_lag is NULL when a standby has caught up and nothing was sent for a while.
            return {**row, "lag_s": 0.0}
        return row

    def _keys(self, catalog: Catalog, last: KeysSeen | None, at: datetime) -> KeysSeen:
        found = [each for each in match_all(self.contract, catalog) if each.status != "deferred"]
        loose = [each.relation for each in found if each.standing and each.status == "missing"]
        names = {each.id for each in loose}
        kept = dict(last.orphans) if last else {}
        when = last.counted_at if last else None
        if loose and (when is None or at - when >= ORPHANS_EVERY or names - kept.keys()):
            counter = OrphanQueries(server=self.server, step="monitor", connections=1)
            kept = {each.relation.id: each.count for each in counter.count(loose, catalog)}
            when = at
        return KeysSeen(
            standing=sum(each.status == "present" for each in found),
            not_valid=tuple(each.relation.id for each in found if each.relation.id in names),
            broken={
                each.relation.id: each.reason or "no key stands"
                for each in found
                if each.status != "present" and each.relation.id not in names
            },
            orphans={name: count for name, count in kept.items() if name in names},
            counted_at=when if loose else None,
        )

    def _writes(self, counting: Counting, catalog: Catalog) -> tuple[Method, str, tuple[Write, ...]]:
        """The totals of the server where it gathers them, else a few writes of our own."""
        known = self._answer("writes", lambda: statements(counting.asking, self.contract.tables))
        if known and known.writes:
            return "statements", known.since, known.writes
        found = self._answer("writes", lambda: self._probes.take(counting, catalog)) if self.probes else None
        writes, untimed = found or ((), "")
        told = [each for each in (known.unknown if known else "", untimed) if each]
        if not writes:
            self._unknown["writes"] = "; ".join([*told, WHAT_WRITES_NEED])
            return "none", "", ()
        if told:
            self._unknown["writes"] = "; ".join(told)
        return "probes", "", writes


NEEDED: Final[Mapping[str, str]] = {
    "violations": ", and execute on pg_stat_file(text, boolean) and pg_read_binary_file(text, bigint, bigint, boolean);"
    " for a log outside of the data directory also pg_read_server_files"
}
