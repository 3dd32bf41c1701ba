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
from orchestrator.core.pages import PAGES, minutes, word_count
from tests import servers
from tests.acceptance.desk import MASTER, Desk, execute, fingerprint, has_ledger
from tests.conftest import ClusterUrl

CONTRACT = load_contract(MASTER / "foreign_keys.toml")
PROMISED, DEFERRED = len(CONTRACT.promised), len(CONTRACT.relations) - len(CONTRACT.promised)
B_ONLY = {"APP_LEVEL_VALIDATION.md", "ORPHAN_CHECK_AUDITS.md"}
COUNTED = re.compile(
    r"promises (\d+) relations?: (\d+) present, (\d+) missing, (\d+) failed\. (\d+) more (?:is|are) deferred"
)


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
    production: Told = field(init=False)

    def docs(self, out: str, env: str = "staging") -> Told:
        """`invoke docs --json`."""
        words = ("docs", "--env", env, "--runbook", str(self.runbook), "--json", "--out")
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
    url, other = (servers.fresh_database(cluster_url(16), master_template(16)) for _ in range(2))
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
        deployed = desk.deploy(runbook=str(told.runbook))
        told.deployed = told.docs("four")
        desk.environment("prod", other, kind="production", head='evidence_from = "staging"', backup="")
        # From here on only the ledger of staging knows of its deployment.
        shutil.rmtree(desk.runs / deployed.document["run"])
        told.production = told.docs("five", "prod")
        yield told
    for each in (url, other):
        servers.drop_database(each)


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


def test_production_tells_what_staging_did(story: Story) -> None:
    """Its own counts, and the deployment that stands in the ledger of the environment that evidence comes from."""
    assert story.production.counts == {(PROMISED, 1, PROMISED - 1, 0, DEFERRED)}
    start = story.production.texts["START_HERE.md"]
    assert f"staging: done, verdict GO; {PROMISED} of {PROMISED} promised relations stood" in start
    assert "- done: Write the foreign-key migration and try it in staging (run " in start
    report = story.production.texts["STAGING_DEPLOYMENT_FINAL_REPORT.md"]
    assert len(re.findall(r"^\| public\..+ \| added \|", report, re.MULTILINE)) == PROMISED - 1
    assert "## Relations on prod" in report


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


def test_the_pages_are_tidy(story: Story) -> None:
    """No two blank lines in a row, no blank at the end of a line outside of a cell."""
    for told in (story.undecided, story.b, story.deployed, story.production):
        for name, text in told.texts.items():
            assert "\n\n\n" not in text, name
            assert re.search(r"[^|] +\n", text) is None, name


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
    assert "1 other file in" in said.stdout


def test_a_template_of_the_runbook_is_used_and_a_broken_one_told(story: Story) -> None:
    """Counted again, because it makes more words of a number; the other documents stay as they are."""
    book = shutil.copytree(story.runbook, story.desk.folder / "own")
    (book / "templates").mkdir()
    own = "{{ docs.snapshot.environment }}: {{ docs.promised | length }}{% if lengths.summary %} and more{% endif %}."
    (book / "templates/docs_summary.md.j2").write_text(own, encoding="utf-8")
    (book / "templates/docs_index.md.j2").write_text("{{ nobody }}", encoding="utf-8")
    out = story.desk.folder / "own-docs"
    said = story.desk.typed("docs", "--env", "staging", "--runbook", str(book), "--json", "--out", str(out))
    answer = json.loads(said.stdout)
    assert (out / "STAGING_DEPLOYMENT_SUCCESS.md").read_text("utf-8") == f"{MARK}\nstaging: {PROMISED} and more."
    assert next(each["words"] for each in answer["documents"] if each["title"] == "Staging summary") == 4
    assert "docs_index.md.j2, line 1: 'nobody' is undefined" in answer["template_errors"][0]
    assert "## Records" in (out / "MASTER_TABLES_DEPLOYMENT_INDEX.md").read_text("utf-8")


def test_a_runbook_without_a_decision_has_seven_documents(story: Story) -> None:
    """A contract alone, of which one table is no more and a name means something to Markdown."""
    execute(story.url, 'CREATE TABLE "a|*b*" (id bigint PRIMARY KEY, parent bigint)')
    line = '[[foreign_key]]\ntable = "{}"\ncolumns = ["parent"]\nreferences = {{ table = "a|*b*", columns = ["id"] }}\n'
    bare = story.desk.runbook(line.format("a|*b*") + line.format("gone"), name="bare")
    out = story.desk.folder / "bare-docs"
    said = story.desk.typed("docs", "--env", "staging", "--runbook", bare, "--out", str(out))
    assert said.returncode == 0, said.stderr
    told = {each.name: each.read_text("utf-8") for each in out.iterdir()}
    assert set(told) == {page.file for page in PAGES} - B_ONLY
    assert all("promises 2 relations: 0 present, 1 missing, 1 failed. 0 more" in each for each in told.values())
    assert "7 documents." in told["START_HERE.md"]
    assert "No decision is asked" in told["FK_STRATEGY_ANALYSIS.md"]
    assert "Table public.gone does not exist." in told["STAGING_DEPLOYMENT_FINAL_REPORT.md"]
    assert r"public.a\|\*b\*(parent)" in told["STAGING_DEPLOYMENT_FINAL_REPORT.md"]


@pytest.mark.parametrize("case", ["none", "a file", "below a file", "too long", "not ours"])
def test_bad_input_is_one_line(story: Story, case: str, tmp_path: Path) -> None:
    """Exit 2, nothing written, no run begun."""
    known = len(list(story.desk.runs.iterdir()))
    (tmp_path / "README_RUNBOOK.md").write_text("mine\n", encoding="utf-8")
    file = tmp_path / "README_RUNBOOK.md"
    out = {"a file": file, "below a file": file / "docs", "too long": tmp_path / ("x" * 300), "not ours": tmp_path}
    words = ("--out", str(out[case])) if case in out else ()
    said = story.desk.typed("docs", "--env", "staging", "--runbook", str(story.runbook), *words)
    assert said.returncode == 2
    assert len(said.stderr.splitlines()) == 1
    assert [each.read_text("utf-8") for each in tmp_path.iterdir()] == ["mine\n"]
    assert len(list(story.desk.runs.iterdir())) == known
