"""A remediation that is killed at its very beginning, or given up: nothing of it is lost, and people are told."""

from __future__ import annotations

import pytest

from orchestrator.core.outcome import EXIT_DONE
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, execute, rows, value
from tests.acceptance.test_remediate import data, empty, orphans, remediate, shop
from tests.conftest import MATRIX

__all__ = ["empty", "shop"]


@pytest.mark.parametrize("point", [pytest.param("run:begin", marks=MATRIX), "run:begun"])
def test_killed_at_its_beginning(desk: Desk, shop: str, stop_at: Stop, point: str) -> None:
    """Before the ledger has the run it is begun again, after that it is resumed; each row once."""
    stop_at(point, 1)
    with pytest.raises(Stopped):
        remediate(desk, how="set-null")
    if point == "run:begun":
        assert desk.status()["state"] == "interrupted"
        answer = desk.resume(runbook=str(desk.folder / "shop"))
    else:
        assert rows(shop, "select from orchestrator.run") == []
        answer = remediate(desk, how="set-null")
    assert (answer.exit_code, orphans(shop)) == (EXIT_DONE, 0)
    assert answer.document["remediation"]["rows"] == 200
    assert desk.history()[-1]["task"] == "remediate"


def test_the_way_back_is_killed_at_its_beginning(desk: Desk, shop: str, stop_at: Stop) -> None:
    """What it puts back was killed half-way itself: that is given up, and every row comes back."""
    before = data(shop)
    stop_at("effect:committed", 3)
    with pytest.raises(Stopped):
        remediate(desk, how="set-null", batch=60)
    (first,) = (each["run"] for each in desk.history())
    stop_at("run:begun", 1)
    with pytest.raises(Stopped):
        desk.rollback(run=first, runbook=str(desk.folder / "shop"))
    back = desk.resume(runbook=str(desk.folder / "shop"))
    assert (back.exit_code, back.document["remediation"]["rows"]) == (EXIT_DONE, 120)
    assert data(shop) == before
    assert [each["state"] for each in desk.history()] == ["abandoned", "done"]
    assert "is kept in" not in desk.file(back, "report.md")


def test_a_copy_that_is_still_empty_goes_with_the_way_back(desk: Desk, shop: str, stop_at: Stop) -> None:
    """Killed after the table was made and before the first batch, then walked back instead of resumed."""
    before = data(shop)
    stop_at("effect:committed", 1)
    with pytest.raises(Stopped):
        remediate(desk, how="delete")
    assert value(shop, "select to_regnamespace('orchestrator_quarantine') is not null")
    assert remediate(desk, undo=True).exit_code == EXIT_DONE
    assert not value(shop, "select to_regnamespace('orchestrator_quarantine') is not null")
    assert (data(shop), [each["state"] for each in desk.history()]) == (before, ["abandoned", "done"])


def test_who_gives_up_is_told_the_way_back(
    desk: Desk, shop: str, stop_at: Stop, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many rows were done, and the command that puts them back; the reason stands beside what could not be."""
    stop_at("effect:committed", 2)
    with pytest.raises(Stopped):
        remediate(desk, how="set-null", batch=60)
    desk.resume(runbook=str(desk.folder / "shop"), abandon="enough")
    said = capsys.readouterr()
    assert "60 rows set to null in 1 batch" in said.out + said.err
    (run,) = (each["run"] for each in desk.history())
    assert f"--run {run} puts them back" in said.out + said.err
    execute(shop, "update orders set customer_id = 3 where id = 11", "delete from orders where id = 12")
    desk.rollback(run=run, runbook=str(desk.folder / "shop"))
    (table,) = rows(shop, "select quote_ident(tablename) from pg_tables where schemaname = 'orchestrator_quarantine'")
    kept = rows(shop, f"select id, kept_because from orchestrator_quarantine.{table[0]} order by id")
    assert kept == [(11, "changed since"), (12, "gone")]


def test_what_cannot_be_is_said_before_anybody_is_asked(desk: Desk, shop: str) -> None:
    """On production, without --yes: the reason, and not the question."""
    desk.environment("prod", shop, kind="production", backup='mode = "dump"')
    said = desk.typed(
        "remediate", "--env", "prod", "--runbook", str(desk.folder / "shop"),
        "--relation", "lines.order_id", "--how", "set-null", "--apply",
    )  # fmt: skip
    assert said.returncode == 2
    assert "lines.order_id is NOT NULL; choose delete, reassign, quarantine" in said.stderr.replace("public.", "")
    assert value(shop, "select to_regnamespace('orchestrator') is null")
