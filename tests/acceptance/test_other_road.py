"""Option B from its first day to its last: installed, lost rows found and repaired, clean, and gone without a trace."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.app import recording, remediating
from orchestrator.app.answer import Answer
from orchestrator.app.remediating import Wish
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, contents, execute, fingerprint, rows
from tests.acceptance.option_b import Shop
from tests.acceptance.test_remediate import empty

__all__ = ["empty"]


def repaired(shop: Shop, **wish: Any) -> Answer:
    """`invoke remediate --apply`."""
    request = shop.desk.request(runbook=shop.runbook)
    return remediating.remediate(request, Wish(**wish), apply=True, yes=True, confirm=lambda _: False)


def test_from_its_first_day_to_its_last(desk: Desk, empty: str, stop_at: Stop) -> None:
    """Orphans of two kinds are found, repaired in batches by a run that is killed and resumed, and found no more."""
    shop = Shop(desk=desk, url=empty)
    shop.open()
    before, data = fingerprint(empty), contents(empty)
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    execute(
        empty,
        "insert into orders select n, 70 + n, null, null from generate_series(10, 49) n",
        "insert into notes values (3, 99)",
    )
    record = desk.request(runbook=shop.runbook)
    assert recording.record(record).exit_code == EXIT_FAILED
    stop_at("effect:committed", 3)
    with pytest.raises(Stopped):
        repaired(shop, relation="orders.customer", how="quarantine", batch=10)
    resumed = desk.resume(runbook=shop.runbook)
    assert resumed.exit_code == EXIT_DONE
    assert desk.report(resumed)["remediation"]["rows"] == 40
    assert repaired(shop, relation="notes.order $1", how="delete").exit_code == EXIT_DONE
    assert recording.record(record).exit_code == EXIT_DONE
    health = rows(empty, "select orphans, health from orphan_audit.audit_run order by id")
    assert [each for each in health if each[1] == "ok"][-1:] == health[-1:] == [(0, "ok")]
    assert desk.rollback(runbook=shop.runbook).exit_code == EXIT_DONE
    kept = {name for name in contents(empty) if name.startswith("orchestrator_quarantine.")}
    assert len(kept) == 2
    assert {name: each for name, each in contents(empty).items() if name not in kept} == data
    assert fingerprint(empty) == before
