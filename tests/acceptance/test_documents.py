"""`invoke docs`: nine documents that say the same, because all are made from the same records."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from orchestrator.adapters.document_set import MARK
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.documents import PAGES, minutes, word_count
from tests import servers
from tests.acceptance.desk import MASTER, Desk, fingerprint, has_ledger
from tests.conftest import ClusterUrl

CONTRACT = load_contract(MASTER / "foreign_keys.toml")
PROMISED, DEFERRED = len(CONTRACT.promised), len(CONTRACT.relations) - len(CONTRACT.promised)
B_ONLY = {"APP_LEVEL_VALIDATION.md", "ORPHAN_CHECK_AUDITS.md"}
COUNTED = re.compile(r"promises (\d+) relations: (\d+) present, (\d+) missing, (\d+) failed\. (\d+) more are deferred")


@dataclass(slots=True, kw_only=True)
class Told:
    """The documents of one state of the world, and the answer of the command."""

    folder: Path
    answer: dict[str, object]
    texts: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Read them."""
        self.texts = {each.name: each.read_text("utf-8") for each in sorted(self.folder.iterdir())}

    @property
    def counts(self) -> set[tuple[int, ...]]:
        """Promised, present, missing, failed, deferred, as each document tells them."""
        told = [COUNTED.search(text) for text in self.texts.values()]
        assert all(told)
        return {tuple(map(int, each.groups())) for each in told if each}


@dataclass(slots=True, kw_only=True)
class Story:
    """Documents while nothing is decided, under B, and under A before and after a deployment, from one database."""

    desk: Desk
    runbook: Path
    url: str
    undecided: Told = field(init=False)
    again: Told = field(init=False)
    b: Told = field(init=False)
    a: Told = field(init=False)
    deployed: Told = field(init=False)

    def docs(self, out: str) -> Told:
        """`invoke docs --json`."""
        words = ("docs", "--env", "staging", "--runbook", str(self.runbook), "--json", "--out")
        said = self.desk.typed(*words, str(self.desk.folder / out))
        assert said.returncode == 0, said.stderr
        return Told(folder=self.desk.folder / out, answer=json.loads(said.stdout))

    def decide(self, option: str, rationale: str) -> None:
        """`invoke decide`."""
        words = ("--runbook", str(self.runbook), "--option", option, "--rationale", rationale, "--by", "Ayu")
        assert self.desk.typed("decide", *words).returncode == 0


@pytest.fixture(scope="module")
def story(
    cluster_url: ClusterUrl, master_template: ClusterUrl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """Told once for all tests of this file."""
    url = servers.fresh_database(cluster_url(16), master_template(16))
    folder = tmp_path_factory.mktemp("documents")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        desk = Desk(folder=folder, monkeypatch=patch)
        desk.environment("staging", url)
        told = Story(desk=desk, runbook=shutil.copytree(MASTER, folder / "master"), url=url)
        told.undecided, told.again = told.docs("one"), told.docs("two")
        before = fingerprint(url)
        told.decide("B", "we | like <b>code</b> ```")
        told.b = told.docs("three")
        assert (fingerprint(url), has_ledger(url)) == (before, False)
        told.decide("A", "{{ 7*7 }} *keys* are cheap")
        told.a = told.docs("four")
        desk.deploy(runbook=str(told.runbook))
        told.deployed = told.docs("four")
        yield told
    servers.drop_database(url)


def test_seven_documents_but_nine_under_option_b(story: Story) -> None:
    """The files have the names that the release team knows; the map says how many there are, and what B adds."""
    every = {page.file for page in PAGES}
    assert len(every) == 9
    assert set(story.b.texts) == every
    for told in (story.undecided, story.a, story.deployed):
        assert set(told.texts) == every - B_ONLY
    maps = {name: told.texts["START_HERE.md"] for name, told in (("-", story.undecided), ("A", story.a))}
    assert "7 documents while nothing is decided. Option B adds Application-level validation and Orphan" in maps["-"]
    assert "7 documents, as for option A. Option B adds" in maps["A"]
    assert "9 documents, as for option B." in story.b.texts["START_HERE.md"]


def test_all_say_the_same_numbers(story: Story) -> None:
    """Those of the contract, in each document that is there."""
    assert story.undecided.counts == story.b.counts == story.a.counts == {(PROMISED, 1, PROMISED - 1, 0, DEFERRED)}
    assert story.deployed.counts == {(PROMISED, PROMISED, 0, 0, DEFERRED)}


def test_the_schema_is_counted(story: Story) -> None:
    """Tables, indexes, checks and the partial unique index as the facts have them."""
    report = story.a.texts["STAGING_DEPLOYMENT_FINAL_REPORT.md"]
    for line in (
        "| tables from which promised relations start | 16 |",
        "| indexes besides primary keys and partial unique ones | 89 |",
        "| CHECK constraints | 21 |",
        "| partial unique indexes | 1 |",
    ):
        assert line in report


def test_the_same_records_give_the_same_bytes(story: Story) -> None:
    """A second command records a second snapshot; as nothing changed, nothing changes on paper."""
    assert story.again.texts == story.undecided.texts
    assert story.again.answer["run"] != story.undecided.answer["run"]


def test_every_link_leads_to_a_document(story: Story) -> None:
    """Under every option, and from the start page to all of them."""
    for told in (story.undecided, story.b, story.deployed):
        links = {name: set(re.findall(r"\]\(([^)]+)\)", text)) for name, text in told.texts.items()}
        assert set().union(*links.values()) <= set(told.texts)
        assert links["START_HERE.md"] == set(told.texts)


def test_minutes_are_counted_words(story: Story) -> None:
    """As the answer has them, and as the start page tells each document, and the sum of each role."""
    start = story.b.texts["START_HERE.md"]
    rows = dict(re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|[^|]+\| [\d ]+ \| (\d+) \|$", start, re.MULTILINE))
    told = {Path(each["path"]).name: each for each in story.b.answer["documents"]}  # type: ignore[attr-defined]
    assert set(rows) == set(told) == set(story.b.texts)
    for name, text in story.b.texts.items():
        words = word_count(text.removeprefix(MARK))
        assert (told[name]["words"], told[name]["minutes"]) == (words, minutes(words))
        assert int(rows[name]) == minutes(words)
        assert f"About {minutes(words)} min to read" in text
    for role in ("Project lead", "Developer", "DBA", "SRE"):
        guide = start.split(f"### {role}\n")[1].split("##")[0]
        (total,) = re.findall(r"(\d+) min in all", guide)
        reads = re.findall(r"^\d+\. \[[^]]+\]\([^)]+\), (\d+) min$", guide, re.MULTILINE)
        assert reads
        assert int(total) == sum(map(int, reads))
        assert f"| {role} | {total} |" in start


def test_the_start_page_has_risk_flow_and_what_is_left(story: Story) -> None:
    """Before and after the decision, done and left from the journals."""
    start = story.deployed.texts["START_HERE.md"]
    for line in (
        "| before the decision | medium (undecided) |",
        "| after it, option A (Add the missing foreign keys) | low |",
        "| after it, option B (Keep the single key and validate in the application) | medium |",
        "| now | low |",
        "+-- option A: Add the missing foreign keys   <-- decided",
        "7 to 10 business days in all",
        "12 to 15 business days in all",
        "- done: Write the foreign-key migration and try it in staging (run ",
        "- left: Deploy to production (waits for apply on production)",
    ):
        assert line in start
    assert "## Quick help" in start
    assert f"staging: done, verdict GO; {PROMISED} of {PROMISED} promised relations stood" in start


def test_a_rationale_is_shown_literally(story: Story) -> None:
    """Neither Markdown nor HTML nor a template in it is obeyed."""
    page = MarkdownIt("gfm-like", {"linkify": False}).render
    assert "we | like &lt;b&gt;code&lt;/b&gt; ```" in page(story.b.texts["FK_STRATEGY_ANALYSIS.md"])
    assert "{{ 7*7 }} *keys* are cheap" in page(story.a.texts["FK_STRATEGY_ANALYSIS.md"])
    assert "{{ 7*7 }} *keys* are cheap" in page(story.a.texts["POST_STAGING_ACTION_ITEMS.md"])


def test_documents_of_another_decision_are_taken_away(story: Story) -> None:
    """B's two would contradict the rest; what is not ours stays, and is told."""
    folder = shutil.copytree(story.b.folder, story.desk.folder / "mixed")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    words = ("docs", "--env", "staging", "--runbook", str(story.runbook), "--out", str(folder))
    said = story.desk.typed(*words)
    assert said.returncode == 0
    assert {each.name for each in folder.iterdir()} == {*story.a.texts, "notes.txt"}
    assert said.stdout.count("taken away, it belongs to another decision") == len(B_ONLY)
    assert "1 other files in" in said.stdout


@pytest.mark.parametrize("case", ["none", "a file", "not ours"])
def test_bad_input_is_one_line(story: Story, case: str, tmp_path: Path) -> None:
    """Exit 2, nothing written, no run begun."""
    known = len(list(story.desk.runs.iterdir()))
    (tmp_path / "README_RUNBOOK.md").write_text("mine\n", encoding="utf-8")
    out = {"none": (), "a file": ("--out", str(tmp_path / "README_RUNBOOK.md")), "not ours": ("--out", str(tmp_path))}
    said = story.desk.typed("docs", "--env", "staging", "--runbook", str(story.runbook), *out[case])
    assert said.returncode == 2
    assert len(said.stderr.splitlines()) == 1
    assert [each.read_text("utf-8") for each in tmp_path.iterdir()] == ["mine\n"]
    assert len(list(story.desk.runs.iterdir())) == known
