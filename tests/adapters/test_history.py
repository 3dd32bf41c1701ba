"""`history.toml`, folders of migrations that are read and never run, and the migrations that are written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.history import HISTORY, checksums, history_of
from orchestrator.adapters.history_table import QuotedHistory
from orchestrator.adapters.migrations import Wanted, Written, written
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.history import Applied, History, edited, in_effect, lacking, others, unknown
from orchestrator.core.migration import Form, changes_of_contract, spelled, split
from orchestrator.core.outcome import BadDocument, Refused
from tests.acceptance.migrated import CONTRACT, ODD

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REVISION = "revision = {0!r}\ndown_revision: str = {1!r}\n\n\ndef upgrade():\n    op.execute('select 1')\n"
DJANGO = (
    "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    dependencies = {0!r}\n"
    "    replaces = {1!r}\n    operations = [migrations.RunSQL('select 1')]\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders of all three tools, and a broken one."""
    for name in ("versions", "broken", "shop/migrations", "prisma/20260101000000_tables", "runbook"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "broken/tables.py").write_text("def (\n")
    for name, down in (("aaa", None), ("bbb", "aaa"), ("ccc", "bbb")):
        (tmp_path / f"versions/{name}.py").write_text(REVISION.format(name, down))
    apps = tmp_path / "shop/migrations"
    (apps / "0001_initial.py").write_text(DJANGO.format([("auth", "0001_initial"), ("site", "__first__")], []))
    (apps / "0002_more.py").write_text(DJANGO.format([("shop", "0001_initial")], []))
    (tmp_path / "prisma/20260101000000_tables/migration.sql").write_bytes(b"select 1;\nselect 2;\n")
    (tmp_path / "runbook/foreign_keys.toml").write_text(CONTRACT + ODD)
    return tmp_path


def history(folder: Path, tool: str, place: str, migration: str) -> History:
    """The history that such a file says."""
    text = f'tool = "{tool}"\nfolder = "../{place}"\nmigration = "{migration}"\n'
    (folder / "runbook" / HISTORY).write_text(text)
    found = history_of(folder / "runbook")
    assert found is not None
    return found


def write(folder: Path, form: Form, place: str, name: str | None = "keys", now: datetime = NOON) -> Written:
    """A migration of the contract, not written to disk yet."""
    contract = load_contract(folder / "runbook/foreign_keys.toml")
    changes = changes_of_contract(contract, QuotedDdl())
    return written(form, Wanted(runbook="it's", changes=changes, folder=folder / place, name=name, now=now))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('tool = "prisma"\nmigration = "x"', "history.toml: folder"),
        ('tool = "alembic"\nmigration = "x"', "history.toml: folder"),
        ('tool = "rails"\nfolder = "."\nmigration = "x"', "history.toml: tool"),
        ('tool = "prisma"\nfolder = "nowhere"\nmigration = "x"', "is no folder"),
        ('tool = "prisma"\nfolder = "../prisma"\nmigration = "lost"', "unknown migration lost"),
        ('tool = "prisma"\nfolder = "../prisma"\nmigration = "a b"', "other signs than"),
        ('tool = "prisma"\nfolder = "../prisma"\nmigration = "x"\napp = "y"', "goes with tool"),
        ('tool = "alembic"\nfolder = "../versions"\nmigration = "ddd"', "unknown revision ddd"),
        ('tool = "alembic"\nfolder = "../broken"\nmigration = "bbb"', "tables.py:1: is no Python"),
    ],
)
def test_bad_files(folder: Path, text: str, words: str) -> None:
    """One line, with file and key, exit 2."""
    (folder / "runbook" / HISTORY).write_text(text)
    with pytest.raises(BadDocument, match=words) as raised:
        history_of(folder / "runbook")
    assert (raised.value.exit_code, "\n" in str(raised.value)) == (2, False)


def test_no_history(folder: Path) -> None:
    """The file is nobody's duty."""
    assert history_of(folder / "runbook") is None


def test_alembics_last_revision_stands_for_all_before(folder: Path) -> None:
    """And one that is not in the folder for none."""
    kept = history(folder, "alembic", "versions", "bbb")
    assert in_effect(kept, [Applied(name="bbb")]) == {"aaa", "bbb"}
    assert tuple(lacking(kept, [Applied(name="aaa")])) == ()
    assert tuple(lacking(kept, [])) == ("aaa",)
    assert tuple(others(kept, [Applied(name="bbb")])) == ("ccc",)
    assert tuple(lacking(kept, [Applied(name="ddd")])) == ("aaa",)
    (folder / "versions/ddd.py").write_text(REVISION.format("ddd", "aaa"))
    branched = history(folder, "alembic", "versions", "bbb")
    (line,) = lacking(branched, [Applied(name="ddd")])
    assert line == "aaa as the last revision: public.alembic_version is at ddd"
    (line,) = unknown(kept, [Applied(name="fff")])
    assert line == f"revision fff was applied and is not in {folder / 'versions'}"
    assert kept.migration.statements == ("select 1",)


def test_djangos_other_apps_are_only_depended_on(folder: Path) -> None:
    """A squashed migration stands for those that it replaces."""
    kept = history(folder, "django", "shop/migrations", "0002_more")
    assert kept.migration.after == ("shop.0001_initial",)
    assert tuple(unknown(kept, [Applied(name="auth.0099_new"), Applied(name="shop.0001_initial")])) == ()
    assert tuple(unknown(kept, [Applied(name="shop.0009_lost")])) != ()
    first = history(folder, "django", "shop/migrations", "0001_initial")
    assert tuple(lacking(first, [])) == ("auth.0001_initial",)
    squashed = DJANGO.format([], [("shop", "0001_initial"), ("shop", "0002_more")])
    (folder / "shop/migrations/0001_squashed.py").write_text(squashed)
    kept = history(folder, "django", "shop/migrations", "0002_more")
    assert "shop.0002_more" in in_effect(kept, [Applied(name="shop.0001_squashed")])


def test_prismas_checksum_is_that_of_the_bytes(folder: Path) -> None:
    """Line ends that git changed are no edit."""
    kept = history(folder, "prisma", "prisma", "20260101000000_tables")
    assert kept.migration.checksums[0] == checksums(b"select 1;\nselect 2;\n")[0]
    windows = checksums(b"select 1;\r\nselect 2;\r\n")[0]
    assert tuple(edited(kept, [Applied(name=kept.migration.name, checksum=windows)])) == ()
    assert tuple(edited(kept, [Applied(name=kept.migration.name, checksum="00")])) != ()


@pytest.mark.parametrize(
    ("form", "place"), [("prisma", "prisma"), ("alembic", "versions"), ("django", "shop/migrations"), ("sql", "out")]
)
def test_the_same_keys_give_the_same_bytes(folder: Path, form: Form, place: str) -> None:
    """Also at another time, when the name brings its own; and a migration is never written over."""
    named = "20260201000000_keys"
    first = write(folder, form, place, named)
    assert first == write(folder, form, place, named, now=datetime(2030, 1, 1, tzinfo=UTC))
    first.write()
    with pytest.raises(Refused, match="never written over"):
        first.write()


def test_names(folder: Path) -> None:
    """Each tool's own: 14 digits of UTC, the next number, a revision that is made of its content."""
    assert write(folder, "prisma", "prisma").name == "20260301120000_keys"
    assert write(folder, "sql", "out", None).name == "20260301120000_foreign_keys"
    assert write(folder, "django", "shop/migrations").name == "shop.0003_keys"
    revision = write(folder, "alembic", "versions")
    assert [path.name for path in revision.files] == [f"{revision.name}_keys.py"]
    assert "down_revision = 'ccc'" in next(iter(revision.files.values()))


@pytest.mark.parametrize(
    ("form", "place", "name", "words"),
    [
        ("prisma", "prisma", "20250101000000_keys", "would come before"),
        ("prisma", "prisma", "a b", "letters, digits"),
        ("sql", "out", "../keys", "letters, digits"),
        ("alembic", "nowhere", "keys", "no such folder"),
        ("alembic", "broken", "keys", "is no Python"),
        ("django", "versions", "keys", "no migration of app"),
    ],
)
def test_refused(folder: Path, form: Form, place: str, name: str, words: str) -> None:
    """Nothing is written where it could not be applied."""
    with pytest.raises(Refused, match=words):
        write(folder, form, place, name)


def test_two_heads(folder: Path) -> None:
    """Alembic would not know where to go, and neither do we."""
    (folder / "versions/ddd.py").write_text(REVISION.format("ddd", "bbb"))
    with pytest.raises(Refused, match="2 heads: ccc, ddd"):
        write(folder, "alembic", "versions")


def test_the_statements_that_are_written_can_be_read_again(folder: Path) -> None:
    """So that a generated migration is known to do what the contract says, whatever its names."""
    contract = load_contract(folder / "runbook/foreign_keys.toml")
    wanted = [QuotedDdl().add(each, not_valid=False) for each in contract.promised]
    for form, place in (("alembic", "versions"), ("django", "shop/migrations"), ("prisma", "prisma")):
        made = write(folder, form, place)  # type: ignore[arg-type]
        made.write()
        kept = history(folder, form, place, made.name)
        assert list(kept.migration.statements or ()) == wanted


def test_split_and_spelled() -> None:
    """A semicolon in a string, a name, a body or a comment ends nothing; space in a name means something."""
    script = """select 1; -- a;b
        select 'x;''y', "a;b"; do $a$ begin; end $a$; /* ; */"""
    assert len(tuple(split(script))) == 3
    assert spelled('ALTER TABLE "public"."a" X ON UPDATE NO ACTION') == spelled("alter  table a\nx")
    assert spelled('"a b"') != spelled('"ab"')
    assert spelled('"A"') != spelled('"a"')
    assert spelled("'a  b'") != spelled("'a b'")


def test_the_first_revision_has_none_before(folder: Path) -> None:
    """Its row is written and removed, where others are changed."""
    first = history(folder, "alembic", "versions", "aaa")
    assert QuotedHistory().record(first).startswith('INSERT INTO "public"."alembic_version"')
    assert QuotedHistory().take_back(first).startswith('DELETE FROM "public"."alembic_version"')
