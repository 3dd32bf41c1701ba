"""`foreign_keys.toml` brought up to date: every byte that nothing is said about stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.contract_file import read_contract, updated, write_contract
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Relation
from orchestrator.core.contract_update import Source, update_of
from orchestrator.core.outcome import BadDocument, Refused

PEOPLE = """\
# Ours.   With  odd spacing

[[foreign_key]] # the first
table   =  'a'
columns = [ "b_id" , ]   # why
references = { columns = ["id"], table = "b" } # where to
on_delete = "cascade" # dangerous
name = '''old'''
priority = "critical"
# the last word on the first

# The second part.
[[foreign_key]]
schema = "s"
table = "c"
columns = ["d"]
deferred = "because"
[foreign_key.references]
table = "e"
columns = ["id"]
"""

ADDED = """
[[foreign_key]]
schema = "s p"
table = "x \\"y\\""
columns = ["ü", "line\\nend"]
references = { schema = "t", table = "z", columns = ["p", "q"] }
on_delete = "set null"
on_delete_columns = ["ü"]
on_update = "no action"
deferrable = "initially deferred"
match = "full"
name = "n"
deferred = "not here"
"""


def brought(path: Path, *keys: Relation) -> str:
    """The file after these keys of a source."""
    stands = read_contract(path)
    write_contract(updated(stands, update_of(stands.contract, Source(name="x", relations=keys))))
    return path.read_bytes().decode()


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A contract that people wrote."""
    path = tmp_path / "foreign_keys.toml"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def test_nothing_new_changes_no_byte(people: Path) -> None:
    """Not even the file's time, were it not written."""
    assert brought(people, *load_contract(people).relations) == PEOPLE


def test_a_change_keeps_comments_order_and_spacing(people: Path) -> None:
    """What is not there yet goes behind the line's last key, before the comments of the next."""
    first, second = load_contract(people).relations
    changed = replace(first, on_delete="restrict", on_update="cascade", name="new", referenced_columns=("nr",))
    expected = (
        PEOPLE.replace('on_delete = "cascade" # d', 'on_delete = "restrict" # d')
        .replace("name = '''old'''", 'name = "new"')
        .replace('{ columns = ["id"]', '{ columns = ["nr"]')
        .replace('priority = "critical"\n', 'priority = "critical"\non_update = "cascade"\n')
    )
    assert brought(people, changed, second) == expected
    assert brought(people, changed, second) == expected


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_new_line_says_all_that_is_not_usual(line_end: str, people: Path) -> None:
    """Name and actions always; the file's own line ends."""
    people.write_bytes(PEOPLE.replace("\n", line_end).encode())
    new = Relation(
        table=TableName(schema="s p", name='x "y"'),
        columns=("ü", "line\nend"),
        referenced=TableName(schema="t", name="z"),
        referenced_columns=("p", "q"),
        on_delete="set null",
        on_delete_columns=("ü",),
        deferrable="initially deferred",
        match="full",
        name="n",
        deferred="not here",
    )
    assert brought(people, *load_contract(people).relations, new) == (PEOPLE + ADDED).replace("\n", line_end)
    assert load_contract(people).relations[-1] == new


def test_a_target_in_a_table_of_its_own_is_changed_there(people: Path) -> None:
    """With its schema, when it is another than the line's."""
    first, second = load_contract(people).relations
    text = brought(people, first, replace(second, referenced=TableName(schema="t", name="f")))
    assert text == PEOPLE.replace('table = "e"\ncolumns = ["id"]\n', 'table = "f"\ncolumns = ["id"]\nschema = "t"\n')


def test_a_new_key_of_a_line_stands_before_its_tables(people: Path) -> None:
    """Behind them it would be one of theirs."""
    first, second = load_contract(people).relations
    text = brought(people, first, replace(second, match="full"))
    assert text == PEOPLE.replace('"because"\n', '"because"\nmatch = "full"\n')


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("[[ foreign_key ]]   # odd", "[[ foreign_key ]]   # odd"),
        ('columns = [\n  "b_id", # its\n]', 'columns = [\n  "z", # its\n]'),
        ('deferred = """\n[[foreign_key]]\n"""', 'deferred = """\n[[foreign_key]]\n"""'),
        ("references.columns=['id']\nreferences.table='b'", "references.columns=['id']\nreferences.table=\"c\""),
    ],
)  # fmt: skip
def test_other_ways_to_write_a_line_stay(line: str, changed: str, people: Path) -> None:
    """Headers, lists over several lines, texts that look like headers, keys with dots."""
    rest = {"table": "a", "columns": ["b_id"], "name": "n"}
    head = line if line.startswith("[[") else "[[foreign_key]]\n" + line
    text = head + "\n" + "".join(f"{key} = {value!r}\n" for key, value in rest.items() if not line.startswith(key))
    text += "" if "references" in line else "references = { table = 'b', columns = ['id'] }\n"
    people.write_text(text, encoding="utf-8")
    (only,) = load_contract(people).relations
    target = TableName(schema="public", name="c")
    new = brought(people, replace(only, columns=("z",), referenced=target))
    expected = text.replace(line, changed).replace("['b_id']", '["z"]').replace("table = 'b'", 'table = "c"')
    assert new == expected.replace("columns = ['z']", 'columns = ["z"]')


def test_a_file_without_a_last_line_end_gets_one(people: Path) -> None:
    """The new line begins a line of its own."""
    people.write_text(PEOPLE.rstrip("\n"), encoding="utf-8")
    first, second = load_contract(people).relations
    text = brought(people, first, second, replace(first, columns=("n",), name="n"))
    assert 'columns = ["id"]\n\n[[foreign_key]]\n' in text


def test_a_link_keeps_leading_where_it_leads(people: Path, tmp_path: Path) -> None:
    """And the file keeps its rights."""
    people.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(people)
    first, second = load_contract(people).relations
    brought(link, replace(first, name="new"), second)
    assert link.is_symlink()
    assert 'name = "new"' in people.read_text("utf-8")
    assert people.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign_keys.toml", "link.toml"]


def test_comments_alone_are_an_empty_contract(tmp_path: Path) -> None:
    """They stay on top."""
    path = tmp_path / "foreign_keys.toml"
    path.write_text("# to come\n", encoding="utf-8")
    assert read_contract(path).contract.relations == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foreign_key = [{ table = 'a' }]", "is one array"),
        ("[[foreign_key]]\ntable = 1\n", "foreign_key[1].table"),
        ("[[foreign_key]\n", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_kept_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """Before anything is asked of the source."""
    path = tmp_path / "foreign_keys.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadDocument) as caught:
        read_contract(path)
    assert words in str(caught.value)


def test_an_update_that_would_not_hold_is_refused(people: Path) -> None:
    """What people wrote and what the source says need not fit together."""
    first, second = load_contract(people).relations
    text = PEOPLE.replace('on_delete = "cascade" # dangerous', 'on_delete = "set null"\non_delete_columns = ["b_id"]')
    people.write_text(text, encoding="utf-8")
    stands = read_contract(people)
    source = Source(name="x", relations=(first, second), speaks_of=("on_delete",))
    with pytest.raises(BadDocument, match=r"foreign_key\[1\].on_delete_columns as it would be: only goes with"):
        updated(stands, update_of(stands.contract, source))
    assert people.read_text("utf-8") == text


def test_a_place_that_cannot_be_written_is_refused(people: Path, tmp_path: Path) -> None:
    """A file where a folder would have to be."""
    stands = replace(read_contract(people), path=people / "foreign_keys.toml")
    with pytest.raises(Refused, match="cannot be written"):
        write_contract(stands)
