"""Every command of the guide is one that exists, and those that are a story are run from its beginning to its end."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection
from markdown_it import MarkdownIt
from markdown_it.token import Token

import tasks
from tests import servers
from tests.acceptance.desk import Desk, execute
from tests.conftest import ClusterUrl
from tests.guide import formats
from tests.guide.commands import PAGE, page

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guide"
PAGES = (ROOT / "README.md", *sorted(GUIDE.glob("*.md")), PAGE, formats.PAGE)
STORIES = ("first-runbook", "ci")
TASKS = Collection.from_module(tasks).tasks
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def fences(path: Path) -> list[Token]:
    """The code blocks of a page."""
    return [each for each in MarkdownIt().parse(path.read_text("utf-8")) if each.type == "fence"]


def commands(path: Path) -> Iterator[tuple[str, int]]:
    """The commands of a page's shell blocks, each with the exit code that its comment names; 0 without one."""
    for fence in fences(path):
        for line in fence.content.splitlines() if fence.info == "sh" else ():
            if line.startswith("invoke "):
                code = re.search(r"# .*exit (\d)", line)
                yield line, int(code.group(1)) if code else 0


def test_the_reference_of_commands_is_what_the_tasks_say() -> None:
    """Made again by `python -m tests.guide.commands`."""
    assert PAGE.read_text("utf-8") == page()


def test_the_reference_of_formats_is_what_the_code_says() -> None:
    """Made again by `python -m tests.guide.formats`; every key of inventory and contract has its meaning."""
    assert formats.PAGE.read_text("utf-8") == formats.page()
    assert len(formats.MEANS) == formats.page().count("\n| `")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_command_exists(path: Path) -> None:
    """Task and options, also in the middle of a sentence."""
    named = re.findall(r"invoke ([a-z]+)((?: --?[a-z-]+(?: [^\s`|]+)?)*)", path.read_text("utf-8"))
    for task, options in named:
        known = (
            {f"--{each.name.strip('_').replace('_', '-')}" for each in TASKS[task].get_arguments()}
            if task in TASKS
            else set()
        )
        unknown = {word for word in shlex.split(options.replace("'", "")) if word.startswith("--")} - known - {"--help"}
        assert task in TASKS or f"--{task}" == "--help", task
        assert unknown == set(), (task, unknown)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(path: Path) -> None:
    """Files of the repository; pages elsewhere are not asked."""
    links = [each for each in LINK.findall(path.read_text("utf-8")) if not each.startswith("http")]
    assert [each for each in links if not (path.parent / each).exists()] == []


@pytest.fixture(scope="module")
def shop_urls(cluster_url: ClusterUrl) -> Iterator[tuple[str, str]]:
    """Staging and production with the tables of the first page."""
    urls = servers.fresh_database(cluster_url(16)), servers.fresh_database(cluster_url(16))
    (tables,) = (each.content for each in fences(GUIDE / "first-runbook.md") if each.info == "sql")
    for url in urls:
        execute(url, *filter(None, map(str.strip, tables.split(";"))))
    yield urls
    for url in urls:
        servers.drop_database(url)


@pytest.fixture
def at_home(shop_urls: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's folder with the runbook that the first page writes, as its reader has it."""
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    (contract,) = (each.content for each in fences(GUIDE / "first-runbook.md") if each.info == "toml")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/foreign_keys.toml").write_text(contract, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGING_DATABASE_URL", shop_urls[0])
    monkeypatch.setenv("PROD_DATABASE_URL", shop_urls[1])
    return tmp_path


@pytest.mark.parametrize("story", STORIES)
def test_a_page_told_from_its_beginning(story: str, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command in its order, on real databases, ends as the page says."""
    told = list(commands(GUIDE / f"{story}.md"))
    assert told
    desk = Desk(folder=at_home, monkeypatch=monkeypatch)
    for line, code in told:
        done = desk.typed(*shlex.split(line.split(" #")[0])[1:])
        assert done.returncode == code, (line, done.stdout, done.stderr)
