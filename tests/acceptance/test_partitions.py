"""Partitions that had keys of their own before the partitioned table got one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.core.outcome import EXIT_DONE
from tests import servers
from tests.acceptance.desk import Desk, execute, fingerprint
from tests.conftest import MAJORS, MATRIX, NEWEST, ClusterUrl

TABLES = """
create table parent (id int primary key);
create table child (id int, parent_id int, day date) partition by range (day);
create table child_old partition of child for values from (minvalue) to ('2026-01-01');
create table child_new partition of child for values from ('2026-01-01') to (maxvalue);
insert into parent select generate_series(1, 5);
insert into child select i, i, date '2025-12-30' + i from generate_series(1, 5) i;
"""
LINE = """
[[foreign_key]]
table = "child"
columns = ["parent_id"]
references = { table = "parent", columns = ["id"] }
"""
KEYS = {
    "one": ("a", ""),
    "one NOT VALID": ("a", " not valid"),
    "two": ("a", "", "b", ""),
    "two, the first NOT VALID": ("a", " not valid", "b", ""),
    "two, the second NOT VALID": ("a", "", "b", " not valid"),
}


@pytest.fixture
def partitioned(request: pytest.FixtureRequest, cluster_url: ClusterUrl) -> Iterator[str]:
    """A database with a partitioned table, on the version that the test names."""
    url = servers.fresh_database(cluster_url(request.param))
    execute(url, TABLES)
    yield url
    servers.drop_database(url)


# Where two come back one does: with one, the newest version is enough for the suite.
@pytest.mark.parametrize(
    ("partitioned", "keys"),
    [
        pytest.param(
            major, keys, id=f"{major}-{name}", marks=MATRIX if major == 15 or (major, len(keys)) == (16, 2) else ()
        )
        for major in MAJORS
        for name, keys in KEYS.items()
    ],
    indirect=["partitioned"],
)
def test_there_and_back_twice(desk: Desk, partitioned: str, keys: tuple[str, ...]) -> None:
    """The partition's own keys are as they were after the way back, however many it had and in whatever state."""
    for name, state in zip(keys[::2], keys[1::2], strict=True):
        execute(
            partitioned,
            f"alter table child_old add constraint {name} foreign key (parent_id) references parent (id){state}",
        )
    desk.environment("staging", partitioned)
    runbook = desk.runbook(LINE)
    before = fingerprint(partitioned)
    for _ in range(2):
        assert desk.deploy(runbook=runbook).exit_code == EXIT_DONE
        assert desk.validate(runbook=runbook).exit_code == EXIT_DONE
        assert desk.rollback(runbook=runbook).exit_code == EXIT_DONE
        assert fingerprint(partitioned) == before


# 15 takes the same locks as 16.
@pytest.mark.parametrize("partitioned", [pytest.param(16, marks=MATRIX), 18], indirect=True)
def test_a_rehearsal_of_a_partitioned_table(desk: Desk, partitioned: str) -> None:
    """A partition has its own key back on the copy, too, and the locks are the plan's; then like another one."""
    execute(partitioned, "alter table child_old add constraint own foreign key (parent_id) references parent (id)")
    desk.environment("staging", partitioned)
    runbook = desk.runbook(LINE)
    first = desk.rehearse(runbook=runbook)
    assert first.exit_code == EXIT_DONE, first.document["reason"]
    assert all(each["proved"] for each in first.document["evidence"]["ways_back"])
    url = servers.fresh_database(partitioned)
    try:
        execute(url, TABLES, "alter table child_old add constraint own foreign key (parent_id) references parent (id)")
        desk.environment("prod", url)
        desk.deploy(runbook=runbook)
        again = desk.rehearse(runbook=runbook, like="prod")
        assert again.exit_code == EXIT_DONE, again.document["reason"]
        assert again.document["evidence"]["digest"] == first.document["evidence"]["digest"]
        assert again.document["evidence"]["fingerprint"] == first.document["evidence"]["fingerprint"]
    finally:
        servers.drop_database(url)


BOTH_SIDES = """
create table parent (id int primary key, up int) partition by range (id);
create table parent_low partition of parent for values from (minvalue) to (10);
create table parent_high partition of parent for values from (10) to (maxvalue);
create table child (id int, parent_id int, day date) partition by range (day);
create table child_old partition of child for values from (minvalue) to ('2026-01-01');
create table child_new partition of child for values from ('2026-01-01') to (maxvalue);
create table plain (id int primary key, up int, parent_id int);
"""
OWN = """
alter table child_old add constraint own foreign key (parent_id) references parent (id);
alter table parent_low add constraint own foreign key (up) references parent (id);
"""
SIDES = (
    ("child", "parent_id", "parent"),
    ("plain", "parent_id", "parent"),
    ("plain", "up", "plain"),
    ("parent", "up", "parent"),
)


@pytest.mark.parametrize("own", ["", OWN], ids=["no keys of their own", "keys of their own"])
@pytest.mark.parametrize("major", NEWEST)
def test_the_locks_between_partitioned_tables(desk: Desk, cluster_url: ClusterUrl, major: int, own: str) -> None:
    """Partitions on both sides, and tables that refer to themselves: nobody is locked out beyond the plan."""
    url = servers.fresh_database(cluster_url(major))
    try:
        execute(url, BOTH_SIDES, *([own] if own else []))
        desk.environment("staging", url)
        lines = (
            f'[[foreign_key]]\ntable = "{table}"\ncolumns = ["{column}"]\n'
            f'references = {{ table = "{referenced}", columns = ["id"] }}\n'
            for table, column, referenced in SIDES
        )
        answer = desk.rehearse(runbook=desk.runbook("".join(lines)))
        assert answer.exit_code == EXIT_DONE, answer.document["reason"]
    finally:
        servers.drop_database(url)
