"""`decision.toml`: read with one line for each mistake, written so that it reads back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.adapters.decisions import Written, as_toml, decision_of, decisions, write_decisions
from orchestrator.adapters.runbooks import load_runbook
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.timeline import standard_runbook

ROOT = Path(__file__).parents[2] / "runbooks"
MASTER = load_runbook("master_tables", root=ROOT, with_decision=False).runbook
GOOD = 'option = "A"\nrationale = "why"\nby = "Ayu"\nat = 2026-12-14T09:30:00Z\n'


def decided(folder: Path, text: str) -> Path:
    """A folder with that decision."""
    (folder / "decision.toml").write_text(text, encoding="utf-8")
    return folder


def test_without_a_file_nothing_is_decided(tmp_path: Path) -> None:
    """None, and no decisions."""
    assert decision_of(tmp_path, MASTER) is None
    assert decisions(tmp_path) == ()


def test_a_decision_written_by_hand(tmp_path: Path) -> None:
    """Four keys are enough."""
    found = decision_of(decided(tmp_path, GOOD), MASTER)
    assert found is not None
    assert (found.option, found.rationale, found.by) == ("A", "why", "Ayu")
    assert found.at == datetime(2026, 12, 14, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("option = ", "", "not valid TOML"),
        (GOOD.replace('"A"', '"C"'), "option", ""),
        (GOOD.replace('option = "A"', ""), "option", "is missing"),
        (GOOD.replace('rationale = "why"', ""), "rationale", "is missing"),
        (GOOD.replace("why", "  "), "rationale", "is empty"),
        (GOOD.replace("Ayu", ""), "by", "is empty"),
        (GOOD.replace("00Z", "00"), "at", "has no time zone"),
        (GOOD.replace("2026-12-14T09:30:00Z", '"soon"'), "at", ""),
        (GOOD.replace("option", "optoin"), "optoin", "unknown key"),
        (GOOD + '[[superseded]]\noption = "A"\nby = "Ayu"\nat = 2026-12-14T09:30:00Z\n', "superseded[1].rationale", ""),
        (GOOD + "[[superseded]]\n" + GOOD.replace("Ayu", " "), "superseded[1].by", "is empty"),
        (GOOD + 'road = "Something else"', "road", "A meant 'Something else' and means"),
    ],
)
def test_mistakes_in_a_decision(tmp_path: Path, text: str, key: str, problem: str) -> None:
    """One line with file and key, also for a label that means something else now."""
    with pytest.raises(BadDocument) as raised:
        decision_of(decided(tmp_path, text), MASTER)
    assert raised.value.key == key
    assert problem in raised.value.problem
    assert str(raised.value).startswith(f"{tmp_path / 'decision.toml'}: ")
    assert "\n" not in str(raised.value)


def test_a_decision_where_none_is_asked(tmp_path: Path) -> None:
    """It is a mistake: nothing would come of it."""
    with pytest.raises(BadDocument, match="no roads to decide between"):
        decision_of(decided(tmp_path, GOOD), standard_runbook("shop"))


def test_a_runbook_comes_with_its_decision(tmp_path: Path) -> None:
    """`load_runbook` reads it and refuses a bad one; who is about to decide passes over it."""
    (tmp_path / "foreign_keys.toml").write_text((ROOT / "master_tables/foreign_keys.toml").read_text("utf-8"), "utf-8")
    (tmp_path / "runbook.py").write_text((ROOT / "master_tables/runbook.py").read_text("utf-8"), "utf-8")
    assert load_runbook(str(tmp_path), root=ROOT).decision is None
    decided(tmp_path, GOOD)
    assert load_runbook(str(tmp_path), root=ROOT).decision == decision_of(tmp_path, MASTER)
    decided(tmp_path, GOOD + 'road = "Other"')
    with pytest.raises(BadDocument, match=r"decision\.toml: road: "):
        load_runbook(str(tmp_path), root=ROOT)
    assert load_runbook(str(tmp_path), root=ROOT, with_decision=False).decision is None


@pytest.mark.parametrize(
    "words", ['say "it"', "back\\slash", "two\nlines\tand a tab", "\x7f\x01", "ümlaut 決定", "'''"]
)
def test_what_is_written_reads_back(tmp_path: Path, words: str) -> None:
    """Whatever people say, newest first."""
    at = datetime(2026, 12, 14, 9, 30, tzinfo=UTC)
    every = tuple(Written(option=each, rationale=words, by=words, at=at, road=words) for each in ("B", "A"))
    write_decisions(tmp_path, every, "record")
    assert decisions(tmp_path) == every
    assert (tmp_path / "decision.toml").read_text("utf-8") == as_toml(every)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["decision.md", "decision.toml"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One line, and nothing is decided."""
    (tmp_path / "decision.md").mkdir()
    at = datetime(2026, 12, 14, tzinfo=UTC)
    with pytest.raises(Refused, match=r"decision\.md: cannot be written \(Is a directory\)"):
        write_decisions(tmp_path, (Written(option="A", rationale="x", by="x", at=at),), "record")
    assert [each.name for each in tmp_path.iterdir()] == ["decision.md"]
