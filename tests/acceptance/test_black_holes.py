"""An address behind which nothing answers and nothing is closed: it is noticed, cut, and the run goes on."""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg
import pytest

from orchestrator.adapters import lease, points, postgres, silence
from orchestrator.core.outcome import EXIT_DONE
from tests.acceptance.desk import Desk, keys, value
from tests.acceptance.proxied import At, Site, until
from tests.chaos.sections import with_port
from tests.conftest import MATRIX, server_of


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is told from slowness after a second: the tests would wait for it otherwise."""
    for module, name in ((lease, "SILENT_FOR_S"), (lease, "HEARTBEAT_S"), (silence, "ANSWER_WITHIN_S")):
        monkeypatch.setattr(module, name, 1.0)


def swallow_all_but_the_lease(site: Site) -> None:
    """The lease's connection is cut instead, so that the heartbeat is well again on a new one."""
    heart = "select client_port from pg_stat_activity where application_name like 'orchestrator/%/lease'"
    port = value(site.primary.url(), heart)
    site.proxy.swallow()
    site.proxy.cut_from(port)


@pytest.mark.usefixtures("impatient")
def test_a_black_hole(desk: Desk, site: Site, at: At) -> None:
    """Nothing answers and nothing is closed: it is noticed, cut, and the run goes on."""
    at(30, site.proxy.swallow)
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert desk.events(answer, "connection_restored")


@pytest.mark.usefixtures("impatient")
def test_a_black_hole_that_the_heartbeat_escapes(desk: Desk, site: Site, at: At) -> None:
    """Its connection is cut and made again, and answers; the others stay silent, and are found out one by one."""
    at(30, lambda: swallow_all_but_the_lease(site))
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert len(keys(site.primary.url(site.name))) == 45
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


@pytest.mark.usefixtures("impatient")
def test_a_black_hole_in_the_middle_of_the_dump(desk: Desk, site: Site) -> None:
    """pg_dump would wait for ever on a connection of its own; it goes with ours, and the backup is taken again."""
    waits = "select exists (select from pg_stat_activity where application_name like %s and wait_event_type = 'Lock')"

    def swallow() -> None:
        with psycopg.connect(site.primary.url(site.name)) as blocker:
            blocker.execute("lock table users in access exclusive mode")
            begun.set()
            until(site.primary.url(), waits, "orchestrator/%/backup")
            swallow_all_but_the_lease(site)

    begun, thread = threading.Event(), threading.Thread(target=swallow, daemon=True)

    def visit(point: str) -> None:
        if point == "backup:folder made" and not thread.ident:
            thread.start()
            begun.wait()

    points.visit(visit)
    desk.environment("staging", with_port(site.primary.url(site.name), site.proxy.port), backup='mode = "dump"')
    answer = desk.deploy()
    points.visit(lambda _: None)
    thread.join()
    assert answer.exit_code == EXIT_DONE
    assert desk.events(answer, "connection_restored")
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


@MATRIX
@pytest.mark.usefixtures("impatient")
def test_a_black_hole_while_reconnecting(desk: Desk, site: Site, at: At) -> None:
    """New connections are swallowed, too, for a while: each way to a new one ends by itself."""

    def swallow() -> None:
        site.proxy.cut()
        site.proxy.swallow_next(1)

    at(30, swallow)
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert site.proxy.to_swallow == 0
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


@MATRIX
@pytest.mark.usefixtures("impatient")
def test_a_black_hole_before_anything_began(desk: Desk, site: Site, at: At) -> None:
    """While the preflight reads there is no lease yet; it is noticed, and refused with nothing changed."""
    seen: list[str] = []

    def swallow(point: str) -> None:
        if point == "file:journal.jsonl" and not seen:
            seen.append(point)
            site.proxy.swallow()

    points.visit(swallow)
    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"], seen) == (2, "refused", ["file:journal.jsonl"])
    assert "connection" in answer.document["reason"]
    assert desk.deploy().exit_code == EXIT_DONE


@pytest.mark.parametrize("known", [True, False])
def test_a_long_statement_is_no_silence(master: str, *, known: bool) -> None:
    """Nor is one whose process the server does not know by that number, as behind a proxy that gives out its own."""
    server, found = server_of(master), silence.Silence(after_s=0.0)
    active = "select exists (select from pg_stat_activity where pid = %s and state = 'active')"
    with server.connect("asks") as asking, server.connect("works") as working, server.connect("stops") as stopping:
        pid = postgres.pid_of(working)
        if not known:
            postgres._pids[working] = 2**31 - 1
        work = threading.Thread(target=sleeps, args=(working,), daemon=True)
        work.start()
        until(master, active, pid)
        assert [found.dead(asking, (asking, working, stopping)) for _ in range(3)] == [[], [], []]
        stopping.execute("select pg_terminate_backend(%s)", (pid,))
        work.join()


def sleeps(connection: postgres.Connection) -> None:
    """Until somebody ends the session."""
    with suppress(psycopg.OperationalError):
        connection.execute("select pg_sleep(60)")
