"""Losing the target in the middle: the same database is found again wherever it went, another one is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from orchestrator.adapters import points
from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.programs import server_installation
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, EXIT_HELD, TargetChanged, TargetLost
from tests import servers
from tests.acceptance.copies import PhysicalCopy
from tests.acceptance.desk import Desk, execute, fingerprint, has_ledger, keys, value
from tests.acceptance.losses import lose_undos
from tests.acceptance.proxied import At, Site, until, with_tables
from tests.chaos.sections import port_of, with_port
from tests.conftest import MATRIX

REFUSED_AFTER = 29
REFUSE = """
create function refuse() returns event_trigger language plpgsql as $$ begin
    if exists (select from pg_constraint where contype = 'f' having count(*) > 30) then
        raise exception 'no more keys' using errcode = '42P17';
    end if;
end $$;
create event trigger refuse on ddl_command_end when tag in ('ALTER TABLE') execute function refuse()
"""
"""One key stands before, so that the 30th is refused."""


@pytest.fixture
def standby(site: Site) -> Iterator[PhysicalCopy]:
    """A streaming, asynchronous standby of the primary."""
    made = PhysicalCopy(site.primary.url(), standby=True)
    made.start()
    yield made
    made.stop()


def caught_up(site: Site, standby: PhysicalCopy) -> None:
    """Until the standby has replayed everything."""
    position = value(site.primary.url(), "select pg_current_wal_lsn()::text")
    until(standby.url("postgres"), "select pg_last_wal_replay_lsn() >= %s::pg_lsn", position)


def promote(site: Site, standby: PhysicalCopy) -> None:
    """The primary dies without a word, the standby takes its place."""
    site.primary.stop(immediate=True)
    assert value(standby.url("postgres"), "select pg_promote(true, 60)")
    site.leads_to(standby.port)


@MATRIX
def test_a_failover_without_loss(desk: Desk, site: Site, standby: PhysicalCopy, at: At) -> None:
    """The run goes on by itself on the promoted standby: same identifier, each statement once, chain whole."""

    def fail_over() -> None:
        caught_up(site, standby)
        promote(site, standby)

    at(20, fail_over)
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert len(keys(standby.url(site.name))) == 45
    assert desk.events(answer, "connection_restored")
    done = [each["id"] for each in desk.events(answer, "statement_done")]
    assert len(done) == len(set(done)) == 88
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


def test_a_failover_that_loses_the_tail(desk: Desk, site: Site, standby: PhysicalCopy, at: At) -> None:
    """What the standby never got is done again, and its loss is on record: rewound, not forged."""

    def fall_behind() -> None:
        caught_up(site, standby)
        execute(standby.url("postgres"), "alter system set primary_conninfo = ''", "select pg_reload_conf()")
        until(site.primary.url(), "select not exists (select from pg_stat_replication)")

    at(10, fall_behind)
    at(20, lambda: promote(site, standby))
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert len(keys(standby.url(site.name))) == 45
    (rewound,) = desk.events(answer, "ledger_rewound")
    assert len(rewound["lost"]) >= 9
    assert rewound["after"] > 0
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "rewound")
    assert desk.rollback().exit_code == EXIT_DONE
    assert desk.deploy().exit_code == EXIT_DONE


def test_a_tail_that_only_the_copy_knows(desk: Desk, site: Site, standby: PhysicalCopy, at: At) -> None:
    """The run was interrupted before the failover: resume finds the copy ahead of the ledger and records it."""

    def fall_behind() -> None:
        caught_up(site, standby)
        execute(standby.url("postgres"), "alter system set primary_conninfo = ''", "select pg_reload_conf()")
        until(site.primary.url(), "select not exists (select from pg_stat_replication)")

    at(10, fall_behind)
    at(20, lambda: site.primary.stop(immediate=True))
    execute_policy(desk, site, "reconnect_within_s = 1")
    with pytest.raises(TargetLost):
        desk.deploy()
    assert value(standby.url("postgres"), "select pg_promote(true, 60)")
    site.leads_to(standby.port)
    answer = desk.resume()
    assert answer.exit_code == EXIT_DONE
    assert len(desk.events(answer, "ledger_rewound")) == 1
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "rewound")


def test_a_failover_that_loses_the_end_of_a_way_back(desk: Desk, staging: str, at: At) -> None:
    """A run that failed walks back by itself: keys that stand again are taken away again, and nothing is left."""
    before = fingerprint(staging)
    execute(staging, REFUSE)
    undone = 10

    def lose() -> None:
        run = value(staging, "select id from orchestrator.run")
        assert value(staging, "select count(*) from orchestrator.event where kind = 'statement_undone'") == undone
        lose_undos(staging, run, 3)

    at(REFUSED_AFTER + undone, lose)
    answer = desk.deploy()
    execute(staging, "drop event trigger refuse", "drop function refuse")
    assert (answer.exit_code, answer.document["rolled_back"]) == (EXIT_FAILED, True)
    assert len(keys(staging)) == 1
    assert fingerprint(staging) == before
    assert len(desk.events(answer, "ledger_rewound")) == 1
    assert len(desk.events(answer, "statement_undone")) == REFUSED_AFTER
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "rewound")


@MATRIX
def test_another_database_at_the_same_address(
    desk: Desk, site: Site, at: At, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It has the same name and the same tables and is not the one: exit 1, and nothing is done to it."""
    with Cluster(directory=tmp_path_factory.mktemp("other"), installation=server_installation(16)) as other:
        url = with_tables(other, site.name)
        execute(other.url(), f"alter role postgres password '{secret_of(site.primary)}'")
        at(20, lambda: site.leads_to(port_of(other)))
        with pytest.raises(TargetChanged, match="another database now") as stopped:
            desk.deploy()
        assert stopped.value.exit_code == 1
        direct = with_port(site.primary.url(site.name), port_of(other))
        assert not has_ledger(direct)
        assert len(keys(direct)) == 1
        assert servers.database_name(url) == site.name
    site.leads_to(port_of(site.primary))
    assert desk.resume().exit_code == EXIT_DONE


def test_a_server_that_is_restarted(desk: Desk, site: Site, at: At) -> None:
    """Whatever port it comes back on, behind the same address: the run is done by itself."""

    def restart() -> None:
        site.primary.stop()
        site.primary.start()
        site.leads_to(port_of(site.primary))

    at(30, restart)
    answer = desk.deploy()
    assert answer.exit_code == EXIT_DONE
    assert desk.verified(answer.document["run"]) == (EXIT_DONE, "whole")


def test_a_server_that_stays_away(desk: Desk, site: Site, at: At) -> None:
    """After the time that the policy gives it the run stops with 3, and resume goes on when it is back."""
    execute_policy(desk, site, "reconnect_within_s = 1")
    at(30, site.primary.stop)
    with pytest.raises(TargetLost, match=r"invoke resume --env staging --inventory \S+ --runs \S+") as stopped:
        desk.deploy()
    assert stopped.value.exit_code == EXIT_HELD
    site.primary.start()
    site.leads_to(port_of(site.primary))
    assert desk.resume().exit_code == EXIT_DONE


def execute_policy(desk: Desk, site: Site, policy: str) -> None:
    """Staging with another policy."""
    desk.environment("staging", with_port(site.primary.url(site.name), site.proxy.port), policy=policy)


def secret_of(cluster: Cluster) -> str:
    """The password of a cluster's superuser."""
    return str(psycopg.conninfo.conninfo_to_dict(cluster.url())["password"])


@MATRIX
def test_a_server_that_is_gone_before_anything_began(desk: Desk, site: Site, at: At) -> None:
    """Lost in preflight and not found again: refused, nothing on record there, and the next deployment works."""
    execute_policy(desk, site, "reconnect_within_s = 1")
    seen: list[str] = []

    def stop(point: str) -> None:
        if point == "file:journal.jsonl" and not seen:
            seen.append(point)
            site.primary.stop(immediate=True)

    points.visit(stop)
    answer = desk.deploy()
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    site.primary.start()
    site.leads_to(port_of(site.primary))
    assert not has_ledger(site.primary.url(site.name))
    assert desk.deploy().exit_code == EXIT_DONE
