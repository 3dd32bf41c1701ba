"""Rows asked about candidates: samples, exact counts, limits, and what they make of whole schemas."""

from __future__ import annotations

import psycopg
import pytest

from orchestrator.adapters import inclusion
from orchestrator.adapters.inclusion import LIMIT_MS, InclusionQueries
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.core.suggestion.candidate import THRESHOLD, Suggestions
from orchestrator.core.suggestion.inclusion import Inclusion, questions, with_data
from orchestrator.core.suggestion.search import suggest
from tests import servers
from tests.conftest import MATRIX, ClusterUrl, server_of
from tests.suggestion.facts import REAL
from tests.suggestion.filled import build, populate, suggested_with_data
from tests.suggestion.score import macro, real_schemas, score

ROWS = 500
IN_THE_SUITE = "hoppscotch"
PRECISION, RECALL = 0.98, 0.90

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE good (id bigint PRIMARY KEY, user_id bigint);
CREATE TABLE bad (id bigint PRIMARY KEY, user_id bigint);
CREATE TABLE vacant (id bigint PRIMARY KEY, user_id bigint);
INSERT INTO users SELECT 7 * n FROM generate_series(1, 1000) n;
INSERT INTO good SELECT n, CASE WHEN n % 50 = 0 THEN -n WHEN n % 3 > 0 THEN 7 * (n % 1000 + 1) END
FROM generate_series(1, 3000) n;
INSERT INTO bad SELECT n, n FROM generate_series(1, 3000) n;
ANALYZE;
"""


@pytest.fixture
def small(database: str) -> str:
    """One parent with gaps between its keys; a child with few orphans, one with many, one without rows."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    return database


def asked(url: str, *, limit_ms: int = LIMIT_MS) -> tuple[Suggestions, dict[str, Inclusion]]:
    """The suggestions before any row was asked, and what the rows say, by table."""
    server = server_of(url)
    catalog = DatabaseCatalog(server=server).catalog()
    found = suggest(catalog)
    queries = InclusionQueries(server=server, catalog=catalog, limit_ms=limit_ms)
    return found, {each.table.name: seen for each, seen in queries.measure(questions(found))}


def test_orphans_are_counted_exactly_where_it_is_worth_it(small: str) -> None:
    """A sample tells that nothing is to be hoped for; everything else is read in whole."""
    _, seen = asked(small)
    good, bad, vacant = seen["good"], seen["bad"], seen["vacant"]
    assert (good.rows, good.orphans, good.keys, good.exact) == (2020, 60, 1000, True)
    assert good.distinct == 1040
    assert good.confirms
    assert not good.by_chance
    assert not bad.exact
    assert bad.hopeless
    assert not vacant.tells


def test_rows_change_the_confidence(small: str) -> None:
    """Surer, hardly worth a look, unconfirmed; each with the numbers among its reasons."""
    server = server_of(small)
    catalog = DatabaseCatalog(server=server).catalog()
    found = suggest(catalog)
    seen = {each.id: said for each, said in InclusionQueries(server=server, catalog=catalog).measure(questions(found))}
    before = {each.table.name: each for each in found.candidates}
    after = {each.table.name: each for each in with_data(found, seen).candidates}
    assert after["good"].confidence > before["good"].confidence
    assert after["bad"].confidence < THRESHOLD
    assert after["vacant"].confidence < before["vacant"].confidence
    assert "60 of 2020 rows refer to nothing (3.0%); 1040 different values, 1000 keys" in after["good"].reasons[-1]


def test_a_large_table_is_sampled_by_pages(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its values are not counted."""
    monkeypatch.setattr(inclusion, "LARGE", 1000)
    monkeypatch.setattr(inclusion, "SAMPLE", 100)
    _, seen = asked(small)
    assert (seen["good"].rows, seen["good"].orphans, seen["good"].distinct) == (2020, 60, None)
    assert seen["bad"].rows <= 100


def test_what_takes_too_long_is_told_from_the_sample(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is a statement's; the work goes on with the next candidate."""
    unused = "{columns}{child}{part}{present}{limit}{parent}{equal}"
    monkeypatch.setattr(inclusion, "SAMPLED", f"SELECT 10::bigint AS rows, 0::bigint AS orphans /* {unused} */")
    monkeypatch.setattr(inclusion, "counted", lambda *_: psycopg.sql.SQL("SELECT pg_sleep(20), 0 AS orphans").format())
    _, seen = asked(small, limit_ms=50)
    assert not any(each.exact for each in seen.values())
    assert {each.rows for each in seen.values()} == {10}


def test_nothing_is_changed_and_what_may_not_be_read_is_told(small: str) -> None:
    """The transactions only read; a table without the right to it tells nothing."""
    role = f"reader_{servers.database_name(small)}"
    with psycopg.connect(small, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role}; GRANT SELECT ON users, bad, vacant TO {role}".encode())
        server = server_of(small)
        server = type(server)(environment="x", url=server.url, source="x", run=server.run, role=role)
        catalog = DatabaseCatalog(server=server).catalog()
        found = suggest(catalog)
        measured = {
            each.table.name: seen
            for each, seen in InclusionQueries(server=server, catalog=catalog).measure(questions(found))
        }
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    assert "permission denied" in measured["good"].words()
    assert measured["bad"].rows


def test_a_database_without_a_row_says_nothing(database: str) -> None:
    """Then the names alone decide, as if nobody had asked."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE notes (id int, user_id int)")
    (candidate,) = suggested_with_data(database).over(THRESHOLD)
    assert candidate.table.name == "notes"


@pytest.mark.parametrize(
    "name",
    [each.stem if each.stem == IN_THE_SUITE else pytest.param(each.stem, marks=MATRIX) for each in REAL.glob("*.json")],
)
def test_a_real_schema_with_rows(name: str, database: str) -> None:
    """On a server and with rows along the true keys the suggestions are at least as good as without."""
    facts = dict(real_schemas())[name]
    build(database, facts)
    assert populate(database, facts, rows=ROWS) > 0
    found = score(name, facts, suggested_with_data(database).over(THRESHOLD))
    assert found.precision >= 0.95
    assert found.recall >= 0.80


@MATRIX
def test_the_nine_real_schemas_with_rows(cluster_url: ClusterUrl) -> None:
    """Means over schemas: 2 % of the rows were made orphans."""
    scores = []
    for name, facts in real_schemas():
        url = servers.fresh_database(cluster_url(16))
        build(url, facts)
        populate(url, facts, rows=ROWS)
        scores.append(score(name, facts, suggested_with_data(url).over(THRESHOLD)))
        servers.drop_database(url)
    precision, recall = macro(scores)
    assert precision >= PRECISION
    assert recall >= RECALL


def test_of_tables_with_one_identity_the_smallest_that_has_all_values(database: str) -> None:
    """Names tell nothing where a party, a person and an employee have the same key."""
    with psycopg.connect(database, autocommit=True) as connection:
        for name in ("party", "person", "employee"):
            connection.execute(f"CREATE TABLE {name} (party_id int PRIMARY KEY)".encode())
        connection.execute("CREATE TABLE badge (badge_no int PRIMARY KEY, party_id int)")
        connection.execute("INSERT INTO party SELECT n FROM generate_series(1, 900) n")
        connection.execute("INSERT INTO person SELECT 2 * n FROM generate_series(1, 400) n")
        connection.execute("INSERT INTO employee SELECT 6 * n FROM generate_series(1, 100) n")
        connection.execute("INSERT INTO badge SELECT n, 2 * (n % 400 + 1) FROM generate_series(1, 400) n")
    (badge,) = [each for each in suggested_with_data(database).candidates if each.table.name == "badge"]
    assert badge.referenced.name == "person"
    assert "the smallest of 2 tables" in " ".join(badge.reasons)
