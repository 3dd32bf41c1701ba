"""A shop with a staging and a production database, a decision, a staging run and evidence: what opens the gates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.app.answer import Answer
from orchestrator.app.at_work import at_work
from orchestrator.app.beginning import begin
from orchestrator.app.opening import open_site
from orchestrator.app.passage import Passage, passage
from orchestrator.core.drift_lines import contract_lines
from orchestrator.core.evidence import Evidence, WayBack
from orchestrator.core.identity import Identity
from orchestrator.core.journal import EvidenceRecorded
from tests.acceptance.desk import Desk, execute

TABLES = (
    "create table customers (id bigint primary key, name text)",
    "create table orders (id bigint primary key, customer_id bigint)",
    "create table notes (id bigint primary key, order_id bigint)",
    "create index on orders (customer_id)",
    "create index on notes (order_id)",
)

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
[[foreign_key]]
table = "notes"
columns = ["order_id"]
references = { table = "orders", columns = ["id"] }
"""

RUNBOOK = '''"""Two roads."""

from orchestrator.core.timeline import Item, Phase, Road, Runbook

ADD = Road(title="Add the keys", risk="low", days=(1, 2), phases=(
    Phase(name="production", items=(Item(title="Deploy", days=(1, 2), step="apply"),)),
))
LEAVE = Road(title="Check in the application", risk="medium", days=(1, 3), phases=(
    Phase(name="production", items=(Item(title="Deploy", days=(1, 3)),)),
))
RUNBOOK = Runbook(name="shop", title="Keys of the shop", roads={"A": ADD, "B": LEAVE})
'''

NOW = datetime(2026, 12, 15, 16, 0, tzinfo=UTC)
"""A Tuesday, 23:00 in Jakarta."""

WINDOW = 'window = { days = ["Tue"], from = "22:00", to = "02:00", timezone = "Asia/Jakarta" }'


@dataclass(slots=True, kw_only=True)
class Shop:
    """The two environments, and the clock that the commands go by."""

    desk: Desk
    staging: str
    prod: str
    runbook: str = ""
    now: datetime = NOW
    clock: Callable[[], datetime] | None = None

    def open(self) -> None:
        """Tables in both, inventory and runbook; nothing else yet."""
        for url in (self.staging, self.prod):
            execute(url, *TABLES)
        self.runbook = self.desk.runbook(CONTRACT, "shop")
        (Path(self.runbook) / "runbook.py").write_text(RUNBOOK, encoding="utf-8")
        self.desk.environment("staging", self.staging)
        self.policy("")

    def policy(self, text: str, *, url: str | None = None, head: str = 'evidence_from = "staging"') -> None:
        """Production's inventory file."""
        self.desk.environment("prod", url or self.prod, kind="production", policy=text, backup=EXTERNAL, head=head)

    def decide(self, option: str = "A") -> None:
        """`decision.toml`."""
        text = f'option = "{option}"\nrationale = "the keys should be there"\nby = "Ayu"\nat = 2026-12-01T09:00:00Z\n'
        (Path(self.runbook) / "decision.toml").write_text(text, encoding="utf-8")

    def stage(self) -> Answer:
        """The deployment to staging."""
        answer = self.desk.deploy("staging", runbook=self.runbook)
        assert answer.exit_code == 0
        return answer

    def evidence(self, **changes: Any) -> Evidence:
        """What a rehearsal of production's plan would prove."""
        with ExitStack() as stack:
            site = open_site(self.desk.request("prod", runbook=self.runbook), stack, read_only=True)
            catalog = site.catalog().catalog()
            plan = site.make_plan(catalog)
            lines = contract_lines(catalog, site.contract)
        way = WayBack(boundary="apply", before="f" * 64, after="f" * 64, duration_ms=20.0, statements=1)
        found = Evidence(
            run="rehearsal-1",
            runbook="shop",
            environment="staging",
            like="prod",
            digest=plan.digest,
            fingerprint="f" * 64,
            lines=lines,
            target=IDENTITY,
            scratch_version=catalog.server_version,
            finished=self.now - timedelta(hours=1),
            verdict="GO",
            steps={"backup": 10.0, "apply": 30.0, "validate": 20.0},
            ways_back=(way,),
        )
        return replace(found, **changes)

    def record(self, evidence: Evidence) -> None:
        """Into staging's ledger, through the writer that a rehearsal uses."""
        with ExitStack() as stack:
            site = open_site(self.desk.request("staging", runbook=self.runbook), stack, read_only=False)
            with at_work(site) as work:
                journal = work.new_journal()
                begin(site, journal, work.connection, task="rehearse", steps=())
                work.open_ledger(journal)
                journal.record(EvidenceRecorded(evidence=replace(evidence, run=site.run)))
                journal.close("done", "")

    def ready(self) -> None:
        """Everything that the gates ask for."""
        self.decide()
        evidence = self.evidence()
        self.stage()
        self.record(evidence)

    def deploy(
        self, *, override: str | None = None, reason: str | None = None, evidence: str | None = None, **options: Any
    ) -> Answer:
        """`invoke deploy --env prod` by this shop's clock."""
        said = self._passage(override, reason, evidence)
        return self.desk.deploy("prod", runbook=self.runbook, passage=said, **options)

    def resume(self, *, override: str | None = None, reason: str | None = None) -> Answer:
        """`invoke resume --env prod` by this shop's clock."""
        return self.desk.resume("prod", runbook=self.runbook, passage=self._passage(override, reason))

    def _passage(self, override: str | None, reason: str | None, evidence: str | None = None) -> Passage:
        return replace(passage(override, reason, evidence), clock=self.clock or (lambda: self.now))


EXTERNAL = 'mode = "external"\ncommand = "echo point"'
IDENTITY = Identity(system_identifier="1", database="staging", server_version=160000, role="ayu")
