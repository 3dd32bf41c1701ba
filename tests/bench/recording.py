"""What a recorded statement costs on top of the statement itself: ours against psql, round by round."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psycopg

from orchestrator.adapters import ledger
from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.execution import OnlineExecutor
from orchestrator.adapters.identity import identify
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.lease import Keeper
from orchestrator.adapters.ledger_journal import LedgerJournal
from orchestrator.adapters.log import RunLog
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.programs import server_installation
from orchestrator.adapters.runbooks import load_runbook
from orchestrator.adapters.runs import FileJournal, JournalCopy, RunFolder
from orchestrator.adapters.target import Target
from orchestrator.core.inventory import Secret
from orchestrator.core.journal import RunStarted
from orchestrator.core.plan import Plan
from orchestrator.core.plan_making import make_plan
from orchestrator.core.run import Run
from orchestrator.engine.dispatcher import Dispatcher
from tests import servers

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "runbooks"
RUN = "20260101T000000000-beef"
TARGET_MS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Medians over the rounds, in ms per statement."""

    statements: int
    rounds: int
    ours_ms: float
    psql_ms: float

    @property
    def cost_ms(self) -> float:
        """What recording costs on top."""
        return self.ours_ms - self.psql_ms


def measure(folder: Path, *, rounds: int) -> Recording:
    """The statements of the master tables, each way in turn, on databases of their own."""
    with Cluster(directory=folder / "cluster", installation=server_installation(16)) as cluster:
        template = _template(cluster)
        ours, theirs = [], []
        count = 0
        for number in range(rounds):
            with _database(cluster, template) as url:
                plan = _plan(url)
                count = len(plan.statements)
                ours.append(_ours(url, plan, folder / f"round-{number}"))
            with _database(cluster, template) as url:
                theirs.append(_psql(url, plan, folder / "script.sql"))
        cluster.discard()
    return Recording(statements=count, rounds=rounds, ours_ms=median(ours) / count, psql_ms=median(theirs) / count)


def lines(found: Recording) -> list[str]:
    """What a statement takes either way, and what recording costs on top of it."""
    kept = "kept" if found.cost_ms <= TARGET_MS else "not kept"
    return [
        f"recording: {found.statements} statements, {found.rounds} rounds, medians",
        f"  ours {found.ours_ms:.2f} ms, psql {found.psql_ms:.2f} ms per statement: {ratio(found):.1f} times",
        f"  on top of the statement: {found.cost_ms:.2f} ms (at most {TARGET_MS:g} ms: {kept})",
    ]


def ratio(found: Recording) -> float:
    """How many times what psql takes."""
    return found.ours_ms / found.psql_ms


def document(found: Recording) -> dict[str, object]:
    """The numbers with their names."""
    return {
        "statements": found.statements,
        "rounds": found.rounds,
        "ours_ms": round(found.ours_ms, 3),
        "psql_ms": round(found.psql_ms, 3),
        "cost_ms": round(found.cost_ms, 3),
        "ratio": round(ratio(found), 2),
        "target_ms": TARGET_MS,
    }


def _template(cluster: Cluster) -> str:
    url = servers.fresh_database(cluster.url())
    with psycopg.connect(url, autocommit=True) as connection:
        for _, text in load_runbook("master_tables", root=RUNBOOKS).migrations():
            connection.execute(text.encode())
    return servers.database_name(url)


@contextmanager
def _database(cluster: Cluster, template: str) -> Iterator[str]:
    url = servers.fresh_database(cluster.url(), template)
    yield url
    servers.drop_database(url)


def _server(url: str) -> Server:
    return Server(environment="bench", url=Secret(url), source="the bench", run=RUN)


def _plan(url: str) -> Plan:
    return make_plan(
        runbook="master_tables",
        environment="bench",
        contract=load_runbook("master_tables", root=RUNBOOKS).contract,
        catalog=DatabaseCatalog(server=_server(url)).catalog(),
        writer=QuotedDdl(),
        lock_budget_ms=100,
    )


def _ours(url: str, plan: Plan, folder: Path) -> float:
    """All statements through the executor, with ledger, copy and log; ms."""
    server = _server(url)
    keeper = Keeper(server=server)
    with server.session("bench") as connection:
        ledger.install(connection)
        keeper.start()
        target = Target(server=server, identity=identify(connection), within_s=10)
        runs = RunFolder(root=folder, run=RUN)
        file = FileJournal(folder=runs, actor="bench", clock=lambda: datetime.now(UTC))
        file.record(_started(target))
        writer = LedgerJournal(
            target=target, connection=connection, copy=JournalCopy(folder=runs), token=keeper.claim(), run=Run(RUN)
        )
        writer.begin("bench", file.entries)
        journal = RunJournal(file=file, ledger=writer, listeners=[RunLog(runs).listen])
        executor = OnlineExecutor(target=target, journal=journal, budget_ms=100, give_up_after_s=30)
        dispatcher = Dispatcher(executor=executor, recorder=journal, budget_ms=100, give_up_after_s=30, workers=1)
        with executor.opened("apply"):
            began = time.perf_counter()
            dispatcher.carry_out(plan.statements, expected={}, hopeless=lambda _: False)
            spent = time.perf_counter() - began
        keeper.end()
    shutil.rmtree(folder)
    return spent * 1000


def _started(target: Target) -> RunStarted:
    return RunStarted(
        task="deploy",
        runbook="master_tables",
        environment="bench",
        kind="scratch",
        steps=("apply",),
        initiator="bench",
        os_user="bench",
        host="bench",
        version="0",
        target=target.identity,
    )


def _psql(url: str, plan: Plan, script: Path) -> float:
    """The same statements in psql, each with one inserted row in its transaction; ms by the server's clock."""
    lines = ["create table record (id serial primary key, statement text, at timestamptz default clock_timestamp());"]
    lines.append("select clock_timestamp() as began \\gset")
    for each in plan.statements:
        lines += [
            "begin;",
            f"{each.sql};",
            f"insert into record (statement) values ($bench${each.id}$bench$);",
            "commit;",
        ]
    lines.append("select extract(epoch from clock_timestamp() - :'began'::timestamptz) * 1000;")
    script.write_text("\n".join(lines), encoding="utf-8")
    tools = server_installation(16)
    command = [
        str(tools.program("psql")),
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        url,
        "-f",
        str(script),
    ]
    done = subprocess.run(command, env=tools.environment(), capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
