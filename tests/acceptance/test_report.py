"""`invoke report` finds the run that is meant."""

from __future__ import annotations

from pathlib import Path

from orchestrator.app import reading
from orchestrator.core.outcome import EXIT_DONE
from tests.acceptance.desk import Desk


def test_the_last_run_of_the_environment_that_is_named(desk: Desk, staging: str, master: str) -> None:
    """Not the last of another task, and from the ledger where the folder of runs is another machine's."""
    run = desk.deploy(until="plan").document["run"]
    desk.preflight()
    answer = reading.show_report(desk.request(), run=None, form="md")
    assert (answer.exit_code, answer.document["run"]) == (EXIT_DONE, run)
    elsewhere = desk.request()
    elsewhere = type(elsewhere)(env="staging", inventory=desk.inventory, runs=Path(desk.folder / "elsewhere"))
    assert reading.show_report(elsewhere, run=None, form="json").document["run"] == run
