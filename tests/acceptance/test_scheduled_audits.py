"""Orphan audits as they are scheduled: run by the line that the deployment wrote, told once, with their history."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters import delivery, sending
from orchestrator.app import recording
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED
from tests.acceptance.desk import Desk, execute, fingerprint, rows
from tests.acceptance.option_b import LOST, Shop
from tests.slack_server import CHANNEL, TOKEN, SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """Slack, as far as it is needed."""
    with SlackServer() as server:
        yield server


@pytest.fixture
def shop(desk: Desk, database: str, slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Option B was decided for, and its people are in Slack."""
    monkeypatch.setattr(sending, "EVERY_S", 0.05)
    made = Shop(desk=desk, url=database)
    desk.variable("SLACK_BOT_TOKEN", TOKEN)
    made.open(
        more=f'[slack]\nchannel = "{CHANNEL}"\ntoken = {{ env = "SLACK_BOT_TOKEN" }}\nbase_url = "{slack.base_url}"'
    )
    return made


def due(line: str, desk: Desk) -> subprocess.CompletedProcess[str]:
    """What cron does when the minute has come: the command of its line, in a shell that knows what it is given."""
    command = line.split(maxsplit=5)[5].replace("\\%", "%")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(desk.folder), **desk.variables}
    return subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)


def test_the_next_scheduled_audit_finds_what_was_lost_and_calls_once(
    shop: Shop,
    desk: Desk,
    database: str,
    slack: SlackServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three orphans of two kinds; the alert names the critical relation and no key; then nobody is called again."""
    before = fingerprint(database)
    answer = desk.deploy(runbook=shop.runbook)
    assert answer.document["schedule"]["by"] == "timer"
    service, timer, cron = (Path(each).read_text("utf-8") for each in answer.document["schedule"]["files"])
    assert "OnCalendar=*-*-* *:17:00" in timer
    assert "audit --record --env staging" in service
    (line,) = [each for each in cron.splitlines() if not each.startswith("#")]
    assert line.startswith("17 * * * * ")
    told = len(slack.tops())
    assert recording.record(desk.request(runbook=shop.runbook)).exit_code == EXIT_DONE
    assert len(slack.tops()) == told
    execute(database, *LOST)
    said = due(line, desk)
    assert (said.returncode, said.stderr) == (EXIT_FAILED, "")
    assert "public.orders(customer) -> " in said.stdout
    next_step = "next: what can be done: invoke remediate --env staging"
    assert next_step in said.stdout
    capsys.readouterr()
    assert recording.record(desk.request(runbook=shop.runbook)).exit_code == EXIT_FAILED
    # Also when it is no news: exit code 1 needs its way out.
    assert next_step in capsys.readouterr().out
    (alert,) = slack.tops()[told:]
    words = str(alert)
    assert "New orphans in critical relations" in words
    assert "public.orders(customer)" in words
    assert "notes" not in words
    assert re.search(r"\b77\b", words) is None
    assert "invoke remediate --env staging" in words
    assert rows(database, "select orphans, fresh, health, alert, told from orphan_audit.audit_run order by id") == [
        (0, 0, "ok", False, False),
        (3, 3, "alert", True, True),
        (3, 0, "alert", False, False),
    ]
    runs = [path.parent for path in sorted(desk.runs.glob("*/report.md")) if "Orphan audit" in path.read_text("utf-8")]
    # The second hour told nothing that the first had not, and left a row and no run.
    assert len(runs) == 2
    page = (runs[-1] / "report.html").read_text("utf-8")
    assert "Orphans of the latest 2 audits" in page
    assert "77" in (runs[-1] / "samples.jsonl").read_text("utf-8")
    # Slack is away when the next one is found: a quiet hour delivers it.
    monkeypatch.setattr(delivery, "END_WITHIN_S", 0.2)
    execute(database, "insert into orders values (5, 79, null, null)")
    slack.close()
    assert recording.record(desk.request(runbook=shop.runbook)).document["fresh"] == 1
    slack.open()
    monkeypatch.setattr(delivery, "END_WITHIN_S", 5.0)
    assert recording.record(desk.request(runbook=shop.runbook)).document["run"] is None
    assert len(slack.tops()) == told + 2
    # No count at all is worse than a bad one.
    execute(
        database,
        "create or replace view orphan_audit.orders_customer as"
        " select id, customer from orders where 1 / (id - id) > 0",
    )
    assert recording.record(desk.request(runbook=shop.runbook)).document["health"] == "unknown"
    words = str(slack.tops()[-1])
    assert "Critical relations cannot be counted" in words
    assert "division by zero" in words
    execute(database, "delete from notes where id = 3", "delete from orders where id > 2")
    assert desk.rollback(runbook=shop.runbook).exit_code == EXIT_DONE
    assert fingerprint(database) == before
