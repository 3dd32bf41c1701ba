"""A shop that was decided for option B: names that nobody should choose, and rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.desk import Desk, execute

TABLES = (
    'create schema "Odd "" schema"',
    'create table "Odd "" schema"."Kun; den" (id bigint primary key, "Na\'me" text, unique (id, "Na\'me"))',
    'create table orders (id bigint primary key, customer bigint, "by" bigint, "by\'who" text)',
    'create table notes (id bigint primary key, "order $1" bigint)',
    'insert into "Odd "" schema"."Kun; den" values (1, \'a\'), (2, \'b\')',
    "insert into orders values (1, 1, 1, 'a'), (2, 2, null, null)",
    "insert into notes values (1, 1), (2, null)",
)

CONTRACT = """
[[foreign_key]]
table = "orders"
columns = ["customer"]
references = { schema = 'Odd " schema', table = "Kun; den", columns = ["id"] }
priority = "critical"
[[foreign_key]]
table = "orders"
columns = ["by", "by'who"]
references = { schema = 'Odd " schema', table = "Kun; den", columns = ["id", "Na'me"] }
match = "full"
[[foreign_key]]
table = "notes"
columns = ["order $1"]
references = { table = "orders", columns = ["id"] }
"""

RUNBOOK = '''"""Two roads."""

from orchestrator.core.timeline import Item, Phase, Road, Runbook

DEPLOY = (Phase(name="production", items=(Item(title="Deploy", days=(1, 2), step="apply"),)),)
ADD = Road(title="Add the keys", risk="low", days=(1, 2), phases=DEPLOY)
LEAVE = Road(title="Check in the application", risk="medium", days=(1, 3), phases=DEPLOY, keys=False)
RUNBOOK = Runbook(name="shop", title="Keys of the shop", roads={"A": ADD, "B": LEAVE})
'''

PIECES = 5
"""History, recorder, and three relations."""

LOST = (
    "insert into orders values (3, 77, null, null), (4, 78, null, null)",
    "insert into notes values (3, 99)",
)
"""Three orphans of two kinds; those of orders are critical."""


@dataclass(slots=True, kw_only=True)
class Shop:
    """Staging alone, with its runbook."""

    desk: Desk
    url: str
    runbook: str = ""

    def open(self, *, more: str = "", policy: str = "") -> None:
        """Tables, inventory, runbook, and the decision for B."""
        execute(self.url, *TABLES)
        self.runbook = self.desk.runbook(CONTRACT, "shop")
        (Path(self.runbook) / "runbook.py").write_text(RUNBOOK, encoding="utf-8")
        self.desk.environment("staging", self.url, more=more, policy=policy)
        self.decide("B")

    def decide(self, option: str) -> None:
        """`decision.toml`."""
        text = f'option = "{option}"\nrationale = "to be tried"\nby = "Ayu"\nat = 2026-12-01T09:00:00Z\n'
        (Path(self.runbook) / "decision.toml").write_text(text, encoding="utf-8")
