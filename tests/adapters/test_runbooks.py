"""A runbook's folder: what its contract may say, its timeline, and its checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.adapters.runbooks import RunbookFolder, load_contract, load_runbook
from orchestrator.core.catalog import TableName
from orchestrator.core.contract import Contract
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.timeline import STANDARD_STEPS

ROOT = Path(__file__).parents[2] / "runbooks"

LINE = """
[[foreign_key]]
table = "child"
columns = ["parent_id"]
references = { table = "parent", columns = ["id"] }
"""
PAIR = """
[[foreign_key]]
table = "child"
columns = ["a", "b"]
references = { table = "parent", columns = ["x", "y"] }
"""
SHORT = "from orchestrator.core.timeline import Runbook\nRUNBOOK = Runbook(name='n', title='t', steps=('plan',))\n"
CHECK = """-- id: C9.sample
-- title: Is one one?
-- severity: critical
-- kind: structural
-- expected: yes
-- remedy: think again
select true as passed, 'yes' as observed
"""


def contract(folder: Path, text: str) -> Contract:
    """The contract with that text as its file."""
    (folder / "foreign_keys.toml").write_text(text, encoding="utf-8")
    return load_contract(folder / "foreign_keys.toml")


def mistake(folder: Path, text: str) -> BadDocument:
    """What is said about that text; always on one line that begins with the file."""
    with pytest.raises(BadDocument) as raised:
        contract(folder, text)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{folder / 'foreign_keys.toml'}: ")
    return raised.value


def runbook(folder: Path, *, timeline: str | None = None, checks: dict[str, str] | None = None) -> RunbookFolder:
    """A folder `sample` with one line, and what a test adds."""
    path = folder / "sample"
    (path / "checks").mkdir(parents=True)
    (path / "foreign_keys.toml").write_text(LINE, encoding="utf-8")
    if timeline is not None:
        (path / "runbook.py").write_text(timeline, encoding="utf-8")
    for name, text in (checks or {}).items():
        (path / "checks" / name).write_text(text, encoding="utf-8")
    return load_runbook("sample", root=folder)


def test_a_short_line_gets_its_defaults(tmp_path: Path) -> None:
    """Schema public on both sides, no action, a name made of table and columns."""
    relation = contract(tmp_path, LINE).relations[0]
    assert (relation.id, relation.name) == ("public.child(parent_id) -> public.parent(id)", "fk_child_parent_id")
    assert (relation.on_delete, relation.on_update, relation.match) == ("no action", "no action", "simple")
    assert (relation.deferrable, relation.priority, relation.deferred) == ("not", "medium", None)


def test_a_full_line_is_kept_literally(tmp_path: Path) -> None:
    """Every key of DESIGN.md; names with blanks, quotes and capitals stay as they are."""
    text = """
    [[foreign_key]]
    schema = "My Schema"
    table = 'the "table"'
    columns = ["ParentId"]
    references = { schema = "other", table = "Parent", columns = ["ID"] }
    on_delete = "set null"
    on_update = "cascade"
    deferrable = "initially deferred"
    match = "full"
    name = "a name"
    priority = "critical"
    deferred = "next release"
    on_delete_columns = ["ParentId"]
    """
    relation = contract(tmp_path, text).relations[0]
    assert relation.table == TableName(schema="My Schema", name='the "table"')
    assert relation.referenced == TableName(schema="other", name="Parent")
    assert (relation.on_delete, relation.on_update, relation.match) == ("set null", "cascade", "full")
    assert (relation.deferrable, relation.name, relation.priority) == ("initially deferred", "a name", "critical")
    assert (relation.deferred, relation.on_delete_columns) == ("next release", ("ParentId",))


def test_the_referenced_schema_is_the_lines_own(tmp_path: Path) -> None:
    """`references.schema` defaults to `schema`, not to public."""
    relation = contract(tmp_path, LINE + 'schema = "app"').relations[0]
    assert relation.referenced == TableName(schema="app", name="parent")


MISTAKES = (
    ("", "foreign_key", "no relation"),
    ("[[foreign_keys]]\ntable = 'x'", "foreign_key", "no relation"),
    ("foreign_key = []", "foreign_key", "no relation"),
    ("foreign_key = 'x'", "foreign_key", ""),
    (LINE + "[extra]\nx = 1", "extra", "unknown key"),
    (LINE + "on_delte = 'cascade'", "foreign_key[1].on_delte", "unknown key"),
    (LINE + LINE.replace("columns =", "colums =", 1), "foreign_key[2].colums", "unknown key"),
    (LINE.replace("{ table", "{ tabel"), "foreign_key[1].references.tabel", "unknown key"),
    (LINE.replace('table = "child"', "", 1), "foreign_key[1].table", "is missing"),
    (LINE.replace('columns = ["parent_id"]', ""), "foreign_key[1].columns", "is missing"),
    (LINE.replace(', columns = ["id"]', ""), "foreign_key[1].references.columns", "is missing"),
    (LINE.replace('["parent_id"]', '"parent_id"'), "foreign_key[1].columns", ""),
    (LINE.replace('["parent_id"]', "[1]"), "foreign_key[1].columns[1]", ""),
    (LINE.replace('["parent_id"]', "[]"), "foreign_key[1].columns", "names no column"),
    (LINE.replace('["parent_id"]', '["a", "b"]'), "foreign_key[1].references.columns", "1 column for 2"),
    (LINE.replace('["id"]', '["a", "b"]'), "foreign_key[1].references.columns", "2 columns for 1"),
    (PAIR.replace('["a", "b"]', '["a", "a"]'), "foreign_key[1].columns", "names a column twice"),
    (PAIR.replace('["x", "y"]', '["x", "x"]'), "foreign_key[1].references.columns", "names a column twice"),
    (LINE + "on_delete = 'delete'", "foreign_key[1].on_delete", ""),
    (LINE + "on_delete = 'CASCADE'", "foreign_key[1].on_delete", ""),
    (LINE + "on_update = 'x'", "foreign_key[1].on_update", ""),
    (LINE + "match = 'partial'", "foreign_key[1].match", ""),
    (LINE + "deferrable = true", "foreign_key[1].deferrable", ""),
    (LINE + "priority = 'urgent'", "foreign_key[1].priority", ""),
    (LINE + f"name = '{'x' * 64}'", "foreign_key[1].name", "is longer than 63 bytes"),
    (LINE + f"name = '{'ü' * 32}'", "foreign_key[1].name", "is longer than 63 bytes"),
    (LINE + "name = ''", "foreign_key[1].name", "is empty"),
    (LINE + "deferred = ' '", "foreign_key[1].deferred", "is empty"),
    (LINE + "on_delete_columns = ['parent_id']", "foreign_key[1].on_delete_columns", "only goes with"),
    (
        LINE + "on_delete = 'cascade'\non_delete_columns = ['parent_id']",
        "foreign_key[1].on_delete_columns",
        "only goes",
    ),
    (LINE + "on_delete = 'set null'\non_delete_columns = ['x']", "foreign_key[1].on_delete_columns", "names a column"),
    (LINE + LINE, "foreign_key[2].columns", "the same relation as foreign_key[1]"),
    (LINE + LINE + "name = 'other'\non_delete = 'cascade'", "foreign_key[2].columns", "the same relation"),
    (LINE + PAIR + LINE + "deferred = 'later'\nname = 'x'", "foreign_key[3].columns", "the same relation"),
    (
        PAIR + PAIR.replace('["a", "b"]', '["b", "a"]').replace('["x", "y"]', '["y", "x"]') + "name = 'x'",
        "foreign_key[2].columns",
        "the same relation as foreign_key[1]",
    ),
    (LINE + "name = 'k'\n" + PAIR + "name = 'k'", "foreign_key[2].name", "k is also the name of foreign_key[1]"),
    (LINE + PAIR + "name = 'fk_child_parent_id'", "foreign_key[2].name", "is also the name of foreign_key[1]"),
)


@pytest.mark.parametrize(("text", "key", "problem"), MISTAKES, ids=[f"{case[1]} {case[2]}" for case in MISTAKES])
def test_mistakes_in_a_contract(tmp_path: Path, text: str, key: str, problem: str) -> None:
    """The line by its number, the key, and what is wrong with it."""
    error = mistake(tmp_path, text)
    assert error.key == key
    assert problem in error.problem


def test_known_words_are_told(tmp_path: Path) -> None:
    """An unknown action is answered with the ones that exist."""
    assert "cascade" in str(mistake(tmp_path, LINE + "on_delete = 'delete'"))


FINE = (
    PAIR + PAIR.replace('["a", "b"]', '["b", "a"]') + "name = 'crossed'",
    LINE + LINE.replace('"child"', '"nephew"') + "name = 'fk_child_parent_id'",
    LINE + LINE.replace('"parent"', '"uncle"') + "name = 'x'",
    LINE + f"name = '{'x' * 63}'",
    LINE + f"name = '{'ü' * 31}x'",
    PAIR + "on_delete = 'set null'\non_delete_columns = ['b']",
)


@pytest.mark.parametrize("text", FINE)
def test_what_is_no_mistake(tmp_path: Path, text: str) -> None:
    """Crossed pairs, one name on two tables, one column to two tables, names that just fit, some columns set null."""
    assert contract(tmp_path, text).relations


def test_the_master_tables() -> None:
    """45 promised, 11 deferred with their reasons, and a decision to take."""
    folder = load_runbook("master_tables", root=ROOT)
    assert len(folder.contract.promised) == 45
    assert len(folder.contract.relations) == 56
    assert folder.runbook.needs_decision
    assert [name for name, _ in folder.migrations()] == sorted(name for name, _ in folder.migrations())
    assert len({check.id for check in folder.checks}) == len(folder.checks)


def test_a_folder_with_only_a_contract_is_complete(tmp_path: Path) -> None:
    """The standard timeline, no decision, no checks, no migrations."""
    folder = runbook(tmp_path)
    assert (folder.runbook.name, folder.runbook.steps) == ("sample", STANDARD_STEPS)
    assert not folder.runbook.needs_decision
    assert (folder.checks, folder.migrations()) == ((), ())


def test_a_runbook_may_be_any_folder(tmp_path: Path) -> None:
    """By path, when its name is not below the root."""
    runbook(tmp_path)
    assert load_runbook(str(tmp_path / "sample"), root=ROOT).runbook.name == "sample"


def test_an_unknown_runbook(tmp_path: Path) -> None:
    """The nearest known one."""
    with pytest.raises(Refused, match=r"unknown runbook 'master_table': did you mean master_tables\?"):
        load_runbook("master_table", root=ROOT)
    with pytest.raises(Refused, match="unknown runbook 'x': no runbook here"):
        load_runbook("x", root=tmp_path)


def test_a_folder_without_a_contract(tmp_path: Path) -> None:
    """It is no runbook, and the file that is missing is named."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match=r"empty: no foreign_keys\.toml"):
        load_runbook("empty", root=tmp_path)


def test_the_timeline_of_the_folder(tmp_path: Path) -> None:
    """RUNBOOK of runbook.py is the runbook."""
    text = "from orchestrator.core.timeline import Runbook\nRUNBOOK = Runbook(name='n', title='the title')\n"
    assert runbook(tmp_path, timeline=text).runbook.title == "the title"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("RUNBOOK = ", "SyntaxError: "),
        ("raise ValueError('no such day')", "ValueError: no such day"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("import no_such_module_here", "ModuleNotFoundError: "),
        ("raise SystemExit(0)", "SystemExit"),
        ("x = 1", "RUNBOOK: is missing or no Runbook"),
        ("RUNBOOK = 'text'", "RUNBOOK: is missing or no Runbook"),
        (SHORT, "RUNBOOK.steps: must be preflight, plan, "),
    ],
)
def test_a_timeline_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    """Whatever the user's code does, it is one line with the file."""
    with pytest.raises(BadDocument) as raised:
        runbook(tmp_path, timeline=text)
    assert str(raised.value).startswith(f"{tmp_path / 'sample' / 'runbook.py'}: {told}")
    assert "\n" not in str(raised.value)


def test_reading_a_runbook_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even byte code: a dry run leaves no file outside runs/."""
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    text = "from orchestrator.core.timeline import Runbook\nRUNBOOK = Runbook(name='n', title='t')\n"
    runbook(tmp_path, timeline=text)
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_check_is_its_header_and_its_sql(tmp_path: Path) -> None:
    """Six keys, and two marks that may be left out."""
    marked = CHECK.replace("-- remedy", "-- needs: all keys\n-- blame: data\n-- remedy").replace("C9", "C8")
    plain, special = runbook(tmp_path, checks={"a.sql": CHECK, "b.sql": marked, "notes.txt": "x"}).checks
    assert (plain.id, plain.title, plain.severity) == ("C9.sample", "Is one one?", "critical")
    assert (plain.kind, plain.expected, plain.remedy) == ("structural", "yes", "think again")
    assert plain.sql.endswith("select true as passed, 'yes' as observed\n")
    assert (plain.needs_keys, plain.blames_data) == (False, False)
    assert (special.needs_keys, special.blames_data) == (True, True)


@pytest.mark.parametrize("key", ["id", "title", "severity", "kind", "expected", "remedy"])
def test_a_check_needs_every_key(tmp_path: Path, key: str) -> None:
    """The key and the line to write."""
    lines = [line for line in CHECK.splitlines() if not line.startswith(f"-- {key}:")]
    with pytest.raises(
        BadDocument, match=rf"a\.sql: {key}: is missing \(a line `-- {key}: … ` at the top\)".replace("… `", "…`")
    ):
        runbook(tmp_path, checks={"a.sql": "\n".join(lines)})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("severity: critical", "severity: criticl", r"severity: did you mean critical\?"),
        ("severity: critical", "severity: xyz", "severity: known: critical, important, optional"),
        ("kind: structural", "kind: structual", r"kind: did you mean structural\?"),
        ("-- remedy", "-- needs: every key\n-- remedy", "needs: "),
        ("-- remedy", "-- blame: us\n-- remedy", "blame: "),
    ],
)
def test_unknown_words_in_a_check(tmp_path: Path, old: str, new: str, told: str) -> None:
    """The nearest known one; a mark that is misspelt must not be passed over."""
    with pytest.raises(BadDocument, match=rf"a\.sql: {told}"):
        runbook(tmp_path, checks={"a.sql": CHECK.replace(old, new)})


def test_two_checks_of_one_name(tmp_path: Path) -> None:
    """A finding is known by its id."""
    with pytest.raises(BadDocument, match=r"b\.sql: id: "):
        runbook(tmp_path, checks={"a.sql": CHECK, "b.sql": CHECK})


def test_a_check_that_is_not_utf8(tmp_path: Path) -> None:
    """One line with the file."""
    runbook(tmp_path)
    (tmp_path / "sample/checks/a.sql").write_bytes(CHECK.encode() + b"-- \xff")
    with pytest.raises(BadDocument, match=r"a\.sql: not UTF-8 text"):
        load_runbook("sample", root=tmp_path)


def test_a_migration_that_is_not_utf8(tmp_path: Path) -> None:
    """One line with the file, as for a check; a folder in place of a file is one line, too."""
    folder = runbook(tmp_path)
    (tmp_path / "sample/migrations/1").mkdir(parents=True)
    (tmp_path / "sample/migrations/1/migration.sql").write_bytes(b"\xff")
    with pytest.raises(BadDocument, match=r"migration\.sql: not UTF-8 text"):
        folder.migrations()
    (tmp_path / "sample/checks/a.sql").mkdir()
    with pytest.raises(Refused, match=r"a\.sql: cannot be read \(Is a directory\)$"):
        load_runbook("sample", root=tmp_path)
