"""`invoke decide`: the decision as a file, and the record for people beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from orchestrator.adapters.decisions import decisions
from tests.acceptance.desk import MASTER, Desk, has_ledger

BARE = '[[foreign_key]]\ntable = "a"\ncolumns = ["b"]\nreferences = { table = "c", columns = ["id"] }\n'


@pytest.fixture
def runbook(desk: Desk) -> Path:
    """A copy of the shipped runbook, undecided."""
    return shutil.copytree(MASTER, desk.folder / "master")


def decide(desk: Desk, runbook: Path, option: str = "A", *more: str) -> tuple[int, str, str]:
    """`invoke decide`; exit code, stdout, stderr."""
    words = ("--runbook", str(runbook), "--option", option, "--rationale", "keys | <b>are</b> cheap", "--by", "Ayu")
    said = desk.typed("decide", *words, *more)
    return said.returncode, said.stdout, said.stderr


def test_a_decision_is_a_file_and_a_record(desk: Desk, runbook: Path) -> None:
    """The record has the contract's numbers, both options with risk and days, the decision and what follows."""
    code, out, _ = decide(desk, runbook)
    assert (code, out.splitlines()[0]) == (0, "done option A: Add the missing foreign keys, by Ayu")
    (newest,) = decisions(runbook)
    assert (newest.option, newest.by, newest.rationale) == ("A", "Ayu", "keys | <b>are</b> cheap")
    record = (runbook / "decision.md").read_text("utf-8")
    assert "promises 45 relations over 18 tables; 11 more are deferred" in record
    assert "| A | Add the missing foreign keys | low | 7 to 10 | recommended |" in record
    assert "| B | Keep the single key and validate in the application | medium | 12 to 15 | not recommended |" in record
    assert "The risk is low; before it was medium (undecided)." in record
    assert "| production | Deploy to production | day 7 |" in record
    page = MarkdownIt("gfm-like", {"linkify": False}).render(record)
    assert "keys | &lt;b&gt;are&lt;/b&gt; cheap" in page


def test_the_record_tells_what_stands_in_the_environment(desk: Desk, runbook: Path, staging: str) -> None:
    """Live numbers of its catalog, read only."""
    code, out, _ = decide(desk, runbook, "A", "--env", "staging", "--json")
    assert code == 0
    assert json.loads(out)["context"]["statuses"] == {"present": 1, "missing": 44, "deferred": 11}
    record = (runbook / "decision.md").read_text("utf-8")
    assert "| missing | 44 |" in record
    assert "On staging (database " in record
    assert not has_ledger(staging)


def test_deciding_again_keeps_the_former_decision(desk: Desk, runbook: Path) -> None:
    """As superseded, in the file and in the record."""
    decide(desk, runbook, "A")
    code, out, _ = decide(desk, runbook, "B", "--json")
    assert code == 0
    assert [each["option"] for each in json.loads(out)["superseded"]] == ["A"]
    assert [each.option for each in decisions(runbook)] == ["B", "A"]
    record = (runbook / "decision.md").read_text("utf-8")
    assert "## Superseded" in record
    assert "option A (Add the missing foreign keys), superseded." in record
    assert "The risk is medium; before it was low." in record


def test_a_decision_that_holds_no_more_can_be_replaced(desk: Desk, runbook: Path, staging: str) -> None:
    """Every other task refuses it with file and key; decide does not."""
    decide(desk, runbook)
    path = runbook / "decision.toml"
    path.write_text(path.read_text("utf-8").replace("Add the missing foreign keys", "Add none"), "utf-8")
    refused = desk.typed("plan", "--env", "staging", "--runbook", str(runbook))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(f"error: {path}: road: A meant 'Add none'")
    assert decide(desk, runbook, "A", "--env", "staging")[0] == 0
    assert desk.typed("plan", "--env", "staging", "--runbook", str(runbook)).returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "which road? --option A (Add the missing foreign keys), B (Keep"),
        (("--option", "C", "--rationale", "x", "--by", "x"), "--option C: known: A (Add the missing foreign keys), B"),
        (("--option", "A", "--by", "x"), "a decision needs --rationale"),
        (("--option", "A", "--rationale", " ", "--by", "x"), "a decision needs --rationale"),
        (("--option", "A", "--rationale", "x"), "a decision needs --by"),
        (("--option", "A", "--rationale", "x", "--by", "x", "--env", "nowhere"), "unknown environment 'nowhere'"),
    ],
)
def test_a_decision_that_is_not_whole_is_refused(desk: Desk, runbook: Path, words: tuple[str, ...], told: str) -> None:
    """Exit 2, one line, no file."""
    said = desk.typed("decide", "--runbook", str(runbook), *words)
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert told in said.stderr
    assert not (runbook / "decision.toml").exists()


def test_without_a_key_there_is_nothing_to_decide(desk: Desk) -> None:
    """An index is built on any road."""
    folder = desk.runbook("foreign_key = []", "shop")
    index = '[[index]]\ntable = "orders"\nname = "ix"\ndefinition = "CREATE INDEX ix ON orders (customer_id)"\n'
    (Path(folder) / "additions.toml").write_text(index, encoding="utf-8")
    said = desk.typed("decide", "--runbook", folder, "--option", "A", "--rationale", "x", "--by", "x")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "shop: nothing to decide: its contract has no foreign key" in said.stderr


def test_a_report_tells_risk_and_decision(desk: Desk, runbook: Path, staging: str) -> None:
    """As they were when the run began."""
    before = desk.deploy(until="plan", runbook=str(runbook))
    decide(desk, runbook)
    after = desk.deploy(until="plan", runbook=str(runbook))
    assert (before.document["risk"], after.document["risk"]) == ("medium (undecided)", "low")
    assert "Risk: medium (undecided)." in desk.file(before, "report.md")
    assert "Risk: low." in desk.file(after, "report.html")
    assert "A, by Ayu on " in desk.file(after, "report.md")
