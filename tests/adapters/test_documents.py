"""TOML that people write: each mistake is one line with file, key and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from orchestrator.adapters import documents
from orchestrator.adapters.documents import nearest, parse, read_toml
from orchestrator.adapters.inventory import load_environment
from orchestrator.core.inventory import Environment, Source
from orchestrator.core.outcome import BadDocument, Refused

HEAD = """
[environment]
name = "staging"
kind = "staging"
[database]
url = { env = "STAGING_DATABASE_URL" }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A document with many lines of one shape."""

    all: tuple[Source, ...]


def loaded(folder: Path, text: str) -> Environment:
    """The environment `staging` with that text as its file."""
    (folder / "staging.toml").write_text(text, encoding="utf-8")
    return load_environment(folder, "staging")


def mistake(folder: Path, text: str) -> BadDocument:
    """What is said about that text; always on one line that begins with the file."""
    with pytest.raises(BadDocument) as raised:
        loaded(folder, text)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / 'staging.toml'}: ")
    return raised.value


@pytest.mark.parametrize("text", ["[environment", "a = ", "a = 1\na = 2", "name = 'x"])
def test_broken_toml_says_where(tmp_path: Path, text: str) -> None:
    """The parser's own line and column are passed on."""
    assert str(mistake(tmp_path, text)).startswith(f"{tmp_path / 'staging.toml'}: not valid TOML: ")


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    """TOML is UTF-8; the remedy says so."""
    path = tmp_path / "x.toml"
    path.write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(BadDocument, match=r"x\.toml: not UTF-8 text \(save it as UTF-8\)$"):
        read_toml(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, or a folder: refused with the system's reason."""
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(Refused, match=r"folder\.toml: cannot be read \(Is a directory\)$"):
        read_toml(tmp_path / "folder.toml")
    with pytest.raises(Refused, match=r"none\.toml: cannot be read \(No such file or directory\)$"):
        read_toml(tmp_path / "none.toml")


UNKNOWN = (
    (HEAD + "[polcy]\nx = 1", "polcy", "policy"),
    (HEAD.replace("kind =", "knd = 1\nkind ="), "environment.knd", "kind"),
    (HEAD + "rol = 'app'", "database.rol", "role"),
    (HEAD.replace("{ env =", "{ evn ="), "database.url.evn", "env"),
    (HEAD + "[[host]]\nname = 'a'\nssh = 'a'\n[[host]]\nname = 'b'\nshs = 'b'", "host[2].shs", "ssh"),
    (HEAD + "[[host]]\nname = 'a'\nssh = 'a'\nservice = { manger = 'pm2' }", "host[1].service.manger", "manager"),
    (HEAD + "[[host]]\nname = 'a'\nssh = 'a'\nsudo = { envv = 'X' }", "host[1].sudo.envv", "env"),
    (HEAD + "[policy]\nlock_timeout = 5", "policy.lock_timeout", "lock_timeout_ms"),
    (HEAD + "[policy]\nwindow = { form = '22:00' }", "policy.window.form", "from"),
    (HEAD + "[policy]\nwindow = { start = '22:00' }", "policy.window.start", None),
    (HEAD + "[policy]\nfreeze = [{ from = 2026-12-20, until = 2026-12-21 }]", "policy.freeze[1].until", None),
    (HEAD + "[backup]\nmod = 'dump'", "backup.mod", "mode"),
    (HEAD + "[scratch]\non = { url = { env = 'X' }, rol = 'x' }", "scratch.on.rol", "role"),
    (HEAD + "[scratch]\non = { url = { evn = 'X' } }", "scratch.on.url.evn", "env"),
    (HEAD + "[slack]\nchannel = '#x'\ntokn = { env = 'X' }", "slack.tokn", "token"),
    (HEAD + "[people]\nAyu = { aprover = true }", "people.Ayu.aprover", "approver"),
    (HEAD + "[evidence]\nkee = 1", "evidence.kee", "key"),
    (HEAD + "[templates]\ndir = 'x'", "templates.dir", None),
)


@pytest.mark.parametrize(("text", "key", "near"), UNKNOWN, ids=[case[1] for case in UNKNOWN])
def test_unknown_keys_at_every_level(tmp_path: Path, text: str, key: str, near: str | None) -> None:
    """Where the key stands, and the nearest known one, or all that are known."""
    error = mistake(tmp_path, text)
    assert (error.key, error.problem) == (key, "unknown key")
    assert error.remedy == f"did you mean {near}?" if near else error.remedy.startswith("known: ")


def test_keys_are_told_as_people_write_them(tmp_path: Path) -> None:
    """`from` and `to` are called otherwise inside; no message shows that."""
    error = mistake(tmp_path, HEAD + "[policy]\nwindow = { begin = 1 }")
    assert error.remedy == "known: days, from, timezone, to"


WRONG = (
    (HEAD.replace('"staging"\nkind', "5\nkind"), "environment.name"),
    (HEAD.replace('kind = "staging"', 'kind = "test"'), "environment.kind"),
    (HEAD + "[policy]\nlock_timeout_ms = 'soon'", "policy.lock_timeout_ms"),
    (HEAD + "[policy]\nlock_timeout_ms = 1.5", "policy.lock_timeout_ms"),
    (HEAD + "[policy]\nterminate_blockers = 'psql'", "policy.terminate_blockers"),
    (HEAD + "[policy]\nterminate_blockers = [1]", "policy.terminate_blockers[1]"),
    (HEAD + "[policy]\norphans = 'drop'", "policy.orphans"),
    (HEAD + "[policy]\nvalidate_workers = 'many'", "policy.validate_workers"),
    (HEAD + "[policy]\nwindow = { days = ['Tuesday'], from = '22:00', to = '02:00', timezone = 'UTC' }",) * 1
    + ("policy.window.days[1]",),
    (HEAD + "[policy]\nwindow = { days = [], from = 22, to = '02:00', timezone = 'UTC' }", "policy.window.from"),
    (HEAD + "[policy]\nfreeze = [{ from = 'soon', to = 2026-01-01, reason = 'x' }]", "policy.freeze[1].from"),
    (HEAD + "[policy]\nfreeze = { from = 2026-01-01 }", "policy.freeze"),
    (HEAD + "[backup]\nkeep = 'all'", "backup.keep"),
    (HEAD + "[scratch]\non = 'moon'", "scratch.on"),
    (HEAD + "[people]\nAyu = { approver = 'perhaps' }", "people.Ayu.approver"),
    (HEAD + "host = 'a'", "database.host"),
    ("policy = 5\n" + HEAD, "policy"),
    (HEAD.replace('{ env = "STAGING_DATABASE_URL" }', "5"), "database.url"),
    (HEAD.replace('"STAGING_DATABASE_URL"', "5"), "database.url.env"),
)


@pytest.mark.parametrize(("text", "key"), WRONG, ids=[case[1] for case in WRONG])
def test_wrong_types(tmp_path: Path, text: str, key: str) -> None:
    """The key as a person finds it in the file, whatever unions it passes on the way."""
    assert mistake(tmp_path, text).key == key


MISSING = (
    ("", "environment"),
    ("[environment]\nname = 'staging'\nkind = 'staging'", "database"),
    (HEAD.replace('name = "staging"\n', ""), "environment.name"),
    (HEAD.replace('url = { env = "STAGING_DATABASE_URL" }', ""), "database.url"),
    (HEAD + "[[host]]\nname = 'a'", "host[1].ssh"),
    (HEAD + "[policy]\nwindow = { days = [], from = '22:00', timezone = 'UTC' }", "policy.window.to"),
    (HEAD + "[policy]\nfreeze = [{ from = 2026-01-01, to = 2026-01-02 }]", "policy.freeze[1].reason"),
    (HEAD + "[slack]\nchannel = '#x'", "slack.token"),
)


@pytest.mark.parametrize(("text", "key"), MISSING, ids=[case[1] for case in MISSING])
def test_missing_keys(tmp_path: Path, text: str, key: str) -> None:
    """What has no default must be there."""
    error = mistake(tmp_path, text)
    assert (error.key, error.problem) == (key, "is missing")


def test_only_the_first_mistake_is_told(tmp_path: Path) -> None:
    """One line, even when there is much to say."""
    assert mistake(tmp_path, "[environment]\nnme = 'x'\nknd = 'y'").key == "environment.nme"


def test_a_document_that_fits(tmp_path: Path) -> None:
    """A parsed value has the types of its fields, and `from` reaches its field."""
    text = HEAD + "[policy]\nvalidate_workers = 3\nfreeze = [{ from = 2026-12-20, to = 2027-01-03, reason = 'x' }]"
    environment = loaded(tmp_path, text)
    assert environment.database.url == Source(env="STAGING_DATABASE_URL")
    assert environment.policy.validate_workers == 3
    assert str(environment.policy.freeze[0].start) == "2026-12-20"


def test_parse_takes_any_shape(tmp_path: Path) -> None:
    """The path is for messages only."""
    assert parse(tmp_path / "x.toml", {"env": "X"}, Source) == Source(env="X")


def test_a_long_document_asks_for_types_no_more_often_than_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolving the annotations of a class takes longer than checking a line."""
    asked: list[type] = []

    def counted(shape: type) -> dict[str, object]:
        asked.append(shape)
        return get_type_hints(shape)

    monkeypatch.setattr(documents, "get_type_hints", counted)
    counts = []
    for lines in (1, 100):
        documents._known_keys.cache_clear()
        asked.clear()
        parse(tmp_path / "x.toml", {"all": [{"env": "X"}] * lines}, Sources)
        counts.append(len(asked))
    assert counts == [2, 2]


def test_nearest() -> None:
    """A near word is proposed; otherwise all are listed, sorted."""
    assert nearest("stagin", ("prod", "staging")) == "did you mean staging?"
    assert nearest("zzz", ("prod", "dev")) == "known: dev, prod"
