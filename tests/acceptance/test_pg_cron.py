"""Option B on a server that has the real pg_cron: its job stands there, is run by it, and goes with what it calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from secrets import token_urlsafe

import pytest

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import Installation, ProgramsMissing, installations
from orchestrator.app import recording
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED
from tests import known_secrets
from tests.acceptance.desk import Desk, execute, fingerprint, rows
from tests.acceptance.option_b import LOST, Shop
from tests.conftest import MATRIX

JOBS = "select jobname, schedule, command, username, active from cron.job"
AUDITS = "select orphans, fresh, health, alert from orphan_audit.audit_run where duration_ms is not null order by id"
MINUTE_S = 60
OWNER, PASSWORD = "shop_owner", token_urlsafe(12)


def _url(cron: Cluster) -> str:
    return cron.url("shop", user=OWNER, password=PASSWORD)


def _with_pg_cron() -> Installation:
    """The programs of a server that has it. Raises ProgramsMissing."""
    for each in installations():
        library = each.bindir.parent / "lib" / "pg_cron.so"
        if each.has("initdb", "postgres") and library.exists():
            return each
    message = "no PostgreSQL with pg_cron"
    raise ProgramsMissing(message)


@pytest.fixture
def cron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that loads pg_cron for the database `shop`; its jobs run as background workers, which need no login."""
    try:
        installation = _with_pg_cron()
    except ProgramsMissing:
        pytest.skip("no PostgreSQL with pg_cron on this machine (.ci/run installs Debian's postgresql-15-cron)")
    settings = {
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "shop",
        "cron.use_background_workers": "on",
    }
    folder = tmp_path_factory.mktemp("pg_cron") / "cluster"
    cluster = Cluster(directory=folder, installation=installation, settings=settings)
    cluster.start()
    known_secrets.remember(cluster.url())
    yield cluster
    cluster.discard()


@pytest.fixture
def shop(cron: Cluster, desk: Desk) -> Shop:
    """A shop that was decided for option B, in the database whose jobs pg_cron runs; its owner is an ordinary role."""
    execute(cron.url(), f"create role {OWNER} login password '{PASSWORD}'", f"create database shop owner {OWNER}")
    execute(cron.url("shop"), "create extension pg_cron", f"grant usage on schema cron to {OWNER}")
    made = Shop(desk=desk, url=_url(cron))
    made.open()
    return made


def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("schedule", ["@reboot", pytest.param("* * * * *", marks=MATRIX)])
def test_pg_cron_runs_the_audits_of_option_b(cron: Cluster, shop: Shop, desk: Desk, schedule: str) -> None:
    """The deployment schedules, the server audits, and the way back leaves no job behind.

    To wait for a minute is left to the matrix: the suite starts the server again, which is a moment to pg_cron, too.
    """
    before = fingerprint(shop.url)
    deployed = desk.deploy(runbook=shop.runbook)
    assert (deployed.exit_code, deployed.document["schedule"]["by"]) == (EXIT_DONE, "pg_cron")
    assert rows(shop.url, JOBS) == [("orphan_audit", "17 * * * *", 'CALL "orphan_audit".record_audit()', OWNER, True)]
    execute(shop.url, *LOST, f"select orphan_audit.schedule('{schedule}')")
    if schedule == "@reboot":
        cron.stop()
        cron.start()
        shop.url = _url(cron)
        desk.environment("staging", shop.url)
    until(lambda: rows(shop.url, AUDITS), 2 * MINUTE_S)
    assert rows(shop.url, AUDITS)[0] == (3, 3, "alert", True)
    until(lambda: rows(shop.url, "select from cron.job_run_details where status = 'succeeded'"), MINUTE_S)
    record = desk.request(runbook=shop.runbook)
    assert recording.record(record).exit_code == EXIT_FAILED
    assert rows(shop.url, AUDITS)[-1][:2] == (3, 0)
    execute(shop.url, "delete from notes where id = 3", "delete from orders where id > 2")
    assert desk.rollback(runbook=shop.runbook).exit_code == EXIT_DONE
    assert (rows(shop.url, JOBS), fingerprint(shop.url)) == ([], before)


@MATRIX
def test_option_a_takes_the_job_away(shop: Shop, desk: Desk) -> None:
    """With what it calls, once the keys are valid."""
    assert desk.deploy(runbook=shop.runbook).exit_code == EXIT_DONE
    assert len(rows(shop.url, JOBS)) == 1
    shop.decide("A")
    added = desk.deploy(runbook=shop.runbook)
    assert added.exit_code == EXIT_DONE, added.document
    assert rows(shop.url, JOBS) == []
