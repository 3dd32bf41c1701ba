"""Values and names in the SQL that several connections, or pgbench, run as it stands."""

from __future__ import annotations

import psycopg
import pytest

from orchestrator.adapters.write_load import Script, script_text
from orchestrator.adapters.write_sql import WrittenOut, insert, sampled, update
from orchestrator.core.catalog import Column, Table, TableName
from tests.conftest import server_of

VALUES = (
    "",
    "it's",
    "back\\slash \\' \\n",
    ":client_id ::text :1 12:30:00",
    "line\nbreak\r\nand\ttab",
    '"quoted" $1 %s {0} \\;',
    "\N{GREEK SMALL LETTER ALPHA}\N{GRINNING FACE}",
)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("strings", ["on", "off"])
def test_a_value_is_read_back_as_it_was_written(database: str, value: str, strings: str) -> None:
    """Whatever it holds and however the server takes plain strings; on one line, without a colon."""
    text = WrittenOut(value).as_string(None)
    assert not set(":\n\r") & set(text)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"set standard_conforming_strings = {strings}".encode())
        assert connection.execute(f"select {text}".encode()).fetchone() == (value,)


def test_null_is_null() -> None:
    """Not a text."""
    assert WrittenOut(None).as_string(None) == "NULL"


def test_a_row_without_a_key_is_told_by_its_place(database: str) -> None:
    """Of two rows that are alike, one is changed."""
    names = ("a", "b")
    columns = tuple(Column(name=each, type_name="text", base_type=25) for each in names)
    table = Table(name=TableName(schema="public", name="heap: of"), columns=columns, rows=2)
    with server_of(database).session("test", read_only=False) as connection:
        connection.execute('create table "heap: of" (a text, b text)')
        for _ in range(2):
            connection.execute(insert(table, {"a": "x:y", "b": None}).encode())
        first, second = sampled(connection, table, 5)
        connection.execute(update(table, first, ["b"], {"b": "changed"}).encode())
        found = connection.execute('select a, b from "heap: of" order by b').fetchall()
    assert found == [{"a": "x:y", "b": "changed"}, {"a": "x:y", "b": None}]
    assert second["ctid"] != first["ctid"]


def test_rows_that_are_too_long_are_not_read(database: str) -> None:
    """Their size is known from what they take on disk."""
    table = Table(
        name=TableName(schema="public", name="t"), columns=(Column(name="a", type_name="bytea", base_type=17),)
    )
    with server_of(database).session("test", read_only=False) as connection:
        connection.execute("create table t (a bytea); alter table t alter a set storage external")
        connection.execute("insert into t select decode(repeat('ab', n), 'hex') from unnest(array[10, 100000]) n")
        (only,) = sampled(connection, table, 5)
    assert only["a"] == "\\x" + "ab" * 10


def test_each_client_counts_through_writes_of_its_own() -> None:
    """No write is in two clients' hands while there are enough; where there are not, they share."""
    rounds = tuple(((f"insert {number}",), (f"delete {number}",)) for number in range(5))
    shares = [Script(table="t", rounds=rounds).share(client, 2) for client in range(2)]
    assert [len(each) for each in shares] == [6, 4]
    assert not set(shares[0]) & set(shares[1])
    assert Script(table="t", rounds=rounds[:1]).share(3, 4) == rounds[0]


def test_a_script_closes_what_it_opens() -> None:
    """One branch per client, in it one per transaction, each a single message."""
    text = script_text(Script(table="t", rounds=((("BEGIN", "x", "ROLLBACK"),),) * 4), 7, 2)
    assert text.count("\\if") == text.count("\\endif") == 3
    assert text.count("BEGIN\\; x\\; ROLLBACK;") == 4
    assert text.count("\\set turn_7 (:turn_7 + 1) % 2") == 2
